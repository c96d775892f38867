//! The controller of one reader: stream, gaps, polls, and when to do which. Pure.

use std::time::Duration;

use sheen_core::id::BuildSessionId;

use super::pace::{Dice, Pace, Tries};
use super::place::{Begun, Ending, Place, Taken};
use super::sse::{SseItem, SseParser};
use super::types::{Action, Answer, FollowConfig, FollowCounts, Moment, Over, PollCall, Told, Via};

pub(super) type Tell<'t> = &'t mut (dyn FnMut(Told<'_>) + Send);

/// A build that ended is polled on for so long: its recommendations settle within 30 s.
const AFTERMATH: Duration = Duration::from_secs(35);
/// A stream shorter than this did not go through.
const SHORT: Duration = Duration::from_secs(1);
/// The wall clock went so much further than the monotonic one: the machine slept.
const SLEPT_MS: u64 = 5_000;
/// The longest `Retry-After` that is obeyed.
/// A poll's interval at the longest, with its spread and its answer.
const RECENT: Duration = Duration::from_secs(20);
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Follows one build by its stream, and by polls while streams do not go through. See the
/// [module](super).
#[derive(Debug)]
pub struct Follower {
    pub(super) config: FollowConfig,
    pub(super) place: Place,
    pub(super) dice: Dice,
    pub(super) pace: Pace,
    pub(super) state: State,
    tries: Tries,
    short_streams: u32,
    /// Streams failed too often: polls go on between further attempts, the next of which is due then.
    pub(super) stream_again: Option<Duration>,
    pub(super) fresh_token: bool,
    /// A new token was asked for, and nothing was accepted since.
    refreshed: bool,
    /// The seq from which a gap was fetched last: a second one there is a failure.
    gap_at: Option<u64>,
    last_answer: Option<Duration>,
    last_now: Option<Moment>,
    /// The page to compare with: its tag and the cursor it was asked by.
    pub(super) tag: Option<(String, Option<String>)>,
    pub(super) asked: Option<String>,
    /// How long the stream that is read has lived.
    lived: Duration,
    /// While polling: the build's end was told, and it is over then.
    over_at: Option<Duration>,
    /// When a poll said last that there is no more.
    pub(super) up_to_date_at: Option<Duration>,
    /// When the log was last found to be another one: a second time soon is a failure.
    anew_at: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Open the stream now.
    Connect,
    /// The stream was asked for.
    Opening {
        since: Duration,
    },
    /// It is open.
    Live(Box<Live>),
    /// Open the stream then.
    Backoff {
        until: Duration,
    },
    /// Ask for a page then: to fetch a gap, or because streams fail.
    PollAt {
        at: Duration,
    },
    /// A page was asked for.
    Polling {
        since: Duration,
    },
    Over(Over),
}

#[derive(Debug)]
pub(super) struct Live {
    parser: SseParser,
    opened: Duration,
    last_byte: Duration,
    /// A byte came. The first one is sent at once.
    spoke: bool,
    /// What was told before it.
    told_before: u64,
}

impl Live {
    fn deadline(&self, config: &FollowConfig) -> Duration {
        let patience = if self.spoke {
            config.silence
        } else {
            config.first_byte
        };
        self.last_byte + patience
    }
}

impl Follower {
    /// Follows the build that its caller calls `session`, from its first event. `seed` spreads its
    /// waits: give each reader another.
    #[must_use]
    pub fn new(session: BuildSessionId, seed: u64, config: FollowConfig) -> Self {
        Self {
            config,
            place: Place::new(session, config.late),
            dice: Dice::new(seed),
            pace: Pace::default(),
            state: State::Connect,
            tries: Tries::default(),
            short_streams: 0,
            stream_again: None,
            fresh_token: false,
            refreshed: false,
            gap_at: None,
            last_answer: None,
            last_now: None,
            tag: None,
            asked: None,
            lived: Duration::ZERO,
            over_at: None,
            up_to_date_at: None,
            anew_at: None,
        }
    }

    /// The last seq that was told; 0 before the first.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.place.last()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counts(&self) -> FollowCounts {
        self.place.counts
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Moment, tell: Tell<'_>) -> Action {
        self.note_sleep(now);
        let since = *self.last_answer.get_or_insert(now.monotonic);
        let at = now.monotonic;
        if at.saturating_sub(since) >= self.config.patience && self.is_waiting() {
            self.state = State::Over(Over::Lost);
        }
        // A dead call first: it decides what is done instead.
        match &self.state {
            State::Opening { since } if at >= *since + self.config.first_byte => {
                self.fail(now, None, tell);
            }
            State::Live(live) if at >= live.deadline(&self.config) => self.broke(now, tell),
            State::Polling { since } if at >= *since + self.config.poll_timeout => {
                self.poll_failed(now, None);
            }
            _ => {}
        }
        let over_at = self.over_at(at);
        if over_at.is_some_and(|over| at >= over && self.was_up_to_date(over)) {
            self.state = State::Over(Over::Closed);
        }
        match &self.state {
            State::Over(over) => Action::Over(*over),
            State::Opening { since } => Action::Read {
                until: *since + self.config.first_byte,
            },
            State::Live(live) => Action::Read {
                until: live.deadline(&self.config),
            },
            State::Polling { since } => Action::Read {
                until: *since + self.config.poll_timeout,
            },
            State::Connect => self.connect(now),
            State::Backoff { until } if at >= *until => self.connect(now),
            State::Backoff { until } => Action::Wait { until: *until },
            State::PollAt { .. } if self.stream_again.is_some_and(|again| at >= again) => {
                self.connect(now)
            }
            State::PollAt { at: due } if at >= *due => self.poll(now),
            State::PollAt { at: due } => {
                let until = self.stream_again.map_or(*due, |again| again.min(*due));
                Action::Wait {
                    until: over_at
                        .filter(|over| at < *over)
                        .map_or(until, |over| over.min(until)),
                }
            }
        }
    }

    const fn is_waiting(&self) -> bool {
        !matches!(self.state, State::Live(_) | State::Over(_))
    }

    /// A machine that slept has dead connections that nobody told of (F6).
    fn note_sleep(&mut self, now: Moment) {
        let Some(before) = self.last_now.replace(now) else {
            return;
        };
        let wall = now.wall.since(before.wall);
        let ran = now.monotonic.saturating_sub(before.monotonic);
        if wall <= ran + Duration::from_millis(SLEPT_MS) {
            return;
        }
        self.last_answer = Some(now.monotonic);
        match self.state {
            State::Over(_) => {}
            _ if self.stream_again.is_some() => self.state = State::PollAt { at: now.monotonic },
            _ => self.state = State::Connect,
        }
    }

    fn connect(&mut self, now: Moment) -> Action {
        self.state = State::Opening {
            since: now.monotonic,
        };
        let last = self.place.last();
        Action::Connect {
            last: (last > 0).then_some(last),
            fresh_token: std::mem::take(&mut self.fresh_token),
        }
    }

    fn poll(&mut self, now: Moment) -> Action {
        self.state = State::Polling {
            since: now.monotonic,
        };
        self.place.counts.polls += 1;
        let cursor = self.place.cursor();
        let tag = self.tag.as_ref().filter(|(_, asked)| *asked == cursor);
        let if_none_match = tag.map(|(tag, _)| tag.clone());
        self.asked.clone_from(&cursor);
        Action::Poll(PollCall {
            cursor,
            interval: self.pace.waited(),
            if_none_match,
            fresh_token: std::mem::take(&mut self.fresh_token),
        })
    }

    /// The stream was answered.
    pub fn opened(&mut self, now: Moment, answer: Answer, tell: Tell<'_>) {
        if !matches!(self.state, State::Opening { .. }) {
            return;
        }
        self.place.set_skew(now, answer.date);
        match answer.status {
            204 => self.over(Over::Closed),
            200 if answer.is_event_stream => {
                self.refreshed = false;
                self.heard(now);
                self.state = State::Live(Box::new(Live {
                    parser: SseParser::with_max(self.config.max_event),
                    opened: now.monotonic,
                    last_byte: now.monotonic,
                    spoke: false,
                    told_before: self.place.counts.events,
                }));
            }
            // Someone on the way answered in the worker's place.
            200 => self.fail(now, None, tell),
            status => {
                if self.stands_refused(status) {
                    return;
                }
                if status == 401 {
                    self.state = State::Connect;
                } else {
                    self.fail(now, answer.retry_after, tell);
                }
            }
        }
    }

    /// Whether a refusal is for good (F10). A 401 is, once a new token was refused too.
    pub(super) fn stands_refused(&mut self, status: u16) -> bool {
        match status {
            401 if self.refreshed => self.over(Over::Unauthorized),
            401 => {
                (self.refreshed, self.fresh_token) = (true, true);
                return false;
            }
            408 | 425 | 429 | 500.. => return false,
            _ => self.over(Over::Refused(status)),
        }
        true
    }

    pub(super) fn over(&mut self, over: Over) {
        self.state = State::Over(over);
    }

    /// Bytes of the stream came: events, comments, anything.
    pub fn bytes(&mut self, now: Moment, bytes: &[u8], tell: Tell<'_>) {
        if !matches!(self.state, State::Live(_)) {
            // Of a stream that was to be dropped: what it says comes again.
            return;
        }
        let State::Live(mut live) = std::mem::replace(&mut self.state, State::Connect) else {
            return;
        };
        if !bytes.is_empty() {
            live.spoke = true;
            live.last_byte = now.monotonic;
            self.last_answer = Some(now.monotonic);
        }
        let mut rest = bytes;
        self.lived = now.monotonic.saturating_sub(live.opened);
        loop {
            match live.parser.read(&mut rest) {
                Ok(None) => break,
                Ok(Some(SseItem::Retry(wait))) => self.tries.set_retry(wait),
                Ok(Some(SseItem::Event(event))) => {
                    self.state = State::Connect;
                    if !self.item(now, event.kind, event.data, tell) {
                        return;
                    }
                }
                Err(_) => return self.fail(now, None, tell),
            }
        }
        if now.monotonic.saturating_sub(live.opened) >= self.config.healthy {
            self.tries.reset();
        }
        self.state = State::Live(live);
    }

    /// Takes one event of the stream; `false` when the stream is to be dropped, whose successor is
    /// in `state` by then.
    fn item(&mut self, now: Moment, kind: &str, data: &str, tell: Tell<'_>) -> bool {
        match kind {
            "connection" | "caught_up" | "closed" | "token_expired" => {
                self.control(now, kind, data, tell)
            }
            _ => match self.place.take(now, Via::Stream, Some(kind), data, tell) {
                Taken::Told | Taken::Dropped => true,
                Taken::Jump => {
                    self.fetch_gap(now, tell);
                    false
                }
            },
        }
    }

    fn control(&mut self, now: Moment, kind: &str, data: &str, tell: Tell<'_>) -> bool {
        let Some(control) = self.place.control(data) else {
            return true;
        };
        match kind {
            "connection" => {
                if self.stream_again.take().is_some() {
                    self.over_at = None;
                    tell(Told::Streaming);
                }
                // The next attempt says from its start what this one does not.
                let goes = self.place.begin(&control, tell) == Begun::Goes;
                if !goes && !self.may_begin_anew(now) {
                    self.fail(now, None, tell);
                }
                goes
            }
            "caught_up" => {
                self.place.caught_up(now, tell);
                true
            }
            "closed" => {
                self.over(Over::Closed);
                false
            }
            _ => {
                // Not a failure: the next one begins at once, with another token. Unless that one
                // is over before it began.
                (self.fresh_token, self.refreshed) = (true, true);
                if self.lived < SHORT {
                    self.fail(now, None, tell);
                }
                false
            }
        }
    }

    /// The stream jumped: what it left out is fetched, then it is opened again after that (F2).
    fn fetch_gap(&mut self, now: Moment, tell: Tell<'_>) {
        let last = self.place.last();
        if self.gap_at.replace(last) == Some(last) {
            // Fetching brought nothing: no loop without progress (E10).
            return self.fail(now, None, tell);
        }
        self.state = State::PollAt { at: now.monotonic };
    }

    /// The stream ended without saying so, or could not be opened.
    pub fn broke(&mut self, now: Moment, tell: Tell<'_>) {
        match &self.state {
            State::Live(live) => {
                let lived = now.monotonic.saturating_sub(live.opened);
                if lived >= self.config.healthy {
                    self.tries.reset();
                }
                let told = self.place.counts.events > live.told_before;
                let short = !told && (lived < SHORT || !live.spoke);
                self.short_streams = if short { self.short_streams + 1 } else { 0 };
                self.fail(now, None, tell);
            }
            State::Opening { .. } => self.fail(now, None, tell),
            _ => {}
        }
    }

    /// Plans the next attempt, or polls.
    pub(super) fn fail(&mut self, now: Moment, retry_after: Option<Duration>, tell: Tell<'_>) {
        let at = now.monotonic;
        if self.stream_again.is_some() {
            // One attempt among polls.
            let wait = self.config.stream_again / 2 + self.dice.part_of(self.config.stream_again);
            let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            self.stream_again = Some(at + wait.max(asked));
            self.state = State::PollAt { at };
            return;
        }
        if self.tries.count() >= self.config.tries
            || self.short_streams >= self.config.short_streams
        {
            self.short_streams = 0;
            self.tries.reset();
            let wait = self.config.stream_again / 2 + self.dice.part_of(self.config.stream_again);
            self.stream_again = Some(at + wait);
            self.state = State::PollAt { at };
            tell(Told::Polling);
            return;
        }
        let jittered = self.tries.next(&self.config, &mut self.dice);
        let wait = retry_after.map_or(jittered, |wait| wait.min(LONGEST_RETRY_AFTER));
        self.place.counts.reconnects += 1;
        tell(Told::Reconnecting {
            attempt: self.tries.count(),
            wait,
        });
        self.state = State::Backoff { until: at + wait };
    }

    pub(super) fn heard(&mut self, now: Moment) {
        self.last_answer = Some(now.monotonic);
    }

    pub(super) fn accepted(&mut self) {
        self.refreshed = false;
    }

    /// Whether the log may be read from its start at once, being another one than before. A server
    /// that says so again within a minute is waited for as one that fails.
    pub(super) fn may_begin_anew(&mut self, now: Moment) -> bool {
        let last = self.anew_at.replace(now.monotonic);
        last.is_none_or(|last| now.monotonic.saturating_sub(last) >= self.config.healthy)
    }

    /// Whether a poll shortly before `over` said that there is no more.
    fn was_up_to_date(&self, over: Duration) -> bool {
        self.up_to_date_at.is_some_and(|at| at + RECENT >= over)
    }

    /// When a build that is polled is over: no poll says that its stream is closed, so it is when
    /// its recommendations have settled, or could have.
    fn over_at(&mut self, at: Duration) -> Option<Duration> {
        self.stream_again?;
        match self.place.ending() {
            Ending::Open => None,
            Ending::Ended => Some(*self.over_at.get_or_insert(at + AFTERMATH)),
            Ending::Settled => Some(at),
        }
    }
}
