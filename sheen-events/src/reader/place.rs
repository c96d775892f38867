//! What a reader has of a build's log: which events to tell, which to drop. Pure.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use sheen_core::id::BuildSessionId;
use sheen_core::time::Timestamp;

use super::types::{FollowCounts, Moment, Seen, Told, Via};

/// An event as it stands on the wire, as far as a reader needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    build_session_id: Cow<'a, str>,
    seq: u64,
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<Cow<'a, str>>,
}

/// A control event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Control<'a> {
    #[serde(borrow)]
    build_session_id: Cow<'a, str>,
    #[serde(default)]
    epoch: Option<u64>,
    #[serde(default)]
    from: Option<u64>,
    #[serde(borrow, default)]
    resumed: Option<Cow<'a, str>>,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was told.
    Told,
    /// It was dropped: known, foreign or not an event.
    Dropped,
    /// Some before it are missing. It was not told.
    Jump,
}

/// How a connection goes on from what the reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// With what follows.
    Goes,
    /// It is another log than the one that was read: begin anew, from its start.
    Anew,
}

/// How far the build is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ending {
    #[default]
    Open,
    /// Its end was told.
    Ended,
    /// Its recommendations too: nothing more comes.
    Settled,
}

impl Ending {
    fn after(self, kind: &str) -> Self {
        match (kind, self) {
            ("deploy_completed" | "deploy_failed", Self::Open) => Self::Ended,
            ("recommendations_ready" | "recommendations_failed", Self::Ended) => Self::Settled,
            _ => self,
        }
    }
}

type Tell<'t> = &'t mut (dyn FnMut(Told<'_>) + Send);

#[derive(Debug)]
pub(super) struct Place {
    session: BuildSessionId,
    epoch: Option<u64>,
    /// The last seq told, or before which all is gone.
    last: u64,
    /// When the last event told happened.
    last_at: Option<Timestamp>,
    /// The last page's cursor, and what `last` was when it came.
    cursor: Option<(String, u64)>,
    /// How far the worker's clock is ahead of this machine's, in ms.
    skew: i64,
    /// When the reader was first up to date, by the worker's clock.
    up_to_date: Option<Timestamp>,
    late: Duration,
    ending: Ending,
    pub(super) counts: FollowCounts,
}

impl Place {
    pub(super) fn new(session: BuildSessionId, late: Duration) -> Self {
        Self {
            session,
            epoch: None,
            last: 0,
            last_at: None,
            cursor: None,
            skew: 0,
            up_to_date: None,
            late,
            ending: Ending::Open,
            counts: FollowCounts::default(),
        }
    }

    pub(super) const fn ending(&self) -> Ending {
        self.ending
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// What to send as `cursor`: the last page's, or the instant of an event that came since.
    pub(super) fn cursor(&self) -> Option<String> {
        match (&self.cursor, self.last_at) {
            (Some((cursor, at)), _) if *at == self.last => Some(cursor.clone()),
            (_, Some(instant)) => Some(instant.to_string()),
            (cursor, None) => cursor.as_ref().map(|(cursor, _)| cursor.clone()),
        }
    }

    pub(super) fn set_cursor(&mut self, cursor: String) {
        self.cursor = Some((cursor, self.last));
    }

    /// Forgets what was read: the log is another.
    pub(super) fn reset(&mut self, tell: Tell<'_>) {
        (self.last, self.last_at, self.cursor, self.epoch) = (0, None, None, None);
        self.ending = Ending::Open;
        tell(Told::Reset);
    }

    pub(super) fn set_skew(&mut self, now: Moment, date: Option<Timestamp>) {
        if let Some(date) = date {
            self.skew = date.as_millis().saturating_sub(now.wall.as_millis());
        }
    }

    fn worker_time(&self, now: Moment) -> Timestamp {
        Timestamp::from_millis(now.wall.as_millis().saturating_add(self.skew))
    }

    pub(super) fn caught_up(&mut self, now: Moment, tell: Tell<'_>) {
        let at = self.worker_time(now);
        self.up_to_date.get_or_insert(at);
        tell(Told::CaughtUp);
    }

    pub(super) const fn was_up_to_date(&self) -> bool {
        self.up_to_date.is_some()
    }

    /// A control event of this session; `None` for any other text.
    pub(super) fn control<'a>(&self, json: &'a str) -> Option<Control<'a>> {
        let control: Control<'a> = serde_json::from_str(json).ok()?;
        (control.build_session_id == self.session.as_str()).then_some(control)
    }

    /// Takes a `connection`. `from` is the first seq that will follow: later than expected when
    /// older ones are gone, earlier when the log was made anew.
    pub(super) fn begin(&mut self, control: &Control<'_>, tell: Tell<'_>) -> Begun {
        let known = self.epoch.filter(|_| self.last > 0);
        let another = known.is_some_and(|known| control.epoch.is_some_and(|epoch| epoch != known));
        let reset = control.resumed.as_deref() == Some("reset");
        if (another || reset) && self.last > 0 {
            self.reset(tell);
        }
        self.epoch = control.epoch.or(self.epoch);
        if another && !reset {
            // A seq without an epoch was taken for one of this log.
            return Begun::Anew;
        }
        if let Some(from) = control.from
            && from > self.last.saturating_add(1)
        {
            self.last = from - 1;
            tell(Told::Gone { from });
        }
        Begun::Goes
    }

    /// Takes an event as it stands in a stream or a page.
    pub(super) fn take(
        &mut self,
        now: Moment,
        via: Via,
        kind: Option<&str>,
        json: &str,
        tell: Tell<'_>,
    ) -> Taken {
        // What cannot be read is not ours: unknown events pass through a worker.
        let Ok(event) = serde_json::from_str::<Envelope<'_>>(json) else {
            return Taken::Dropped;
        };
        if event.build_session_id != self.session.as_str() {
            self.counts.foreign += 1;
            return Taken::Dropped;
        }
        if event.seq <= self.last {
            self.counts.duplicates += 1;
            return Taken::Dropped;
        }
        if event.seq > self.last.saturating_add(1) {
            self.counts.gaps += 1;
            return Taken::Jump;
        }
        let created_at = event.created_at.as_deref();
        let created_at = created_at.and_then(|at| Timestamp::parse_rfc3339(at).ok());
        self.last = event.seq;
        self.last_at = created_at.or(self.last_at);
        self.counts.events += 1;
        let kind = kind.or(event.r#type.as_deref()).unwrap_or_default();
        self.ending = self.ending.after(kind);
        tell(Told::Event(Seen {
            seq: event.seq,
            kind,
            data: event.data.map_or("{}", RawValue::get),
            created_at,
            via,
        }));
        self.tell_late(now, event.seq, created_at, tell);
        Taken::Told
    }

    /// Everything before `seq` is gone: a page begins with it.
    pub(super) fn gone_before(&mut self, seq: u64, tell: Tell<'_>) {
        self.last = seq.saturating_sub(1);
        tell(Told::Gone { from: seq });
    }

    fn tell_late(&self, now: Moment, seq: u64, created_at: Option<Timestamp>, tell: Tell<'_>) {
        let (Some(created_at), Some(up_to_date)) = (created_at, self.up_to_date) else {
            return;
        };
        if created_at < up_to_date {
            return;
        }
        let by = self.worker_time(now).since(created_at);
        if by > self.late {
            tell(Told::Late { seq, by });
        }
    }
}

/// A page of events.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageBody<'a> {
    #[serde(borrow)]
    pub(super) events: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(super) cursor: Cow<'a, str>,
    pub(super) has_next: bool,
    #[serde(default)]
    pub(super) next_poll_ms: Option<u64>,
    #[serde(default)]
    pub(super) gap: Option<PageGap>,
}

/// What retention took of what a page should have begun with.
#[derive(Deserialize)]
pub(super) struct PageGap {
    pub(super) floor: u64,
}

/// The seq of an event, if it is one.
pub(super) fn seq_of(json: &str) -> Option<u64> {
    serde_json::from_str::<Envelope<'_>>(json)
        .ok()
        .map(|event| event.seq)
}
