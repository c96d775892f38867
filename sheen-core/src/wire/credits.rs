//! Reserving, committing and releasing (wire.md §6).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{FromFields, ObjectReader};
use crate::id::{OperationId, ProjectId, ReservationId};
use crate::seconds::Seconds;
use crate::time::Timestamp;

/// What can be reserved now, by bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct BalanceFigures {
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
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct UsageFigures {
    /// This UTC day.
    pub today_used: Seconds,
    /// Ever.
    pub lifetime_used: Seconds,
}

/// `POST /v1/credits/reserve`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReserveRequest {
    /// The caller's name for it.
    pub operation: OperationId,
    /// How many, at least one.
    pub seconds: Seconds,
    /// For which project.
    pub project: Option<ProjectId>,
    /// How long the hold lives: 1 s to 24 h.
    pub ttl: Option<Duration>,
}

impl FromFields for ReserveRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        const DAY: u64 = 24 * 3600;
        let operation = body.id("operationId");
        let seconds = body.seconds("seconds", 1);
        let project = body.optional_id("projectId");
        let ttl = body.optional_whole("ttlSeconds", 1, DAY);
        Some(Self {
            operation: operation?,
            seconds: seconds?,
            project,
            ttl: ttl.map(Duration::from_secs),
        })
    }
}

/// `POST /v1/credits/commit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitRequest {
    /// Which hold.
    pub reservation: ReservationId,
    /// The caller's name for it.
    pub operation: OperationId,
    /// What was used; may be none, or more than was held.
    pub seconds: Seconds,
}

impl FromFields for CommitRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let reservation = body.id("reservationId");
        let operation = body.id("operationId");
        let seconds = body.seconds("seconds", 0);
        Some(Self {
            reservation: reservation?,
            operation: operation?,
            seconds: seconds?,
        })
    }
}

/// `POST /v1/credits/release`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReleaseRequest {
    /// Which hold.
    pub reservation: ReservationId,
    /// The caller's name for it.
    pub operation: OperationId,
}

impl FromFields for ReleaseRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let reservation = body.id("reservationId");
        let operation = body.id("operationId");
        Some(Self {
            reservation: reservation?,
            operation: operation?,
        })
    }
}

/// The answer to a reserve, 201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ReserveAnswer {
    /// The hold.
    pub reservation_id: ReservationId,
    /// What it holds.
    pub seconds: Seconds,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// What can be reserved after it.
    pub balance: BalanceFigures,
}

/// The answer to a commit, 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct CommitAnswer {
    /// The hold.
    pub reservation_id: ReservationId,
    /// What was charged.
    pub charged: Seconds,
    /// What went back.
    pub returned: Seconds,
    /// What was used and could not be charged.
    pub shortfall: Seconds,
    /// What can be reserved after it.
    pub balance: BalanceFigures,
}

/// The answer to a release, 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct ReleaseAnswer {
    /// The hold.
    pub reservation_id: ReservationId,
    /// What went back.
    pub returned: Seconds,
    /// What can be reserved after it.
    pub balance: BalanceFigures,
}
