//! What answers say of limits, as values of headers (wire.md §§3, 11).

use std::fmt;
use std::time::Duration;

use super::types::{Quotas, Standing};

/// The figures of `x-ratelimit-limit`, `-remaining` and `-reset`, and of `Retry-After`.
///
/// All are of the quota that decides. `reset` is when the next unit will be there, and for a
/// refused call when that very call passes: then it is also `Retry-After`. Whole seconds from now,
/// rounded up, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitFigures {
    /// The burst.
    pub limit: u32,
    /// What is left of it; for a refused call less than it costs.
    pub remaining: u32,
    /// When there will be more.
    pub reset_seconds: u64,
    /// When a refused call may be tried again; `None` for one that passed.
    pub retry_after_seconds: Option<u64>,
}

impl LimitFigures {
    /// The figures of a standing.
    #[must_use]
    pub fn of(standing: &Standing) -> Self {
        let meter = standing.tightest();
        let wait = standing.wait();
        let reset_seconds = seconds(meter.more_in().max(wait));
        Self {
            limit: meter.quota.burst(),
            remaining: meter.remaining(),
            reset_seconds,
            retry_after_seconds: (!wait.is_zero()).then_some(reset_seconds),
        }
    }
}

fn seconds(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(up).max(1)
}

/// A name that can stand in a structured field: 1–64 of `a-z0-9-_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyName<'a>(&'a str);

impl<'a> PolicyName<'a> {
    /// Takes a name; `None` when it cannot stand in a field.
    #[must_use]
    pub fn new(name: &'a str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
        fits.then_some(Self(name))
    }
}

/// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): every quota, `q` units
/// in `w` seconds. Names are numbered from the second on.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a value to be shown")]
pub struct PolicyField<'a>(pub PolicyName<'a>, pub &'a Quotas);

impl fmt::Display for PolicyField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, quota) in self.1.as_slice().iter().enumerate() {
            item(f, self.0, place)?;
            write!(f, ";q={};w={}", quota.burst(), seconds(quota.period()))?;
        }
        Ok(())
    }
}

/// The value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers): of every quota what remains,
/// `r`, and in how many seconds there will be more, `t`. No `t` is later than `Retry-After`.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a value to be shown")]
pub struct RateLimitField<'a>(pub PolicyName<'a>, pub &'a Standing);

impl fmt::Display for RateLimitField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, meter) in self.1.meters().enumerate() {
            item(f, self.0, place)?;
            write!(f, ";r={}", meter.remaining())?;
            let more_in = meter.more_in();
            let wait = self.1.wait();
            // A quota that this call does not wait for may be slower than the one it does.
            if !more_in.is_zero() && (wait.is_zero() || seconds(more_in) <= seconds(wait)) {
                write!(f, ";t={}", seconds(more_in))?;
            }
        }
        Ok(())
    }
}

fn item(f: &mut fmt::Formatter<'_>, name: PolicyName<'_>, place: usize) -> fmt::Result {
    match place {
        0 => write!(f, "\"{}\"", name.0),
        _ => write!(f, ", \"{}-{}\"", name.0, place + 1),
    }
}
