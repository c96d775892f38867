//! Reading the query of a request line.

use percent_encoding::percent_decode;

use crate::problem::Problem;

/// The pairs of a query, decoded as `application/x-www-form-urlencoded`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`; one more leading `?` is dropped, as the signature does.
    ///
    /// # Errors
    /// When it is not UTF-8 once decoded (wire.md §1).
    pub(crate) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let raw = raw.unwrap_or_default();
        let raw = raw.strip_prefix('?').unwrap_or(raw);
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        pairs.collect::<Result<_, Problem>>().map(Self)
    }

    /// Every pair, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every value of `name`, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of `name`, when it is there.
    ///
    /// # Errors
    /// When it is there more than once: which of them is meant is not for us to guess.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            _ => Err(Problem::field(name, "duplicate", "must be given once")),
        }
    }
}

fn decoded(text: &str) -> Result<String, Problem> {
    // What most of them are: nothing in it stands for anything else.
    if !text.contains(['+', '%']) {
        return Ok(text.to_owned());
    }
    let text = text.replace('+', " ");
    match percent_decode(text.as_bytes()).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Problem::field(
            "query",
            "invalid_utf8",
            "must be UTF-8 once decoded",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_doubles_are_noticed() {
        let query = Query::parse(Some("?a=1%202&b=x+y&b=z&c")).unwrap();
        assert_eq!(query.one("a").unwrap(), Some("1 2"));
        assert!(query.one("b").is_err());
        assert_eq!(query.all("b").collect::<Vec<_>>(), ["x y", "z"]);
        assert_eq!(query.one("c").unwrap(), Some(""));
        assert_eq!(query.one("d").unwrap(), None);
        assert!(Query::parse(Some("a=%FF")).is_err());
        assert_eq!(Query::parse(None).unwrap(), Query::default());
    }
}
