//! A follower under a clock by hand, and the bytes a worker sends it.

use std::time::Duration;

use sheen_core::id::BuildSessionId;
use sheen_core::time::Timestamp;

use crate::reader::{Action, Answer, FollowConfig, Follower, Moment, PollCall, Polled, Told, Via};

pub(super) const START: i64 = 1_763_634_600_000;

/// A follower, its clock, and what it told.
pub(super) struct Rig {
    pub(super) follower: Follower,
    pub(super) now: Moment,
    pub(super) told: Vec<String>,
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::seeded(7)
    }

    pub(super) fn seeded(seed: u64) -> Self {
        let session = BuildSessionId::parse("s").unwrap();
        Self {
            follower: Follower::new(session, seed, FollowConfig::default()),
            now: Moment {
                monotonic: secs(100),
                wall: Timestamp::from_millis(START),
            },
            told: Vec::new(),
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now.monotonic += duration;
        self.now.wall = self.now.wall.plus(duration);
    }

    pub(super) fn with<T>(
        &mut self,
        step: impl FnOnce(&mut Follower, Moment, &mut (dyn FnMut(Told<'_>) + Send)) -> T,
    ) -> T {
        let told = &mut self.told;
        step(&mut self.follower, self.now, &mut |one| {
            told.push(text(&one));
        })
    }

    pub(super) fn next(&mut self) -> Action {
        self.with(|f, now, tell| f.next(now, tell))
    }

    pub(super) fn bytes(&mut self, bytes: &str) {
        self.with(|f, now, tell| f.bytes(now, bytes.as_bytes(), tell));
    }

    pub(super) fn broke(&mut self) {
        self.with(|f, now, tell| f.broke(now, tell));
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.with(|f, now, tell| f.opened(now, answer, tell));
    }

    pub(super) fn polled(&mut self, polled: Polled<'_>) {
        self.with(|f, now, tell| f.polled(now, polled, tell));
    }

    /// Expects that the stream is asked for after `last`, and opens it.
    pub(super) fn open(&mut self, last: Option<u64>) {
        assert_eq!(
            self.next(),
            Action::Connect {
                last,
                fresh_token: false
            }
        );
        self.answer(Answer::stream());
    }

    /// Waits as long as it asks, and gives what is to be done then and how long it took.
    pub(super) fn wait(&mut self) -> (Action, Duration) {
        let mut waited = Duration::ZERO;
        loop {
            match self.next() {
                Action::Wait { until } => {
                    let wait = until - self.now.monotonic;
                    self.pass(wait);
                    waited += wait;
                }
                action => return (action, waited),
            }
        }
    }

    pub(super) fn poll(&mut self) -> (PollCall, Duration) {
        match self.wait() {
            (Action::Poll(call), waited) => (call, waited),
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Breaks streams until it polls.
    pub(super) fn fall_back(&mut self) {
        loop {
            match self.wait().0 {
                Action::Connect { .. } => self.broke(),
                Action::Read { .. } => {
                    self.pass(secs(2));
                    self.broke();
                }
                Action::Poll(_) => break,
                other => panic!("{other:?}"),
            }
        }
        self.told.clear();
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

pub(super) fn text(told: &Told<'_>) -> String {
    match told {
        Told::Event(seen) if seen.via == Via::Stream => format!("{}", seen.seq),
        Told::Event(seen) => format!("poll {}", seen.seq),
        Told::Gone { from } => format!("gone before {from}"),
        Told::Late { seq, by } => format!("late {seq} {} s", by.as_secs()),
        Told::Reconnecting { attempt, .. } => format!("try {attempt}"),
        other => format!("{other:?}"),
    }
}

pub(super) fn event_at(seq: u64, kind: &str, at: Timestamp) -> String {
    format!(
        r#"{{"id":"{seq}","seq":{seq},"buildId":"b","buildSessionId":"s","type":"{kind}","data":{{"message":"m"}},"createdAt":"{at}"}}"#
    )
}

pub(super) fn event(seq: u64, kind: &str) -> String {
    event_at(
        seq,
        kind,
        Timestamp::from_millis(START - 3_600_000 + i64::try_from(seq).unwrap()),
    )
}

pub(super) fn frame(seq: u64) -> String {
    format!(
        "id: {seq}\nevent: build_log\ndata: {}\n\n",
        event(seq, "build_log")
    )
}

pub(super) fn frames(seqs: impl IntoIterator<Item = u64>) -> String {
    seqs.into_iter().map(frame).collect()
}

pub(super) fn control(kind: &str, rest: &str) -> String {
    format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"buildSessionId\":\"s\",\"seq\":0{rest}}}\n\n"
    )
}

pub(super) fn page(events: &[String], cursor: &str, has_next: bool) -> String {
    format!(
        r#"{{"events":[{}],"cursor":"{cursor}","hasNext":{has_next},"nextPollMs":4000}}"#,
        events.join(",")
    )
}

pub(super) fn page_of(body: &str) -> Polled<'_> {
    Polled::Page {
        body: body.as_bytes(),
        etag: Some("\"t\""),
        date: None,
    }
}
