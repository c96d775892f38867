//! Estimates.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use sheen_billing::estimate::{self, Confidence as Grade};
use sheen_core::wire::{Confidence, EstimateAnswer, EstimateRequest, OperationType, ProjectSize};

use super::answer::json;
use super::app::App;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

/// The worker's estimate in the words of the wire.
pub(super) async fn estimate_of(
    app: &App,
    call: &Call,
    request: EstimateRequest,
) -> Result<EstimateAnswer, Problem> {
    let operation = match request.operation {
        OperationType::Update => estimate::OperationType::Update,
        OperationType::MetadataGeneration => estimate::OperationType::MetadataGeneration,
        _ => estimate::OperationType::MainBuild,
    };
    let size = match request.size {
        ProjectSize::Large => estimate::ProjectSize::Large,
        ProjectSize::Medium => estimate::ProjectSize::Medium,
        _ => estimate::ProjectSize::Small,
    };
    let estimate = call
        .timing
        .store(app.worker.estimate(operation, size))
        .await?;
    Ok(EstimateAnswer {
        estimated_seconds: estimate.estimated_seconds,
        estimated_minutes: estimate.estimated_minutes,
        confidence: match estimate.confidence {
            Grade::Low => Confidence::Low,
            Grade::Medium => Confidence::Medium,
            Grade::High => Confidence::High,
        },
        based_on_samples: estimate.based_on_samples,
    })
}

pub(super) async fn estimate(
    State(app): State<Arc<App>>,
    mut call: Call,
) -> Result<Whole, Problem> {
    let request = call.read_for_nobody::<EstimateRequest>()?;
    json(StatusCode::OK, &estimate_of(&app, &call, request).await?)
}
