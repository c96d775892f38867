//! Reading and cancelling builds, and tokens to watch them with.

use std::sync::Arc;

use axum::extract::State;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use sheen::admission::SettleOutcome;
use sheen_auth::token::ViewerTokens;
use sheen_core::build::FinishOutcome;
use sheen_core::error::{Code, Fields};
use sheen_core::id::{BuildId, ProjectId, UserId};
use sheen_core::wire::{BuildAnswer, ProjectItem, ProjectsAnswer, ViewerTokenAnswer};
use tracing::Span;

use super::answer::json;
use super::app::App;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

/// The user and the build that a call names.
pub(super) fn user_and_build(call: &Call) -> Result<(UserId, BuildId), Problem> {
    let (user, build) = call.user_and_path("buildId", "buildId")?;
    let build: BuildId = build;
    Span::current().record("build_id", build.as_str());
    Ok((user, build))
}

/// The user and the project that a call names, if it is the user's; `fields` has what is wrong
/// with the rest of the call.
pub(super) async fn user_and_project(
    app: &App,
    call: &Call,
    fields: Fields,
) -> Result<(UserId, ProjectId), Problem> {
    let (user, project) = call.user_and_path_beside(fields, "projectId", "projectId")?;
    let project: ProjectId = project;
    note_project(&project);
    let owner = call.timing.store(app.worker.owner(&project)).await?;
    if owner.as_ref() != Some(&user) {
        return Err(Problem::not_found());
    }
    Ok((user, project))
}

/// Puts the project into the request's log lines.
pub(super) fn note_project(project: &ProjectId) {
    Span::current().record("project_id", project.as_str());
}

pub(super) async fn read(State(app): State<Arc<App>>, call: Call) -> Result<Whole, Problem> {
    let (user, build) = user_and_build(&call)?;
    let found = call.timing.store(app.worker.build(&user, &build)).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    note_project(&found.build.project);
    json(StatusCode::OK, &BuildAnswer::from(&found.build))
}

/// The latest build of each of the user's projects that was asked about.
pub(super) async fn latest(State(app): State<Arc<App>>, call: Call) -> Result<Whole, Problem> {
    let mut fields = Fields::new();
    let user = call.user_or_note(&mut fields);
    let asked = call.query.one("ids")?;
    let projects = ProjectsAnswer::read_ids(asked.unwrap_or_default(), &mut fields);
    fields.finish()?;
    let user = user.ok_or_else(|| Problem::new(Code::Internal))?;
    let found = app.worker.latest_builds(&user, &projects);
    let found = call.timing.store(found).await?;
    let projects = found.iter().map(ProjectItem::from).collect();
    json(StatusCode::OK, &ProjectsAnswer { projects })
}

pub(super) async fn cancel(State(app): State<Arc<App>>, call: Call) -> Result<Whole, Problem> {
    let (user, build) = user_and_build(&call)?;
    match call.timing.store(app.worker.cancel(&user, &build)).await? {
        SettleOutcome::Settled(settled) => {
            note_project(&settled.build.project);
            json(StatusCode::OK, &BuildAnswer::from(&settled.build))
        }
        SettleOutcome::Unchanged(FinishOutcome::NotFound) => Err(Problem::not_found()),
        // Also of a build that was cancelled before (wire.md §15).
        SettleOutcome::Unchanged(_) | _ => Err(Problem::new(Code::TransitionNotAllowed)),
    }
}

pub(super) async fn viewer_token(
    State(app): State<Arc<App>>,
    call: Call,
) -> Result<Whole, Problem> {
    let (user, build) = user_and_build(&call)?;
    let found = call.timing.store(app.worker.build(&user, &build)).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    note_project(&found.build.project);
    let now = app.clock.now();
    let (token, expires_at) = app.tokens.issue(&user, &build, now, ViewerTokens::MAX_LIFE);
    let answer = ViewerTokenAnswer {
        token: token.expose().to_owned(),
        expires_at,
    };
    let mut answer = json(StatusCode::OK, &answer)?;
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(answer)
}
