//! Reading a JSON object field by field, noting every wrong one.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::{FieldProblem, Fields};
use crate::seconds::Seconds;

/// A request that is read from a JSON object.
pub trait FromFields: Sized {
    /// Reads the request; `None` only when at least one field was refused.
    fn read(body: &mut ObjectReader<'_>) -> Option<Self>;
}

/// Takes fields out of a JSON object and notes what is wrong with them.
///
/// Every method gives `None` both for an absent optional field and for a refused one: whether the
/// whole was right is for [`Fields::finish`] to say.
#[derive(Debug)]
pub struct ObjectReader<'a> {
    map: Map<String, Value>,
    prefix: String,
    fields: &'a mut Fields,
}

impl<'a> ObjectReader<'a> {
    /// Reads `map`, noting wrong fields in `fields`.
    #[must_use]
    pub const fn new(map: Map<String, Value>, fields: &'a mut Fields) -> Self {
        Self {
            map,
            prefix: String::new(),
            fields,
        }
    }

    fn name(&self, name: &'static str) -> Cow<'static, str> {
        if self.prefix.is_empty() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(format!("{}.{name}", self.prefix))
        }
    }

    /// Notes that the field `name` of this object is wrong.
    pub fn refuse(
        &mut self,
        name: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) {
        let name = self.name(name);
        self.fields.refuse(name, code, message);
    }

    /// The value of `name`, taken out of the object; `null` counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, Value) -> Option<T>,
    ) -> Option<T> {
        if let Some(value) = self.take(name) {
            return read(self, value);
        }
        self.refuse(name, "required", "is required");
        None
    }

    fn text_of(&mut self, name: &'static str, value: Value) -> Option<String> {
        if let Value::String(text) = value {
            return Some(text);
        }
        self.refuse(name, "wrong_type", "must be a string");
        None
    }

    fn parsed_of<T>(&mut self, name: &'static str, value: Value) -> Option<T>
    where
        T: FromStr<Err: FieldProblem>,
    {
        let text = self.text_of(name, value)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, error.code(), error.to_string());
                None
            }
        }
    }

    /// An id, or another value with a text form.
    pub fn id<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr<Err: FieldProblem>,
    {
        self.required(name, |this, value| this.parsed_of(name, value))
    }

    /// An id that may be left out.
    pub fn optional_id<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr<Err: FieldProblem>,
    {
        let value = self.take(name)?;
        self.parsed_of(name, value)
    }

    fn bounded_of(&mut self, name: &'static str, value: Value, max: usize) -> Option<String> {
        let text = self.text_of(name, value)?;
        if text.len() > max {
            self.refuse(name, "too_long", format!("must be at most {max} bytes"));
        } else if text.contains('\0') {
            // No database keeps a NUL in a text.
            self.refuse(name, "invalid_characters", "must not hold NUL");
        } else {
            return Some(text);
        }
        None
    }

    /// A text of 1 to `max` bytes that is not only white space.
    pub fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.required(name, |this, value| this.bounded_of(name, value, max))?;
        if text.trim().is_empty() {
            self.refuse(name, "required", "must not be empty");
            return None;
        }
        Some(text)
    }

    /// A text of at most `max` bytes that may be left out.
    pub fn optional_text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let value = self.take(name)?;
        self.bounded_of(name, value, max)
    }

    /// `true` or `false`, or left out.
    pub fn optional_bool(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(value) => Some(value),
            _ => {
                self.refuse(name, "wrong_type", "must be true or false");
                None
            }
        }
    }

    fn whole_of(&mut self, name: &'static str, value: &Value, min: u64, max: u64) -> Option<u64> {
        let Value::Number(number) = value else {
            self.refuse(name, "wrong_type", "must be a whole number");
            return None;
        };
        if number.is_f64()
            && !number
                .as_f64()
                .is_some_and(|float| float.abs() >= 2f64.powi(63))
        {
            self.refuse(name, "wrong_type", "must be a whole number");
            return None;
        }
        match number.as_u64() {
            Some(whole) if (min..=max).contains(&whole) => Some(whole),
            _ => {
                let message = format!("must be a whole number from {min} to {max}");
                self.refuse(name, "out_of_range", message);
                None
            }
        }
    }

    /// A whole number of seconds, at least `min`.
    pub fn seconds(&mut self, name: &'static str, min: u32) -> Option<Seconds> {
        let (min, max) = (u64::from(min), Seconds::MAX.get());
        let whole = self.required(name, |this, value| this.whole_of(name, &value, min, max))?;
        Seconds::new(whole).ok()
    }

    /// A whole number from `min` to `max`.
    pub fn whole(&mut self, name: &'static str, min: u64, max: u64) -> Option<u64> {
        self.required(name, |this, value| this.whole_of(name, &value, min, max))
    }

    /// A whole number from `min` to `max` that may be left out.
    pub fn optional_whole(&mut self, name: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.take(name)?;
        self.whole_of(name, &value, min, max)
    }

    fn one_of_value<T: Copy>(
        &mut self,
        name: &'static str,
        value: Value,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text_of(name, value)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!("must be one of {}", words.join(", "));
            self.refuse(name, "unknown_value", message);
        }
        found.map(|(_, choice)| *choice)
    }

    /// One of `choices`, by its word.
    pub fn one_of<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.required(name, |this, value| this.one_of_value(name, value, choices))
    }

    /// One of `choices`, by its word, or left out.
    pub fn optional_one_of<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let value = self.take(name)?;
        self.one_of_value(name, value, choices)
    }

    /// A JSON object of at most `max` bytes, as text, or left out.
    pub fn optional_object_text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let value = self.take(name)?;
        if !value.is_object() {
            self.refuse(name, "wrong_type", "must be an object");
            return None;
        }
        let text = value.to_string();
        if text.len() > max {
            self.refuse(
                name,
                "too_long",
                format!("must be at most {max} bytes of JSON"),
            );
            return None;
        }
        Some(text)
    }

    /// The object `name`, read by `read`.
    pub fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut ObjectReader<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.required(name, |_, value| Some(value))?;
        let Value::Object(map) = value else {
            self.refuse(name, "wrong_type", "must be an object");
            return None;
        };
        let prefix = self.name(name).into_owned();
        read(&mut ObjectReader {
            map,
            prefix,
            fields: self.fields,
        })
    }

    /// A list of at most `most` texts of at most `max` bytes; an absent one is empty.
    pub fn texts(&mut self, name: &'static str, most: usize, max: usize) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let Value::Array(items) = value else {
            self.refuse(name, "wrong_type", "must be a list of strings");
            return Vec::new();
        };
        if items.len() > most {
            self.refuse(name, "too_many", format!("must have at most {most} items"));
            return Vec::new();
        }
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let field = || format!("{}[{index}]", self.name(name));
            match item {
                Value::String(text) if text.len() <= max => texts.push(text),
                Value::String(_) => {
                    let field = field();
                    let message = format!("must be at most {max} bytes");
                    self.fields.refuse(field, "too_long", message);
                }
                _ => {
                    let field = field();
                    self.fields.refuse(field, "wrong_type", "must be a string");
                }
            }
        }
        texts
    }

    /// A list of one to `most` ids; `None` only with a note of what is wrong with it.
    pub fn ids<T>(&mut self, name: &'static str, most: usize) -> Option<Vec<T>>
    where
        T: FromStr<Err: FieldProblem>,
    {
        let items = match self.take(name) {
            Some(Value::Array(items)) => items,
            found => {
                let (reason, message) = match found {
                    None => ("required", "is required"),
                    Some(_) => ("wrong_type", "must be a list of ids"),
                };
                self.refuse(name, reason, message);
                return None;
            }
        };
        if items.is_empty() || items.len() > most {
            let reason = if items.is_empty() {
                "too_few"
            } else {
                "too_many"
            };
            self.refuse(name, reason, format!("must have 1 to {most} items"));
            return None;
        }
        let count = items.len();
        let mut ids = Vec::with_capacity(count);
        for (index, item) in items.into_iter().enumerate() {
            let field = format!("{}[{index}]", self.name(name));
            match item {
                Value::String(text) => match text.parse::<T>() {
                    Ok(id) => ids.push(id),
                    Err(error) => self.fields.refuse(field, error.code(), error.to_string()),
                },
                _ => self.fields.refuse(field, "wrong_type", "must be a string"),
            }
        }
        (ids.len() == count).then_some(ids)
    }

    /// The value of `name` and where to note what is wrong inside it.
    pub(super) fn take_with_fields(&mut self, name: &str) -> Option<(Value, &mut Fields)> {
        let value = self.take(name)?;
        Some((value, self.fields))
    }
}
