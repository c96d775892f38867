//! A reader's side of recommendations, without I/O: what to show, and when to ask. Pure.

use std::time::Duration;

use sheen_core::id::BuildSessionId;
use sheen_core::wire::{RecommendationsAnswer, SuggestionItem};

use super::types::Status;

/// So long after a build's end a reader waits for an announcement before it asks by itself; the
/// stream has ended by then.
const PATIENCE: Duration = Duration::from_secs(35);
/// The first wait between two questions, and the longest; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So often one asks before it is given up.
const MOST_ASKED: u32 = 10;

/// What a reader shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Showing {
    /// Nothing yet.
    Nothing,
    /// What was suggested at once, while recommendations are being made.
    QuickForNow,
    /// What was suggested at once, for good: there will be no recommendations.
    Quick,
    /// The recommendations.
    Recommendations,
    /// That there are none.
    Failure,
}

/// Follows the recommendations of one build session.
///
/// What is shown only gets better: a late or doubled answer, or one of another session, changes
/// nothing. It holds no clock: `now` is any clock that never goes back.
///
/// ```
/// use std::time::Duration;
/// use sheen_core::id::BuildSessionId;
/// use sheen_events::recommend::{RecommendReader, Showing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let session = BuildSessionId::parse("bs_1")?;
/// let mut reader = RecommendReader::new(session.clone());
/// assert_eq!(reader.showing(), Showing::Nothing);
/// // The stream says that they are there: ask for them.
/// let at = Duration::from_secs(40);
/// reader.event(&session, "recommendations_ready", at);
/// assert!(reader.is_to_ask(at));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RecommendReader {
    session: BuildSessionId,
    quick: Vec<SuggestionItem>,
    recommendations: Vec<SuggestionItem>,
    error: Option<String>,
    settled: bool,
    /// When to ask; `None` while an announcement may still come.
    ask_at: Option<Duration>,
    asked: u32,
}

impl RecommendReader {
    /// A reader of `session` that knows nothing yet.
    #[must_use]
    pub const fn new(session: BuildSessionId) -> Self {
        Self {
            session,
            quick: Vec::new(),
            recommendations: Vec::new(),
            error: None,
            settled: false,
            ask_at: None,
            asked: 0,
        }
    }

    /// The start's answer had these suggestions.
    pub fn started(&mut self, quick: Vec<SuggestionItem>) {
        if self.quick.is_empty() {
            self.quick = quick;
        }
    }

    /// An event of the stream or the feed, by its type.
    pub fn event(&mut self, session: &BuildSessionId, kind: &str, now: Duration) {
        if *session != self.session || self.settled {
            return;
        }
        match kind {
            "recommendations_ready" | "recommendations_failed" => self.ask_at = Some(now),
            "deploy_completed" | "deploy_failed" if self.ask_at.is_none() => {
                self.ask_at = Some(now + PATIENCE);
            }
            // The stream has ended: no announcement will come on it.
            "closed" => {
                let now_or_before = self.ask_at.map_or(now, |at| at.min(now));
                self.ask_at = Some(now_or_before);
            }
            _ => {}
        }
    }

    /// Whether to ask `GET /v1/projects/{id}/recommendations` now. Call
    /// [`asking`](Self::asking) when it is done.
    #[must_use]
    pub fn is_to_ask(&self, now: Duration) -> bool {
        !self.settled && self.asked < MOST_ASKED && self.ask_at.is_some_and(|at| at <= now)
    }

    /// A question goes out. Unless its answer settles it, the next one is due after a wait that
    /// doubles.
    pub fn asking(&mut self, now: Duration) {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.asked.min(8));
        self.asked += 1;
        self.ask_at = Some(now + doubled.min(LONGEST_WAIT));
    }

    /// An answer came. One of another session, or after one that settled it, changes nothing.
    pub fn answered(&mut self, answer: RecommendationsAnswer) {
        if self.settled || answer.build_session_id.as_ref() != Some(&self.session) {
            return;
        }
        if !answer.quick_suggestions.is_empty() {
            self.quick = answer.quick_suggestions;
        }
        // Pending, idle, or a status that this code does not know: it asks again.
        let status = Status::from_name(&answer.status);
        if matches!(status, Some(Status::Ready | Status::Failed)) {
            self.settled = true;
            self.recommendations = answer.recommendations;
            self.error = answer.error;
        }
    }

    /// What to show.
    #[must_use]
    pub fn showing(&self) -> Showing {
        let given_up = self.asked >= MOST_ASKED;
        match (self.settled, self.quick.is_empty()) {
            (true, _) if !self.recommendations.is_empty() => Showing::Recommendations,
            (true, false) => Showing::Quick,
            (true, true) => Showing::Failure,
            (false, false) if given_up => Showing::Quick,
            (false, true) if given_up => Showing::Failure,
            (false, false) => Showing::QuickForNow,
            (false, true) => Showing::Nothing,
        }
    }

    /// The items that belong to what is shown.
    #[must_use]
    pub fn items(&self) -> &[SuggestionItem] {
        match self.showing() {
            Showing::Recommendations => &self.recommendations,
            Showing::Quick | Showing::QuickForNow => &self.quick,
            Showing::Nothing | Showing::Failure => &[],
        }
    }

    /// Why there are no recommendations, for people.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}
