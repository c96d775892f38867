//! What the routes stand on, and where each of them stands.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{MethodRouter, get, post};
use sheen::worker::Worker;
use sheen_auth::limit::RouteClass;
use sheen_auth::signature::Gate;
use sheen_auth::token::ViewerTokens;
use sheen_auth::token::revocation::Revocations;
use sheen_billing::account::{CreditReader, CreditStore, GrantStore};
use sheen_billing::package::Catalogue;
use sheen_core::entropy::Entropy;
use sheen_core::error::Code;
use sheen_core::idempotency::IdempotencyStore;
use sheen_core::runtime::{Sleep, Spawn};
use sheen_core::time::Clock;
use sheen_events::feed::Feed;
use sheen_events::message::Conversations;
use sheen_events::recommend::Recommendations;
use sheen_events::replay::Replay;
use sheen_events::stream::StreamService;
use sheen_events::timing::TimingRecorder;
use tower::layer::util::Identity;
use tower::util::{Either, option_layer};

use super::{
    batch, billing, builds, credits, estimates, events, messages, recommendations, replay, start,
    suggestions, timings,
};
use crate::call::{Preparing, UserRule, prepare};
use crate::cors::EventCorsLayer;
use crate::idempotency::{self as once, IdempotencyLayer};
use crate::limit::{Identifies, LimitError, LimitLayer, Limits};
use crate::panic::CatchPanicLayer;
use crate::problem::Problem;
use crate::request_id::RequestIdLayer;
use crate::signature::{
    BODY_LIMIT, Deprecation, FailureLimit, Intake, START_BODY_LIMIT, SignatureLayer, Viewers,
};
use crate::timing::ServerTimingLayer;

/// What the routes stand on.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct App {
    /// Starting, reading and cancelling builds, and reserving for projects.
    pub worker: Arc<Worker>,
    /// Who may call.
    pub gate: Arc<Gate>,
    /// What browsers may watch.
    pub tokens: Arc<ViewerTokens>,
    /// Whose tokens were taken back; `None` where none ever are.
    pub revocations: Option<Arc<Revocations>>,
    /// How often a source may fail to say who it is; `None` where addresses are not known.
    pub failures: Option<FailureLimit>,
    /// Answers under keys. The same store as the worker's admission has.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// Polling events.
    pub feed: Feed,
    /// Following events.
    pub streams: StreamService,
    /// Events of a build, whole.
    pub replay: Replay,
    /// What was said about projects.
    pub conversations: Conversations,
    /// What to do next; `None` where nothing makes recommendations: then there is no route for
    /// them.
    pub recommendations: Option<Recommendations>,
    /// How long people waited, as their clients say.
    pub timings: Arc<dyn TimingRecorder>,
    /// Committing and releasing holds.
    pub credits: Arc<dyn CreditStore>,
    /// Crediting purchases.
    pub grants: Arc<dyn GrantStore>,
    /// Balances, and whose a hold is.
    pub accounts: Arc<dyn CreditReader>,
    /// What to recommend to somebody with too few seconds.
    pub catalogue: Catalogue,
    /// How often each caller may call; `None` for a load test, or where something in front limits.
    pub limits: Option<Arc<Limits>>,
    /// What answers to v1 calls say of its end.
    pub deprecation: Deprecation,
    /// Origins whose pages may read events: `https://app.example`.
    pub allowed_origins: Vec<String>,
    /// Instants of refusals and tokens, and measuring.
    pub clock: Arc<dyn Clock>,
    /// Request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Keyed calls run beside their callers.
    pub spawn: Arc<dyn Spawn>,
    /// Waiting for a first call, `Prefer: wait`.
    pub sleep: Arc<dyn Sleep>,
}

/// Parts that do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// A limit would not do what it is there for.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// Every route of the worker that is built, under `/v1`, and `/health`. It may be nested: paths
/// are verified as on the request line.
///
/// ```
/// # fn demo(app: sheen_axum::App) -> Result<axum::Router, sheen_axum::WiringError> {
/// Ok(axum::Router::new().nest("/worker", sheen_axum::router(app)?))
/// # }
/// ```
///
/// Serve it with `serve::Server` (feature `serve`), or as
/// `axum::serve(listener, router.into_make_service())`: given the router itself, `axum::serve` copies
/// it whole for each connection, which makes an open stream 22 KB heavier.
///
/// # Errors
/// When the limits and the failures of `app` count addresses through different trusted hops.
pub fn router(app: App) -> Result<Router, WiringError> {
    router_with(app, Router::new())
}

/// The same with routes of a service's own `beside` the worker's. They are unsigned, and get
/// request ids, timing, the panic guard and the refusals of unknown paths and methods.
///
/// # Errors
/// As [`router`].
pub fn router_with(app: App, beside: Router) -> Result<Router, WiringError> {
    let state = Arc::new(app);
    let app = &*state;
    let intake = &Intake::new(Arc::clone(&app.sleep));
    let outermost = RequestIdLayer::new(Arc::clone(&app.entropy), Arc::clone(&app.clock));
    let router = Router::new()
        .merge(starts(app, intake)?)
        .merge(keyed(app, intake)?)
        .merge(reads(app, intake)?)
        .merge(event_reads(app, intake)?)
        .route("/health", get(health))
        .with_state(Arc::clone(&state))
        .merge(beside)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        // Together, not one by one: what `layer` is given once is copied and boxed once a request.
        .layer((
            outermost,
            ServerTimingLayer::new(Arc::clone(&app.clock)),
            CatchPanicLayer::new(),
        ));
    Ok(router)
}

type Routes = Router<Arc<App>>;

async fn health(State(_): State<Arc<App>>) -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"status": "ok"}))
}

fn preparing(app: &App, rule: UserRule) -> Preparing {
    Preparing {
        rule,
        credits: Arc::clone(&app.accounts),
    }
}

fn signed(app: &App, intake: &Intake) -> SignatureLayer {
    let layer = SignatureLayer::new(Arc::clone(&app.gate))
        .intake(intake.clone())
        .deprecation(app.deprecation.clone());
    match &app.failures {
        Some(failures) => layer.limit_failures(failures.clone()),
        None => layer,
    }
}

/// `who`, and the limit of `class` behind it where there is one.
fn limited<W: Identifies>(
    app: &App,
    who: W,
    class: RouteClass,
) -> Result<(W, Either<LimitLayer, Identity>), LimitError> {
    let Some(limits) = &app.limits else {
        return Ok((who, option_layer(None)));
    };
    let (who, limit) = LimitLayer::behind(who, Arc::clone(limits), class)?;
    Ok((who, option_layer(Some(limit))))
}

/// `routes` for verified calls, of users that are known by `rule`, as often as `class` says.
fn behind(
    app: &App,
    door: SignatureLayer,
    rule: UserRule,
    class: RouteClass,
    routes: Routes,
) -> Result<Routes, LimitError> {
    let preparing = from_fn_with_state(preparing(app, rule), prepare);
    Ok(routes.route_layer(limited(app, (door, preparing), class)?))
}

/// Starts keep their answer in the step that admits the build, so no layer does.
fn starts(app: &App, intake: &Intake) -> Result<Routes, LimitError> {
    let routes = Router::new()
        .route("/v1/create-preview-for-new-project", post(start::create))
        .route("/v1/update-project", post(start::update));
    let door = signed(app, intake).body_limit(START_BODY_LIMIT);
    behind(app, door, UserRule::Named, RouteClass::Named, routes)
}

fn keyed(app: &App, intake: &Intake) -> Result<Routes, LimitError> {
    let layer = || {
        IdempotencyLayer::new(
            Arc::clone(&app.idempotency),
            Arc::clone(&app.spawn),
            Arc::clone(&app.sleep),
        )
    };
    let within = |routes: Routes, rule, class, most| -> Result<Routes, LimitError> {
        let preparing = from_fn_with_state(preparing(app, rule), prepare);
        let door = signed(app, intake).body_limit(most);
        let limited = limited(app, (door, preparing), class)?;
        Ok(routes.route_layer((limited, layer())))
    };
    let under = |routes, rule, class| within(routes, rule, class, BODY_LIMIT);
    let of_starts = Router::new().route("/v1/builds/batch", once::post(batch::start));
    let named = Router::new()
        .route("/v1/builds/{buildId}/cancel", once::post(builds::cancel))
        .route(
            "/v1/builds/{buildId}/viewer-token",
            once::post(builds::viewer_token),
        )
        .route("/v1/credits/reserve", once::post(credits::reserve))
        .route("/v1/suggestions", once::post(suggestions::suggest))
        .route("/v1/timings", once::post(timings::report));
    let of_billing = Router::new()
        .route("/v1/billing/credit", once::post(billing::credit))
        .route(
            "/v1/billing/check-sufficient",
            once::post(billing::check_sufficient),
        );
    let of_reservations = Router::new()
        .route("/v1/credits/commit", once::post(credits::commit))
        .route("/v1/credits/release", once::post(credits::release));
    let of_nobody = Router::new().route("/v1/estimate", once::post(estimates::estimate));
    let of_many = Router::new().route(
        "/v1/billing/batch-balance",
        once::post(billing::batch_balance),
    );
    let (named_class, billing) = (RouteClass::Named, RouteClass::Billing);
    let starts = within(of_starts, UserRule::Named, named_class, START_BODY_LIMIT);
    let routes = under(named, UserRule::Named, named_class)?
        .merge(under(of_billing, UserRule::Named, billing)?)
        .merge(under(of_reservations, UserRule::Reservation, named_class)?)
        .merge(starts?)
        .merge(under(of_nobody, UserRule::Nobody, RouteClass::Nameless)?)
        .merge(under(of_many, UserRule::Nobody, billing)?);
    Ok(routes)
}

fn reads(app: &App, intake: &Intake) -> Result<Routes, LimitError> {
    let mut named = Router::new()
        .route("/v1/builds/{buildId}", get(builds::read))
        .route("/v1/builds/{buildId}/replay", post(replay::replay))
        .route("/v1/projects/batch", get(builds::latest))
        .route("/v1/projects/{projectId}/messages", get(messages::page));
    if app.recommendations.is_some() {
        let path = "/v1/projects/{projectId}/recommendations";
        named = named.route(path, get(recommendations::read));
    }
    let billing = Router::new()
        .route("/v1/billing/balance/{userId}", get(billing::balance))
        .route("/v1/billing/history/{userId}", get(billing::history));
    let read = |routes, class| behind(app, signed(app, intake), UserRule::Named, class, routes);
    let named = read(named, RouteClass::Named)?;
    Ok(named.merge(read(billing, RouteClass::Billing)?))
}

fn event_reads(app: &App, intake: &Intake) -> Result<Routes, LimitError> {
    // The preflight's handler is never reached: the layer answers.
    let readable = |read: MethodRouter<Arc<App>>| read.options(async || {});
    let mut viewers = Viewers::new(Arc::clone(&app.tokens), Arc::clone(&app.clock));
    if let Some(revocations) = &app.revocations {
        viewers = viewers.revoked_by(Arc::clone(revocations));
    }
    let either = signed(app, intake).or_viewers(viewers);
    let routes = Router::new()
        .route("/v1/builds/{buildId}/events", readable(get(events::poll)))
        .route(
            "/v1/builds/{buildId}/events/stream",
            readable(get(events::stream)),
        );
    let cors = EventCorsLayer::new(app.allowed_origins.iter().cloned());
    let class = RouteClass::EventReads;
    let private = map_response(events::of_a_reader);
    let back = from_fn(events::bring_browsers_back);
    let routes = behind(app, either, UserRule::Named, class, routes)?;
    Ok(routes.route_layer((cors, private, back)))
}
