//! Answers that are not refusals.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use sheen_billing::account::{Balance, Usage};
use sheen_core::error::Code;
use sheen_core::wire::{BalanceFigures, UsageFigures};

use crate::idempotency::Whole;
use crate::problem::Problem;

/// `value` as JSON.
///
/// # Errors
/// When it cannot be said in JSON, or is over the bound of an answer: a fault of ours.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Whole, Problem> {
    let body =
        serde_json::to_vec(value).map_err(|error| Problem::new(Code::Internal).caused_by(error))?;
    Whole::new(status, json_headers(), body)
}

pub(super) fn json_headers() -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    HeaderMap::from_iter([(CONTENT_TYPE, json)])
}

pub(super) const fn figures(balance: &Balance) -> BalanceFigures {
    BalanceFigures {
        welcome_bonus: balance.welcome_bonus,
        daily_gift: balance.daily_gift,
        paid: balance.paid,
        total: balance.total,
    }
}

pub(super) const fn usage_figures(usage: &Usage) -> UsageFigures {
    UsageFigures {
        today_used: usage.today_used,
        lifetime_used: usage.lifetime_used,
    }
}
