//! The reader's side, without I/O: what a client of a build's events needs beside an HTTP library
//! (wire.md §7).
//!
//! 1. [`SseParser`] reads `text/event-stream` as the WHATWG says, in whatever pieces it arrives,
//!    within bounds.
//! 2. A [`Follower`] says what to do now (open the stream, ask for a page, wait) and takes what came
//!    of it. Each seq is told once, in order, whichever way it came; events of another session, or
//!    told before, are dropped.
//! 3. A jump in seq is fetched from the last one without a gap. What a worker keeps no more is told
//!    as gone, a log made anew as reset.
//! 4. A stream that breaks, or is silent for 37 s, is opened again with full jitter from 1 s to
//!    30 s. After five tries in a row, or three streams that end at once, it is polled instead, and
//!    the stream is tried again each minute or so.
//! 5. `closed` and 204 end it for good; 401 asks for one new token; other refusals that waiting
//!    does not mend end it too; 429 and 5xx are waited out.
//! 6. An event that comes over 10 s after it happened is reported.
//!
//! Nothing here reads a clock, draws a random number or opens a socket: time comes in with each
//! call, and the jitter follows from a seed.
//!
//! ```
//! use sheen_core::id::BuildSessionId;
//! use sheen_core::time::{Clock, SystemClock};
//! use sheen_events::reader::{Action, Answer, FollowConfig, Follower, Moment, Over, Told};
//!
//! let clock = SystemClock::new();
//! let now = || Moment::now(&clock);
//! let session = BuildSessionId::parse("bs_1")?;
//! let mut follower = Follower::new(session, 7, FollowConfig::default());
//! let mut seqs = Vec::new();
//! let mut tell = |told: Told<'_>| {
//!     if let Told::Event(event) = told {
//!         seqs.push(event.seq);
//!     }
//! };
//! let action = follower.next(now(), &mut tell);
//! assert_eq!(action, Action::Connect { last: None, fresh_token: false });
//! // The request is sent, and answered with a stream.
//! follower.opened(now(), Answer::stream(), &mut tell);
//! let bytes = b"id: 1\nevent: build_log\ndata: {\"seq\":1,\"buildSessionId\":\"bs_1\"}\n\n";
//! follower.bytes(now(), bytes, &mut tell);
//! assert!(matches!(follower.next(now(), &mut tell), Action::Read { .. }));
//! let bytes = b"event: closed\ndata: {\"seq\":1,\"buildSessionId\":\"bs_1\"}\n\n";
//! follower.bytes(now(), bytes, &mut tell);
//! assert_eq!(follower.next(now(), &mut tell), Action::Over(Over::Closed));
//! assert_eq!(seqs, [1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod follower;
mod pace;
mod place;
mod polling;
mod sse;
#[cfg(test)]
mod tests;
mod types;

pub use follower::Follower;
pub use sse::{SseEvent, SseItem, SseParser, SseTooLong};
pub use types::*;
