//! One process of the crew: the stores, and what it is asked to do with them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use examples::crew::{Ask, Keeper, Keyed, Servers, Starts, Told};
use redis::aio::MultiplexedConnection;
use sheen_core::build::{
    BeatOutcome, BuildInput, BuildKind, BuildStore as _, Deadlines, NewBuild, PgBuildStore,
    StartOutcome,
};
use sheen_core::entropy::OsEntropy;
use sheen_core::error::StoreError;
use sheen_core::files::FileSet;
use sheen_core::id::{
    BuildId, BuildSessionId, PrincipalId, ProjectId, UserId, VersionId, WorkerId,
};
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, LeaseOutcome, Lifetimes,
    PgIdempotencyStore, RedisIdempotencyStore, Scope, StoredAnswer,
};
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::time::{Clock as _, SystemClock};
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Between two tries of a step that failed or of a key whose first call runs.
const PAUSE: Duration = Duration::from_millis(20);
/// As long as a member is patient: a minute.
const TRIES: u32 = 3_000;

struct Member {
    builds: PgBuildStore,
    deadlines: Deadlines,
    leases: PgIdempotencyStore,
    redis: RedisIdempotencyStore<MultiplexedConnection>,
    clock: SystemClock,
    tells: mpsc::Sender<Told>,
    stopping: AtomicBool,
}

/// Does what standard input asks for, until it is closed.
pub(crate) async fn run(servers: &Servers) -> Result<(), Failure> {
    let (tells, told) = mpsc::channel(1_000);
    let member = Arc::new(Member::connect(servers, tells).await?);
    let mut tasks = JoinSet::new();
    tasks.spawn(print(told));
    member.tell(Told::Ready).await;
    let mut asks = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = asks.next_line().await? {
        let ask: Ask = serde_json::from_str(&line)?;
        if ask == Ask::Stop {
            member.stopping.store(true, Ordering::SeqCst);
            continue;
        }
        let member = Arc::clone(&member);
        tasks.spawn(async move {
            if let Err(failure) = Arc::clone(&member).obey(ask).await {
                member.tell(Told::Broken(failure.to_string())).await;
            }
        });
    }
    Ok(())
}

async fn print(mut told: mpsc::Receiver<Told>) {
    let mut out = tokio::io::stdout();
    while let Some(told) = told.recv().await {
        let Ok(line) = serde_json::to_string(&told) else {
            return;
        };
        let written = out.write_all((line + "\n").as_bytes()).await;
        // Nobody listens any more: whoever started this is gone.
        if written.is_err() || out.flush().await.is_err() {
            return;
        }
    }
}

impl Member {
    async fn connect(servers: &Servers, tells: mpsc::Sender<Told>) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .connect(&servers.database)
            .await?;
        let redis = redis::Client::open(&*servers.redis)?;
        let redis = redis.get_multiplexed_async_connection().await?;
        let lifetimes = Lifetimes::default();
        let deadlines = Deadlines::new(Deadlines::default().queued, servers.silence);
        Ok(Self {
            builds: PgBuildStore::new(pool.clone(), deadlines),
            deadlines,
            leases: PgIdempotencyStore::new(pool, lifetimes),
            redis: RedisIdempotencyStore::open(redis, &servers.prefix, lifetimes).await?,
            clock: SystemClock::new(),
            tells,
            stopping: AtomicBool::new(false),
        })
    }

    /// Whoever listens may be gone; then this process ends too.
    async fn tell(&self, told: Told) {
        let _gone = self.tells.send(told).await;
    }

    async fn obey(self: Arc<Self>, ask: Ask) -> Result<(), Failure> {
        match ask {
            Ask::Starts { project, count } => self.starts(&project, count).await,
            Ask::Keyed { keeper, key, count } => self.keyed(keeper, &key, count).await,
            Ask::Claim => self.claim().await,
            Ask::Load { lanes } => self.load(lanes).await,
            Ask::Stop => Ok(()),
        }
    }

    /// A build of a session of its own.
    fn new_build(&self, project: &str) -> Result<NewBuild, Failure> {
        let (project, entropy) = (ProjectId::parse(project)?, OsEntropy);
        let session = BuildSessionId::generate(&project, self.clock.now(), &entropy);
        Ok(NewBuild::new(
            BuildId::generate(&entropy),
            VersionId::generate(&entropy),
            UserId::parse("ada")?,
            project,
            session,
            BuildInput::new(BuildKind::Create, "A site", FileSet::default()),
        ))
    }

    /// Starts a build, again for as long as the store may do it later; tells each failure.
    async fn start(&self, new: &NewBuild) -> Result<StartOutcome, Failure> {
        let mut again = new.clone();
        let mut tries = 0;
        loop {
            match self.builds.start(again.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.bear(error, &mut tries).await?,
            }
            // As a caller that asks again would, who knows nothing but the session.
            again.id = BuildId::generate(&OsEntropy);
        }
    }

    async fn bear(&self, error: StoreError, tries: &mut u32) -> Result<(), Failure> {
        *tries += 1;
        if !error.is_transient() || *tries > TRIES {
            return Err(error.into());
        }
        let kind = format!("{:?}", error.kind);
        self.tell(Told::Failed { kind }).await;
        TokioRuntime.sleep(PAUSE).await;
        Ok(())
    }

    async fn starts(self: &Arc<Self>, project: &str, count: usize) -> Result<(), Failure> {
        let project = project.to_owned();
        let outcomes = self.at_once(count, move |member| {
            let project = project.clone();
            async move { member.start(&member.new_build(&project)?).await }
        });
        let mut starts = Starts::default();
        for outcome in outcomes.await? {
            match outcome {
                StartOutcome::Started(queued) | StartOutcome::SessionKnown(queued) => {
                    starts.started.insert(queued.build.id.to_string());
                }
                StartOutcome::ProjectBusy { active } => {
                    starts.busy += 1;
                    starts.active.insert(active.to_string());
                }
                other => return Err(format!("{other:?}").into()),
            }
        }
        self.tell(Told::Starts(starts)).await;
        Ok(())
    }

    async fn keyed(
        self: &Arc<Self>,
        keeper: Keeper,
        key: &str,
        count: usize,
    ) -> Result<(), Failure> {
        let key = key.to_owned();
        let calls = self.at_once(count, move |member| {
            let key = key.clone();
            async move { member.call(keeper, &key).await }
        });
        let mut keyed = Keyed::default();
        for (ran, answer) in calls.await? {
            keyed.runs += usize::from(ran);
            keyed.answered += 1;
            keyed.answers.insert(answer);
        }
        self.tell(Told::Keyed(keyed)).await;
        Ok(())
    }

    /// One call: whether it ran here, and its answer.
    async fn call(&self, keeper: Keeper, name: &str) -> Result<(bool, String), Failure> {
        let store: &dyn IdempotencyStore = match keeper {
            Keeper::Postgres => &self.leases,
            Keeper::Redis => &self.redis,
        };
        let scope = Scope::new(PrincipalId::parse("web")?, UserId::parse("ada")?);
        let key = IdempotencyKey::parse(name.as_bytes())?;
        let call = Fingerprint::of("POST", "/v1/create-preview-for-new-project", "", &[0; 32]);
        let mut tries = 0;
        while tries < TRIES {
            match store.begin(&scope, &key, call).await {
                Ok(BeginOutcome::Started(lease)) => {
                    let outcome = self.start(&self.new_build(name)?).await?;
                    let StartOutcome::Started(queued) = outcome else {
                        return Err(format!("the call ran and found {outcome:?}").into());
                    };
                    let id = queued.build.id.to_string();
                    let answer = StoredAnswer::new(202, Vec::new(), id.as_bytes(), "req_1")?;
                    return match store.complete(&lease, answer).await? {
                        LeaseOutcome::Done => Ok((true, id)),
                        late => Err(format!("the answer came {late:?}").into()),
                    };
                }
                Ok(BeginOutcome::Replay(answer)) => {
                    return Ok((false, String::from_utf8(answer.body.to_vec())?));
                }
                Ok(BeginOutcome::InProgress) => {
                    tries += 1;
                    TokioRuntime.sleep(PAUSE).await;
                }
                Ok(other) => return Err(format!("{other:?}").into()),
                Err(error) => self.bear(error, &mut tries).await?,
            }
        }
        Err("no answer in a minute".into())
    }

    /// Runs `call` on `count` tasks that begin together.
    async fn at_once<T, F>(
        self: &Arc<Self>,
        count: usize,
        call: impl Fn(Arc<Self>) -> F,
    ) -> Result<Vec<T>, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let start = Arc::new(Barrier::new(count));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (call, start) = (call(Arc::clone(self)), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                call.await
            });
        }
        tasks.join_all().await.into_iter().collect()
    }

    async fn claim(&self) -> Result<(), Failure> {
        let worker = WorkerId::generate(&OsEntropy);
        let claimed = self.builds.claim(&worker).await?;
        let build = claimed.ok_or("nothing is queued")?.build;
        let told = Told::Claimed {
            build: build.id.to_string(),
            token: build.token.get(),
        };
        self.tell(told).await;
        loop {
            TokioRuntime.sleep(self.deadlines.building / 4).await;
            match self.builds.beat(&build.id, build.token).await? {
                BeatOutcome::Alive { .. } => {}
                lost => return Err(format!("the claim is {lost:?}").into()),
            }
        }
    }

    async fn load(self: &Arc<Self>, lanes: usize) -> Result<(), Failure> {
        let done = self.at_once(lanes, |member| async move {
            while !member.stopping.load(Ordering::SeqCst) {
                let project = format!("site-{}", VersionId::generate(&OsEntropy));
                let new = member.new_build(&project)?;
                let session = new.session.to_string();
                let (StartOutcome::Started(queued) | StartOutcome::SessionKnown(queued)) =
                    member.start(&new).await?
                else {
                    return Err("a fresh project is busy".into());
                };
                let build = queued.build.id.to_string();
                member.tell(Told::Acknowledged { session, build }).await;
            }
            Ok(())
        });
        done.await?;
        self.tell(Told::Stopped).await;
        Ok(())
    }
}
