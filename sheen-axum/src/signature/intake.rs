//! What bodies of callers who are not known yet may hold.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use sheen_core::runtime::Sleep;

use super::body::BodyRefusal;

/// Bounds the bodies whose signatures are not verified yet: anybody can send one.
///
/// One intake is for all layers of a server. A body over what is left is refused as `RATE_LIMITED`,
/// one that takes too long as incomplete; both close their connection. A body counts with the bytes
/// that came, until its call was let in or refused; copying it may need twice as many.
#[derive(Clone)]
pub struct Intake {
    bytes: Arc<AtomicUsize>,
    most: usize,
    patience: Duration,
    sleep: Arc<dyn Sleep>,
}

impl Intake {
    /// So many bytes are held in all, unless another bound is set: 256 MiB.
    pub const MOST: usize = 256 * 1024 * 1024;
    /// So long a body may take from its head to its end, unless another bound is set: 30 s, twice
    /// what a client waits (wire.md §3).
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// The usual bounds.
    #[must_use]
    pub fn new(sleep: Arc<dyn Sleep>) -> Self {
        Self {
            bytes: Arc::default(),
            most: Self::MOST,
            patience: Self::PATIENCE,
            sleep,
        }
    }

    /// The same with at most `most` bytes in all.
    #[must_use]
    pub const fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The same with `patience` for each body.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn held(&self) -> Held {
        Held {
            intake: self.clone(),
            bytes: 0,
        }
    }

    /// `taking`, unless it takes too long.
    pub(super) async fn in_time(
        &self,
        taking: impl Future<Output = Result<Bytes, BodyRefusal>>,
    ) -> Result<Bytes, BodyRefusal> {
        let taking = std::pin::pin!(taking);
        match select(taking, self.sleep.sleep(self.patience)).await {
            Either::Left((taken, _)) => taken,
            Either::Right(_) => Err(BodyRefusal::Late),
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("bytes", &self.bytes)
            .field("most", &self.most)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// What one body holds, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    intake: Intake,
    bytes: usize,
}

impl Held {
    /// Holds so many bytes more, if there is room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let before = self.intake.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= self.intake.most
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.intake.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::body::{Keep, take};
    use axum::body::Body;
    use futures_util::stream;
    use http::HeaderMap;
    use sheen_core::runtime::BoxFuture;

    /// Every sleep is over when it is looked at.
    struct Over;

    impl fmt::Debug for Over {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Over")
        }
    }

    impl Sleep for Over {
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    fn pieces(count: usize) -> Body {
        let pieces = (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789")));
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound_and_give_back_what_they_held() {
        let intake = Intake::new(Arc::new(Over)).most(50);
        let none = HeaderMap::new();
        let mut first = intake.held();
        let taken = take(&none, pieces(3), 100, Keep::All, Some(&mut first)).await;
        assert_eq!(taken.unwrap().len(), 30);
        let mut second = intake.held();
        let refused = take(&none, pieces(3), 100, Keep::All, Some(&mut second)).await;
        assert!(matches!(refused, Err(BodyRefusal::Crowded)));
        drop(second);
        let mut third = intake.held();
        // What is dropped anyway is held by nobody.
        let counted = take(&none, pieces(9), 100, Keep::Nothing, Some(&mut third)).await;
        assert!(counted.unwrap().is_empty());
        drop(first);
        let taken = take(&none, pieces(5), 100, Keep::All, Some(&mut third)).await;
        assert_eq!(taken.unwrap().len(), 50);
        drop(third);
        assert_eq!(intake.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_not_waited_for() {
        let intake = Intake::new(Arc::new(Over));
        let none = HeaderMap::new();
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let taking = take(&none, endless, 100, Keep::All, None);
        let late = intake.in_time(taking).await;
        assert!(matches!(late, Err(BodyRefusal::Late)));
        // What is there is there, however short the patience.
        let taken = intake.in_time(take(&none, pieces(1), 100, Keep::All, None));
        assert_eq!(taken.await.unwrap().len(), 10);
    }
}
