//! Work that may take too long, break down, or be stopped.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use event_listener::Event;
use sheen_core::runtime::BoxFuture;

/// A signal that is given once and stays given.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: AtomicBool,
    event: Event,
}

impl Stop {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) async fn stopped(&self) {
        loop {
            // Listen before looking: a stop in between wakes the listener.
            let listener = self.event.listen();
            if self.is_stopped() {
                return;
            }
            listener.await;
        }
    }
}

/// How the work ended.
pub(super) enum Raced<T> {
    Done(T),
    BrokeDown,
    TooLong,
    Stopped,
}

/// The first of `work`, `limit` and `stopped`; a panic of the work is caught.
pub(super) async fn race<T>(
    mut work: BoxFuture<'_, T>,
    mut limit: BoxFuture<'_, ()>,
    mut stopped: BoxFuture<'_, ()>,
) -> Raced<T> {
    poll_fn(move |cx| {
        // After a panic the work is dropped, not polled again.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => return Poll::Ready(Raced::Done(value)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Raced::BrokeDown),
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Raced::Stopped);
        }
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Raced::TooLong);
        }
        Poll::Pending
    })
    .await
}

/// Completes with the first of both.
pub(super) async fn either(mut one: BoxFuture<'_, ()>, mut other: BoxFuture<'_, ()>) {
    poll_fn(move |cx| {
        if one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}
