//! Purchases, balances, and whether they suffice.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use sheen_billing::account::{AccountView, Purchase, PurchaseOutcome};
use sheen_billing::package::Package;
use sheen_core::error::{Code, Fields};
use sheen_core::id::UserId;
use sheen_core::wire::{
    BalanceAnswer, CheckSufficientAnswer, CheckSufficientRequest, CreditAnswer, CreditRequest,
    PackageHint,
};

use super::answer::{figures, json, usage_figures};
use super::app::App;
use super::estimates::estimate_of;
use super::refusals::unknown_outcome;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

pub(super) async fn credit(State(app): State<Arc<App>>, mut call: Call) -> Result<Whole, Problem> {
    let (user, request) = call.read::<CreditRequest>()?;
    let purchase = Purchase::new(user, request.payment, request.seconds);
    match call.timing.store(app.grants.credit(purchase)).await? {
        PurchaseOutcome::Credited(balance) | PurchaseOutcome::AlreadyCredited(balance) => {
            let balance = figures(&balance);
            json(StatusCode::CREATED, &CreditAnswer { balance })
        }
        PurchaseOutcome::OperationConflict => Err(Problem::new(Code::OperationConflict)),
        PurchaseOutcome::OutOfRange => Err(Problem::field(
            "seconds",
            "out_of_range",
            "are more than the account can hold",
        )),
        _ => Err(unknown_outcome("a purchase")),
    }
}

async fn view(app: &App, call: &Call, user: UserId) -> Result<AccountView, Problem> {
    let views = call.timing.store(app.accounts.views(&[user])).await?;
    // A reader answers for every user it is asked about.
    views
        .first()
        .copied()
        .ok_or_else(|| unknown_outcome("a balance"))
}

pub(super) async fn balance(State(app): State<Arc<App>>, call: Call) -> Result<Whole, Problem> {
    let mut fields = Fields::new();
    let user = call.user_or_note(&mut fields);
    fields.finish()?;
    let user = user.ok_or_else(|| Problem::new(Code::Internal))?;
    let view = view(&app, &call, user).await?;
    let answer = BalanceAnswer {
        balance: figures(&view.balance),
        usage: usage_figures(&view.usage),
        daily_reset_at: view.daily_reset_at,
    };
    json(StatusCode::OK, &answer)
}

pub(super) async fn check_sufficient(
    State(app): State<Arc<App>>,
    mut call: Call,
) -> Result<Whole, Problem> {
    let (user, request) = call.read::<CheckSufficientRequest>()?;
    let view = view(&app, &call, user).await?;
    let estimate = estimate_of(request.operation);
    let missing = estimate
        .estimated_seconds
        .saturating_sub(view.balance.total);
    let sufficient = missing.is_zero();
    let package = if sufficient {
        None
    } else {
        app.catalogue.recommend(missing)
    };
    let answer = CheckSufficientAnswer {
        sufficient,
        estimate: Some(estimate),
        balance: figures(&view.balance),
        recommendation: package.map(hint),
    };
    json(StatusCode::OK, &answer)
}

fn hint(package: &Package) -> PackageHint {
    PackageHint {
        suggested_package: package.name.clone(),
        cost_to_complete: f64::from(package.cost.hundredths()) / 100.0,
        purchase_url: package.purchase_url.clone(),
    }
}
