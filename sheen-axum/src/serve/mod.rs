//! Serving a router over HTTP/1.1, with bounds on what a connection may cost: how long a head may
//! take, how long a reader may take nothing, how many connections there are, how large a head is.
//!
//! A viewer who waits costs 20 KiB here, 1 KiB more where limits add their headers, and 8 KiB more
//! behind `axum::serve`, which looks for HTTP/2 first and makes hyper's buffer twice as large by it.
//! There are no upgrades: a service that has WebSockets beside the worker's routes is served by
//! `axum::serve`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use sheen_axum::serve::{Server, tcp};
//! use std::time::Duration;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let router = Router::new().route("/health", get(async || "ok"));
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let server = Server::new(tcp(listener, Duration::from_secs(30)), router);
//! let stop = async { /* SIGTERM, or whatever ends it */ };
//! server.run_until(stop).await;
//! # Ok(())
//! # }
//! ```

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::{Listener, ListenerExt as _};
use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::Service as _;

/// A server of one router on one listener. Nothing is accepted before it runs.
#[derive(Debug)]
pub struct Server<L> {
    listener: L,
    router: Router,
    head_timeout: Duration,
    max_connections: usize,
}

impl<L: Listener> Server<L> {
    /// How long a head may take when nothing else is said: 75 s. A connection that is kept open
    /// waits as long for its next request, which is longer than the proxies in front of a worker
    /// keep one they do not use (60 s in nginx), so that they end it and not this server.
    pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

    /// How many connections there are at once when nothing else is said.
    pub const MAX_CONNECTIONS: usize = 20_000;

    /// The largest head that is read, in bytes; a larger one is answered 431.
    pub const MAX_HEAD: usize = 64 * 1024;

    /// A server of `router` for what `listener` accepts, for instance [`tcp`].
    #[must_use]
    pub fn new(listener: L, router: Router) -> Self {
        Self {
            listener,
            router,
            head_timeout: Self::HEAD_TIMEOUT,
            max_connections: Self::MAX_CONNECTIONS,
        }
    }

    /// How long the head of a request may take, counted from the end of the answer before it.
    /// Whoever is slower is cut without an answer.
    #[must_use]
    pub fn head_timeout(mut self, longest: Duration) -> Self {
        self.head_timeout = longest;
        self
    }

    /// How many connections there are at once, at least one. Further ones wait in the listener's
    /// queue until one ends.
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most.max(1);
        self
    }

    /// Serves until `stop` completes. Then nothing more is accepted, connections without a request
    /// end, the others end after the answer under way, and this completes after the last of them.
    /// Streams are such answers: end them as well
    /// ([`StreamService::shutdown`](sheen_events::stream::StreamService::shutdown)).
    ///
    /// Connections that are left when the future is dropped are cut.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let Self {
            mut listener,
            router,
            head_timeout,
            max_connections,
        } = self;
        // Once, and not for each connection: what comes of it is shared.
        let router = router.with_state(());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(Self::MAX_HEAD);
        let ending = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let has_room = connections.len() < max_connections;
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (io, _) = listener.accept(), if has_room => {
                    let router = router.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        router.clone().call(request.map(Body::new))
                    });
                    let connection = http.serve_connection(TokioIo::new(io), service);
                    let connection = ending.watch(connection);
                    // Not in an async block, which would have room for it twice.
                    connections.spawn(connection.map(|ended| {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection failed");
                        }
                    }));
                }
            }
        }
        drop(listener);
        ending.shutdown().await;
    }
}

/// `listener` with what streams of small events need: no event waits for the acknowledgement of
/// the one before it (`TCP_NODELAY`), and, on Linux, a connection whose peer takes nothing of what
/// was sent for `reader_timeout` is cut (`TCP_USER_TIMEOUT`, whole milliseconds). A reader that
/// takes nothing more is gone, and only this frees its place: nothing of a stream runs while its
/// socket is full.
pub fn tcp(
    listener: TcpListener,
    reader_timeout: Duration,
) -> impl Listener<Io = TcpStream, Addr = std::net::SocketAddr> + std::fmt::Debug {
    listener.tap_io(move |stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        cut_idle_readers(stream, reader_timeout);
    })
}

#[cfg(target_os = "linux")]
fn cut_idle_readers(stream: &TcpStream, after: Duration) {
    // None of the options means «for ever» here, as 0 would.
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX).max(1);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT was refused");
    }
}

#[cfg(not(target_os = "linux"))]
fn cut_idle_readers(_: &TcpStream, _: Duration) {}
