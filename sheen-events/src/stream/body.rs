//! A stream as a `futures_core::Stream`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use sheen_core::runtime::BoxFuture;

use super::types::{Abort, Ended};
use super::viewer::{Turn, Viewer};

/// The bytes of one viewer's stream, in chunks of whole frames. Each chunk is made when it is
/// asked for: a slow viewer holds one page of events and no more. Dropping it frees all it holds.
pub struct EventStream {
    step: Step,
    ended: Option<Ended>,
}

enum Step {
    Running(Box<Viewer>),
    /// An error follows, but a server drops with it what it has not yet written.
    Lingering(BoxFuture<'static, ()>, Ended),
    Done,
}

impl EventStream {
    pub(super) fn new(viewer: Viewer) -> Self {
        Self {
            step: Step::Running(Box::new(viewer)),
            ended: None,
        }
    }

    /// How the stream ended; `None` while it has not.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    fn end(&mut self, ended: Ended) {
        self.step = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Running(viewer) if viewer.aborts(ended) => {
                Step::Lingering(viewer.linger(), ended)
            }
            _ => Step::Done,
        };
        if matches!(self.step, Step::Done) {
            self.ended = Some(ended);
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, Abort>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.step {
                Step::Done => return Poll::Ready(None),
                Step::Running(viewer) => match ready!(viewer.poll_turn(cx)) {
                    Turn::Frames(bytes) => return Poll::Ready(Some(Ok(bytes))),
                    Turn::End(ended) => this.end(ended),
                },
                Step::Lingering(linger, ended) => {
                    ready!(linger.as_mut().poll(cx));
                    let ended = *ended;
                    this.step = Step::Done;
                    this.ended = Some(ended);
                    return Poll::Ready(Some(Err(Abort::new(ended))));
                }
            }
        }
    }
}
