//! What an account is made of, and the commands and outcomes of its ledger.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use crate::price::{TableVersion, Tier};

/// Where seconds come from. They are spent in this order (wire.md §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the wire has these three buckets")]
pub enum Bucket {
    /// Given on the first touch of a UTC day, void at its end.
    DailyGift,
    /// Given once to an account.
    WelcomeBonus,
    /// Bought.
    Paid,
}

impl Bucket {
    /// Every bucket, in the order they are spent.
    pub const ALL: [Self; 3] = [Self::DailyGift, Self::WelcomeBonus, Self::Paid];
}

/// What can be reserved now, by bucket: net of holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Balance {
    /// Of the welcome bonus.
    pub welcome_bonus: Seconds,
    /// Of today's gift.
    pub daily_gift: Seconds,
    /// Of what was bought.
    pub paid: Seconds,
    /// The sum.
    pub total: Seconds,
}

/// What was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Usage {
    /// Charged this UTC day.
    pub today_used: Seconds,
    /// Charged ever.
    pub lifetime_used: Seconds,
}

/// An account as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AccountView {
    /// What can be reserved now.
    pub balance: Balance,
    /// What was charged.
    pub usage: Usage,
    /// When the next gift is due.
    pub daily_reset_at: Timestamp,
}

/// The wish to hold seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserve {
    /// Whose.
    pub user: UserId,
    /// The caller's name for it, unique per account among reserves.
    pub operation: OperationId,
    /// How many, at least one.
    pub seconds: Seconds,
    /// For which project, where its daily cap counts.
    pub project: Option<ProjectId>,
    /// How long the hold lives unless it is extended; longer than [`Reserve::MAX_TTL`] is that.
    pub ttl: Duration,
    /// What a commit of more than the hold does.
    pub overage: Overage,
    /// By which tables the seconds were quoted, kept with the hold.
    pub terms: Option<Terms>,
}

/// What a commit of more than was held does. It is chosen at the reserve and kept with the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overage {
    /// It charges what is available beyond the hold, and the shortfall is told (wire.md §6).
    #[default]
    TopUp,
    /// It is refused, and the hold stays open.
    Reject,
}

/// The tables of the day a hold was made on. A commit prices what was used by the same ones,
/// however the tables change meanwhile ([`PriceBook::charge`](crate::price::PriceBook::charge)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Terms {
    /// The tier it was quoted for.
    pub tier: Tier,
    /// The price table it was quoted by.
    pub prices: TableVersion,
    /// The package catalogue its owner was shown, where one was.
    pub packages: Option<TableVersion>,
}

impl Terms {
    /// A quote for `tier` by the price table `prices`, no catalogue shown.
    #[must_use]
    pub const fn new(tier: Tier, prices: TableVersion) -> Self {
        Self {
            tier,
            prices,
            packages: None,
        }
    }
}

impl Reserve {
    /// How long a hold lives when nobody says (wire.md §6).
    pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);
    /// The longest life of a hold (wire.md §6).
    pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

    /// A hold of `seconds` with the default life.
    #[must_use]
    pub const fn new(user: UserId, operation: OperationId, seconds: Seconds) -> Self {
        Self {
            user,
            operation,
            seconds,
            project: None,
            ttl: Self::DEFAULT_TTL,
            overage: Overage::TopUp,
            terms: None,
        }
    }

    /// The id of the hold that this reserve makes: a repeat makes the same.
    #[must_use]
    pub fn reservation_id(&self) -> ReservationId {
        ReservationId::derive(&["reserve", self.user.as_str(), self.operation.as_str()])
    }
}

/// The wish to charge a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Which hold.
    pub reservation: ReservationId,
    /// The caller's name for it, unique per account among commits.
    pub operation: OperationId,
    /// What was used; may be more than was held.
    pub seconds: Seconds,
}

impl Commit {
    /// Charges `seconds` to `reservation`.
    #[must_use]
    pub const fn new(reservation: ReservationId, operation: OperationId, seconds: Seconds) -> Self {
        Self {
            reservation,
            operation,
            seconds,
        }
    }
}

/// The wish to give a hold back whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// Which hold.
    pub reservation: ReservationId,
    /// The caller's name for it, unique per account among releases.
    pub operation: OperationId,
}

impl Release {
    /// Gives `reservation` back.
    #[must_use]
    pub const fn new(reservation: ReservationId, operation: OperationId) -> Self {
        Self {
            reservation,
            operation,
        }
    }
}

/// The wish to keep a hold for longer: it then lives at least until `now + ttl`, never shorter
/// than before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extend {
    /// Which hold.
    pub reservation: ReservationId,
    /// How long from now, at most [`Reserve::MAX_TTL`].
    pub ttl: Duration,
}

impl Extend {
    /// Keeps `reservation` for `ttl` from now.
    #[must_use]
    pub const fn new(reservation: ReservationId, ttl: Duration) -> Self {
        Self { reservation, ttl }
    }
}

/// One step of the ledger, for batches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreditCommand {
    /// Hold seconds.
    Reserve(Reserve),
    /// Charge a hold.
    Commit(Commit),
    /// Give a hold back.
    Release(Release),
    /// Keep a hold for longer.
    Extend(Extend),
}

/// What came of one step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreditOutcome {
    /// Of a reserve.
    Reserve(ReserveOutcome),
    /// Of a commit.
    Commit(CommitOutcome),
    /// Of a release.
    Release(ReleaseOutcome),
    /// Of an extension.
    Extend(ExtendOutcome),
}

/// A hold that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserved {
    /// The hold.
    pub reservation: ReservationId,
    /// What it holds.
    pub seconds: Seconds,
    /// When it lapses unless it is extended.
    pub expires_at: Timestamp,
    /// What can be reserved after it.
    pub balance: Balance,
}

impl Reserved {
    /// The hold `reservation` of `seconds`.
    #[must_use]
    pub const fn new(
        reservation: ReservationId,
        seconds: Seconds,
        expires_at: Timestamp,
        balance: Balance,
    ) -> Self {
        Self {
            reservation,
            seconds,
            expires_at,
            balance,
        }
    }
}

/// A hold that was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The hold.
    pub reservation: ReservationId,
    /// What was charged.
    pub charged: Seconds,
    /// What went back to the buckets it came from. What came from a gift that is void by now is
    /// breakage and not counted here.
    pub returned: Seconds,
    /// What was used and could not be charged.
    pub shortfall: Seconds,
    /// What can be reserved after it.
    pub balance: Balance,
}

impl Committed {
    /// A charge of `charged`, nothing returned, nothing short.
    #[must_use]
    pub const fn new(reservation: ReservationId, charged: Seconds, balance: Balance) -> Self {
        Self {
            reservation,
            charged,
            returned: Seconds::ZERO,
            shortfall: Seconds::ZERO,
            balance,
        }
    }
}

/// A hold that was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// The hold.
    pub reservation: ReservationId,
    /// What went back to the buckets it came from, breakage not counted.
    pub returned: Seconds,
    /// What can be reserved after it.
    pub balance: Balance,
}

impl Released {
    /// The hold `reservation` given back, `returned` of it to spend again.
    #[must_use]
    pub const fn new(reservation: ReservationId, returned: Seconds, balance: Balance) -> Self {
        Self {
            reservation,
            returned,
            balance,
        }
    }
}

/// Which cap was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapKind {
    /// The user's, over all projects.
    User,
    /// The project's.
    Project,
}

/// What came of a reserve. The variants stand in order of precedence (wire.md §15).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveOutcome {
    /// The operation id was used for a reserve with other numbers. Nothing was written.
    OperationConflict,
    /// The same reserve was done before: its answer, as it was given. Nothing was written.
    AlreadyReserved(Reserved),
    /// A daily cap would be passed. Nothing was written.
    CapReached {
        /// Which.
        cap: CapKind,
        /// When it starts anew.
        reset_at: Timestamp,
    },
    /// There are too few seconds. Nothing was written.
    Insufficient {
        /// What was asked for.
        required: Seconds,
        /// What there is.
        available: Seconds,
    },
    /// The hold is made.
    Reserved(Reserved),
}

/// What came of a commit. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitOutcome {
    /// No such hold.
    NotFound,
    /// The operation id was used for a commit of another hold or with other numbers.
    OperationConflict,
    /// The same commit was done before: its answer, as it was given.
    AlreadyCommitted(Committed),
    /// The hold was committed or released by another operation.
    Closed,
    /// The hold lapsed: a late commit is refused.
    Expired,
    /// It is more than the hold, which was made with [`Overage::Reject`]. The hold stays open.
    AboveHold {
        /// What is held.
        held: Seconds,
    },
    /// The hold is charged.
    Committed(Committed),
}

/// What came of a release. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseOutcome {
    /// No such hold.
    NotFound,
    /// The operation id was used for a release of another hold.
    OperationConflict,
    /// The same release was done before: its answer, as it was given.
    AlreadyReleased(Released),
    /// The hold was committed or released by another operation.
    Closed,
    /// The hold lapsed: its seconds went back then.
    Expired,
    /// The hold is given back.
    Released(Released),
}

/// What came of an extension. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtendOutcome {
    /// No such hold.
    NotFound,
    /// The hold was committed or released.
    Closed,
    /// The hold lapsed.
    Expired,
    /// The hold lives until then.
    Extended {
        /// When it lapses unless it is extended again.
        expires_at: Timestamp,
    },
}

/// A purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purchase {
    /// Whose account it feeds.
    pub user: UserId,
    /// The payment, unique over all accounts.
    pub payment: PaymentId,
    /// How many seconds were bought, at least one.
    pub seconds: Seconds,
}

impl Purchase {
    /// `seconds` for `user`.
    #[must_use]
    pub const fn new(user: UserId, payment: PaymentId, seconds: Seconds) -> Self {
        Self {
            user,
            payment,
            seconds,
        }
    }
}

/// What came of a purchase. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PurchaseOutcome {
    /// The payment was used for another user or another sum. Nothing was written.
    OperationConflict,
    /// The account cannot hold that many. Nothing was written.
    OutOfRange,
    /// The same purchase was credited before; the balance is today's. Nothing was written.
    AlreadyCredited(Balance),
    /// The seconds are there.
    Credited(Balance),
}
