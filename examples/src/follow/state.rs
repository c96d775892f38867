//! What a reader knows of a stream. Pure: events in, what to do next out.

use std::time::Duration;

use serde_json::Value;

use super::FollowError;

/// What is told while a stream is followed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Told<'a> {
    /// An event of the build.
    Event {
        /// Its number.
        seq: u64,
        /// Its type.
        kind: &'a str,
        /// Its data.
        data: &'a Value,
    },
    /// Events are gone for good: the worker keeps them no more.
    Gone {
        /// The first that follows.
        from: u64,
    },
    /// The connection is lost and will be opened again.
    Reconnecting {
        /// Which attempt in a row.
        attempt: u32,
        /// After how long.
        wait: Duration,
    },
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Well.
    Deployed {
        /// Where the result can be seen.
        preview_url: Option<String>,
        /// How long it took, in seconds.
        duration: Option<u64>,
    },
    /// Otherwise.
    Failed {
        /// `BUILD_FAILED`, `TIMED_OUT` or `CANCELLED`.
        reason: String,
        /// What went wrong, for people.
        error: String,
    },
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    /// The stream is closed for good.
    Over,
    /// Something was left out: open it again after the last seq.
    Reconnect,
}

#[derive(Debug)]
pub(super) struct Reader {
    session: String,
    last: u64,
    retry: Option<Duration>,
    outcome: Option<Outcome>,
}

impl Reader {
    pub(super) fn new(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            last: 0,
            retry: None,
            outcome: None,
        }
    }

    /// The last seq that was told.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes the server's wish, within reason (failures/events.md F5).
    pub(super) fn set_retry(&mut self, wait: Duration) {
        self.retry = Some(wait.clamp(Duration::from_millis(250), Duration::from_secs(300)));
    }

    pub(super) fn outcome(self) -> Result<Outcome, FollowError> {
        self.outcome.ok_or(FollowError::NoEnd)
    }

    pub(super) fn take(
        &mut self,
        kind: &str,
        data: &str,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Step {
        // What cannot be read is not ours: unknown events pass through a worker.
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Step::Next;
        };
        if event["buildSessionId"] != self.session.as_str() {
            return Step::Next;
        }
        match kind {
            "connection" => return self.connected(&event, tell),
            "caught_up" => return Step::Next,
            "closed" => return Step::Over,
            _ => {}
        }
        let Some(seq) = event["seq"].as_u64() else {
            return Step::Next;
        };
        if seq <= self.last {
            return Step::Next;
        }
        if seq > self.last + 1 {
            return Step::Reconnect;
        }
        self.last = seq;
        let data = &event["data"];
        self.note_end(kind, &event, data);
        tell(Told::Event { seq, kind, data });
        Step::Next
    }

    /// `from` is the first seq that will follow; later than expected when older ones are gone,
    /// earlier when the log was made anew.
    fn connected(&mut self, event: &Value, tell: &mut (dyn FnMut(Told<'_>) + Send)) -> Step {
        let Some(from) = event["from"].as_u64() else {
            return Step::Next;
        };
        match event["resumed"].as_str() {
            Some("gap") if from > self.last + 1 => {
                self.last = from - 1;
                tell(Told::Gone { from });
            }
            Some("reset") => {
                self.last = from.saturating_sub(1);
                tell(Told::Gone { from });
            }
            _ => {}
        }
        Step::Next
    }

    fn note_end(&mut self, kind: &str, event: &Value, data: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let ended = match kind {
            "deploy_completed" => Outcome::Deployed {
                preview_url: text(&data["previewUrl"]),
                duration: data["duration"].as_u64(),
            },
            "deploy_failed" | "task_failed" => Outcome::Failed {
                reason: text(&data["reason"]).unwrap_or_default(),
                error: text(&data["error"])
                    .or_else(|| text(&event["error"]))
                    .or_else(|| text(&data["message"]))
                    .unwrap_or_default(),
            },
            _ => return,
        };
        self.outcome = Some(ended);
    }
}
