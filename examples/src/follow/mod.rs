//! Follows a build's event stream to its end, across dropped connections (wire.md §7).
//!
//! 1. Each seq is told once, in order: what was told before, or is of another session, is dropped,
//!    and a gap ends the connection so that the next one brings what was left out.
//! 2. A connection that breaks, or is silent for 37 s, is opened again after the last seq, with
//!    full jitter from 1 s to 30 s; after 5 attempts in a row without news it is given up.
//! 3. `closed` and 204 end it for good, and so does a refusal that waiting does not mend.

mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use sheen_core::entropy::Entropy;
use sheen_core::runtime::Sleep;

use crate::call::{CallError, Caller};
use crate::sse::{Item, Parser};
pub use state::{Outcome, Told};
use state::{Reader, Step};

/// No bytes for this long: a worker sends at least a comment every 15 s.
pub const SILENCE: Duration = Duration::from_secs(37);
/// Attempts in a row without news before it is given up.
pub const MAX_TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why following ended before the build's end was heard of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The worker refused the stream.
    #[error("the event stream was refused")]
    Refused(#[source] CallError),
    /// It broke too often.
    #[error("the event stream broke {MAX_TRIES} times in a row")]
    Lost(#[source] Option<CallError>),
    /// It ended without the event that ends a build.
    #[error("the event stream ended before the build did")]
    NoEnd,
}

/// Waiting and randomness, to be replaced by tests.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "wiring: a new part must be noticed"
)]
pub struct Means {
    /// Waits between attempts and for silence.
    pub sleep: Arc<dyn Sleep>,
    /// Spreads the attempts.
    pub entropy: Arc<dyn Entropy>,
}

/// How one connection ended.
enum Connection {
    /// For good.
    Over,
    /// It may be opened again.
    Broken,
}

/// Follows the stream at `reference` of the session `session`, giving `tell` every event and every
/// new attempt, and says how the build ended.
///
/// # Errors
/// When the stream is refused, broke too often, or ended without saying how the build did.
pub async fn follow(
    caller: &Caller,
    reference: &str,
    session: &str,
    means: &Means,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<Outcome, FollowError> {
    let mut reader = Reader::new(session);
    let mut tries = 0;
    loop {
        let last = reader.last();
        let mut failure = None;
        let mut wait = None;
        match caller.stream(reference, last).await {
            Ok(response) if response.status() == 204 => return reader.outcome(),
            Ok(response) => match listen(response, &mut reader, means, tell).await {
                Connection::Over => return reader.outcome(),
                Connection::Broken => {}
            },
            Err(CallError::Refused(refusal)) if may_pass(refusal.status) => {
                wait = refusal.retry_after;
                failure = Some(CallError::Refused(refusal));
            }
            Err(error @ CallError::Http { .. }) => failure = Some(error),
            Err(error) => return Err(FollowError::Refused(error)),
        }
        if reader.last() > last {
            tries = 0;
        }
        if tries == MAX_TRIES {
            return Err(FollowError::Lost(failure));
        }
        let wait = wait.unwrap_or_else(|| jittered(tries, reader.retry(), &*means.entropy));
        tries += 1;
        tell(Told::Reconnecting {
            attempt: tries,
            wait,
        });
        means.sleep.sleep(wait).await;
    }
}

/// Whether the same call may be answered otherwise later.
fn may_pass(status: u16) -> bool {
    status == 429 || status >= 500
}

async fn listen(
    mut response: Response,
    reader: &mut Reader,
    means: &Means,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Connection {
    let mut parser = Parser::new();
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk,
            () = means.sleep.sleep(SILENCE) => return Connection::Broken,
        };
        let Ok(Some(bytes)) = chunk else {
            return Connection::Broken;
        };
        let Ok(items) = parser.push(&bytes) else {
            return Connection::Broken;
        };
        for item in items {
            let event = match item {
                Item::Event(event) => event,
                Item::Retry(wait) => {
                    reader.set_retry(wait);
                    continue;
                }
            };
            match reader.take(&event.kind, &event.data, tell) {
                Step::Next => {}
                Step::Over => return Connection::Over,
                Step::Reconnect => return Connection::Broken,
            }
        }
    }
}

/// A wait between nothing and `first`, doubled by every try up to [`LONGEST_WAIT`]: the jitter
/// comes after the cap, so that late attempts are spread too (failures/events.md F4).
fn jittered(tries: u32, first: Option<Duration>, entropy: &dyn Entropy) -> Duration {
    let first = first.unwrap_or(FIRST_WAIT);
    let longest = LONGEST_WAIT.max(first);
    let cap = first
        .saturating_mul(2_u32.saturating_pow(tries))
        .min(longest);
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    cap.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
