//! A stream ends when its viewer's tokens are taken back (wire.md §2).
//!
//! 1. Before anything of an open stream is written, a keep-alive included, the viewer's epoch is
//!    asked for, once a second at most; [`Revocations`] answers from its cache for a few seconds.
//! 2. Who was taken back gets nothing more: a native `EventSource` the end of the stream, others a
//!    broken connection, so that both come back and are refused (401 `TOKEN_INVALID`).
//! 3. A store that fails lets nobody on.
//!
//! Connecting is judged by [`Viewers::revoked_by`](crate::signature::Viewers::revoked_by).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use sheen_auth::token::Viewer;
use sheen_auth::token::revocation::Revocations;
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Clock;

/// How long an answer of the cache is not asked for again.
const EVERY: Duration = Duration::from_secs(1);

/// The end of a stream whose viewer's token was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the viewer's token was taken back")]
pub(crate) struct TakenBack;

/// A stream that is written while its viewer's token stands.
pub(crate) struct Watched<S: Stream> {
    inner: Pin<Box<S>>,
    revocations: Arc<Revocations>,
    viewer: Viewer,
    clock: Arc<dyn Clock>,
    /// Monotonic.
    asked_at: Duration,
    held: Option<S::Item>,
    asking: Option<BoxFuture<'static, bool>>,
    /// Whether the end is an error: readers from before this worker come back only after one.
    breaks: bool,
    is_over: bool,
}

impl<S: Stream> Watched<S> {
    /// `inner` for `viewer`, whose token was just judged.
    pub(crate) fn new(
        inner: S,
        revocations: Arc<Revocations>,
        viewer: Viewer,
        clock: Arc<dyn Clock>,
        breaks: bool,
    ) -> Self {
        Self {
            inner: Box::pin(inner),
            asked_at: clock.monotonic(),
            revocations,
            viewer,
            clock,
            held: None,
            asking: None,
            breaks,
            is_over: false,
        }
    }

    fn ask(&mut self) {
        self.asked_at = self.clock.monotonic();
        let (revocations, viewer) = (Arc::clone(&self.revocations), self.viewer.clone());
        self.asking = Some(Box::pin(async move {
            match revocations.is_revoked(&viewer).await {
                Ok(revoked) => revoked,
                Err(error) => {
                    tracing::warn!(%error, "the store of epochs failed: a stream ends");
                    true
                }
            }
        }));
    }
}

impl<S, T, E> Stream for Watched<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Unpin,
    E: Into<axum::BoxError> + Unpin,
{
    type Item = Result<T, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            if let Some(asking) = &mut this.asking {
                let Poll::Ready(revoked) = asking.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                this.asking = None;
                if revoked {
                    this.held = None;
                    this.is_over = true;
                    return Poll::Ready(this.breaks.then(|| Err(TakenBack.into())));
                }
            }
            if let Some(held) = this.held.take() {
                return Poll::Ready(Some(held.map_err(Into::into)));
            }
            match this.inner.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => this.held = Some(item),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
            if this.clock.monotonic().saturating_sub(this.asked_at) >= EVERY {
                this.ask();
            }
        }
    }
}

impl<S: Stream> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
