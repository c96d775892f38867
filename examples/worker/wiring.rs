//! The rooms, the worker, the runner and the routes, put together.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use examples::settings::WorkerSettings;
use examples::site::build::SiteBuilder;
use sheen::measuring::MeasureBuilds;
use sheen::recommending::EndStreams;
use sheen::runner::{self, RunnerConfig, RunnerHandle, RunnerParts};
use sheen::worker::{Parts, SettledObserver, Worker};
use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::{LimitTable, Limiter, OnFailure};
use sheen_auth::signature::{Gate, KeyRing, Modes, Verifier};
use sheen_auth::token::ViewerTokens;
use sheen_auth::token::revocation::Revocations;
use sheen_axum::App;
use sheen_axum::limit::Limits;
use sheen_axum::signature::{FailureLimit, SignatureMetrics};
use sheen_axum::timing::TimingMetrics;
use sheen_billing::estimate::{EstimateSettings, Estimator};
use sheen_billing::package::{Catalogue, Package, Price};
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::id::WorkerId;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, SystemClock};
use sheen_events::feed::{Feed, FeedConfig};
use sheen_events::message::Conversations;
use sheen_events::recommend::{
    self, BuildTokens, QueueLimits, RecommendParts, RecommendRunner, RecommendRunnerParts,
    Recommendations,
};
use sheen_events::replay::Replay;
use sheen_events::stream::{StreamConfig, StreamService};

use crate::builder::{Sites, Unpublish};
use crate::late::{self, LateStreams};
use crate::recommender::Lacks;
use crate::stores::{self, Error, Stores};
use crate::{metrics, rollout};

/// A worker ready to serve.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) router: Router,
    pub(crate) runner: RunnerHandle,
    pub(crate) recommender: RecommendRunner,
    pub(crate) streams: StreamService,
    /// Removed with the worker, where no folder was named.
    _previews: Option<tempfile::TempDir>,
}

/// Puts the worker together.
pub(crate) async fn wire(
    settings: WorkerSettings,
    environment: Vec<(OsString, OsString)>,
    url: &str,
) -> Result<Wired, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let runtime = Arc::new(TokioRuntime);
    let queue = QueueLimits::default();
    let stores = stores::open(&settings, &clock, &entropy, queue).await?;
    let gate = gate(&stores, settings.keys, settings.modes, &clock)?;
    let (feed, streams) = (feed(&stores, &clock), streams(&stores, &clock));
    let metrics = operated(&gate, &streams, &clock, settings.modes_file)?;
    let (folder, previews) = preview_folder(settings.preview_dir)?;
    let sites = Arc::new(SiteBuilder::new(
        &folder,
        settings.build_command,
        environment,
        Arc::clone(&clock),
        runtime.clone(),
    )?);
    let (recommendations, recommender) = recommend(&stores, queue);
    let (estimator, measuring) = estimator(&stores, &clock);
    let id = WorkerId::generate(&OsEntropy);
    let ends = ends(&stores, &recommendations, &clock, &id).await?;
    let observers: Vec<Arc<dyn SettledObserver>> = vec![
        Arc::new(measuring),
        Arc::new(Unpublish(Arc::clone(&sites))),
        Arc::new(ends),
    ];
    let parts = parts(&stores, &clock, &entropy, observers);
    let worker = Arc::new(Worker::new(parts).with_estimator(estimator));
    let family = settings.family;
    let builder = Arc::new(Sites {
        sites: Arc::clone(&sites),
        preview_origin: family.preview_origin.unwrap_or_else(|| url.to_owned()),
    });
    let runner = start_runner(&worker, &stores, builder, (id, settings.builds));
    let (limits, failures) = limited(&stores, family.limits, family.trusted_hops);
    let app = App {
        limits,
        worker,
        gate,
        tokens: Arc::new(ViewerTokens::new(settings.viewer_secrets)?),
        revocations: Some(Arc::new(revocations(&stores, &clock))),
        failures,
        idempotency: stores.idempotency,
        feed,
        replay: Replay::new(stores.log),
        streams: streams.clone(),
        conversations: Conversations::new(stores.messages),
        recommendations: Some(recommendations),
        timings: Arc::new(TimingMetrics::new()),
        credits: stores.credits,
        grants: stores.grants,
        accounts: stores.accounts,
        catalogue: catalogue()?,
        deprecation: settings.deprecation,
        allowed_origins: family.allowed_origins,
        clock,
        entropy,
        spawn: runtime.clone(),
        sleep: runtime,
    };
    let beside = examples::preview::router(sites.preview_dir()).merge(metrics);
    let router = sheen_axum::router_with(app, beside)?;
    Ok(Wired {
        router,
        runner,
        recommender,
        streams,
        _previews: previews,
    })
}

/// What ends the streams of settled builds, also of those that another worker left open.
async fn ends(
    stores: &Stores,
    recommendations: &Recommendations,
    clock: &Arc<dyn Clock>,
    id: &WorkerId,
) -> Result<EndStreams, Error> {
    let ends = EndStreams::new(recommendations.clone(), Arc::new(TokioRuntime));
    if let Some(outbox) = &stores.outbox {
        let late = LateStreams {
            log: Arc::clone(&stores.log),
            ends: ends.clone(),
            clock: Arc::clone(clock),
        };
        late::listen(Arc::clone(outbox), late, id.clone()).await?;
    }
    Ok(ends)
}

fn parts(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SettledObserver>>,
) -> Parts {
    Parts {
        admission: Arc::clone(&stores.admission),
        builds: Arc::clone(&stores.builds),
        log: Arc::clone(&stores.log),
        wake: Arc::clone(&stores.door.wake),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
        observers,
    }
}

/// Estimates by what deployed builds took, and the observer that measures them.
fn estimator(stores: &Stores, clock: &Arc<dyn Clock>) -> (Arc<Estimator>, MeasureBuilds) {
    let (samples, settings) = (Arc::clone(&stores.samples), EstimateSettings::default());
    let estimator = Arc::new(Estimator::new(samples, Arc::clone(clock), settings));
    let measuring = MeasureBuilds::new(Arc::clone(&estimator), Arc::clone(&stores.builds));
    (estimator, measuring)
}

/// Polls with nothing new are answered from what was read, until a build rings.
fn feed(stores: &Stores, clock: &Arc<dyn Clock>) -> Feed {
    let (log, wake) = (Arc::clone(&stores.log), Arc::clone(&stores.door.wake));
    Feed::remembering(log, wake, Arc::clone(clock), FeedConfig::default())
}

fn streams(stores: &Stores, clock: &Arc<dyn Clock>) -> StreamService {
    StreamService::new(
        Arc::clone(&stores.log),
        Arc::clone(&stores.door.wake),
        Arc::new(TokioRuntime),
        Arc::clone(clock),
        StreamConfig::default(),
    )
}

/// The limits of docs/wire.md §11. A store in memory fails only by being full of live keys, one on
/// Redis when the server is away: then calls are refused rather than let through unlimited.
fn limits(stores: &Stores, trusted_hops: u8) -> Arc<Limits> {
    let limiter = Limiter::new(Arc::clone(&stores.door.limits), OnFailure::Closed);
    let limits = Limits::new(limiter, LimitTable::wire());
    Arc::new(limits.forwarded(ForwardedFor::new(trusted_hops)))
}

/// Who may call, counted as metrics.
fn gate(
    stores: &Stores,
    ring: Option<KeyRing>,
    modes: Modes,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Gate>, Error> {
    let ring = ring.ok_or("no signing key is set")?;
    // Front ends in the field sort their queries by localeCompare (docs/wire.md §1).
    let verifier = Verifier::with_modes(ring, modes)?.accept_locale_order(true);
    let gate = Gate::new(verifier, Arc::clone(&stores.door.replay), Arc::clone(clock));
    Ok(Arc::new(
        gate.observed_by(Arc::new(SignatureMetrics::new())),
    ))
}

/// Whose viewer tokens were taken back.
fn revocations(stores: &Stores, clock: &Arc<dyn Clock>) -> Revocations {
    Revocations::new(Arc::clone(&stores.door.revoked), Arc::clone(clock))
}

/// What an operator may do to the running worker, and what it tells them.
fn operated(
    gate: &Arc<Gate>,
    streams: &StreamService,
    clock: &Arc<dyn Clock>,
    modes_file: Option<PathBuf>,
) -> Result<Router, Error> {
    rollout::on_hang_up(Arc::clone(gate), modes_file)?;
    metrics::router(Arc::clone(gate), streams.clone(), Arc::clone(clock))
}

/// How often callers may call and addresses may fail to sign, unless that is off.
fn limited(stores: &Stores, is_on: bool, hops: u8) -> (Option<Arc<Limits>>, Option<FailureLimit>) {
    match is_on {
        true => (Some(limits(stores, hops)), failures(stores, hops)),
        false => (None, None),
    }
}

/// How often an address may fail to sign, where addresses are known.
fn failures(stores: &Stores, trusted_hops: u8) -> Option<FailureLimit> {
    let forwarded = ForwardedFor::new(trusted_hops)?;
    let limiter = Limiter::new(Arc::clone(&stores.door.limits), OnFailure::Closed);
    Some(FailureLimit::new(limiter, forwarded))
}

/// Recommendations, and what works on them.
fn recommend(stores: &Stores, limits: QueueLimits) -> (Recommendations, RecommendRunner) {
    let builds = &stores.builds;
    let service = Recommendations::new(RecommendParts {
        store: Arc::clone(&stores.recommendations),
        queue: Arc::clone(&stores.queue),
        log: Arc::clone(&stores.log),
        tokens: Arc::new(BuildTokens::new(Arc::clone(builds))),
        wake: Arc::clone(&stores.door.wake),
        limits,
    });
    let runner = recommend::run(RecommendRunnerParts {
        service: service.clone(),
        provider: Arc::new(Lacks(Arc::clone(builds))),
        builds: Arc::clone(&stores.builds_first),
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
    });
    (service, runner)
}

fn preview_folder(named: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), Error> {
    if let Some(folder) = named {
        return Ok((folder, None));
    }
    let folder = tempfile::Builder::new()
        .prefix("sheen-preview-")
        .tempdir()?;
    Ok((folder.path().to_owned(), Some(folder)))
}

fn start_runner(
    worker: &Arc<Worker>,
    stores: &Stores,
    builder: Arc<Sites>,
    (id, builds): (WorkerId, usize),
) -> RunnerHandle {
    let mut paces = RunnerConfig::default();
    paces.concurrency = builds;
    runner::start(RunnerParts {
        worker: Arc::clone(worker),
        builder,
        credits: Arc::clone(&stores.lapsed),
        records: Arc::clone(&stores.idempotency),
        id,
        spawn: Arc::new(TokioRuntime),
        sleep: Arc::new(TokioRuntime),
        config: paces,
    })
}

/// What the demonstration sells.
fn catalogue() -> Result<Catalogue, Error> {
    let package = |name: &str, minutes: u32, hundredths: u32| {
        let url = format!("https://shop.example/packages/{name}");
        let seconds = Seconds::from_u32(minutes * 60);
        Package::new(name, seconds, Price::from_hundredths(hundredths), url)
    };
    let packages = vec![
        package("mini", 20, 500),
        package("starter", 60, 1200),
        package("studio", 300, 4500),
    ];
    Ok(Catalogue::new(packages)?)
}
