//! Replays over a log in memory that can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{Clock, ManualClock, Timestamp};
use sheen_core::token::FencingToken;

use super::body::PAGE;
use super::*;
use crate::log::{Append, AppendOutcome, EventLog, EventType, MemoryEventLog, NewEvent};
use crate::log::{NewStream, Page, StreamHead};

/// A log that counts its reads, fails from the nth on, or becomes another one.
#[derive(Debug)]
struct Rigged {
    inner: MemoryEventLog,
    reads: AtomicUsize,
    fails_from: AtomicUsize,
    epoch_shift: AtomicU64,
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
        assert!(limit <= PAGE, "a page is bounded");
        if self.reads.fetch_add(1, SeqCst) >= self.fails_from.load(SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let mut page = self.inner.read(build, after, limit).await?;
        if let Some(page) = &mut page {
            page.stream.epoch += self.epoch_shift.load(SeqCst);
        }
        Ok(page)
    }
}

struct Rig {
    log: Arc<Rigged>,
    clock: Arc<ManualClock>,
    ann: UserId,
    build: BuildId,
}

impl Rig {
    /// A log with `events` visible events, each after a hidden one.
    async fn new(events: usize) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
        let entropy = Arc::new(SeededEntropy::new(11));
        let log = Rigged {
            inner: MemoryEventLog::new(clock.clone(), entropy, Default::default()),
            reads: AtomicUsize::new(0),
            fails_from: AtomicUsize::new(usize::MAX),
            epoch_shift: AtomicU64::new(0),
        };
        let rig = Self {
            log: Arc::new(log),
            clock,
            ann: UserId::parse("ann").unwrap(),
            build: BuildId::parse("bld_1").unwrap(),
        };
        let session = BuildSessionId::parse("bs_1").unwrap();
        let stream = NewStream::new(rig.build.clone(), rig.ann.clone(), session);
        rig.log.open(stream).await.unwrap();
        rig.append(events).await;
        rig
    }

    async fn append(&self, events: usize) {
        for _ in 0..events {
            let data = json!({"message": "x\u{2028}y"});
            let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap();
            let pair = vec![event.clone().hidden(), event];
            let append = Append::new(self.build.clone(), FencingToken::ZERO, pair);
            self.log.append(append).await.unwrap();
        }
    }

    async fn open(&self, request: ReplayRequest) -> (ReplayHead, ReplayBody) {
        let replay = Replay::new(self.log.clone());
        match replay.open(&self.ann, &self.build, request).await.unwrap() {
            ReplayOutcome::Replay(head, body) => (head, *body),
            other => panic!("{other:?}"),
        }
    }

    async fn open_all(&self) -> (ReplayHead, ReplayBody) {
        let log = Arc::new(Audited(self.log.clone()));
        let opened = Replay::open_all(log, &self.build, ReplayFormat::Lines).await;
        match opened.unwrap() {
            ReplayOutcome::Replay(head, body) => (head, *body),
            other => panic!("{other:?}"),
        }
    }

    /// Takes what is older than now.
    fn retain(&self, limit: u32) {
        let gone = self.log.inner.lock().remove_before(self.clock.now(), limit);
        assert!(!gone.is_empty());
    }
}

#[derive(Debug)]
struct Audited(Arc<Rigged>);

#[async_trait]
impl crate::log::AuditLog for Audited {
    async fn read_all(
        &self,
        build: &BuildId,
        after: crate::log::AuditPlace,
        limit: u32,
    ) -> Result<Option<crate::log::AuditPage>, StoreError> {
        self.0.reads.fetch_add(1, SeqCst);
        self.0.inner.read_all(build, after, limit).await
    }
}

/// All bytes, and the error that ended them.
async fn whole(mut body: ReplayBody) -> (String, Option<ReplayError>) {
    let mut text = Vec::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(bytes) => {
                assert!(
                    !bytes.is_empty() && bytes.len() < 200_000,
                    "a chunk is bounded"
                );
                text.extend_from_slice(&bytes);
            }
            Err(error) => {
                assert!(body.next().await.is_none(), "nothing comes after an error");
                return (String::from_utf8(text).unwrap(), Some(error));
            }
        }
    }
    (String::from_utf8(text).unwrap(), None)
}

fn seqs(lines: &str) -> Vec<u64> {
    let line = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["seq"]
            .as_u64()
            .unwrap()
    };
    lines.lines().map(line).collect()
}

/// B4, G5: page by page, the same each time, and nothing is written.
#[tokio::test]
async fn b04_g05_a_log_is_replayed_in_pages_the_same_each_time() {
    let rig = Rig::new(1000).await;
    rig.log.close(&rig.build).await.unwrap();
    let before = rig.log.inner.read(&rig.build, 0, 0).await.unwrap();
    rig.log.reads.store(0, SeqCst);
    let (head, body) = rig.open(ReplayRequest::from(1)).await;
    assert_eq!(
        rig.log.reads.load(SeqCst),
        1,
        "only the first page is read at once"
    );
    assert_eq!(
        (head.from, head.to, head.floor, head.closed),
        (1, 1000, 0, true)
    );
    let (first, error) = whole(body).await;
    assert!(error.is_none());
    assert!(seqs(&first).into_iter().eq(1..=1000) && first.ends_with("}\n"));
    assert_eq!(
        rig.log.reads.load(SeqCst),
        1000_usize.div_ceil(PAGE as usize)
    );
    assert_eq!(
        whole(rig.open(ReplayRequest::from(1)).await.1).await.0,
        first
    );
    assert_eq!(rig.log.inner.read(&rig.build, 0, 0).await.unwrap(), before);
}

#[tokio::test]
async fn a_part_is_what_lies_between_both_its_ends() {
    let rig = Rig::new(300).await;
    for (from, to, first, last) in [
        (0, None, 1, 300),
        (1, Some(1), 1, 1),
        (128, Some(129), 128, 129),
        (129, Some(1000), 129, 300),
        (300, None, 300, 300),
        (301, None, 301, 300),
        (u64::MAX, Some(u64::MAX), 301, 300),
        (5, Some(4), 5, 4),
    ] {
        let mut request = ReplayRequest::from(from);
        request.to = to;
        let (head, body) = rig.open(request).await;
        let (lines, error) = whole(body).await;
        assert!(error.is_none(), "{from} {to:?}: {error:?}");
        assert!(seqs(&lines).into_iter().eq(first..=last), "{from} {to:?}");
        assert_eq!(head.from > head.to, lines.is_empty(), "{from} {to:?}");
        let array = request.written_as(ReplayFormat::Array);
        let (array, _) = whole(rig.open(array).await.1).await;
        let array: Vec<Value> = serde_json::from_str(&array).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(array, lines);
    }
}

/// What is appended after the opening is not in it: a replay ends, however fast a build writes.
#[tokio::test]
async fn b05_a_replay_ends_where_the_log_ended_when_it_was_opened() {
    let rig = Rig::new(200).await;
    let (_, body) = rig.open(ReplayRequest::from(1)).await;
    let (_, all) = rig.open_all().await;
    rig.append(500).await;
    let (lines, error) = whole(body).await;
    assert!(error.is_none() && seqs(&lines).into_iter().eq(1..=200));
    let (lines, error) = whole(all).await;
    assert!(error.is_none());
    assert_eq!(lines.lines().count(), 400);
}

#[tokio::test]
async fn e02_the_user_gets_clean_events_and_operators_get_all_in_commit_order() {
    let rig = Rig::new(200).await;
    let (_, body) = rig.open(ReplayRequest::from(1)).await;
    let (lines, _) = whole(body).await;
    assert!(!lines.contains("userVisible"));
    let (head, all) = rig.open_all().await;
    assert_eq!((head.from, head.to), (1, 200));
    let (lines, error) = whole(all).await;
    assert!(error.is_none());
    let events: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let told = events
        .iter()
        .map(|e| (e["userVisible"] == true, e["seq"].as_u64().unwrap()));
    assert!(told.eq((1..=200).flat_map(|seq| [(false, seq), (true, seq)])));
    let instants: Vec<_> = events
        .iter()
        .map(|e| e["createdAt"].as_str().unwrap())
        .collect();
    assert!(instants.is_sorted());

    let (bob, nobodys) = (
        UserId::parse("bob").unwrap(),
        BuildId::parse("none").unwrap(),
    );
    let replay = Replay::new(rig.log.clone());
    for (user, build) in [(&bob, &rig.build), (&rig.ann, &nobodys)] {
        let refused = replay.open(user, build, ReplayRequest::from(1)).await;
        assert!(
            matches!(refused, Ok(ReplayOutcome::NotFound)),
            "{refused:?}"
        );
    }
}

/// A7, A12: what is gone is told before, and what goes meanwhile breaks the body off.
#[tokio::test]
async fn a12_retention_is_told_before_and_breaks_off_what_it_reaches() {
    let rig = Rig::new(300).await;
    rig.clock.advance(Duration::from_secs(3600));
    rig.retain(20);
    let (head, body) = rig.open(ReplayRequest::from(1)).await;
    assert_eq!((head.floor, head.from, head.to), (10, 11, 300));
    assert!(seqs(&whole(body).await.0).into_iter().eq(11..=300));
    let (_, all) = rig.open_all().await;
    let (lines, error) = whole(all).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(lines.lines().count(), 580);

    // Ahead of its readers it takes what they have not read: both are cut, where they were.
    let (_, body) = rig.open(ReplayRequest::from(1)).await;
    let (_, all) = rig.open_all().await;
    rig.retain(400);
    let (lines, error) = whole(body).await;
    assert!(matches!(error, Some(ReplayError::Gone)), "{error:?}");
    assert!(seqs(&lines).into_iter().eq(11..=10 + u64::from(PAGE)));
    let (lines, error) = whole(all).await;
    assert!(matches!(error, Some(ReplayError::Gone)), "{error:?}");
    assert_eq!(lines.lines().count(), PAGE as usize);

    // Nothing is left of them, and that is told too.
    rig.retain(1000);
    let (head, body) = rig.open(ReplayRequest::from(1)).await;
    assert_eq!((head.floor, head.from, head.to), (300, 301, 300));
    assert_eq!(whole(body).await.0, "");
    let (lines, error) = whole(rig.open_all().await.1).await;
    assert_eq!((lines.as_str(), error.is_none()), ("", true));
}

#[tokio::test]
async fn a_log_that_fails_or_is_made_anew_breaks_off_and_never_ends_as_if_whole() {
    for format in [ReplayFormat::Lines, ReplayFormat::Array] {
        let rig = Rig::new(300).await;
        let request = ReplayRequest::from(1).written_as(format);
        rig.log.reads.store(0, SeqCst);
        rig.log.fails_from.store(1, SeqCst);
        let (text, error) = whole(rig.open(request).await.1).await;
        assert!(matches!(error, Some(ReplayError::Store(_))), "{error:?}");
        assert!(text.contains("\"seq\":128,") && !text.ends_with(']'));
        rig.log.fails_from.store(0, SeqCst);
        let refused = Replay::new(rig.log.clone())
            .open(&rig.ann, &rig.build, request)
            .await;
        assert!(refused.is_err(), "a log that fails at once is no body");

        rig.log.fails_from.store(usize::MAX, SeqCst);
        let (_, body) = rig.open(request).await;
        rig.log.epoch_shift.store(1, SeqCst);
        let (text, error) = whole(body).await;
        assert!(matches!(error, Some(ReplayError::Gone)), "{error:?}");
        assert!(text.contains("\"seq\":128,") && !text.ends_with(']'));
    }
}
