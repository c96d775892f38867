//! What to do next with a site.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use sheen::admission::Admitted;
use sheen_core::error::Fields;
use sheen_core::id::BuildSessionId;
use sheen_core::locale::Locale;
use sheen_core::wire::{RecommendationsAnswer, SuggestionItem};
use sheen_events::recommend::{Items, NewRequest, RecommendState, Source};
use tokio::sync::oneshot;

use super::answer::json;
use super::app::App;
use super::builds::user_and_project;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

pub(super) async fn read(State(app): State<Arc<App>>, call: Call) -> Result<Whole, Problem> {
    let mut fields = Fields::new();
    let session = match call.query.one("buildSessionId")? {
        None | Some("") => None,
        Some(text) => fields.take("buildSessionId", text.parse::<BuildSessionId>()),
    };
    let (user, project) = user_and_project(&app, &call, fields).await?;
    let Some(recommendations) = &app.recommendations else {
        return Err(Problem::not_found());
    };
    let reading = recommendations.state(&user, &project, session.as_ref());
    let state = call.timing.store(reading).await?;
    json(StatusCode::OK, &answer_of(&state))
}

fn answer_of(state: &RecommendState) -> RecommendationsAnswer {
    RecommendationsAnswer {
        status: state.status.as_str().into(),
        ready_source: state.source.map(Source::as_str).map(Into::into),
        quick_suggestions: state.quick.as_slice().to_vec(),
        recommendations: state.recommendations.as_slice().to_vec(),
        build_session_id: state.session.clone(),
        error: state.error.as_deref().map(str::to_owned),
    }
}

/// Asks for recommendations for an admitted build, in a task of its own: a caller that goes away
/// takes the request not along. The build is admitted whatever comes of it.
pub(super) async fn ask(
    app: &App,
    admitted: &Admitted,
    locale: Locale,
    suggested: Vec<SuggestionItem>,
) {
    let Some(recommendations) = app.recommendations.clone() else {
        return;
    };
    let build = admitted.queued.build.clone();
    let (done, asked) = oneshot::channel::<()>();
    app.spawn.spawn(Box::pin(async move {
        let quick = Items::new(suggested).unwrap_or_default();
        let request = NewRequest::new(
            build.user.clone(),
            build.project.clone(),
            build.id.clone(),
            build.session.clone(),
        );
        let request = request.with_quick(locale, quick);
        if let Err(error) = recommendations.request(request).await {
            tracing::warn!(build_id = %build.id, %error, "no recommendations were asked for");
        }
        drop(done);
    }));
    // It ends by being dropped.
    let _ = asked.await;
}
