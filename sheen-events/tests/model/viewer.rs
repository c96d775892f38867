//! One reader and its line.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use sheen_core::id::BuildSessionId;
use sheen_events::feed::{PollOutcome, PollRequest};
use sheen_events::reader::{
    Action, Answer, FollowConfig, FollowCounts, Follower, Moment, Over, PollCall, Polled, SseItem,
    SseParser, Told,
};
use sheen_events::stream::{Abort, EventStream, OpenOutcome, Resume, StreamRequest};

use crate::world::World;

/// What a stream sends, judged before anything on the way harms it: a follower would mend what a
/// service must not do.
#[derive(Debug)]
struct Judge {
    parser: SseParser,
    last: u64,
    frames: u64,
    caught_up: bool,
    is_closed: bool,
}

impl Judge {
    fn new(last: Option<u64>) -> Self {
        Self {
            parser: SseParser::new(),
            last: last.unwrap_or(0),
            frames: 0,
            caught_up: false,
            is_closed: false,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(item) = self.parser.read(&mut rest).unwrap() {
            let SseItem::Event(event) = item else {
                continue;
            };
            let data: Value = serde_json::from_str(event.data).unwrap();
            assert!(!self.is_closed, "{data} after the end");
            assert_eq!(event.kind == "connection", self.frames == 0, "{data}");
            self.frames += 1;
            match event.kind {
                "connection" => assert_eq!(data["resumed"], "exact", "{data}"),
                "caught_up" => {
                    assert!(!self.caught_up, "twice");
                    self.caught_up = true;
                }
                "closed" => {
                    assert!(self.caught_up, "closed before it was caught up");
                    self.is_closed = true;
                }
                _ => {
                    self.last += 1;
                    assert_eq!(data["seq"], self.last, "a gap or a double");
                }
            }
        }
    }
}

/// An open stream, as far as its bytes get through.
#[derive(Debug)]
struct Line {
    stream: EventStream,
    judge: Judge,
    /// So many bytes more come through, then it is cut.
    cut_after: Option<usize>,
    /// Nothing comes through, and nobody says so.
    is_dead: bool,
}

#[derive(Debug)]
pub(crate) struct Viewer {
    follower: Follower,
    line: Option<Line>,
    /// What was told, in order: seq and data.
    pub(crate) seen: Vec<(u64, String)>,
    pub(crate) caught_up: bool,
    pub(crate) over: Option<Over>,
    /// A page of before, as a cache on the way keeps it.
    old_page: Option<Bytes>,
    pub(crate) polled: u64,
}

impl Viewer {
    pub(crate) fn new(session: &BuildSessionId, seed: u64) -> Self {
        Self {
            follower: Follower::new(session.clone(), seed, FollowConfig::default()),
            line: None,
            seen: Vec::new(),
            caught_up: false,
            over: None,
            old_page: None,
            polled: 0,
        }
    }

    pub(crate) fn counts(&self) -> FollowCounts {
        self.follower.counts()
    }

    fn with<T>(
        &mut self,
        step: impl FnOnce(&mut Follower, &mut (dyn FnMut(Told<'_>) + Send)) -> T,
    ) -> T {
        let (seen, caught_up) = (&mut self.seen, &mut self.caught_up);
        step(&mut self.follower, &mut |told| match told {
            Told::Event(event) => seen.push((event.seq, event.data.to_owned())),
            Told::CaughtUp => *caught_up = true,
            Told::Reset | Told::Gone { .. } => panic!("{told:?} of a whole log"),
            _ => {}
        })
    }

    /// The process at the other end is gone.
    pub(crate) fn lose_line(&mut self, world: &World) {
        if self.line.take().is_some() {
            self.with(|follower, tell| follower.broke(world.now(), tell));
        }
    }

    /// All that happens at this instant.
    pub(crate) async fn act(&mut self, world: &World) {
        for _ in 0..2_000 {
            let now = world.now();
            match self.with(|follower, tell| follower.next(now, tell)) {
                Action::Over(over) => {
                    (self.line, self.over) = (None, Some(over));
                    return;
                }
                Action::Connect { last, .. } => self.connect(world, last).await,
                Action::Poll(call) => self.poll(world, call).await,
                Action::Read { .. } => {
                    if !self.read(world, now).await {
                        return;
                    }
                }
                Action::Wait { until } => {
                    self.line = None;
                    if until > now.monotonic {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("a reader that finds no rest");
    }

    async fn connect(&mut self, world: &World, last: Option<u64>) {
        self.line = None;
        let now = world.now();
        let refused = match world.trouble(10) {
            Some(0) => return self.with(|follower, tell| follower.broke(now, tell)),
            Some(1) => Some(Answer::status(503)),
            // A login page of a network on the way.
            Some(2) => Some(Answer::status(200)),
            _ => None,
        };
        if let Some(answer) = refused {
            return self.with(|follower, tell| follower.opened(now, answer, tell));
        }
        let header = last.map(|seq| seq.to_string());
        let resume = Resume::from_request(header.as_deref(), None, None);
        let request = StreamRequest::new(world.user.clone(), world.build.clone()).resume(resume);
        match world.streams.open(request.abort_unfinished()).await {
            Ok(OpenOutcome::Open(stream)) => {
                let cut_after = world.trouble(2).map(|_| world.below(6_000));
                let is_dead = world.trouble(15) == Some(0);
                self.line = Some(Line {
                    stream,
                    judge: Judge::new(last),
                    cut_after,
                    is_dead,
                });
                self.with(|follower, tell| follower.opened(now, Answer::stream(), tell));
            }
            Ok(OpenOutcome::Full | OpenOutcome::ShuttingDown) | Err(_) => {
                self.with(|follower, tell| follower.opened(now, Answer::status(503), tell));
            }
            Ok(other) => panic!("{other:?}"),
        }
    }

    /// What the line has at this instant; `false` when that is nothing.
    async fn read(&mut self, world: &World, now: Moment) -> bool {
        let Some(line) = self.line.as_mut().filter(|line| !line.is_dead) else {
            return false;
        };
        let Some(item) = at_hand(&mut line.stream).await else {
            return false;
        };
        let Some(Ok(bytes)) = item else {
            self.lose_line(world);
            return true;
        };
        line.judge.read(&bytes);
        let through = line
            .cut_after
            .map_or(bytes.len(), |left| left.min(bytes.len()));
        let is_cut = line.cut_after.is_some_and(|left| left <= bytes.len());
        line.cut_after = line.cut_after.map(|left| left.saturating_sub(bytes.len()));
        let mut rest = &bytes[..through];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + world.below(700)));
            self.with(|follower, tell| follower.bytes(now, piece, tell));
            rest = after;
        }
        if is_cut {
            self.lose_line(world);
        }
        true
    }

    async fn poll(&mut self, world: &World, call: PollCall) {
        self.line = None;
        self.polled += 1;
        let now = world.now();
        match world.trouble(8) {
            Some(0) => return self.answered(now, Polled::Broken),
            Some(1) => return self.answered(now, Polled::Answer(Answer::status(502))),
            Some(2) if call.cursor.is_some() && self.old_page.is_some() => {
                let body = self.old_page.clone().unwrap_or_default();
                return self.answered(now, page(&body, None));
            }
            _ => {}
        }
        let mut request = PollRequest::new();
        request.cursor = call.cursor.as_deref();
        request.interval = Some(call.interval);
        request.if_none_match = call.if_none_match.as_deref();
        match world.feed.poll(&world.user, &world.build, request).await {
            Ok(PollOutcome::Page(found)) => {
                self.answered(now, page(&found.body, Some(&found.etag)));
                if world.trouble(3) == Some(0) {
                    self.old_page = Some(found.body);
                }
            }
            Ok(PollOutcome::NotModified { .. }) => {
                self.answered(now, Polled::Answer(Answer::status(304)));
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => self.answered(now, Polled::Answer(Answer::status(503))),
        }
    }

    fn answered(&mut self, now: Moment, polled: Polled<'_>) {
        self.with(|follower, tell| follower.polled(now, polled, tell));
    }
}

fn page<'a>(body: &'a [u8], etag: Option<&'a str>) -> Polled<'a> {
    Polled::Page {
        body,
        etag,
        date: None,
    }
}

/// What the stream gives without time passing; tasks beside it get their turns.
async fn at_hand(stream: &mut EventStream) -> Option<Option<Result<Bytes, Abort>>> {
    for _ in 0..4 {
        if let Some(item) = stream.next().now_or_never() {
            return Some(item);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// No longer than this from the last trouble to the end of every reader.
pub(crate) const PATIENCE: Duration = Duration::from_secs(400);
