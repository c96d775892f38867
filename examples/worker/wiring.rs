//! The rooms, the worker, the runner and the routes, put together.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use examples::settings::WorkerSettings;
use examples::site::build::SiteBuilder;
use sheen::measuring::MeasureBuilds;
use sheen::memory::{MemoryConfig, MemoryRooms};
use sheen::recommending::EndStreams;
use sheen::runner::{self, RunnerConfig, RunnerHandle, RunnerParts};
use sheen::worker::{SettledObserver, Worker};
use sheen_auth::address::ForwardedFor;
use sheen_auth::limit::{LimitTable, Limiter, MemoryLimitStore, OnFailure};
use sheen_auth::replay::MemoryReplayStore;
use sheen_auth::signature::{Gate, Verifier};
use sheen_auth::token::ViewerTokens;
use sheen_axum::App;
use sheen_axum::limit::Limits;
use sheen_axum::timing::TimingMetrics;
use sheen_billing::estimate::{EstimateSettings, Estimator, MemorySampleStore};
use sheen_billing::package::{Catalogue, Package, Price};
use sheen_core::entropy::{Entropy, OsEntropy};
use sheen_core::id::WorkerId;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, SystemClock};
use sheen_events::feed::{Feed, FeedConfig};
use sheen_events::message::{Conversations, MemoryMessageConfig, MemoryMessageStore};
use sheen_events::recommend::{
    self, BuildTokens, MemoryRecommendStore, QueueLimits, RecommendParts, RecommendRunner,
    RecommendRunnerParts, Recommendations,
};
use sheen_events::stream::{StreamConfig, StreamService};

use crate::builder::{Sites, Unpublish};
use crate::recommender::{Lacks, Queue};

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

type Error = Box<dyn std::error::Error>;

/// A nonce is remembered for 12 to 17 minutes: about 1,000 signed calls a second, every second,
/// before the door refuses.
const REPLAY_CAPACITY: usize = 1_000_000;

/// Keys of limits: users, addresses and principals seen within their periods.
const LIMIT_CAPACITY: usize = 1_000_000;

/// Puts the worker together.
pub(crate) fn wire(
    settings: WorkerSettings,
    environment: Vec<(OsString, OsString)>,
    url: &str,
) -> Result<Wired, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let runtime = Arc::new(TokioRuntime);
    let (folder, previews) = preview_folder(settings.preview_dir)?;
    let sites = Arc::new(SiteBuilder::new(
        &folder,
        settings.build_command,
        environment,
        Arc::clone(&clock),
        runtime.clone(),
    )?);
    let ring = settings.keys.ok_or("no signing key is set")?;
    // Front ends in the field sort their queries by localeCompare (docs/wire.md §1).
    let verifier = Verifier::with_modes(ring, settings.modes)?.accept_locale_order(true);
    let replay = Arc::new(MemoryReplayStore::new(Arc::clone(&clock), REPLAY_CAPACITY));

    let mut rules = MemoryConfig::default();
    rules.credits.daily_gift = settings.daily_gift;
    rules.credits.welcome_bonus = settings.welcome_bonus;
    rules.leave_streams_open = true;
    let rooms = MemoryRooms::new(rules, Arc::clone(&clock), Arc::clone(&entropy));
    let (recommendations, recommender) = recommend(&rooms, &clock);
    let (estimator, measuring) = estimator(&rooms, &clock);
    let observers: Vec<Arc<dyn SettledObserver>> = vec![
        Arc::new(measuring),
        Arc::new(Unpublish(Arc::clone(&sites))),
        Arc::new(EndStreams::new(recommendations.clone(), runtime.clone())),
    ];
    let parts = rooms.parts(runtime.clone(), runtime.clone(), observers);
    let worker = Arc::new(Worker::new(parts).with_estimator(estimator));
    let family = settings.family;
    let builder = Arc::new(Sites {
        sites: Arc::clone(&sites),
        preview_origin: family.preview_origin.unwrap_or_else(|| url.to_owned()),
    });
    let runner = start_runner(&worker, &rooms, builder, settings.builds);
    let streams = streams(&rooms, &clock);
    let limits = family.limits.then(|| limits(&clock, family.trusted_hops));
    let app = App {
        limits,
        worker,
        gate: Arc::new(Gate::new(verifier, replay, Arc::clone(&clock))),
        tokens: Arc::new(ViewerTokens::new(settings.viewer_secrets)?),
        revocations: None,
        failures: None,
        idempotency: rooms.idempotency.clone(),
        feed: feed(&rooms, &clock),
        streams: streams.clone(),
        conversations: conversations(&clock),
        recommendations: Some(recommendations),
        timings: Arc::new(TimingMetrics::new()),
        credits: rooms.credits.clone(),
        grants: rooms.credits.clone(),
        accounts: rooms.credits,
        catalogue: catalogue()?,
        allowed_origins: family.allowed_origins,
        clock,
        entropy,
        spawn: runtime.clone(),
        sleep: runtime,
    };
    let previews_of_sites = examples::preview::router(sites.preview_dir());
    let router = sheen_axum::router_with(app, previews_of_sites);
    Ok(Wired {
        router,
        runner,
        recommender,
        streams,
        _previews: previews,
    })
}

/// Estimates by what deployed builds took, and the observer that measures them.
fn estimator(rooms: &MemoryRooms, clock: &Arc<dyn Clock>) -> (Arc<Estimator>, MeasureBuilds) {
    let samples = Arc::new(MemorySampleStore::new());
    let settings = EstimateSettings::default();
    let estimator = Arc::new(Estimator::new(samples, Arc::clone(clock), settings));
    let measuring = MeasureBuilds::new(Arc::clone(&estimator), rooms.builds.clone());
    (estimator, measuring)
}

/// Polls with nothing new are answered from what was read, until a build rings.
fn feed(rooms: &MemoryRooms, clock: &Arc<dyn Clock>) -> Feed {
    let (log, wake) = (rooms.log.clone(), rooms.wake.clone());
    Feed::remembering(log, wake, Arc::clone(clock), FeedConfig::default())
}

fn streams(rooms: &MemoryRooms, clock: &Arc<dyn Clock>) -> StreamService {
    StreamService::new(
        rooms.log.clone(),
        rooms.wake.clone(),
        Arc::new(TokioRuntime),
        Arc::clone(clock),
        StreamConfig::default(),
    )
}

fn conversations(clock: &Arc<dyn Clock>) -> Conversations {
    let config = MemoryMessageConfig::default();
    Conversations::new(Arc::new(MemoryMessageStore::new(Arc::clone(clock), config)))
}

/// The limits of docs/wire.md §11. A store in memory fails only by being full of live keys: then
/// new ones are refused rather than let through unlimited.
fn limits(clock: &Arc<dyn Clock>, trusted_hops: u8) -> Arc<Limits> {
    let store = MemoryLimitStore::new(Arc::clone(clock), LIMIT_CAPACITY);
    let limiter = Limiter::new(Arc::new(store), OnFailure::Closed);
    let limits = Limits::new(limiter, LimitTable::wire());
    Arc::new(limits.forwarded(ForwardedFor::new(trusted_hops)))
}

/// Records of recommendations: the last builds', 64 KiB each at the most.
const RECOMMENDATIONS: usize = 10_000;

/// Recommendations over the memory rooms, and what works on them.
fn recommend(rooms: &MemoryRooms, clock: &Arc<dyn Clock>) -> (Recommendations, RecommendRunner) {
    let limits = QueueLimits::default();
    let store = MemoryRecommendStore::new(Arc::clone(clock), limits, RECOMMENDATIONS);
    let store = Arc::new(store);
    let service = Recommendations::new(RecommendParts {
        store: store.clone(),
        queue: store,
        log: rooms.log.clone(),
        tokens: Arc::new(BuildTokens::new(rooms.builds.clone())),
        wake: rooms.wake.clone(),
        limits,
    });
    let runner = recommend::run(RecommendRunnerParts {
        service: service.clone(),
        provider: Arc::new(Lacks(rooms.builds.clone())),
        builds: Arc::new(Queue(rooms.builds.clone())),
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
    rooms: &MemoryRooms,
    builder: Arc<Sites>,
    builds: usize,
) -> RunnerHandle {
    let mut paces = RunnerConfig::default();
    paces.concurrency = builds;
    runner::start(RunnerParts {
        worker: Arc::clone(worker),
        builder,
        credits: rooms.credits.clone(),
        records: rooms.idempotency.clone(),
        id: WorkerId::generate(&OsEntropy),
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
