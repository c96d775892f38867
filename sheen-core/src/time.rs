//! Instants, civil days and the clock that stores hold.
//!
//! A [`Timestamp`] is whole milliseconds, the precision of the wire: an instant that cannot be
//! sent cannot exist, so none changes on a round trip through JSON or a database.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 instant")]
#[non_exhaustive]
pub struct TimestampError;

/// Years 0 to 9999, which RFC 3339 and jiff both can say.
const MIN_MILLIS: i64 = -62_167_219_200_000;
const MAX_MILLIS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(0);

    /// The instant `millis` milliseconds after the epoch, clamped to the years RFC 3339 can say.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < MIN_MILLIS {
            Self(MIN_MILLIS)
        } else if millis > MAX_MILLIS {
            Self(MAX_MILLIS)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant and `duration` (rounded down to milliseconds), clamped at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This instant less `duration` (rounded down to milliseconds), clamped at the start of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The UTC day of this instant.
    #[must_use]
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(Day::MILLIS))
    }

    /// Reads an RFC 3339 instant with any offset; what is finer than a millisecond is cut off.
    ///
    /// # Errors
    /// When the text is not such an instant.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-20T10:30:00.000Z`, always with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// A UTC day, counted from 1970-01-01. Days are half open: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    const MILLIS: i64 = 86_400_000;

    /// The day `number` days after 1970-01-01.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The first instant of the day.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(Self::MILLIS))
    }

    /// The first instant of the next day.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(1).saturating_mul(Self::MILLIS))
    }
}

/// Where a memory store and a service take the time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may step back.
    fn now(&self) -> Timestamp;

    /// Time since some fixed instant of this process. It never goes back; for measuring only.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// The machine's clock, monotonic time counted from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the adapter behind Clock")]
    pub fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind Clock")]
    fn now(&self) -> Timestamp {
        let millis = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis)
            }
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that a test moves by hand.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ManualClock {
    wall: std::sync::atomic::AtomicI64,
    monotonic: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            wall: std::sync::atomic::AtomicI64::new(now.as_millis()),
            monotonic: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Moves wall and monotonic time forward.
    pub fn advance(&self, duration: Duration) {
        use std::sync::atomic::Ordering::SeqCst;
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.wall
            .fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), SeqCst);
        self.monotonic.fetch_add(millis, SeqCst);
    }

    /// Steps the wall clock alone, as an operator or NTP would.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall
            .store(now.as_millis(), std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// Moves the clock of a store under test, whatever that clock is.
///
/// A memory store's is a [`ManualClock`]; a database's own clock is offset by a statement, which is
/// why moving it is awaited. The closure may own what must live as long as the test.
#[cfg(any(test, feature = "testing"))]
pub struct Advance(AdvanceFn);

#[cfg(any(test, feature = "testing"))]
type AdvanceFn =
    Box<dyn Fn(Duration) -> crate::runtime::BoxFuture<'static, ()> + Send + Sync + 'static>;

#[cfg(any(test, feature = "testing"))]
impl Advance {
    /// Moves a clock by `advance`.
    pub fn new<F>(advance: F) -> Self
    where
        F: Fn(Duration) -> crate::runtime::BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        Self(Box::new(advance))
    }

    /// Moves `clock`.
    #[must_use]
    pub fn manual(clock: std::sync::Arc<ManualClock>) -> Self {
        Self::new(move |duration| {
            clock.advance(duration);
            Box::pin(std::future::ready(()))
        })
    }

    /// Moves the clock forward.
    pub async fn by(&self, duration: Duration) {
        (self.0)(duration).await;
    }
}

#[cfg(any(test, feature = "testing"))]
impl fmt::Debug for Advance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Advance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_that_of_the_wire_and_round_trips() {
        let at = Timestamp::parse_rfc3339("2026-11-20T10:30:00.000Z").unwrap();
        assert_eq!(at.to_string(), "2026-11-20T10:30:00.000Z");
        assert_eq!(
            serde_json::to_string(&at).unwrap(),
            "\"2026-11-20T10:30:00.000Z\""
        );
        assert_eq!(
            Timestamp::parse_rfc3339("2026-11-20T11:30:00+01:00").unwrap(),
            at
        );
        assert_eq!(
            Timestamp::parse_rfc3339("1970-01-01T00:00:00.0019Z").unwrap(),
            Timestamp::from_millis(1)
        );
        assert!(Timestamp::parse_rfc3339("yesterday").is_err());
    }

    #[test]
    fn the_ends_of_time_are_clamped_and_can_be_said() {
        for millis in [i64::MIN, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
        }
        assert_eq!(
            Timestamp::from_millis(i64::MAX).plus(Duration::MAX),
            Timestamp::from_millis(i64::MAX)
        );
    }

    #[test]
    fn days_are_half_open_and_hold_before_1970() {
        let day = Timestamp::parse_rfc3339("2026-11-20T10:30:00Z")
            .unwrap()
            .day();
        assert_eq!(day.start().day(), day);
        assert_ne!(day.end().day(), day);
        assert_eq!(Timestamp::from_millis(day.end().as_millis() - 1).day(), day);
        assert_eq!(Timestamp::from_millis(-1).day(), Day::from_number(-1));
    }
}
