//! Whichever of two futures is first.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

pub(crate) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Runs both until one completes; the left one where both have.
pub(crate) async fn race<A, B>(mut left: A, mut right: B) -> Either<A::Output, B::Output>
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    poll_fn(|cx| {
        if let Poll::Ready(done) = Pin::new(&mut left).poll(cx) {
            return Poll::Ready(Either::Left(done));
        }
        Pin::new(&mut right).poll(cx).map(Either::Right)
    })
    .await
}
