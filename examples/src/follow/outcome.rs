//! How a build ended, as its events tell it.

use serde_json::Value;

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Well.
    Deployed {
        /// Where the result can be seen.
        preview_url: Option<String>,
        /// How long it took, in seconds.
        duration: Option<u64>,
    },
    /// Otherwise.
    Failed {
        /// `BUILD_FAILED`, `TIMED_OUT` or `CANCELLED`.
        reason: String,
        /// What went wrong, for people.
        error: String,
    },
}

/// Watches for a build's end.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<Outcome>);

impl Watch {
    pub(super) fn note(&mut self, kind: &str, data: &str) {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.0 = Some(match kind {
            "deploy_completed" => Outcome::Deployed {
                preview_url: text(&data["previewUrl"]),
                duration: data["duration"].as_u64(),
            },
            "deploy_failed" | "task_failed" => Outcome::Failed {
                reason: text(&data["reason"]).unwrap_or_default(),
                error: text(&data["error"])
                    .or_else(|| text(&data["message"]))
                    .unwrap_or_default(),
            },
            _ => return,
        });
    }

    pub(super) fn outcome(self) -> Option<Outcome> {
        self.0
    }
}
