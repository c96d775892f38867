//! Purchases, balances and whether they suffice (wire.md §6).

use serde::{Deserialize, Serialize};

use super::credits::{BalanceFigures, UsageFigures};
use super::estimate::{EstimateAnswer, EstimateRequest};
use super::fields::{FromFields, ObjectReader};
use crate::id::PaymentId;
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
