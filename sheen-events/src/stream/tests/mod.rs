//! A service over a log that can be made to fail, and a strict reader of what it sends.

mod delivery;
mod ends;
mod frames;
mod resume;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::runtime::ManualSleep;
use sheen_core::time::{Clock, ManualClock, Timestamp};
use sheen_core::token::FencingToken;

use super::*;
use crate::log::{Append, AppendOutcome, EventLog, EventType, MemoryEventLog, NewEvent};
use crate::log::{NewStream, Page, StreamHead};
use crate::wake::{MemoryWake, Wake};

/// A log in memory with a floor, another epoch, failures and a door after its reads.
#[derive(Debug)]
struct Rigged {
    inner: MemoryEventLog,
    floor: AtomicU64,
    epoch_shift: AtomicU64,
    failures: AtomicUsize,
    corrupt: AtomicBool,
    stuck: AtomicBool,
    unstuck: event_listener::Event,
    reads: AtomicUsize,
    largest_limit: AtomicUsize,
}

#[async_trait]
impl EventLog for Rigged {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        self.inner.open(stream).await
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        self.inner.append(append).await
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        self.inner.raise(build, token).await
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        self.inner.close(build).await
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        self.reads.fetch_add(1, SeqCst);
        self.largest_limit.fetch_max(limit as usize, SeqCst);
        if self.corrupt.load(SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Corrupt));
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let floor = self.floor.load(SeqCst);
        let mut page = self.inner.read(build, after.max(floor), limit).await?;
        if let Some(page) = &mut page {
            page.stream.floor = floor;
            page.stream.epoch += self.epoch_shift.load(SeqCst);
        }
        // After the read: what is committed while it is under way is not in its page.
        loop {
            let unstuck = self.unstuck.listen();
            if !self.stuck.load(SeqCst) {
                break;
            }
            unstuck.await;
        }
        Ok(page)
    }
}

struct Rig {
    log: Arc<Rigged>,
    clock: Arc<ManualClock>,
    sleep: Arc<ManualSleep>,
    wake: Arc<dyn Wake>,
    streams: StreamService,
    ann: UserId,
    build: BuildId,
}

impl Rig {
    async fn new() -> Self {
        Self::with(Arc::new(MemoryWake::new()), StreamConfig::default()).await
    }

    /// Looks at every ring: the clock stands still.
    async fn with(wake: Arc<dyn Wake>, config: StreamConfig) -> Self {
        let gap = Duration::ZERO;
        Self::paced(wake, StreamConfig { gap, ..config }).await
    }

    async fn paced(wake: Arc<dyn Wake>, config: StreamConfig) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
        let entropy = Arc::new(SeededEntropy::new(11));
        let log = Arc::new(Rigged {
            inner: MemoryEventLog::new(clock.clone(), entropy, Default::default()),
            floor: AtomicU64::new(0),
            epoch_shift: AtomicU64::new(0),
            failures: AtomicUsize::new(0),
            corrupt: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            unstuck: event_listener::Event::new(),
            reads: AtomicUsize::new(0),
            largest_limit: AtomicUsize::new(0),
        });
        let sleep = Arc::new(ManualSleep::new(clock.clone()));
        let streams = StreamService::new(
            log.clone(),
            wake.clone(),
            sleep.clone(),
            clock.clone(),
            config,
        );
        let (ann, build) = (
            UserId::parse("ann").unwrap(),
            BuildId::parse("bld_1").unwrap(),
        );
        let session = BuildSessionId::parse("bs_1").unwrap();
        let stream = NewStream::new(build.clone(), ann.clone(), session);
        log.open(stream).await.unwrap();
        Self {
            log,
            clock,
            sleep,
            wake,
            streams,
            ann,
            build,
        }
    }

    /// Appends and rings.
    async fn append(&self, count: usize) {
        for _ in 0..count {
            self.append_event(event(EventType::BUILD_LOG)).await;
        }
    }

    async fn append_event(&self, event: NewEvent) {
        let append = Append::new(self.build.clone(), FencingToken::ZERO, vec![event]);
        let outcome = self.log.append(append).await.unwrap();
        assert!(matches!(outcome, AppendOutcome::Appended(_)));
        self.wake.ring(&self.build);
    }

    async fn finish(&self) {
        self.append_event(event(EventType::DEPLOY_COMPLETED)).await;
        self.log.close(&self.build).await.unwrap();
        self.wake.ring(&self.build);
    }

    fn request<'a>(&self) -> StreamRequest<'a> {
        StreamRequest::new(self.ann.clone(), self.build.clone())
    }

    async fn open(&self, request: StreamRequest<'_>) -> Reader {
        match self.streams.open(request).await.unwrap() {
            OpenOutcome::Open(stream) => Reader {
                stream,
                is_over: false,
                abort: None,
            },
            other => panic!("{other:?}"),
        }
    }

    async fn resumed(&self, resume: Resume<'_>) -> Reader {
        self.open(self.request().resume(resume)).await
    }

    fn epoch(&self) -> u64 {
        let page = self.log.inner.lock().read(&self.build, 0, 0);
        page.unwrap().stream.epoch
    }

    fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.clock.now().plus(Duration::from_secs(seconds))
    }

    fn pass(&self, millis: u64) {
        self.sleep.advance(Duration::from_millis(millis));
    }
}

fn event(kind: EventType) -> NewEvent {
    NewEvent::new(kind, json!({"message": "x"}).as_object().unwrap()).unwrap()
}

struct Reader {
    stream: EventStream,
    is_over: bool,
    abort: Option<Abort>,
}

impl Reader {
    /// All that comes without anything else happening.
    fn now(&mut self) -> Vec<Frame> {
        parse(&self.bytes_now().concat())
    }

    fn bytes_now(&mut self) -> Vec<bytes::Bytes> {
        let mut chunks = Vec::new();
        while let Some(item) = self.stream.next().now_or_never() {
            match item {
                Some(Ok(bytes)) => chunks.push(bytes),
                Some(Err(abort)) => self.abort = Some(abort),
                None => {
                    self.is_over = true;
                    break;
                }
            }
        }
        chunks
    }

    fn names(&mut self) -> Vec<String> {
        self.now().into_iter().map(|frame| frame.name()).collect()
    }
}

/// One dispatched event, or a comment.
#[derive(Debug, Clone, PartialEq)]
struct Frame {
    id: Option<u64>,
    event: String,
    data: Value,
}

impl Frame {
    /// The seq of an event, the type of anything else.
    fn name(&self) -> String {
        self.id
            .map_or_else(|| self.event.clone(), |id| id.to_string())
    }
}

/// Reads a stream as strictly as the wire promises it: LF only, one space after each colon, the
/// fields in order, one line of JSON. Line ends are those of the SSE text: CR, LF and CRLF.
fn parse(bytes: &[u8]) -> Vec<Frame> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(!text.contains(['\r', '\0']));
    let mut frames = Vec::new();
    let mut rest = text;
    while let Some((block, after)) = rest.split_once("\n\n") {
        rest = after;
        frames.push(if block.starts_with(": ") {
            assert!(!block.contains('\n'));
            Frame {
                id: None,
                event: "comment".into(),
                data: Value::Null,
            }
        } else {
            parse_block(block)
        });
    }
    assert_eq!(rest, "", "a frame was cut");
    frames
}

fn parse_block(block: &str) -> Frame {
    let mut lines = block.split('\n').peekable();
    let id = lines.next_if(|line| line.starts_with("id: "));
    let id = id.map(|line| line["id: ".len()..].parse().unwrap());
    let event = lines
        .next()
        .unwrap()
        .strip_prefix("event: ")
        .unwrap()
        .to_owned();
    let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
    assert_eq!(lines.next(), None, "a frame has a line too many: {block:?}");
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["type"], json!(event));
    assert_eq!(data["buildSessionId"], json!("bs_1"));
    assert!(data["seq"].is_u64());
    Frame { id, event, data }
}

fn numbers(names: &[String]) -> Vec<u64> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
