//! Serving until SIGTERM or Ctrl-C, and stopping in good order within 5 s.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use rustix::net::sockopt::set_tcp_user_timeout;
use sheen_core::runtime::{Sleep as _, TokioRuntime};
use sheen_core::seconds::Seconds;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::wiring::Wired;

/// The longest that answers under way may take once everything else has stopped; a stream has 2 s for
/// its last page.
const LAST_ANSWERS: Duration = Duration::from_millis(2_500);

/// Serves until told to stop: running builds end as `CANCELLED`, readers hear of it, streams end,
/// answers under way are finished.
///
/// A connection whose peer takes nothing of what is sent for `reader_timeout` is cut.
pub(crate) async fn until_told_to_stop(
    listener: TcpListener,
    wired: &Wired,
    reader_timeout: Seconds,
) -> io::Result<()> {
    let patience = reader_timeout.get().saturating_mul(1000);
    let patience = u32::try_from(patience).unwrap_or(u32::MAX);
    // A small event must not wait for the acknowledgement of the one before it.
    let listener = listener.tap_io(move |stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        // A reader that takes nothing more is gone, and its place with it: nothing of a stream runs
        // while its socket is full.
        if let Err(error) = set_tcp_user_timeout(&*stream, patience) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT was refused");
        }
    });
    let (stopped, stop) = oneshot::channel::<()>();
    // A router itself would be copied whole for each connection: 22 KB a viewer.
    let routes = wired.router.clone().into_make_service();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async {
        // A dropped sender stops the server as well.
        let _ = stop.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended,
        told = told_to_stop() => told?,
    }
    tracing::info!("stopping");
    // What either fails is told to streams before they end.
    let (builds, recommendations) = tokio::join!(
        wired.runner.shutdown(),
        wired.recommender.shutdown(LAST_ANSWERS)
    );
    if !builds {
        tracing::warn!("a builder did not stop in time");
    }
    if !recommendations {
        tracing::warn!("recommendations did not stop in time");
    }
    wired.streams.shutdown();
    // The server is gone already if nobody listens.
    let _ = stopped.send(());
    let limit = TokioRuntime.sleep(LAST_ANSWERS);
    tokio::select! {
        ended = server => ended?,
        () = limit => tracing::info!("connections that were still open are cut"),
    }
    Ok(())
}

async fn told_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended,
        _ = terminate.recv() => Ok(()),
    }
}
