//! A stream as a `futures_core::Stream`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    Idle(Box<Viewer>),
    Running(BoxFuture<'static, (Box<Viewer>, Turn)>),
    /// An error follows, but a server drops with it what it has not yet written.
    Lingering(Box<Viewer>, BoxFuture<'static, ()>, Ended),
    Done,
}

impl EventStream {
    pub(super) fn new(viewer: Viewer) -> Self {
        Self {
            step: Step::Idle(Box::new(viewer)),
            ended: None,
        }
    }

    /// How the stream ended; `None` while it has not.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    fn take_turn(
        &mut self,
        viewer: Box<Viewer>,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Abort>>> {
        match turn {
            Turn::Frames(bytes) => {
                self.step = Step::Idle(viewer);
                Poll::Ready(Some(Ok(bytes)))
            }
            Turn::End(ended) if viewer.aborts(ended) => {
                let linger = viewer.linger();
                self.linger(viewer, linger, ended, cx)
            }
            Turn::End(ended) => {
                self.ended = Some(ended);
                Poll::Ready(None)
            }
        }
    }

    fn linger(
        &mut self,
        viewer: Box<Viewer>,
        mut linger: BoxFuture<'static, ()>,
        ended: Ended,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Abort>>> {
        if linger.as_mut().poll(cx).is_pending() {
            self.step = Step::Lingering(viewer, linger, ended);
            return Poll::Pending;
        }
        self.ended = Some(ended);
        Poll::Ready(Some(Err(Abort::new(ended))))
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
        let mut running = match std::mem::replace(&mut this.step, Step::Done) {
            Step::Done => return Poll::Ready(None),
            Step::Lingering(viewer, linger, ended) => {
                return this.linger(viewer, linger, ended, cx);
            }
            Step::Running(running) => running,
            // What is at hand needs no future: catching up allocates per page, not per chunk.
            Step::Idle(mut viewer) => match viewer.at_hand() {
                Some(turn) => return this.take_turn(viewer, turn, cx),
                None => Box::pin(async move {
                    let turn = viewer.turn().await;
                    (viewer, turn)
                }),
            },
        };
        match running.as_mut().poll(cx) {
            Poll::Ready((viewer, turn)) => this.take_turn(viewer, turn, cx),
            Poll::Pending => {
                this.step = Step::Running(running);
                Poll::Pending
            }
        }
    }
}
