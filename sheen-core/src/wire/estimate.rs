//! Estimates (wire.md §6).

use serde::{Deserialize, Serialize};

use super::fields::{FromFields, ObjectReader};
use crate::seconds::Seconds;

/// What AI time is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationType {
    /// Making a site.
    MainBuild,
    /// Describing one.
    MetadataGeneration,
    /// Changing one.
    Update,
}

/// How large a project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProjectSize {
    /// Below 10 files.
    #[default]
    Small,
    /// Below 50 files.
    Medium,
    /// 50 files and more.
    Large,
}

/// How far an estimate can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// Defaults.
    Low,
    /// From 5 samples.
    Medium,
    /// From 30 samples.
    High,
}

/// `POST /v1/estimate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EstimateRequest {
    /// For what.
    pub operation: OperationType,
    /// Of which size; small when left out.
    pub size: ProjectSize,
}

impl FromFields for EstimateRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let operation = body.one_of(
            "operationType",
            &[
                ("main_build", OperationType::MainBuild),
                ("metadata_generation", OperationType::MetadataGeneration),
                ("update", OperationType::Update),
            ],
        );
        let size = body.optional_one_of(
            "projectSize",
            &[
                ("small", ProjectSize::Small),
                ("medium", ProjectSize::Medium),
                ("large", ProjectSize::Large),
            ],
        );
        Some(Self {
            operation: operation?,
            size: size.unwrap_or_default(),
        })
    }
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct EstimateAnswer {
    /// How long it will take.
    pub estimated_seconds: Seconds,
    /// The same in minutes, rounded up.
    pub estimated_minutes: u64,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// How many runs it is made from.
    pub based_on_samples: u64,
}
