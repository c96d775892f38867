//! Quotas, keys, and what comes of a call.

use std::fmt;
use std::hash::Hasher as _;
use std::time::Duration;

use sheen_core::id::{PrincipalId, UserId};
use siphasher::sip::SipHasher13;

use crate::address::ClientNet;

/// How much of something a key may do: `burst` at once, and all of it again within `period`.
///
/// Time is counted in whole microseconds: Redis tells its time in them, and those since 1970 are
/// the finest unit whose sums the doubles of a Lua script still hold exactly, so that both stores
/// decide alike to the digit. The interval between two units is rounded up to one: a key never
/// gets more than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    interval: u64,
    burst: u32,
}

/// Why numbers are no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// A burst of nothing refuses everything for good.
    #[error("a quota's burst must be at least 1")]
    NoBurst,
    /// Two units would be less than a microsecond apart.
    #[error("a quota's period must be at least one microsecond for each unit of its burst")]
    TooFast,
    /// The period is longer than [`Quota::MAX_PERIOD`].
    #[error("a quota's period must be at most ten years")]
    TooSlow,
    /// A set without any quota.
    #[error("a set of quotas must have at least one")]
    Empty,
    /// A set of more than [`Quotas::MAX`].
    #[error("a set of quotas must have at most {max}", max = Quotas::MAX)]
    TooMany,
}

impl Quota {
    /// The longest period: ten years of 365 days.
    pub const MAX_PERIOD: Duration = Duration::from_secs(10 * 365 * 86_400);

    /// `burst` at once, and `burst` in every `period`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sheen_auth::limit::{Quota, QuotaError};
    /// let chat = Quota::new(3, Duration::from_secs(60))?;
    /// assert_eq!(chat.interval(), Duration::from_secs(20));
    /// assert_eq!(Quota::new(u32::MAX, Duration::from_nanos(1)), Err(QuotaError::TooFast));
    /// # Ok::<(), QuotaError>(())
    /// ```
    ///
    /// # Errors
    /// When the burst is zero, the period has less than a microsecond for each unit, or it is
    /// longer than [`Self::MAX_PERIOD`].
    pub const fn new(burst: u32, period: Duration) -> Result<Self, QuotaError> {
        if burst == 0 {
            return Err(QuotaError::NoBurst);
        }
        if period.as_nanos() > Self::MAX_PERIOD.as_nanos() {
            return Err(QuotaError::TooSlow);
        }
        // Ten years are under 2^49 microseconds.
        #[expect(clippy::cast_possible_truncation, reason = "under 2^49")]
        let micros = period.as_nanos().div_ceil(1000) as u64;
        if period.as_nanos() < burst as u128 * 1000 {
            return Err(QuotaError::TooFast);
        }
        Ok(Self {
            interval: micros.div_ceil(burst as u64),
            burst,
        })
    }

    /// `burst` in a minute.
    ///
    /// # Errors
    /// When the burst is zero or above 60 million.
    pub const fn per_minute(burst: u32) -> Result<Self, QuotaError> {
        Self::new(burst, Duration::from_secs(60))
    }

    /// How much may be done at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which one unit comes back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_micros(self.interval)
    }

    /// The time in which all of the burst comes back.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_micros(self.capacity())
    }

    /// [`Self::interval`] in microseconds.
    #[must_use]
    pub const fn interval_micros(&self) -> u64 {
        self.interval
    }

    /// [`Self::period`] in microseconds: under 2^50, since rounding adds at most one a unit.
    pub(super) const fn capacity(&self) -> u64 {
        self.interval * self.burst as u64
    }
}

/// What holds a place without a quota: it lets everything pass and counts nothing.
const UNUSED: Quota = Quota {
    interval: 0,
    burst: u32::MAX,
};

/// One to four quotas that hold for a key at once: a call passes all of them or none.
///
/// What a key used is remembered for the set that it used: another set, even of one quota changed,
/// starts unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quotas {
    // Places past the length hold `UNUSED`.
    all: [Quota; Self::MAX],
    len: u8,
    id: u64,
}

impl Quotas {
    /// The most quotas of one key.
    pub const MAX: usize = 4;

    /// These quotas, in this order.
    ///
    /// # Errors
    /// When there is none, or more than [`Self::MAX`].
    pub fn new(quotas: &[Quota]) -> Result<Self, QuotaError> {
        let first = *quotas.first().ok_or(QuotaError::Empty)?;
        if quotas.len() > Self::MAX {
            return Err(QuotaError::TooMany);
        }
        let mut set = Self::from(first);
        set.all[..quotas.len()].copy_from_slice(quotas);
        set.len = u8::try_from(quotas.len()).map_err(|_| QuotaError::TooMany)?;
        Ok(set.identified())
    }

    /// The same with a hash of what it holds. The key is no secret: quotas are not a stranger's to
    /// choose.
    fn identified(mut self) -> Self {
        let mut hash = SipHasher13::new();
        for quota in self.as_slice() {
            hash.write(&quota.interval.to_le_bytes());
            hash.write(&quota.burst.to_le_bytes());
        }
        self.id = hash.finish();
        self
    }

    /// Tells this set from any other.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The quotas, in order.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[Quota] {
        &self.all[..usize::from(self.len).min(Self::MAX)]
    }

    /// All places, those included that hold [`UNUSED`].
    #[inline]
    pub(super) const fn places(&self) -> &[Quota; Self::MAX] {
        &self.all
    }

    /// The smallest burst, and so the greatest cost that can ever pass.
    #[must_use]
    #[inline]
    pub fn max_cost(&self) -> u32 {
        let [first, rest @ ..] = &self.all;
        let least = |least: u32, quota: &Quota| least.min(quota.burst);
        rest.iter().fold(first.burst, least)
    }
}

impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        let mut all = [UNUSED; Self::MAX];
        all[0] = quota;
        Self { all, len: 1, id: 0 }.identified()
    }
}

/// Who or what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// A person, whichever principal calls for them.
    User(&'a UserId),
    /// A front end.
    Principal(&'a PrincipalId),
    /// Where a call comes from.
    Network(ClientNet),
    /// A service's own notion.
    Other(&'a str),
    /// All of them together.
    Everyone,
}

/// What is counted apart: one subject under one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitKey<'a> {
    limit: &'a str,
    limit_id: u64,
    subject: Subject<'a>,
}

impl<'a> LimitKey<'a> {
    /// `subject` under the limit of this name. Names are a service's own, never a caller's.
    #[must_use]
    #[inline]
    pub const fn new(limit: &'a str, subject: Subject<'a>) -> Self {
        Self {
            limit,
            limit_id: fnv1a(limit.as_bytes()),
            subject,
        }
    }

    /// The limit's name.
    #[must_use]
    pub const fn limit(&self) -> &'a str {
        self.limit
    }

    /// Who or what is counted.
    #[must_use]
    pub const fn subject(&self) -> Subject<'a> {
        self.subject
    }

    /// Feeds bytes to a hash that no other key and no other set of quotas has: eight that tell
    /// limit, set and kind of subject apart, then the subject to the end.
    #[inline]
    pub fn feed(&self, quotas: &Quotas, mut hash: impl FnMut(&[u8])) {
        let net;
        let (kind, subject): (u8, &[u8]) = match self.subject {
            Subject::User(user) => (b'u', user.as_str().as_bytes()),
            Subject::Principal(principal) => (b'p', principal.as_str().as_bytes()),
            Subject::Network(network) => {
                net = network.to_bytes();
                (b'n', &net)
            }
            Subject::Other(text) => (b'o', text.as_bytes()),
            Subject::Everyone => (b'e', &[]),
        };
        // The set's is a good hash, and nobody outside chooses either: 64 bits tell them apart.
        let head = quotas.id ^ self.limit_id.rotate_left(8) ^ u64::from(kind);
        hash(&head.to_le_bytes());
        hash(subject);
    }
}

/// FNV-1a, which a compiler works out for a name that it knows.
#[inline]
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        rest = after;
    }
    hash
}

/// Where a key stands with each of its quotas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    quotas: Quotas,
    /// What was used and has not come back, in microseconds; never above the quota's capacity.
    debts: [u64; Quotas::MAX],
    wait: u64,
    blocked: usize,
}

impl Standing {
    #[inline]
    pub(super) const fn new(quotas: Quotas, debts: [u64; Quotas::MAX]) -> Self {
        Self {
            quotas,
            debts,
            wait: 0,
            blocked: 0,
        }
    }

    /// The same for a call that has to wait, longest for the quota at this place.
    #[inline]
    pub(super) const fn waiting(mut self, wait: u64, blocked: usize) -> Self {
        self.wait = wait;
        self.blocked = blocked;
        self
    }

    /// For a store outside this crate: what is used of each quota, in microseconds in which it
    /// comes back. More than a quota's period counts as its period.
    #[must_use]
    pub fn from_debts(quotas: Quotas, debts: &[u64]) -> Self {
        let mut standing = Self::new(quotas, [0; Quotas::MAX]);
        for ((quota, debt), kept) in quotas.as_slice().iter().zip(debts).zip(&mut standing.debts) {
            *kept = (*debt).min(quota.capacity());
        }
        standing
    }

    /// The quotas that were asked about.
    #[must_use]
    pub const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Where it stands with each quota, in their order.
    pub fn meters(&self) -> impl Iterator<Item = Meter> + '_ {
        let quotas = self.quotas.as_slice().iter();
        quotas
            .zip(self.debts)
            .map(|(&quota, debt)| Meter { quota, debt })
    }

    /// The quota that decides: of a refused call the one to wait for longest, else the one with
    /// the least left.
    #[must_use]
    pub fn tightest(&self) -> Meter {
        let at = |place: usize| Meter {
            quota: self.quotas.all[place],
            debt: self.debts[place],
        };
        if self.wait > 0 {
            return at(self.blocked.min(Quotas::MAX - 1));
        }
        let others = (1..self.quotas.as_slice().len()).map(at);
        others.fold(at(0), |least, other| {
            if other.remaining() < least.remaining() {
                other
            } else {
                least
            }
        })
    }

    /// How long the refused call must wait; zero for one that passed. The same call passes then,
    /// unless others came before it.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        Duration::from_micros(self.wait)
    }

    pub(super) const fn debts(&self) -> &[u64; Quotas::MAX] {
        &self.debts
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("meters", &self.meters().collect::<Vec<_>>())
            .field("wait", &self.wait())
            .finish()
    }
}

/// Where a key stands with one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meter {
    /// The quota.
    pub quota: Quota,
    debt: u64,
}

impl Meter {
    /// What is left of the burst, in whole units.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let left = self.quota.capacity().saturating_sub(self.debt) / self.quota.interval;
        u32::try_from(left).unwrap_or(self.quota.burst)
    }

    /// When one unit more than [`Self::remaining`] will be there; zero when all of it is.
    #[must_use]
    pub fn more_in(&self) -> Duration {
        if self.debt == 0 {
            return Duration::ZERO;
        }
        let used = self.debt % self.quota.interval;
        Duration::from_micros(if used == 0 { self.quota.interval } else { used })
    }

    /// When all of the burst will be there again.
    #[must_use]
    pub const fn full_in(&self) -> Duration {
        Duration::from_micros(self.debt)
    }
}

/// What came of a call, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TakeOutcome {
    /// It costs more than a quota's burst: no waiting makes it pass. Nothing was taken.
    TooCostly {
        /// The greatest cost that can pass.
        max_cost: u32,
    },
    /// Some quota is used up; [`Standing::wait`] says for how long. Nothing was taken, of any.
    Limited(Standing),
    /// It was taken of every quota.
    Admitted(Standing),
}
