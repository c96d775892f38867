//! Starting builds. The answer is made and kept inside the step that admits the build.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use sheen::admission::{AdmitOutcome, Admitted, KeyedCall, Render};
use sheen::worker::Start;
use sheen_core::build::{BuildInput, BuildKind};
use sheen_core::files::FileSet;
use sheen_core::id::UserId;
use sheen_core::idempotency::{BeginOutcome, StoredAnswer, StoredAnswerError};
use sheen_core::locale::Locale;
use sheen_core::mode::{BuildPermit, permit};
use sheen_core::wire::{HeldSeconds, StartAnswer, StartRequest, SuggestionItem};
use tracing::Span;

use super::app::App;
use super::builds::note_project;
use super::recommendations;
use super::refusals::{build_active, cap_reached, insufficient, unknown_outcome};
use super::suggestions::{from_prompt, locale_of};
use crate::call::Call;
use crate::idempotency::{
    Patience, answer_from, fingerprint_of, in_progress, key_of, replayed, reused,
};
use crate::problem::Problem;
use crate::request_id::RequestIds;
use crate::signature::{BufferedBody, original_uri};

pub(super) async fn create(
    State(app): State<Arc<App>>,
    call: Call,
    parts: Parts,
) -> Result<Response, Problem> {
    start(&app, BuildKind::Create, call, parts).await
}

pub(super) async fn update(
    State(app): State<Arc<App>>,
    call: Call,
    parts: Parts,
) -> Result<Response, Problem> {
    start(&app, BuildKind::Update, call, parts).await
}

async fn start(
    app: &App,
    kind: BuildKind,
    mut call: Call,
    mut parts: Parts,
) -> Result<Response, Problem> {
    let keyed = keyed_call(&call, &parts)?;
    let wish = call.read();
    // The body is in the wish now.
    parts.extensions.remove::<BufferedBody>();
    let patience = Patience::of(&parts.headers, &*app.sleep);
    let asked = Asked {
        kind,
        keyed,
        wish,
        patience,
    };
    answer(app, &call, asked, &parts).await
}

/// A start as it was asked for.
pub(super) struct Asked {
    pub(super) kind: BuildKind,
    pub(super) keyed: Option<KeyedCall>,
    /// Whose it is and what it says, or what is wrong with it.
    pub(super) wish: Result<(UserId, StartRequest), Problem>,
    /// How long it waits for another call under its key.
    pub(super) patience: Patience,
}

/// The answer to one start of a call with these `parts`.
pub(super) async fn answer(
    app: &App,
    call: &Call,
    asked: Asked,
    parts: &Parts,
) -> Result<Response, Problem> {
    let Asked {
        kind,
        keyed,
        wish,
        patience,
    } = asked;
    let permitted = wish.and_then(|(user, wish)| {
        let permit = permit(wish.mode, wish.confirmed)?;
        Ok((user, wish, permit))
    });
    let (user, wish, permit) = match permitted {
        Ok(permitted) => permitted,
        Err(problem) => return refuse_or_reused(app, call, keyed, problem).await,
    };
    note_project(&wish.project);
    if kind == BuildKind::Update {
        // Whose project it is the admission finds out; that there is one is an update's to ask.
        let owner = call.timing.store(app.worker.owner(&wish.project)).await?;
        if owner.is_none() {
            return refuse_or_reused(app, call, keyed, Problem::not_found()).await;
        }
    }
    let start = start_of(kind, user, wish, keyed, parts);
    admit(app, call, permit, start, patience).await
}

fn keyed_call(call: &Call, parts: &Parts) -> Result<Option<KeyedCall>, Problem> {
    let Some(scope) = call.scope() else {
        return Ok(None);
    };
    let Some(key) = key_of(&parts.headers)? else {
        return Ok(None);
    };
    let body = parts.extensions.get::<BufferedBody>();
    let body = body.map(|body| body.0.clone()).unwrap_or_default();
    let uri = original_uri(&parts.extensions, &parts.uri);
    let hash = call.caller.body_sha256();
    let fingerprint = fingerprint_of(&parts.method, uri, &body, hash)?;
    Ok(Some(KeyedCall::new(scope, key, fingerprint)))
}

/// A key that was used for another call is told before wrong fields, plan mode and ownership are.
async fn refuse_or_reused(
    app: &App,
    call: &Call,
    keyed: Option<KeyedCall>,
    problem: Problem,
) -> Result<Response, Problem> {
    let Some(keyed) = keyed else {
        return Err(problem);
    };
    let looking = app
        .idempotency
        .look(&keyed.scope, &keyed.key, keyed.fingerprint);
    match call.timing.store(looking).await? {
        Some(BeginOutcome::Reused) => Ok(reused()),
        Some(BeginOutcome::Replay(answer)) => Ok(replayed(&answer)),
        _ => Err(problem),
    }
}

fn start_of(
    kind: BuildKind,
    user: UserId,
    wish: StartRequest,
    keyed: Option<KeyedCall>,
    parts: &Parts,
) -> Start {
    let locale = locale_of(wish.locale.as_deref(), &parts.headers);
    let ids = parts.extensions.get::<RequestIds>();
    let answering = Answering {
        suggestions: from_prompt(&wish.prompt, locale),
        prefix: prefix_of(parts),
        request_id: ids.map_or_else(|| "unknown".into(), |ids| Arc::clone(&ids.request)),
    };
    let render: Arc<Render> = Arc::new(move |admitted| answering.render(admitted));
    let mut input = BuildInput::new(kind, wish.prompt, wish.files);
    input.metadata = wish.metadata;
    input.locale = locale;
    let mut start = Start::new(user, wish.project, input, render);
    start.session = wish.session;
    start.allow_concurrent = wish.allow_concurrent;
    start.call = keyed;
    start
}

/// What a nested router cut off the path: addresses in answers begin with it.
fn prefix_of(parts: &Parts) -> String {
    let original = original_uri(&parts.extensions, &parts.uri).path();
    let prefix = original.strip_suffix(parts.uri.path());
    prefix.unwrap_or_default().to_owned()
}

/// What the answer needs besides the build. The same build gives the same bytes.
struct Answering {
    suggestions: (Locale, Vec<SuggestionItem>),
    prefix: String,
    request_id: Arc<str>,
}

impl Answering {
    fn render(&self, admitted: &Admitted) -> Result<StoredAnswer, StoredAnswerError> {
        let build = &admitted.queued.build;
        let events_url = format!("{}/v1/builds/{}/events", self.prefix, build.id);
        let (locale, suggestions) = &self.suggestions;
        let answer = StartAnswer {
            build_id: build.id.clone(),
            version_id: build.version.clone(),
            build_session_id: build.session.clone(),
            status: build.status,
            queue_position: admitted.queued.position,
            reservation: build.hold.as_ref().map(|hold| HeldSeconds {
                id: hold.id.clone(),
                seconds: hold.seconds,
            }),
            quick_suggestions: suggestions.clone(),
            stream_url: format!("{events_url}/stream"),
            events_url,
        };
        let headers = vec![
            ("content-type".into(), "application/json".into()),
            ("content-language".into(), locale.as_str().into()),
        ];
        // Ids, figures and texts are always JSON.
        let body = serde_json::to_vec(&answer).unwrap_or_default();
        StoredAnswer::new(202, headers, body, Arc::clone(&self.request_id))
    }
}

async fn admit(
    app: &App,
    call: &Call,
    permit: BuildPermit,
    start: Start,
    mut patience: Patience,
) -> Result<Response, Problem> {
    loop {
        let starting = app.worker.start(permit, start.clone());
        let outcome = call.timing.store(starting).await?;
        let in_progress = matches!(outcome, AdmitOutcome::InProgress);
        if in_progress && patience.wait(&*app.sleep).await {
            continue;
        }
        if let AdmitOutcome::Admitted(admitted, _) | AdmitOutcome::SessionKnown(admitted, _) =
            &outcome
        {
            let locale = start.input.locale;
            let (_, suggested) = from_prompt(&start.input.prompt, locale);
            let asking = recommendations::ask(app, admitted, locale, suggested);
            call.timing.store(asking).await;
        }
        return answer_to(app, outcome);
    }
}

fn answer_to(app: &App, outcome: AdmitOutcome) -> Result<Response, Problem> {
    match outcome {
        AdmitOutcome::Admitted(admitted, answer) | AdmitOutcome::SessionKnown(admitted, answer) => {
            Span::current().record("build_id", admitted.queued.build.id.as_str());
            Ok(answer_from(&answer))
        }
        AdmitOutcome::Replayed(answer) => Ok(replayed(&answer)),
        AdmitOutcome::KeyReused => Ok(reused()),
        AdmitOutcome::InProgress => Ok(in_progress()),
        AdmitOutcome::ProjectTooLarge => Err(Problem::field(
            "templateFiles",
            "too_large",
            format!(
                "would give the project more than {} files or {} bytes",
                FileSet::MAX_FILES,
                FileSet::MAX_BYTES
            ),
        )),
        AdmitOutcome::NotOwner => Err(Problem::not_found()),
        AdmitOutcome::ProjectBusy { active } => Err(build_active(&active)),
        AdmitOutcome::CapReached { reset_at, .. } => Err(cap_reached(reset_at)),
        AdmitOutcome::Insufficient {
            required,
            available,
        } => Ok(insufficient(&app.catalogue, required, available).into_response()),
        _ => Err(unknown_outcome("an admission")),
    }
}
