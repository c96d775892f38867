//! `Server-Timing` on every answer (wire.md §3).
//!
//! 1. `auth` is what verifying took, `store` the sum of what stores took, `total` all of it up to
//!    the answer's headers; milliseconds.
//! 2. Whoever waits for a store does so inside [`ServerTiming::store`].
//!
//! What clients say they waited goes to metrics by [`TimingMetrics`].

mod client;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Request};
use sheen_core::runtime::BoxFuture;
use sheen_core::time::Clock;
use tower::{Layer, Service};

pub use client::TimingMetrics;

/// `server-timing`.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Where a request's time went; in its extensions, shared by clones.
#[derive(Debug, Clone)]
pub struct ServerTiming(Arc<Spent>);

#[derive(Debug)]
struct Spent {
    clock: Arc<dyn Clock>,
    auth: AtomicU64,
    store: AtomicU64,
}

impl ServerTiming {
    /// Nothing spent yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Spent {
            clock,
            auth: AtomicU64::new(0),
            store: AtomicU64::new(0),
        }))
    }

    async fn measured<F: Future>(&self, part: &AtomicU64, work: F) -> F::Output {
        let started = self.0.clock.monotonic();
        let output = work.await;
        let spent = self.0.clock.monotonic().saturating_sub(started);
        part.fetch_add(micros(spent), Ordering::Relaxed);
        output
    }

    /// Counts the time of `work` as spent on authentication.
    pub async fn auth<F: Future>(&self, work: F) -> F::Output {
        self.measured(&self.0.auth, work).await
    }

    /// Counts the time of `work` as spent in stores.
    pub async fn store<F: Future>(&self, work: F) -> F::Output {
        self.measured(&self.0.store, work).await
    }

    fn header(&self, total: Duration) -> Option<HeaderValue> {
        let auth = Millis(self.0.auth.load(Ordering::Relaxed));
        let store = Millis(self.0.store.load(Ordering::Relaxed));
        let total = Millis(micros(total));
        HeaderValue::try_from(format!(
            "auth;dur={auth}, store;dur={store}, total;dur={total}"
        ))
        .ok()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds, shown as milliseconds.
struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Puts a [`ServerTiming`] into requests and its sums onto answers.
#[derive(Debug, Clone)]
pub struct ServerTimingLayer {
    clock: Arc<dyn Clock>,
}

impl ServerTimingLayer {
    /// Measures by the monotonic time of `clock`.
    #[must_use]
    pub const fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl<S> Layer<S> for ServerTimingLayer {
    type Service = ServerTimingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerTimingService {
            inner,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// See [`ServerTimingLayer`].
#[derive(Debug, Clone)]
pub struct ServerTimingService<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S> Service<Request<Body>> for ServerTimingService<S>
where
    S: Service<Request<Body>, Response = Response, Future: Send + 'static>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let timing = ServerTiming::new(Arc::clone(&self.clock));
        request.extensions_mut().insert(timing.clone());
        let started = self.clock.monotonic();
        let answering = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answering.await?;
            let total = timing.0.clock.monotonic().saturating_sub(started);
            if let Some(value) = timing.header(total) {
                answer.headers_mut().insert(SERVER_TIMING, value);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheen_core::time::{ManualClock, Timestamp};

    #[tokio::test]
    async fn parts_add_up_and_stand_in_milliseconds() {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let timing = ServerTiming::new(clock.clone());
        for _ in 0..2 {
            timing
                .store(async { clock.advance(Duration::from_millis(20)) })
                .await;
        }
        timing
            .auth(async { clock.advance(Duration::from_millis(1)) })
            .await;
        assert_eq!(
            timing.header(Duration::from_micros(41_005)).unwrap(),
            "auth;dur=1.000, store;dur=40.000, total;dur=41.005"
        );
    }
}
