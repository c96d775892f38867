//! Reading JSON in which every key of an object stands once.
//!
//! RFC 8259 §4 leaves open what a key that stands twice means, so two readers of one signed body
//! could see two users in it. Such a body is refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a body is no value.
#[derive(Debug)]
pub(super) enum JsonError {
    /// It is not JSON.
    Malformed(serde_json::Error),
    /// The key at this place stands twice in its object.
    Twice(String),
}

/// The value that `text` is, in one pass and nested as deep as `serde_json` allows.
///
/// # Errors
/// When it is not JSON, or a key stands twice.
pub(super) fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let mut twice = None;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Once(&mut twice).deserialize(&mut reader);
    match (read.and_then(|value| reader.end().map(|()| value)), twice) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(place)) => Err(JsonError::Twice(place)),
        (Err(error), None) => Err(JsonError::Malformed(error)),
    }
}

/// Reads a value; notes the place of a key that stands twice, from the inside out.
struct Once<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            match items.next_element_seed(Once(&mut *self.0)) {
                Ok(Some(item)) => list.push(item),
                Ok(None) => return Ok(Value::Array(list)),
                Err(error) => {
                    within(self.0, || format!("[{}]", list.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                *self.0 = Some(step(&key));
                return Err(A::Error::custom("a key stands twice"));
            }
            match entries.next_value_seed(Once(&mut *self.0)) {
                Ok(value) => map.insert(key, value),
                Err(error) => {
                    within(self.0, || step(&key));
                    return Err(error);
                }
            };
        }
        Ok(Value::Object(map))
    }
}

/// Puts what encloses it before a place that was found.
fn within(place: &mut Option<String>, outer: impl FnOnce() -> String) {
    if let Some(inner) = place.take() {
        let dot = if inner.starts_with('[') { "" } else { "." };
        *place = Some(format!("{}{dot}{inner}", outer()));
    }
}

/// A key in the name of a field: plain where it is a name, else quoted; cut where it is long.
fn step(key: &str) -> String {
    const MOST: usize = 80;
    let start: String = key.chars().take(MOST).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match start.len() < key.len() {
        true => format!("[{:?}]", start + "…"),
        false if !key.is_empty() && key.chars().all(is_name) => start,
        false => format!("[{start:?}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(text: &str) -> String {
        match parse(text.as_bytes()) {
            Err(JsonError::Twice(place)) => place,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth() {
        let long = format!(r#"{{"{0}":1,"{0}":1}}"#, "k".repeat(1000));
        for (text, place) in [
            (r#"{"userId":"ann","userId":"bob"}"#, "userId"),
            (r#"{"userId":"ann","user\u0049d":"ann"}"#, "userId"),
            (
                r#"{"metadata":{"x":[{},{"a":1,"a":1}]}}"#,
                "metadata.x[1].a",
            ),
            (
                r#"{"templateFiles":{"a/b":"","a/b":""}}"#,
                r#"templateFiles["a/b"]"#,
            ),
            (r#"[{"":1,"":2}]"#, r#"[0][""]"#),
            // What follows is not looked at.
            (r#"{"a":1,"a":"#, "a"),
        ] {
            assert_eq!(twice(text), place, "{text}");
        }
        assert!(twice(&long).len() < 100);
        let deep = r#"{"a":"#.repeat(100) + r#"{"b":1,"b":1}"# + &"}".repeat(100);
        assert!(twice(&deep).ends_with("a.a.b"));
    }

    #[test]
    fn anything_else_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"a":{"x":1},"b":{"x":[true,false,null,"\u00e9\n"]}}"#,
            "[0,-1,18446744073709551615,-9223372036854775808,1.5,1e300,-0.0]",
            "18446744073709551616",
            "\"x\"",
            " null ",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for text in [
            "",
            "{",
            "{\"a\":1}x",
            "1e999",
            "\"\\ud800\"",
            "{1:2}",
            &deep,
        ] {
            let expected = serde_json::from_str::<Value>(text).unwrap_err();
            match parse(text.as_bytes()) {
                Err(JsonError::Malformed(error)) => {
                    assert_eq!(error.to_string(), expected.to_string(), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse(b"\"\xff\""), Err(JsonError::Malformed(_))));
    }
}
