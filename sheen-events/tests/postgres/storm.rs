//! A recovery storm: the server of many viewers is killed and started again twice in the middle of
//! a build. Each viewer ends with every seq once, and what that costs the store does not grow with
//! the viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, UserId};
use sheen_core::runtime::{Sleep, TokioRuntime};
use sheen_core::time::{Clock, SystemClock};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventLog, NewStream, Page, StreamHead};
use sheen_events::stream::{EventStream, OpenOutcome, Resume, StreamRequest, StreamService};
use sheen_events::wake::Wake;
use testkit::Proof;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::wake::{healthy, process};
use super::{World, append, logs};

const LIVES: usize = 3;
/// Of a page of the stream service.
const PAGE: usize = 256;

#[derive(Debug)]
struct Counted(Arc<dyn EventLog>, AtomicUsize);

#[async_trait]
impl EventLog for Counted {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        self.0.open(stream).await
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        self.0.append(append).await
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        self.0.raise(build, token).await
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        self.0.close(build).await
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        self.1.fetch_add(1, SeqCst);
        self.0.read(build, after, limit).await
    }
}

/// The server while it lives; `None` between two lives.
type Lives = watch::Receiver<Option<StreamService>>;

/// Watches until the build is over, coming back whenever it is cut off, and says how many events
/// came: each the next.
async fn watch_all(number: u64, mut lives: Lives, build: BuildId) -> u64 {
    let mut seen = 0;
    for attempt in 1.. {
        let life = lives.wait_for(Option::is_some).await.unwrap().clone();
        // Those who were cut off together do not come back at one instant.
        let jitter = (number * 7919 + attempt * 104_729) % 200;
        TokioRuntime.sleep(Duration::from_millis(jitter)).await;
        let ann = UserId::parse("ann").unwrap();
        let request = StreamRequest::new(ann, build.clone()).resume(Resume::After(seen));
        let opened = life.unwrap().open(request).await.unwrap();
        let OpenOutcome::Open(stream) = opened else {
            panic!("it is her build: {opened:?}");
        };
        lives.mark_unchanged();
        if lives.borrow().is_some() && follow(&mut seen, stream, &mut lives).await {
            break;
        }
    }
    seen
}

/// Reads until the server is killed, or the build is over: then it is true.
async fn follow(seen: &mut u64, mut stream: EventStream, lives: &mut Lives) -> bool {
    loop {
        let chunk = tokio::select! {
            chunk = stream.next() => chunk,
            _ = lives.changed() => return false,
        };
        let Some(Ok(chunk)) = chunk else {
            return false;
        };
        for line in std::str::from_utf8(&chunk).unwrap().lines() {
            if let Some(seq) = line.strip_prefix("id: ") {
                assert_eq!(seq.parse(), Ok(*seen + 1));
                *seen += 1;
            }
            if line == "event: closed" {
                return true;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_recovery_storm_costs_no_viewer_an_event_and_no_more_reads_for_many() {
    let (viewers, events) = Proof::size().pick((50, 600), (2_000, 20_000));
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    let log = Arc::new(Counted(world.log.clone(), AtomicUsize::new(0)));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // The builder is another process.
    let builder = process(&world);
    healthy(&builder).await;
    let (life, lives) = watch::channel(None);
    let mut watching = JoinSet::new();
    for number in 0..viewers {
        watching.spawn(watch_all(number, lives.clone(), build.clone()));
    }
    let begun = clock.monotonic();
    for round in 0..LIVES {
        let wake = process(&world);
        healthy(&wake).await;
        life.send_replace(Some(StreamService::new(
            log.clone(),
            Arc::new(wake),
            Arc::new(TokioRuntime),
            clock.clone(),
            Default::default(),
        )));
        for _ in 0..events / 10 / LIVES {
            world.append(append(&build, logs(10))).await;
            builder.ring(&build);
            TokioRuntime.sleep(Duration::from_millis(2)).await;
        }
        if round + 1 < LIVES {
            // Whoever is in the middle of a chunk or of a read is cut off there.
            life.send_replace(None);
            world.append(append(&build, logs(10))).await;
        }
    }
    world.log.close(&build).await.unwrap();
    builder.ring(&build);
    let head = world
        .log
        .read(&build, 0, 0)
        .await
        .unwrap()
        .unwrap()
        .stream
        .head;
    for seen in watching.join_all().await {
        assert_eq!(seen, head);
    }
    let (took, reads) = (clock.monotonic() - begun, log.1.load(SeqCst));
    eprintln!("{viewers} viewers, {head} events, {took:?}: {reads} reads");
    // One in 5 ms at the most for what is new, and in each life the pages that were missed.
    let pages = usize::try_from(head).unwrap().div_ceil(PAGE);
    let most = usize::try_from(took.as_millis() / 5).unwrap() + LIVES * (4 * pages + 20);
    assert!(reads <= most, "{reads} reads, where {most} are enough");
}
