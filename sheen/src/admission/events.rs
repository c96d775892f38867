//! The events that the steps themselves append: pure, so that every adapter says the same.

use serde_json::{Map, Value, json};
use sheen_core::build::{Build, FailureReason, Status};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;
use sheen_events::log::{EventType, NewEvent};

/// `build_queued`, event 1 of every build.
pub(crate) fn queued(position: u64, estimate: Seconds) -> Result<NewEvent, StoreError> {
    event(
        EventType::BUILD_QUEUED,
        json!({
            "message": format!("Your build is number {position} in the queue."),
            "queuePosition": position,
            "estimatedSeconds": estimate.get(),
        }),
    )
}

/// `build_started`, at each claim.
pub(crate) fn started() -> Result<NewEvent, StoreError> {
    event(EventType::BUILD_STARTED, json!({"message": "Your build has started."}))
}

/// `deploy_completed` or `deploy_failed`, the last event of every build.
pub(crate) fn ended(build: &Build, now: Timestamp) -> Result<NewEvent, StoreError> {
    if build.status == Status::Deployed {
        return event(
            EventType::DEPLOY_COMPLETED,
            json!({
                "message": "Your site is ready.",
                "previewUrl": build.preview_url.as_deref().unwrap_or_default(),
                "versionId": build.version.as_str(),
                "duration": now.since(build.created_at).as_secs(),
            }),
        );
    }
    let reason = build.reason.unwrap_or(FailureReason::BuildFailed);
    event(
        EventType::DEPLOY_FAILED,
        json!({
            "message": message_of(reason),
            "reason": reason.as_str(),
            "error": build.error.as_deref().unwrap_or(message_of(reason)),
        }),
    )
}

const fn message_of(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::TimedOut => "The build took too long and was stopped.",
        FailureReason::Cancelled => "The build was cancelled.",
        _ => "The build failed.",
    }
}

fn event(kind: EventType, data: Value) -> Result<NewEvent, StoreError> {
    let data: Map<String, Value> = match data {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    NewEvent::new(kind, &data)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}
