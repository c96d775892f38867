//! Refunds: giving back what was charged, taking back what was bought.

use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::decide::{Hold, HoldState};
use super::types::{Balance, Overage, Terms};

/// What a refund undoes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefundOf {
    /// Seconds that a commit charged to this hold go back to the buckets they came from. What was
    /// charged stays charged: the refund is a grant of its own, as a credit note stands beside an
    /// invoice.
    Charge(ReservationId),
    /// Seconds that this payment brought are taken from the bought ones, since the money went
    /// back.
    Purchase(PaymentId),
}

/// The wish to refund, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refund {
    /// Whose.
    pub user: UserId,
    /// The caller's name for it, unique per account among refunds.
    pub operation: OperationId,
    /// What it undoes.
    pub of: RefundOf,
    /// How many seconds, at least one.
    pub seconds: Seconds,
}

impl Refund {
    /// `seconds` of what was charged to `reservation`.
    #[must_use]
    pub const fn of_charge(
        user: UserId,
        operation: OperationId,
        reservation: ReservationId,
        seconds: Seconds,
    ) -> Self {
        Self {
            user,
            operation,
            of: RefundOf::Charge(reservation),
            seconds,
        }
    }

    /// `seconds` of what `payment` brought.
    #[must_use]
    pub const fn of_purchase(
        user: UserId,
        operation: OperationId,
        payment: PaymentId,
        seconds: Seconds,
    ) -> Self {
        Self {
            user,
            operation,
            of: RefundOf::Purchase(payment),
            seconds,
        }
    }
}

/// A refund that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refunded {
    /// How many seconds were refunded.
    pub seconds: Seconds,
    /// How many of them can be spent again: none of a purchase, and none of a gift that is void.
    pub returned: Seconds,
    /// What can be reserved after it.
    pub balance: Balance,
}

impl Refunded {
    /// A refund of `seconds`, none of them to be spent again.
    #[must_use]
    pub const fn new(seconds: Seconds, balance: Balance) -> Self {
        Self {
            seconds,
            returned: Seconds::ZERO,
            balance,
        }
    }
}

/// What came of a refund. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefundOutcome {
    /// The operation id was used for another refund. Nothing was written.
    OperationConflict,
    /// The same refund was made before: its answer, as it was given. Nothing was written.
    AlreadyRefunded(Refunded),
    /// The user has no such hold or payment. Nothing was written.
    NotFound,
    /// It is more than what was charged or bought, less what was refunded of it. Nothing was
    /// written.
    Exceeds {
        /// How many seconds can still be refunded.
        refundable: Seconds,
    },
    /// Of a purchase: too much of it is spent or held. Nothing was written.
    Insufficient {
        /// What was asked for.
        required: Seconds,
        /// How many bought seconds there are.
        available: Seconds,
    },
    /// Of a charge: the account cannot hold that many. Nothing was written.
    OutOfRange,
    /// It is done.
    Refunded(Refunded),
}

/// A hold as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldView {
    /// Its id.
    pub reservation: ReservationId,
    /// Whose.
    pub user: UserId,
    /// For which project.
    pub project: Option<ProjectId>,
    /// What was reserved.
    pub seconds: Seconds,
    /// What a commit of more does.
    pub overage: Overage,
    /// The tables it was quoted by.
    pub terms: Option<Terms>,
    /// Where it stands, as written: an open one may have lapsed since.
    pub standing: HoldStanding,
}

impl HoldView {
    /// What a store keeps of a hold as its owner sees it; `None` when its sums are out of range.
    pub(super) fn of(user: &UserId, hold: &Hold) -> Option<Self> {
        Some(Self {
            reservation: hold.reservation.clone(),
            user: user.clone(),
            project: hold.project.clone(),
            seconds: hold.seconds,
            overage: hold.overage,
            terms: hold.terms,
            standing: match hold.state {
                HoldState::Open { expires_at, .. } => HoldStanding::Open { expires_at },
                HoldState::Committed { charged, refunded } => HoldStanding::Committed {
                    charged: charged.sum()?,
                    refunded: refunded.sum()?,
                },
                HoldState::Released => HoldStanding::Released,
                HoldState::Expired => HoldStanding::Expired,
            },
        })
    }
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldStanding {
    /// It holds its seconds.
    Open {
        /// From when on it is expired.
        expires_at: Timestamp,
    },
    /// It was charged.
    Committed {
        /// How much.
        charged: Seconds,
        /// How much of that was refunded.
        refunded: Seconds,
    },
    /// It was given back.
    Released,
    /// It lapsed.
    Expired,
}
