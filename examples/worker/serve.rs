//! Serving until SIGTERM or Ctrl-C, and stopping in good order within 5 s.

use std::io;
use std::pin::pin;
use std::time::Duration;

use sheen_axum::serve::{Server, tcp};
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
    let listener = tcp(listener, Duration::from_secs(reader_timeout.get()));
    let (stopped, stop) = oneshot::channel::<()>();
    let server = Server::new(listener, wired.router.clone()).run_until(async {
        // A dropped sender stops the server as well.
        let _ = stop.await;
    });
    let mut server = pin!(server);
    tokio::select! {
        () = &mut server => return Ok(()),
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
        () = server => {}
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
