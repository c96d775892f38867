//! Measuring one session. Pure: the instants are its caller's.

use std::time::Duration;

use sheen_core::id::BuildSessionId;

use super::types::{Metric, Timing};

/// A submit whose session is not known yet. It becomes the timings of one session.
#[derive(Debug)]
#[must_use = "a submit is measured through its session"]
pub struct Submitted {
    at: Duration,
}

impl Submitted {
    /// The person submitted at `now`, on a clock that never goes back.
    pub const fn at(now: Duration) -> Self {
        Self { at: now }
    }

    /// The submit began `session`.
    #[must_use]
    pub const fn session(self, session: BuildSessionId) -> SessionTimings {
        SessionTimings {
            at: self.at,
            session,
            measured: [false; Metric::ALL.len()],
        }
    }
}

/// What a client sees of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// The first byte of the answer to the submit.
    FirstByte,
    /// A token of an answer's text.
    Token,
    /// An event of the stream, by its type; control events too.
    Event(&'a str),
}

impl Seen<'_> {
    /// What it ends a wait for.
    fn ends(self) -> &'static [Metric] {
        match self {
            Self::FirstByte => &[Metric::TtfbChat],
            Self::Token => &[Metric::Ttft],
            Self::Event("connection") => &[Metric::SseConnect],
            // Signs between machines: a person reads nothing in them.
            Self::Event("caught_up" | "closed" | "token_expired") => &[],
            Self::Event("deploy_completed") => &[Metric::Ttft, Metric::TtPreview],
            Self::Event("recommendations_ready") => &[Metric::Ttft, Metric::TtRecs],
            Self::Event(_) => &[Metric::Ttft],
        }
    }
}

/// The waits of one session, from its submit. It cannot be cloned, nor given another session or
/// another submit.
#[derive(Debug)]
pub struct SessionTimings {
    at: Duration,
    session: BuildSessionId,
    measured: [bool; Metric::ALL.len()],
}

impl SessionTimings {
    /// Whose waits these are.
    #[must_use]
    pub const fn session(&self) -> &BuildSessionId {
        &self.session
    }

    /// Takes note of what was seen of `session` at `now`, and gives the measures that are complete
    /// with it: none for another session, for what was measured before, and for a wait over
    /// [`Timing::MAX`].
    pub fn see(&mut self, session: &BuildSessionId, seen: Seen<'_>, now: Duration) -> Vec<Timing> {
        if *session != self.session {
            return Vec::new();
        }
        let waited = now.saturating_sub(self.at);
        let mut complete = Vec::new();
        for &metric in seen.ends() {
            if std::mem::replace(&mut self.measured[metric.index()], true) {
                continue;
            }
            complete.extend(Timing::reported(self.session.clone(), metric, waited));
        }
        complete
    }
}
