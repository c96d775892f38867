//! How long people waited, as their clients say.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use sheen_core::wire::TimingRequest;
use sheen_events::timing::{Metric, Timing};

use super::app::App;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

pub(super) async fn report(State(app): State<Arc<App>>, mut call: Call) -> Result<Whole, Problem> {
    let (_, request) = call.read::<TimingRequest>()?;
    let out_of_range = |name, message: String| Problem::field(name, "out_of_range", message);
    let metric = Metric::from_name(request.metric)
        .ok_or_else(|| out_of_range("metric", "must be a known metric".to_owned()))?;
    let waited = Duration::from_millis(request.milliseconds);
    let timing = Timing::reported(request.session, metric, waited)
        .map_err(|error| out_of_range("milliseconds", error.to_string()))?;
    app.timings.record(&timing);
    Whole::new(StatusCode::NO_CONTENT, HeaderMap::new(), Vec::new())
}
