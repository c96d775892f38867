//! `GET /metrics`: what the worker counts, as Prometheus reads it (docs/wire.md §13).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusBuilder;
use sheen_auth::signature::Gate;
use sheen_axum::signature::record_readiness;
use sheen_core::runtime::{Sleep as _, Spawn as _, TokioRuntime};
use sheen_core::time::Clock;
use sheen_events::stream::StreamService;

use crate::stores::Error;

/// Bounds of what people wait for, in seconds: from a keystroke's answer to a build's.
const WAITS: [f64; 12] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
];
/// How often what was measured is added up where nobody asks for it: it is kept one by one until then.
const ADD_UP: Duration = Duration::from_secs(5);

/// The route, and from now on what it tells.
pub(crate) fn router(
    gate: Arc<Gate>,
    streams: StreamService,
    clock: Arc<dyn Clock>,
) -> Result<Router, Error> {
    let recorder = PrometheusBuilder::new().set_buckets(&WAITS)?;
    let figures = recorder.install_recorder()?;
    let upkeep = figures.clone();
    TokioRuntime.spawn(Box::pin(async move {
        loop {
            TokioRuntime.sleep(ADD_UP).await;
            upkeep.run_upkeep();
        }
    }));
    let tell = move || {
        record_readiness(&gate, clock.now());
        let open = u32::try_from(streams.active()).unwrap_or(u32::MAX);
        gauge!("open_streams").set(open);
        let text = figures.render();
        async {
            (
                [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
                text,
            )
        }
    };
    Ok(Router::new().route("/metrics", get(tell)))
}
