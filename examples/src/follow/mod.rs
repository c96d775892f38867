//! Follows a build to its end over HTTP, by its stream and, where streams fail, by polls. When to do
//! which is [`Follower`]'s to say; here are the calls.

mod outcome;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use sheen_core::entropy::Entropy;
use sheen_core::id::BuildSessionId;
use sheen_core::runtime::Sleep;
use sheen_core::time::Clock;
pub use sheen_events::reader::Told;
use sheen_events::reader::{
    Action, Answer, FollowConfig, Follower, Moment, Over, PollCall, Polled,
};

use crate::call::{CallError, Caller, Page};
pub use outcome::Outcome;
use outcome::Watch;

/// Why following ended before the build's end was heard of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The worker refused.
    #[error("the events were refused")]
    Refused(#[source] CallError),
    /// Nothing answered for too long.
    #[error("the worker cannot be reached any more")]
    Lost(#[source] Option<CallError>),
    /// It ended without the event that ends a build.
    #[error("the event stream ended before the build did")]
    NoEnd,
}

/// Time and randomness, to be replaced by tests.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct Means {
    /// Waits between calls, and for silence.
    pub sleep: Arc<dyn Sleep>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Spreads the attempts.
    pub entropy: Arc<dyn Entropy>,
}

/// Where a build's events are, as the worker gave it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "two addresses and a name")]
pub struct Events<'a> {
    /// Of the stream.
    pub stream: &'a str,
    /// Of the pages.
    pub pages: &'a str,
    /// What the worker calls the build's session.
    pub session: &'a BuildSessionId,
}

/// Follows a build, giving `tell` all there is to tell, and says how it ended.
///
/// # Errors
/// When its events are refused or cannot be reached any more, or ended without saying how it did.
pub async fn follow(
    caller: &Caller,
    events: Events<'_>,
    means: &Means,
    tell: &mut (dyn FnMut(&Told<'_>) + Send),
) -> Result<Outcome, FollowError> {
    let mut seed = [0; 8];
    means.entropy.fill(&mut seed);
    let config = FollowConfig::default();
    let mut follow = Follow {
        follower: Follower::new(events.session.clone(), u64::from_le_bytes(seed), config),
        watch: Watch::default(),
        failure: None,
        caller,
        events,
        means,
        tell,
    };
    let mut open = None;
    loop {
        match follow.next() {
            Action::Connect { .. } => open = follow.connect(config.first_byte).await,
            Action::Read { until } => match &mut open {
                Some(response) => follow.read(response, until).await,
                None => follow.broke(),
            },
            Action::Poll(call) => {
                open = None;
                follow.poll(call).await;
            }
            Action::Wait { until } => {
                open = None;
                means.sleep.sleep(follow.left(until)).await;
            }
            Action::Over(over) => return follow.end(over),
            other => unreachable!("{other:?} is of a later reader"),
        }
    }
}

struct Follow<'a> {
    follower: Follower,
    watch: Watch,
    /// What the last call that failed failed with.
    failure: Option<CallError>,
    caller: &'a Caller,
    events: Events<'a>,
    means: &'a Means,
    tell: &'a mut (dyn FnMut(&Told<'_>) + Send),
}

impl Follow<'_> {
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Follower, Moment, &mut (dyn FnMut(Told<'_>) + Send)) -> T,
    ) -> T {
        let now = Moment::now(&*self.means.clock);
        let (watch, tell) = (&mut self.watch, &mut *self.tell);
        step(&mut self.follower, now, &mut |told| {
            if let Told::Event(seen) = &told {
                watch.note(seen.kind, seen.data);
            }
            tell(&told);
        })
    }

    fn next(&mut self) -> Action {
        self.step(Follower::next)
    }

    fn broke(&mut self) {
        self.step(Follower::broke);
    }

    fn left(&self, until: Duration) -> Duration {
        until.saturating_sub(self.means.clock.monotonic())
    }

    async fn connect(&mut self, patience: Duration) -> Option<Response> {
        let last = self.follower.last();
        let opening = tokio::select! {
            opening = self.caller.stream(self.events.stream, last) => opening,
            () = self.means.sleep.sleep(patience) => {
                self.broke();
                return None;
            }
        };
        let answer = match &opening {
            // Signed anew for each attempt: there is no token that could be over.
            Ok(response) if response.status() == 204 => Answer::status(204),
            Ok(_) => Answer::stream(),
            Err(error) => match refused(error) {
                Some(answer) => answer,
                None => {
                    self.failure = opening.err();
                    self.broke();
                    return None;
                }
            },
        };
        self.step(|follower, now, tell| follower.opened(now, answer, tell));
        match opening {
            Ok(response) => Some(response),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    async fn read(&mut self, response: &mut Response, until: Duration) {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk,
            // What is to be done then is for the follower to say.
            () = self.means.sleep.sleep(self.left(until)) => return,
        };
        match chunk {
            Ok(Some(bytes)) => self.step(|follower, now, tell| follower.bytes(now, &bytes, tell)),
            Ok(None) | Err(_) => self.broke(),
        }
    }

    async fn poll(&mut self, call: PollCall) {
        let tag = call.if_none_match.as_deref();
        let cursor = call.cursor.as_deref();
        let asked = self
            .caller
            .page(self.events.pages, cursor, call.interval, tag)
            .await;
        let polled = match &asked {
            Ok(Page::Same) => Polled::Answer(Answer::status(304)),
            Ok(Page::News { body, etag }) => Polled::Page {
                body,
                etag: etag.as_deref(),
                date: None,
            },
            Err(error) => refused(error).map_or(Polled::Broken, Polled::Answer),
        };
        self.step(|follower, now, tell| follower.polled(now, polled, tell));
        if let Err(error) = asked {
            self.failure = Some(error);
        }
    }

    fn end(self, over: Over) -> Result<Outcome, FollowError> {
        match (over, self.failure) {
            (Over::Closed, _) => self.watch.outcome().ok_or(FollowError::NoEnd),
            (Over::Refused(_) | Over::Unauthorized, Some(failure)) => {
                Err(FollowError::Refused(failure))
            }
            (_, failure) => Err(FollowError::Lost(failure)),
        }
    }
}

fn refused(error: &CallError) -> Option<Answer> {
    match error {
        CallError::Refused(refusal) => {
            Some(Answer::status(refusal.status).retry_after(refusal.retry_after))
        }
        // Not an event stream: somebody on the way answered.
        CallError::Answer(_) => Some(Answer::status(200)),
        _ => None,
    }
}
