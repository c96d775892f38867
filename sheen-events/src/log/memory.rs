//! A log in this process's memory, bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::entropy::Entropy;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{Clock, Day, Timestamp};
use sheen_core::token::FencingToken;

use super::audit::{AuditLog, AuditPage, AuditPlace};
use super::decide::{AppendDecision, StreamPosition};
use super::store::EventLog;
use super::types::{Append, AppendOutcome, Event, NewStream, Page, StreamHead, Visibility};

/// How much a [`MemoryEventLog`] holds. At a bound it refuses with
/// [`StoreErrorKind::Full`] and forgets nothing.
///
/// A stream that could be opened always has room for its first [`RESERVED`](Self::RESERVED)
/// events, and beyond the bounds for as many appends that are a build's end and nothing beside it
/// ([`Append::is_end`]): what is admitted can begin and can end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MemoryLogConfig {
    /// The most streams, 100,000.
    pub max_streams: usize,
    /// The most events of one stream, hidden ones too, 100,000.
    pub max_events_per_stream: usize,
    /// The most bytes of data of all events together, 512 MiB. No stream is opened beyond it.
    pub max_bytes: usize,
}

impl MemoryLogConfig {
    /// Events that a stream has room for whatever the bounds say: so many first ones, and so many
    /// ends beyond [`max_events_per_stream`](Self::max_events_per_stream).
    pub const RESERVED: usize = 16;
}

impl Default for MemoryLogConfig {
    fn default() -> Self {
        Self {
            max_streams: 100_000,
            max_events_per_stream: 100_000,
            max_bytes: 512 << 20,
        }
    }
}

/// An event log in memory: what it holds is gone with the process.
#[derive(Debug)]
pub struct MemoryEventLog {
    clock: Arc<dyn Clock>,
    state: Mutex<LogState>,
}

/// What a [`MemoryEventLog`] holds, for a step across rooms.
#[derive(Debug)]
pub struct LogState {
    entropy: Arc<dyn Entropy>,
    config: MemoryLogConfig,
    streams: HashMap<BuildId, Stream>,
    bytes: usize,
}

#[derive(Debug)]
struct Stream {
    user: UserId,
    session: BuildSessionId,
    epoch: u64,
    position: StreamPosition,
    /// Visible events up to this seq were removed.
    floor: u64,
    /// How many events of either kind were removed.
    removed: usize,
    /// Those kept, visible and hidden, in commit order: the first is event number `removed`.
    events: VecDeque<Event>,
    /// The numbers of the visible ones kept: that of seq n at n - floor - 1.
    visible: VecDeque<usize>,
    /// The number of a named append's first event, and how many it wrote.
    keys: HashMap<Arc<str>, (usize, usize)>,
}

impl Stream {
    fn head(&self) -> StreamHead {
        let mut head = StreamHead::new(self.user.clone(), self.session.clone(), self.epoch);
        head.head = self.position.head;
        head.floor = self.floor;
        head.closed = self.position.closed;
        head.ended_by.clone_from(&self.position.ended_by);
        head
    }

    /// What is kept of the events numbered from `from` on, `count` of them.
    fn numbered(&self, from: usize, count: usize) -> Vec<Event> {
        let kept = from.max(self.removed);
        let skipped = kept - self.removed;
        let count = (from + count).saturating_sub(kept);
        self.events
            .iter()
            .skip(skipped)
            .take(count)
            .cloned()
            .collect()
    }

    /// Removes the oldest `count` events, and what a closed stream knows of appends that wrote them.
    fn remove_oldest(&mut self, count: usize) -> Vec<Event> {
        let gone: Vec<Event> = self.events.drain(..count).collect();
        self.removed += gone.len();
        let visible = gone
            .iter()
            .filter(|event| event.visibility == Visibility::User);
        if let Some(last) = visible.clone().next_back() {
            self.floor = last.seq;
        }
        self.visible.drain(..visible.count());
        if self.position.closed {
            let removed = self.removed;
            self.keys
                .retain(|_, (from, count)| *from + *count > removed);
        }
        gone
    }
}

impl MemoryEventLog {
    /// An empty log. `entropy` gives each stream its epoch.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, config: MemoryLogConfig) -> Self {
        Self {
            clock,
            state: Mutex::new(LogState {
                entropy,
                config,
                streams: HashMap::new(),
                bytes: 0,
            }),
        }
    }

    /// The log's contents, for a step across rooms. Take locks in the order idempotency, builds,
    /// credits, log, and hold none over an await.
    pub fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogState {
    /// Whether [`open`](Self::open) would go through: `Some` is the stream that is open already.
    ///
    /// # Errors
    /// `Full` when there is no room for another stream.
    pub fn check_open(&self, stream: &NewStream) -> Result<Option<StreamHead>, StoreError> {
        if let Some(open) = self.streams.get(&stream.build) {
            return Ok(Some(open.head()));
        }
        if self.streams.len() >= self.config.max_streams || self.bytes >= self.config.max_bytes {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        Ok(None)
    }

    /// Opens a stream; one that is open is left as it is.
    ///
    /// # Errors
    /// `Full` when there is no room for another stream.
    pub fn open(&mut self, stream: NewStream) -> Result<StreamHead, StoreError> {
        if let Some(open) = self.check_open(&stream)? {
            return Ok(open);
        }
        let opened = Stream {
            user: stream.user,
            session: stream.session,
            epoch: self.draw_epoch(),
            position: StreamPosition::default(),
            floor: 0,
            removed: 0,
            events: VecDeque::new(),
            visible: VecDeque::new(),
            keys: HashMap::new(),
        };
        let head = opened.head();
        self.streams.insert(stream.build, opened);
        Ok(head)
    }

    fn draw_epoch(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        (u64::from_le_bytes(bytes) & StreamHead::MAX_EPOCH).max(1)
    }

    /// What [`append`](Self::append) would refuse with; `None` when it would write. A stream that
    /// is yet to be opened in the same step is `NotFound` here: its first
    /// [`RESERVED`](MemoryLogConfig::RESERVED) events need no check but
    /// [`check_open`](Self::check_open).
    ///
    /// # Errors
    /// `Rejected` when the append is not well formed, `Full` when there is no room.
    pub fn check_append(&self, append: &Append) -> Result<Option<AppendOutcome>, StoreError> {
        if !append.is_well_formed() {
            return Err(StoreError::new(StoreErrorKind::Rejected));
        }
        let Some(stream) = self.streams.get(&append.build) else {
            return Ok(Some(AppendOutcome::NotFound));
        };
        if let Some(&(from, count)) = append.key.as_ref().and_then(|key| stream.keys.get(key)) {
            let first = stream.numbered(from, count);
            return Ok(Some(AppendOutcome::Duplicate(first)));
        }
        match stream.position.decide(append.token) {
            AppendDecision::Fenced => Ok(Some(AppendOutcome::Fenced)),
            AppendDecision::Closed => Ok(Some(AppendOutcome::Closed)),
            AppendDecision::Append if self.has_room(stream, append) => Ok(None),
            AppendDecision::Append => Err(StoreError::new(StoreErrorKind::Full)),
        }
    }

    fn has_room(&self, stream: &Stream, append: &Append) -> bool {
        let reserved = MemoryLogConfig::RESERVED;
        let events = stream.events.len() + append.events.len();
        let bytes = self.bytes + append.events.iter().map(|e| e.data.len()).sum::<usize>();
        if events <= reserved {
            return true;
        }
        if append.is_end() {
            return events <= self.config.max_events_per_stream.saturating_add(reserved);
        }
        events <= self.config.max_events_per_stream && bytes <= self.config.max_bytes
    }

    /// Appends events at `now`.
    ///
    /// # Errors
    /// `Rejected` when the append is not well formed, `Full` when there is no room.
    pub fn append(&mut self, now: Timestamp, append: Append) -> Result<AppendOutcome, StoreError> {
        if let Some(outcome) = self.check_append(&append)? {
            return Ok(outcome);
        }
        let Some(stream) = self.streams.get_mut(&append.build) else {
            return Ok(AppendOutcome::NotFound);
        };
        let events = stream
            .position
            .number(now, &append.build, &stream.session, append.events);
        let from = stream.removed + stream.events.len();
        for (offset, event) in events.iter().enumerate() {
            self.bytes += event.data.len();
            if event.visibility == Visibility::User {
                stream.visible.push_back(from + offset);
            }
        }
        if let Some(key) = append.key {
            stream.keys.insert(key, (from, events.len()));
        }
        stream.events.extend(events.iter().cloned());
        Ok(AppendOutcome::Appended(events))
    }

    /// From now on only `token` may append, unless a later one was raised before; `false` when
    /// there is no such stream.
    pub fn raise(&mut self, build: &BuildId, token: FencingToken) -> bool {
        let stream = self.streams.get_mut(build);
        stream.map(|s| s.position.raise(token)).is_some()
    }

    /// Ends a stream; `false` when there is none.
    pub fn close(&mut self, build: &BuildId) -> bool {
        let stream = self.streams.get_mut(build);
        stream.map(|s| s.position.closed = true).is_some()
    }

    /// Visible events with a seq above `after`, at most `limit`; `None` when there is no such
    /// stream.
    #[must_use]
    pub fn read(&self, build: &BuildId, after: u64, limit: u32) -> Option<Page> {
        let stream = self.streams.get(build)?;
        let from = usize::try_from(after.saturating_sub(stream.floor)).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let events = stream
            .visible
            .iter()
            .skip(from)
            .take(limit)
            .map(|&at| stream.events[at - stream.removed].clone())
            .collect();
        Some(Page::new(events, stream.head()))
    }

    /// Events of either kind after `after`, in commit order, at most `limit`; `None` when there is
    /// no such stream.
    #[must_use]
    pub fn read_all(&self, build: &BuildId, after: AuditPlace, limit: u32) -> Option<AuditPage> {
        let stream = self.streams.get(build)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let events = stream.events.iter().filter(|event| after.precedes(event));
        let events = events.take(limit).cloned().collect();
        let hidden_head = stream.position.hidden_head;
        Some(AuditPage::new(events, stream.head(), hidden_head))
    }

    /// How many events each day has, of all streams.
    #[must_use]
    pub fn days(&self) -> BTreeMap<Day, u64> {
        let mut days = BTreeMap::new();
        let streams = self.streams.iter().collect::<BTreeMap<_, _>>();
        for event in streams.values().flat_map(|stream| &stream.events) {
            *days.entry(event.created_at.day()).or_default() += 1;
        }
        days
    }

    /// Removes the oldest events before `until`, at most `limit` over all streams, and gives them.
    /// Of each stream that is a beginning, and its floor says how far it reaches.
    pub fn remove_before(&mut self, until: Timestamp, limit: u32) -> Vec<Event> {
        let mut old: Vec<(Timestamp, &BuildId)> = Vec::new();
        let streams = self.streams.iter().collect::<BTreeMap<_, _>>();
        for (build, stream) in streams {
            let events = stream.events.iter().map(|event| event.created_at);
            let before = events.take_while(|at| *at < until);
            old.extend(before.map(|at| (at, build)));
        }
        old.sort_unstable();
        old.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut counts: BTreeMap<BuildId, usize> = BTreeMap::new();
        for (_, build) in old {
            *counts.entry(build.clone()).or_default() += 1;
        }
        let mut gone = Vec::new();
        for (build, count) in counts {
            if let Some(stream) = self.streams.get_mut(&build) {
                gone.extend(stream.remove_oldest(count));
            }
        }
        self.bytes -= gone.iter().map(|event| event.data.len()).sum::<usize>();
        gone
    }

    /// How many streams are kept.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}

#[async_trait]
impl EventLog for MemoryEventLog {
    async fn open(&self, stream: NewStream) -> Result<StreamHead, StoreError> {
        self.lock().open(stream)
    }

    async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        // Inside the lock, so that instants are taken in commit order.
        let mut state = self.lock();
        let now = self.clock.now();
        state.append(now, append)
    }

    async fn raise(&self, build: &BuildId, token: FencingToken) -> Result<bool, StoreError> {
        Ok(self.lock().raise(build, token))
    }

    async fn close(&self, build: &BuildId) -> Result<bool, StoreError> {
        Ok(self.lock().close(build))
    }

    async fn read(
        &self,
        build: &BuildId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Page>, StoreError> {
        Ok(self.lock().read(build, after, limit))
    }
}

#[async_trait]
impl AuditLog for MemoryEventLog {
    async fn read_all(
        &self,
        build: &BuildId,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Option<AuditPage>, StoreError> {
        Ok(self.lock().read_all(build, after, limit))
    }
}
