//! Purchases, balances, and whether they suffice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::{once, try_unfold};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sheen_billing::account::{
    AccountView, Bucket, Entry, EntryKind, History, HistoryLines, HistoryOutcome, Purchase,
    PurchaseOutcome,
};
use sheen_billing::package::Package;
use sheen_core::error::{Code, Fields, StoreError};
use sheen_core::id::UserId;
use sheen_core::wire::{
    BalanceAnswer, BalanceItem, BatchBalanceAnswer, BatchBalanceRequest, CheckSufficientAnswer,
    CheckSufficientRequest, CreditAnswer, CreditRequest, HistoryAnswer, HistoryItem, PackageHint,
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
    json(StatusCode::OK, &balance_of(&view))
}

fn balance_of(view: &AccountView) -> BalanceAnswer {
    BalanceAnswer {
        balance: figures(&view.balance),
        usage: usage_figures(&view.usage),
        daily_reset_at: view.daily_reset_at,
    }
}

/// Many accounts are nobody's own call: only the front end's server makes it.
pub(super) async fn batch_balance(
    State(app): State<Arc<App>>,
    mut call: Call,
) -> Result<Whole, Problem> {
    let BatchBalanceRequest { users, .. } = call.read_for_nobody()?;
    let views = call.timing.store(app.accounts.views(&users)).await?;
    let items = users.into_iter().zip(&views);
    let balances = items.map(|(user_id, view)| BalanceItem {
        user_id,
        balance: balance_of(view),
    });
    let balances = balances.collect();
    json(StatusCode::OK, &BatchBalanceAnswer { balances })
}

/// A page of entries; the whole history for who accepts lines of JSON.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let user = call.user_or_note(&mut fields);
    fields.finish()?;
    let user = user.ok_or_else(|| Problem::new(Code::Internal))?;
    let history = History::new(Arc::clone(&app.accounts));
    if accepts_lines(&headers) {
        return lines(history.lines(user)).await;
    }
    let cursor = call.query.one("cursor")?;
    let page = match call.timing.store(history.page(&user, cursor)).await? {
        HistoryOutcome::Page(page) => page,
        HistoryOutcome::CursorInvalid => return Err(Problem::new(Code::CursorInvalid)),
        _ => return Err(unknown_outcome("a page of a history")),
    };
    let answer = HistoryAnswer {
        has_more: page.next_cursor.is_some(),
        next_cursor: page.next_cursor,
        entries: page.entries.into_iter().map(item).collect(),
    };
    Ok(json(StatusCode::OK, &answer)?.into_response())
}

fn item(entry: Entry) -> HistoryItem<EntryKind, Bucket> {
    HistoryItem {
        id: entry.id,
        kind: entry.kind,
        bucket: entry.bucket,
        seconds: entry.seconds,
        operation_id: entry.operation,
        created_at: entry.created_at,
    }
}

const LINES: &str = "application/x-ndjson";

fn accepts_lines(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|accepted| {
        let mut parts = accepted.split(';').map(str::trim);
        let is_it = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(LINES));
        let is_refused = |part: &str| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.is_some_and(|quality| quality.parse() == Ok(0.0_f32))
        };
        is_it && !parts.any(is_refused)
    })
}

/// What fails before the first line is a refusal; after it the answer is cut off, which its reader
/// notices.
async fn lines(mut lines: HistoryLines) -> Result<Response, Problem> {
    let first = lines.next().await?.unwrap_or_default();
    let rest = try_unfold(lines, async |mut lines| {
        let next = lines.next().await?;
        Ok::<_, StoreError>(next.map(|text| (text, lines)))
    });
    let body = Body::from_stream(once(ready(Ok(first))).chain(rest));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(LINES)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, body).into_response())
}

pub(super) async fn check_sufficient(
    State(app): State<Arc<App>>,
    mut call: Call,
) -> Result<Whole, Problem> {
    let (user, request) = call.read::<CheckSufficientRequest>()?;
    let view = view(&app, &call, user).await?;
    let estimate = estimate_of(&app, &call, request.operation).await?;
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
