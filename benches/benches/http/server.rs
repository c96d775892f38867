//! Serving a worker or a peer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use sheen_axum::serve::{Server, tcp};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A server's runtime: one thread, so one core.
pub(crate) fn one_core() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn bound(runtime: &Runtime) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0");
    let listener = runtime.block_on(listener).expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Serves `router` on `runtime` until that ends, as a worker is served.
#[allow(dead_code, reason = "some benchmarks ask")]
pub(crate) fn serve_worker(runtime: &Runtime, router: Router) -> SocketAddr {
    let (listener, address) = bound(runtime);
    let server = Server::new(tcp(listener, Duration::from_secs(30)), router);
    runtime.spawn(server.run_until(std::future::pending()));
    address
}

/// Serves `router` on `runtime` until that ends, as axum does it.
pub(crate) fn serve(runtime: &Runtime, router: Router) -> SocketAddr {
    let (listener, address) = bound(runtime);
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP_NODELAY"));
    let routes = router.into_make_service();
    runtime.spawn(async move { axum::serve(listener, routes).await });
    address
}
