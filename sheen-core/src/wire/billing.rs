//! Purchases, balances and whether they suffice (wire.md §6).

use serde::{Deserialize, Serialize};

use super::credits::{BalanceFigures, UsageFigures};
use super::estimate::{EstimateAnswer, EstimateRequest};
use super::fields::{FromFields, ObjectReader};
use crate::id::{EntryId, PaymentId, UserId};
use crate::seconds::Seconds;
use crate::time::Timestamp;

/// `POST /v1/billing/credit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreditRequest {
    /// The payment, unique over all accounts.
    pub payment: PaymentId,
    /// How many seconds were bought, at least one.
    pub seconds: Seconds,
}

impl FromFields for CreditRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let payment = body.id("paymentId");
        let seconds = body.seconds("seconds", 1);
        Some(Self {
            payment: payment?,
            seconds: seconds?,
        })
    }
}

/// The answer to a purchase, 201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct CreditAnswer {
    /// What can be reserved after it.
    pub balance: BalanceFigures,
}

/// The answer to `GET /v1/billing/balance/{userId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct BalanceAnswer {
    /// What can be reserved now.
    pub balance: BalanceFigures,
    /// What was charged.
    pub usage: UsageFigures,
    /// When the next gift is due.
    pub daily_reset_at: Timestamp,
}

/// `POST /v1/billing/batch-balance`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchBalanceRequest {
    /// Whose balances, in the order of the answer, at most [`Self::MAX_USERS`].
    pub users: Vec<UserId>,
}

impl BatchBalanceRequest {
    /// How many users one call may ask about.
    pub const MAX_USERS: usize = 100;
}

impl FromFields for BatchBalanceRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let users = body.ids("userIds", Self::MAX_USERS)?;
        Some(Self { users })
    }
}

/// One account in the answer to a batch of balances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct BalanceItem {
    /// Whose it is.
    pub user_id: UserId,
    /// What can be reserved now, what was charged, and when the next gift is due.
    #[serde(flatten)]
    pub balance: BalanceAnswer,
}

/// The answer to a batch of balances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct BatchBalanceAnswer {
    /// In the order they were asked for.
    pub balances: Vec<BalanceItem>,
}

/// One entry of an account's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct HistoryItem<K, B> {
    /// Its name.
    pub id: EntryId,
    /// What it records, like `purchase` or `reserve`.
    pub kind: K,
    /// Whose bucket's seconds, like `paid`.
    pub bucket: B,
    /// How many, at least one.
    pub seconds: Seconds,
    /// The operation or payment that caused it; `null` where none did.
    pub operation_id: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// The answer to `GET /v1/billing/history/{userId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct HistoryAnswer<K, B> {
    /// At most 50, the oldest first.
    pub entries: Vec<HistoryItem<K, B>>,
    /// From where to go on; `null` at the end.
    pub next_cursor: Option<String>,
    /// Whether more is there already.
    pub has_more: bool,
}

/// `POST /v1/billing/check-sufficient`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckSufficientRequest {
    /// What the seconds would be for.
    pub operation: EstimateRequest,
}

impl FromFields for CheckSufficientRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        Some(Self {
            operation: EstimateRequest::read(body)?,
        })
    }
}

/// The answer to a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct CheckSufficientAnswer {
    /// Whether a build could be paid for now.
    pub sufficient: bool,
    /// What it would take.
    pub estimate: Option<EstimateAnswer>,
    /// What can be reserved now.
    pub balance: BalanceFigures,
    /// What to buy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<PackageHint>,
}

/// What to buy when there is too little. The 402 names its fields differently on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct PackageHint {
    /// The package's name.
    pub suggested_package: String,
    /// What it costs.
    pub cost_to_complete: f64,
    /// Where to buy it.
    pub purchase_url: String,
}
