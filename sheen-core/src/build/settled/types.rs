//! Deliveries, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use crate::build::types::Build;
use crate::id::{BuildId, ObserverId};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// How often an observer is told of one build before the delivery is parked.
pub const MAX_ATTEMPTS: u32 = 10;
/// How long a lease lasts: telling an observer must take less.
pub const LEASE: Duration = Duration::from_secs(60);
/// The most deliveries that are leased at once.
pub const MAX_LEASED: u32 = 100;
/// The most observers.
pub const MAX_OBSERVERS: u32 = 16;
/// The longest error that is kept of a failed try, in bytes.
pub const MAX_ERROR: usize = 1024;

/// The right to tell an observer of a build, for [`LEASE`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryLease {
    /// Whom to tell.
    pub observer: ObserverId,
    /// Of which build.
    pub build: BuildId,
    /// Of this lease; every later one's is higher.
    pub token: FencingToken,
    /// Which try this is, counted from 1 since the build ended or an operator put it back.
    pub attempt: u32,
    /// When another process may take it over.
    pub expires_at: Timestamp,
}

impl DeliveryLease {
    /// A lease as a store gives it.
    #[must_use]
    pub const fn new(
        observer: ObserverId,
        build: BuildId,
        token: FencingToken,
        attempt: u32,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            observer,
            build,
            token,
            attempt,
            expires_at,
        }
    }
}

/// What one lease came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Leased {
    /// Whom to tell of what, the earliest due first.
    pub deliveries: Vec<Delivery>,
    /// How many were parked instead, since their last try ended in silence: worth an alarm. They
    /// count towards the limit, so a lease that parked some may have left others that are due.
    pub parked: u32,
}

impl Leased {
    /// A lease as a store gives it.
    #[must_use]
    pub const fn new(deliveries: Vec<Delivery>, parked: u32) -> Self {
        Self { deliveries, parked }
    }
}

/// A settled build of which an observer is to be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The build, ended.
    pub build: Build,
    /// The right to tell of it.
    pub lease: DeliveryLease,
}

impl Delivery {
    /// `build` under `lease`.
    #[must_use]
    pub const fn new(build: Build, lease: DeliveryLease) -> Self {
        Self { build, lease }
    }
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an observer heard or did not")]
pub enum Hearing {
    /// The observer took note.
    Heard,
    /// It did not; why, for people. At most [`MAX_ERROR`] bytes are kept.
    Failed(Arc<str>),
}

/// What came of resolving a lease. The variants stand in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveOutcome {
    /// The lease is not the last one, or was resolved before. Nothing was written.
    Lost,
    /// The observer heard; the delivery is gone.
    Done,
    /// It is due again after this long.
    Again(Duration),
    /// It failed for the last time; an operator may put it back.
    Parked,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// Its place among all deliveries, in the order in which builds ended: the cursor of a listing.
    pub position: u64,
    /// The build.
    pub build: Build,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last try said.
    pub error: Arc<str>,
    /// When it was parked.
    pub parked_at: Timestamp,
}

impl Parked {
    /// A parked delivery as a store lists it.
    #[must_use]
    pub const fn new(
        position: u64,
        build: Build,
        attempts: u32,
        error: Arc<str>,
        parked_at: Timestamp,
    ) -> Self {
        Self {
            position,
            build,
            attempts,
            error,
            parked_at,
        }
    }
}

/// What came of registering an observer. The variants stand in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterOutcome {
    /// It was registered before. Nothing was written.
    AlreadyRegistered,
    /// There are [`MAX_OBSERVERS`]. Nothing was written.
    TooMany,
    /// It hears of every build that ends from now on.
    Registered,
}

/// What came of retiring an observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireOutcome {
    /// There is none of this name.
    NotRegistered,
    /// It is gone, with what it had yet to hear.
    Retired {
        /// How many deliveries that was.
        dropped: u64,
    },
}

/// What came of putting a parked delivery back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutBackOutcome {
    /// The observer has nothing to hear of this build.
    NotFound,
    /// It is due or leased. Nothing was written.
    NotParked,
    /// It is due now, with all its attempts before it.
    PutBack,
}
