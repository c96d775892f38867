//! What answers to v1 calls say of its end.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use sheen_core::time::Timestamp;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// 2026-11-20, when v1 was deprecated.
pub const V1_DEPRECATED_SINCE: Timestamp = Timestamp::from_millis(1_795_132_800_000);
/// Where instants are clamped, at the end of the year 9999: whoever says it means another.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// Since when v1 is deprecated, as `Deprecation` (RFC 9745), and from when on it will not be taken any
/// more, as `Sunset` (RFC 8594). Made whole when it is configured, so that no answer can lack it.
///
/// ```
/// use sheen_axum::signature::Deprecation;
/// use sheen_core::time::Timestamp;
/// let end = Timestamp::parse_rfc3339("2027-06-01T00:00:00Z")?;
/// let deprecation = Deprecation::default().sunset(end)?;
/// assert!(deprecation.sunset(Timestamp::from_millis(0)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    since: Timestamp,
    deprecation: HeaderValue,
    sunset: Option<HeaderValue>,
}

/// Why an instant does not say when v1 ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeprecationError {
    /// No header can hold it.
    #[error("must be an instant from 1970 to the end of 9999")]
    OutOfRange,
    /// v1 would end before it was deprecated, which RFC 9745 rules out.
    #[error("must not be before v1 was deprecated")]
    SunsetBefore,
}

impl Deprecation {
    /// Since then.
    ///
    /// # Errors
    /// When no header can hold the instant.
    pub fn since(at: Timestamp) -> Result<Self, DeprecationError> {
        let is_sayable = at >= Timestamp::EPOCH && at < END;
        let value = HeaderValue::try_from(format!("@{}", at.as_seconds()));
        match (is_sayable, value) {
            (true, Ok(deprecation)) => Ok(Self {
                since: at,
                deprecation,
                sunset: None,
            }),
            _ => Err(DeprecationError::OutOfRange),
        }
    }

    /// The same, and not taken any more from `at` on.
    ///
    /// # Errors
    /// When no header can hold the instant, or it is before the deprecation.
    pub fn sunset(mut self, at: Timestamp) -> Result<Self, DeprecationError> {
        if at < self.since {
            return Err(DeprecationError::SunsetBefore);
        }
        if at >= END {
            return Err(DeprecationError::OutOfRange);
        }
        let millis = u64::try_from(at.as_millis()).map_err(|_| DeprecationError::OutOfRange)?;
        let date = std::time::UNIX_EPOCH + Duration::from_millis(millis);
        let value = HeaderValue::try_from(httpdate::fmt_http_date(date));
        self.sunset = Some(value.map_err(|_| DeprecationError::OutOfRange)?);
        Ok(self)
    }

    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION, self.deprecation.clone());
        let sunset = self.sunset.clone();
        headers.extend(sunset.map(|date| (SUNSET, date)));
    }
}

impl Default for Deprecation {
    /// Since [`V1_DEPRECATED_SINCE`], without an end.
    fn default() -> Self {
        Self {
            since: V1_DEPRECATED_SINCE,
            deprecation: HeaderValue::from_static("@1795132800"),
            sunset: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_that_no_header_holds_are_refused_when_they_are_configured() {
        let at = Timestamp::from_millis;
        for garbage in [at(i64::MIN), at(-1), at(i64::MAX)] {
            assert_eq!(
                Deprecation::since(garbage),
                Err(DeprecationError::OutOfRange)
            );
            assert!(Deprecation::default().sunset(garbage).is_err());
        }
        let early = at(V1_DEPRECATED_SINCE.as_millis() - 1);
        assert_eq!(
            Deprecation::default().sunset(early),
            Err(DeprecationError::SunsetBefore)
        );
        assert_eq!(
            Deprecation::since(V1_DEPRECATED_SINCE).unwrap(),
            Deprecation::default()
        );
        let mut headers = HeaderMap::new();
        let last = at(END.as_millis() - 1);
        let said = Deprecation::since(at(0)).unwrap().sunset(last).unwrap();
        said.tell(&mut headers);
        assert_eq!(headers["deprecation"], "@0");
        assert_eq!(headers["sunset"], "Thu, 30 Dec 9999 21:59:59 GMT");
    }
}
