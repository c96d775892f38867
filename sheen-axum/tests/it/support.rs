//! A worker in memory, a caller that signs, and answers that are easy to look at.

use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::Value;
use sheen::admission::memory::MemoryAdmission;
use sheen::worker::{Parts, Worker};
use sheen_auth::replay::{Claim, ClaimOutcome, MemoryReplayStore, ReplayStore, V1Mark};
use sheen_auth::signature::{Gate, KeyRing, Mode, Signer, SigningKey, Verifier};
use sheen_auth::token::ViewerTokens;
use sheen_auth::token::revocation::{MemoryRevocationStore, Revocations};
use sheen_axum::limit::Limits;
use sheen_axum::request_id::RequestIdLayer;
use sheen_axum::signature::{Deprecation, FailureLimit, SignatureLayer};
use sheen_axum::timing::ServerTimingLayer;
use sheen_axum::{App, router};
use sheen_billing::account::CreditPolicy;
use sheen_billing::account::MemoryCreditStore;
use sheen_billing::package::{Catalogue, Package, Price};
use sheen_core::build::Deadlines;
use sheen_core::build::MemoryBuildStore;
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId, WorkerId};
use sheen_core::idempotency::Lifetimes;
use sheen_core::idempotency::MemoryIdempotencyStore;
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::secret::Secret;
use sheen_core::time::{ManualClock, Timestamp};
use sheen_events::feed::Feed;
use sheen_events::log::MemoryEventLog;
use sheen_events::message::{Conversations, MemoryMessageStore};
use sheen_events::recommend::{
    BuildTokens, MemoryRecommendStore, QueueLimits, RecommendParts, Recommendations,
};
use sheen_events::replay::Replay;
use sheen_events::stream::{StreamConfig, StreamService};
use sheen_events::timing::Histograms;
use sheen_events::wake::MemoryWake;
use tower::ServiceExt;

pub(crate) use crate::answer::Answer;

pub(crate) const CREATE: &str = "/v1/create-preview-for-new-project";
pub(crate) const ORIGIN: &str = "https://app.example";
const SECRET: &str = "a secret of at least thirty-two bytes";

/// What a test may set.
pub(crate) struct Setup {
    pub(crate) mode: Mode,
    pub(crate) policy: CreditPolicy,
    pub(crate) streams: StreamConfig,
    pub(crate) is_replay_store_broken: bool,
    pub(crate) build_capacity: usize,
    pub(crate) limits: Option<fn(Arc<ManualClock>) -> Limits>,
    pub(crate) failures: Option<fn(Arc<ManualClock>) -> FailureLimit>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mode: Mode::Dual,
            policy: CreditPolicy::default(),
            streams: StreamConfig::default(),
            is_replay_store_broken: false,
            build_capacity: 1000,
            limits: None,
            failures: None,
        }
    }
}

/// A worker in memory with all its rooms.
pub(crate) struct World {
    pub(crate) app: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) signer: Signer,
    pub(crate) worker: Arc<Worker>,
    pub(crate) tokens: Arc<ViewerTokens>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) log: Arc<MemoryEventLog>,
    pub(crate) streams: StreamService,
    pub(crate) credits: Arc<MemoryCreditStore>,
    pub(crate) idempotency: Arc<MemoryIdempotencyStore>,
    pub(crate) conversations: Conversations,
    pub(crate) timings: Arc<Histograms>,
    pub(crate) recommended: Arc<MemoryRecommendStore>,
}

/// Takes every line of the process's log, and throws it away. What is logged for the first time while
/// nobody listens may be off for good, for a test that begins to listen in that very moment.
fn log_everything() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let nowhere = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(std::io::sink)
            .finish();
        tracing::subscriber::set_global_default(nowhere).unwrap();
    });
}

/// A replay store that is down.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl ReplayStore for Broken {
    async fn claim(&self, _: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        Err(StoreError::with_source(
            StoreErrorKind::Unavailable,
            "the socket is closed",
        ))
    }

    async fn v1_marked(&self, _: &PrincipalId, _: &V1Mark) -> Result<bool, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }
}

pub(crate) fn key() -> SigningKey {
    let secret = Secret::new(SECRET).unwrap();
    SigningKey::new(
        KeyId::parse("k1").unwrap(),
        PrincipalId::parse("web").unwrap(),
        secret,
    )
}

/// The memory stores.
struct Rooms {
    idempotency: Arc<MemoryIdempotencyStore>,
    builds: Arc<MemoryBuildStore>,
    credits: Arc<MemoryCreditStore>,
    log: Arc<MemoryEventLog>,
    wake: Arc<MemoryWake>,
}

impl Rooms {
    fn new(setup: &Setup, clock: &Arc<ManualClock>, entropy: &Arc<SeededEntropy>) -> Self {
        let (lifetimes, deadlines) = (Lifetimes::default(), Deadlines::default());
        let capacity = setup.build_capacity;
        let clock = || clock.clone();
        Self {
            idempotency: Arc::new(MemoryIdempotencyStore::new(clock(), lifetimes, 10_000)),
            builds: Arc::new(MemoryBuildStore::new(clock(), deadlines, capacity)),
            credits: Arc::new(MemoryCreditStore::new(clock(), setup.policy, 1000)),
            log: Arc::new(MemoryEventLog::new(
                clock(),
                entropy.clone(),
                Default::default(),
            )),
            wake: Arc::new(MemoryWake::new()),
        }
    }

    fn worker(&self, clock: &Arc<ManualClock>, entropy: &Arc<SeededEntropy>) -> Arc<Worker> {
        let admission = MemoryAdmission::new(
            clock.clone(),
            self.idempotency.clone(),
            self.builds.clone(),
            self.credits.clone(),
            self.log.clone(),
        );
        let runtime = Arc::new(TokioRuntime);
        Arc::new(Worker::new(Parts {
            admission: Arc::new(admission),
            builds: self.builds.clone(),
            log: self.log.clone(),
            wake: self.wake.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            spawn: runtime.clone(),
            sleep: runtime,
            observers: Vec::new(),
        }))
    }
}

/// Recommendations that nobody works on but the test, by their queue.
fn recommend(
    rooms: &Rooms,
    clock: &Arc<ManualClock>,
) -> (Arc<MemoryRecommendStore>, Recommendations) {
    let limits = QueueLimits::default();
    let store = Arc::new(MemoryRecommendStore::new(clock.clone(), limits, 1000));
    let service = Recommendations::new(RecommendParts {
        store: store.clone(),
        queue: store.clone(),
        log: rooms.log.clone(),
        tokens: Arc::new(BuildTokens::new(rooms.builds.clone())),
        wake: rooms.wake.clone(),
        limits,
    });
    (store, service)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        log_everything();
        let started = Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(started));
        let entropy = Arc::new(SeededEntropy::new(1));
        let rooms = Rooms::new(&setup, &clock, &entropy);
        let worker = rooms.worker(&clock, &entropy);
        let runtime = Arc::new(TokioRuntime);
        let (recommended, recommendations) = recommend(&rooms, &clock);
        let Rooms {
            idempotency,
            credits,
            log,
            wake,
            ..
        } = rooms;
        let gate = gate(setup.mode, setup.is_replay_store_broken, clock.clone());
        let tokens = tokens();
        let revocations = revocations(&clock);
        let streams = StreamService::new(
            log.clone(),
            wake,
            runtime.clone(),
            clock.clone(),
            setup.streams,
        );
        let messages = MemoryMessageStore::new(clock.clone(), Default::default());
        let conversations = Conversations::new(Arc::new(messages));
        let timings = Arc::new(Histograms::new());
        let limits = setup.limits.map(|limits| Arc::new(limits(clock.clone())));
        let app = router(App {
            limits,
            worker: worker.clone(),
            gate,
            tokens: tokens.clone(),
            revocations: Some(revocations.clone()),
            failures: setup.failures.map(|failures| failures(clock.clone())),
            idempotency: idempotency.clone(),
            feed: Feed::new(log.clone()),
            replay: Replay::new(log.clone()),
            streams: streams.clone(),
            conversations: conversations.clone(),
            recommendations: Some(recommendations),
            timings: timings.clone(),
            credits: credits.clone(),
            grants: credits.clone(),
            accounts: credits.clone(),
            catalogue: catalogue(),
            deprecation: Deprecation::default(),
            allowed_origins: vec![ORIGIN.to_owned()],
            clock: clock.clone(),
            entropy: entropy.clone(),
            spawn: runtime.clone(),
            sleep: runtime,
        });
        Self {
            app: app.unwrap(),
            clock,
            entropy,
            signer: Signer::new(key()),
            worker,
            tokens,
            revocations,
            log,
            streams,
            credits,
            idempotency,
            conversations,
            timings,
            recommended,
        }
    }

    /// A signed call of `target` (path and query).
    pub(crate) fn call(&self, method: &str, target: &str) -> Call<'_> {
        Call {
            world: self,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            is_signed: true,
        }
    }

    pub(crate) fn get(&self, target: &str) -> Call<'_> {
        self.call("GET", target)
    }

    /// A signed call with a JSON body.
    pub(crate) fn post(&self, target: &str, body: Value) -> Call<'_> {
        self.call("POST", target).json(body.to_string())
    }

    /// Starts a build for `user` and `project`; its id.
    pub(crate) async fn started(&self, user: &str, project: &str) -> String {
        let body = serde_json::json!({"userId": user, "projectId": project, "prompt": "A site"});
        let answer = self.post(CREATE, body).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["buildId"].as_str().unwrap().to_owned()
    }

    /// Ends the oldest queued build, as a runner would.
    pub(crate) async fn deploy(&self, seconds: u32) {
        let claimed = self
            .worker
            .claim(&WorkerId::parse("w").unwrap())
            .await
            .unwrap()
            .unwrap();
        let ending = sheen_core::build::Ending::Deployed {
            preview_url: "https://preview.example/".into(),
            seconds: Seconds::from_u32(seconds),
        };
        let build = &claimed.build;
        self.worker
            .finish(&build.id, build.token, ending)
            .await
            .unwrap();
    }

    pub(crate) fn token(&self, user: &str, build: &str, life: Duration) -> String {
        use sheen_core::time::Clock;
        let (user, build) = (UserId::parse(user).unwrap(), BuildId::parse(build).unwrap());
        let (token, _) = self.tokens.issue(&user, &build, self.clock.now(), life);
        token.expose().to_owned()
    }

    /// `router` behind a signature layer of its own, with ids and timing around it.
    pub(crate) fn behind_the_door(&self, router: Router) -> Router {
        let gate = gate(Mode::Dual, false, self.clock.clone());
        router
            .layer(SignatureLayer::new(gate))
            .layer(ServerTimingLayer::new(self.clock.clone()))
            .layer(RequestIdLayer::new(
                self.entropy.clone(),
                self.clock.clone(),
            ))
    }

    /// The v1 signature of a call without a query.
    pub(crate) fn v1_of(&self, path: &str, body: &[u8]) -> String {
        use sheen_core::time::Clock;
        let signer = Signer::new(key()).with_v1();
        let now = self.clock.now();
        let signed = signer.sign("POST", path, None, body, now, &*self.entropy);
        signed.unwrap().signature.unwrap()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn gate(mode: Mode, is_broken: bool, clock: Arc<ManualClock>) -> Arc<Gate> {
    let replay: Arc<dyn ReplayStore> = if is_broken {
        Arc::new(Broken)
    } else {
        Arc::new(MemoryReplayStore::new(clock.clone(), 10_000))
    };
    let verifier = Verifier::new(KeyRing::new(vec![key()]).unwrap(), mode);
    Arc::new(Gate::new(verifier, replay, clock))
}

fn revocations(clock: &Arc<ManualClock>) -> Arc<Revocations> {
    let epochs = Arc::new(MemoryRevocationStore::new(clock.clone(), 100));
    Arc::new(Revocations::new(epochs, clock.clone()))
}

fn tokens() -> Arc<ViewerTokens> {
    let secret = Secret::new("another secret of thirty-two bytes or more").unwrap();
    Arc::new(ViewerTokens::new(vec![secret]).unwrap())
}

fn catalogue() -> Catalogue {
    let url = "https://shop.example/small";
    let small = Package::new(
        "small",
        Seconds::from_u32(3600),
        Price::from_hundredths(499),
        url,
    );
    Catalogue::new(vec![small]).unwrap()
}

/// A call that is put together and then sent.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    world: &'a World,
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    is_signed: bool,
}

impl Call<'_> {
    pub(crate) fn json(mut self, body: impl Into<String>) -> Self {
        self.body = body.into().into_bytes();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.is_signed = false;
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// The request as it is now, with a signature of its own.
    pub(crate) fn request(&self) -> Request<Body> {
        use sheen_core::time::Clock;
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        if self.is_signed {
            let (path, query) = match self.target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (self.target.as_str(), None),
            };
            let now = self.world.clock.now();
            let entropy = &*self.world.entropy;
            let signed =
                self.world
                    .signer
                    .sign(&self.method, path, query, &self.body, now, entropy);
            for (name, value) in signed.unwrap().iter() {
                request = request.header(name, value);
            }
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }

    pub(crate) async fn send(&self) -> Answer {
        send(&self.world.app, self.request()).await
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let answer = app.clone().oneshot(request).await.unwrap();
    Answer::of(answer).await
}

/// The signature of `v1-request-id`, which is no form that our signer makes.
pub(crate) fn request_id_signature(timestamp: &str, id: &str, body: &str) -> String {
    use sha2::{Digest, Sha256};
    // HMAC-SHA256 by its definition (RFC 2104), so that the test leans on nothing it tests.
    let mut key = [0u8; 64];
    let secret = "a secret of at least thirty-two bytes";
    key[..secret.len()].copy_from_slice(secret.as_bytes());
    let pad = |byte: u8| key.map(|k| k ^ byte);
    let message = format!("{timestamp}:{id}:{body}");
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}
