//! A feed that remembers says what one that reads says, and reads for news only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::token::FencingToken;

use super::tests::{World, after, build};
use super::*;
use crate::log::{Append, AppendOutcome, EventLog, MemoryEventLog, NewStream, Page, StreamHead};
use crate::wake::{MemoryWake, NoWake, Wake};

/// Counts reads.
#[derive(Debug)]
struct Counted(Arc<MemoryEventLog>, AtomicUsize);

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

struct Remembering {
    world: World,
    log: Arc<Counted>,
    feed: Feed,
}

impl Remembering {
    async fn new(events: usize, wake: Arc<dyn Wake>, config: FeedConfig) -> Self {
        let world = World::new(events).await;
        let log = Arc::new(Counted(world.log.clone(), AtomicUsize::new(0)));
        let feed = Feed::remembering(log.clone(), wake, world.clock.clone(), config);
        Self { world, log, feed }
    }

    /// The answer, which is that of a feed that reads, and how many reads it took.
    async fn poll(&self, request: PollRequest<'_>) -> (PollOutcome, usize) {
        let (answer, reads) = self.stale_poll(request).await;
        assert_eq!(answer, self.world.poll(request).await);
        (answer, reads)
    }

    async fn stale_poll(&self, request: PollRequest<'_>) -> (PollOutcome, usize) {
        let before = self.log.1.load(SeqCst);
        let world = &self.world;
        let polling = self.feed.poll(&world.ann, &world.build, request);
        let answer = polling.await.unwrap();
        (answer, self.log.1.load(SeqCst) - before)
    }

    fn pass(&self, millis: u64) {
        self.world.clock.advance(Duration::from_millis(millis));
    }
}

fn is_not_modified(outcome: &PollOutcome) -> bool {
    matches!(outcome, PollOutcome::NotModified { .. })
}

#[tokio::test]
async fn a_poll_with_nothing_new_reads_nothing_until_a_ring() {
    let wake = Arc::new(MemoryWake::new());
    let rig = Remembering::new(3, wake.clone(), FeedConfig::default()).await;
    let page = rig.world.page(PollRequest::new()).await;
    let mut request = after(&page.cursor);
    let (PollOutcome::Page(empty), 1) = rig.poll(request).await else {
        panic!("the first one reads, and has no tag")
    };
    // Without a tag it is the same empty page, with it «not modified».
    assert_eq!(rig.poll(request).await.1, 0);
    request.if_none_match = Some(&empty.etag);
    for _ in 0..2 {
        rig.pass(6000);
        let (answer, reads) = rig.poll(request).await;
        assert!(is_not_modified(&answer) && reads == 0, "{answer:?} {reads}");
    }
    // E8: the end is never hidden, whatever else it changes.
    rig.world.log.close(&rig.world.build).await.unwrap();
    wake.ring(&rig.world.build);
    let (answer, reads) = rig.poll(request).await;
    assert!(matches!(answer, PollOutcome::Page(_)) && reads == 1);
    wake.ring(&build("other"));
    assert_eq!(rig.poll(request).await.1, 0, "another's ring is nothing");
    // A tag of a page with events fits too.
    let mut first = PollRequest::new();
    let page = rig.world.page(first).await;
    first.if_none_match = Some(&page.etag);
    let (answer, reads) = rig.poll(first).await;
    assert!(is_not_modified(&answer) && reads == 0);
}

#[tokio::test]
async fn c01_a_lost_wake_up_is_a_stale_answer_for_two_seconds_at_most() {
    let down = Arc::new(NoWake::new(Duration::from_secs(5)));
    let rig = Remembering::new(1, down, FeedConfig::default()).await;
    let cursor = rig.world.page(PollRequest::new()).await.cursor;
    let request = after(&cursor);
    assert_eq!(rig.poll(request).await.1, 1);
    // It takes a second of the clock.
    rig.world.append(1).await;
    rig.pass(999);
    let (answer, reads) = rig.stale_poll(request).await;
    assert!(matches!(answer, PollOutcome::Page(page) if page.events.is_empty()) && reads == 0);
    rig.pass(1);
    let (answer, reads) = rig.poll(request).await;
    assert!(matches!(answer, PollOutcome::Page(page) if page.events.len() == 1) && reads == 1);

    // A channel that is well and lost one all the same: a writer died before it rang.
    let well = Arc::new(MemoryWake::new());
    let rig = Remembering::new(1, well, FeedConfig::default()).await;
    let cursor = rig.world.page(PollRequest::new()).await.cursor;
    let request = after(&cursor);
    rig.poll(request).await;
    rig.world.append(1).await;
    rig.pass(14_000);
    let (answer, reads) = rig.poll(request).await;
    assert!(matches!(answer, PollOutcome::Page(page) if page.events.len() == 1) && reads == 1);
}

#[tokio::test]
async fn e07_what_is_remembered_is_judged_after_whose_build_it_is() {
    let wake = Arc::new(MemoryWake::new());
    let rig = Remembering::new(2, wake, FeedConfig::default()).await;
    let page = rig.world.page(PollRequest::new()).await;
    let mut request = PollRequest::new();
    request.if_none_match = Some(&page.etag);
    rig.poll(request).await;
    assert!(is_not_modified(&rig.poll(request).await.0));
    let bob = UserId::parse("bob").unwrap();
    for tag in [page.etag.as_str(), "*"] {
        request.if_none_match = Some(tag);
        let answer = rig.feed.poll(&bob, &rig.world.build, request).await;
        assert_eq!(answer.unwrap(), PollOutcome::NotFound);
    }
    // Bob's own tag of it would be another, and he gets none.
    let ahead = Cursor::new(1, 99).encode(&rig.world.build);
    assert_eq!(
        rig.poll(after(&ahead)).await,
        (PollOutcome::CursorInvalid, 1)
    );
}

#[tokio::test]
async fn a07_a_cursor_from_another_process_is_not_refused_for_an_old_head() {
    let down = Arc::new(NoWake::new(Duration::from_secs(5)));
    let rig = Remembering::new(1, down, FeedConfig::default()).await;
    let before = rig.world.page(PollRequest::new()).await.cursor;
    rig.poll(after(&before)).await;
    rig.world.append(1).await;
    // The other process has told her of the second event already.
    let cursor = rig.world.page(PollRequest::new()).await.cursor;
    let (answer, reads) = rig.poll(after(&cursor)).await;
    assert!(matches!(answer, PollOutcome::Page(_)) && reads == 1);
}

#[tokio::test]
async fn what_is_remembered_is_bounded_and_frees_what_it_listened_to() {
    let wake = Arc::new(MemoryWake::new());
    let config = FeedConfig {
        max_heads: 10,
        ..FeedConfig::default()
    };
    let rig = Remembering::new(1, wake.clone(), config).await;
    let poll = async |name: &str| {
        let before = rig.log.1.load(SeqCst);
        let mut request = PollRequest::new();
        request.if_none_match = Some("*");
        let ann = &rig.world.ann;
        rig.feed.poll(ann, &build(name), request).await.unwrap();
        rig.log.1.load(SeqCst) - before
    };
    for n in 0..100 {
        let name = format!("b{n}");
        let session = BuildSessionId::parse("bs").unwrap();
        let stream = NewStream::new(build(&name), rig.world.ann.clone(), session);
        rig.world.log.open(stream).await.unwrap();
        poll(&name).await;
        // One that is asked for again and again stays.
        assert_eq!(poll("b0").await, 0, "after {n} others");
        assert!(rig.feed.heads() <= 10 && wake.builds() <= 10);
    }
    assert_eq!(poll("b1").await, 1);
    drop(rig);
    assert_eq!(wake.builds(), 0);
}
