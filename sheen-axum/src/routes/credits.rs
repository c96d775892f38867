//! Reserving, committing and releasing seconds.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use sheen::admission::ProjectReserveOutcome;
use sheen_billing::account::{
    Commit, CommitOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_core::error::Code;
use sheen_core::wire::{
    CommitAnswer, CommitRequest, ReleaseAnswer, ReleaseRequest, ReserveAnswer, ReserveRequest,
};

use super::answer::{figures, json};
use super::app::App;
use super::builds::note_project;
use super::refusals::{cap_reached, insufficient, unknown_outcome};
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

pub(super) async fn reserve(State(app): State<Arc<App>>, mut call: Call) -> Result<Whole, Problem> {
    let (user, request) = call.read::<ReserveRequest>()?;
    if let Some(project) = &request.project {
        note_project(project);
    }
    let mut reserve = Reserve::new(user, request.operation, request.seconds);
    reserve.project = request.project;
    reserve.ttl = request.ttl.unwrap_or(Reserve::DEFAULT_TTL);
    let outcome = call.timing.store(app.worker.reserve(reserve)).await?;
    let outcome = match outcome {
        ProjectReserveOutcome::NotOwner => return Err(Problem::not_found()),
        ProjectReserveOutcome::Reserve(outcome) => outcome,
        _ => return Err(unknown_outcome("a reserve")),
    };
    match outcome {
        ReserveOutcome::Reserved(made) | ReserveOutcome::AlreadyReserved(made) => {
            let answer = ReserveAnswer {
                reservation_id: made.reservation,
                seconds: made.seconds,
                expires_at: made.expires_at,
                balance: figures(&made.balance),
            };
            json(StatusCode::CREATED, &answer)
        }
        ReserveOutcome::OperationConflict => Err(Problem::new(Code::OperationConflict)),
        ReserveOutcome::CapReached { reset_at, .. } => Err(cap_reached(reset_at)),
        ReserveOutcome::Insufficient {
            required,
            available,
        } => Err(insufficient(&app.catalogue, required, available)),
        _ => Err(unknown_outcome("a reserve")),
    }
}

pub(super) async fn commit(State(app): State<Arc<App>>, mut call: Call) -> Result<Whole, Problem> {
    let (_, request) = call.read::<CommitRequest>()?;
    let commit = Commit::new(request.reservation, request.operation, request.seconds);
    match call.timing.store(app.credits.commit(commit)).await? {
        CommitOutcome::Committed(done) | CommitOutcome::AlreadyCommitted(done) => {
            let answer = CommitAnswer {
                reservation_id: done.reservation,
                charged: done.charged,
                returned: done.returned,
                shortfall: done.shortfall,
                balance: figures(&done.balance),
            };
            json(StatusCode::OK, &answer)
        }
        CommitOutcome::NotFound => Err(Problem::not_found()),
        CommitOutcome::OperationConflict => Err(Problem::new(Code::OperationConflict)),
        CommitOutcome::Closed => Err(Problem::new(Code::ReservationClosed)),
        CommitOutcome::Expired => Err(Problem::new(Code::ReservationExpired)),
        // Of a hold that a service made so; the wire's own never refuse.
        CommitOutcome::AboveHold { .. } => Err(Problem::field(
            "seconds",
            "out_of_range",
            "are more than the hold, which allows no more",
        )),
        _ => Err(unknown_outcome("a commit")),
    }
}

pub(super) async fn release(State(app): State<Arc<App>>, mut call: Call) -> Result<Whole, Problem> {
    let (_, request) = call.read::<ReleaseRequest>()?;
    let release = Release::new(request.reservation, request.operation);
    match call.timing.store(app.credits.release(release)).await? {
        ReleaseOutcome::Released(done) | ReleaseOutcome::AlreadyReleased(done) => {
            let answer = ReleaseAnswer {
                reservation_id: done.reservation,
                returned: done.returned,
                balance: figures(&done.balance),
            };
            json(StatusCode::OK, &answer)
        }
        ReleaseOutcome::NotFound => Err(Problem::not_found()),
        ReleaseOutcome::OperationConflict => Err(Problem::new(Code::OperationConflict)),
        ReleaseOutcome::Closed => Err(Problem::new(Code::ReservationClosed)),
        ReleaseOutcome::Expired => Err(Problem::new(Code::ReservationExpired)),
        _ => Err(unknown_outcome("a release")),
    }
}
