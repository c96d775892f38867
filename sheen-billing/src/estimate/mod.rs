//! How many AI seconds an operation will take (wire.md §6).
//!
//! 1. An estimate depends on the operation and the size of the project. Both are closed sets, so
//!    one request can never hold more than the table's largest figure.
//! 2. Size is counted in files: small below 10, medium below 50, else large; small when unknown.
//! 3. Minutes round up, once, from the whole estimate.
//! 4. Confidence comes from the number of measured samples of that operation and size: high from
//!    30, medium from 5, else low, and then the seconds are the table's defaults, of 0 samples.
//! 5. From 5 samples on it is the sample that the next use stays within three times in four
//!    ([`Percent::P75`] unless chosen otherwise), with the correction for few samples that makes it
//!    hold for those to come; how far earlier estimates were over and under is
//!    [told](Estimator::calibration).
//! 6. No estimate is above [`EstimateSettings::cap`], so that one request cannot pin a balance.
//!
//! ```
//! use sheen_billing::estimate::{Confidence, OperationType, ProjectSize, estimate};
//!
//! let main = estimate(OperationType::MainBuild, ProjectSize::of_files(12));
//! assert_eq!(main.estimated_seconds.get(), 300);
//! assert_eq!(main.confidence, Confidence::Low);
//! assert_eq!(
//!     serde_json::to_string(&main)?,
//!     r#"{"estimatedSeconds":300,"estimatedMinutes":5,"confidence":"low","basedOnSamples":0}"#,
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod samples;
mod service;
mod store;

use serde::{Deserialize, Serialize};
use sheen_core::seconds::Seconds;

pub use memory::MemorySampleStore;
#[cfg(feature = "postgres")]
pub use postgres::PgSampleStore;
pub use samples::{Calibration, EstimateSettings, Percent, Sample, from_samples};
pub use service::Estimator;
pub use store::{RecordOutcome, SampleStore};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationType {
    /// Building a new site.
    MainBuild,
    /// Writing titles, descriptions and the like.
    MetadataGeneration,
    /// Changing a site that exists.
    Update,
}

impl OperationType {
    /// Every operation, in the order of the wire.
    pub const ALL: [Self; 3] = [Self::MainBuild, Self::MetadataGeneration, Self::Update];

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MainBuild => "main_build",
            Self::MetadataGeneration => "metadata_generation",
            Self::Update => "update",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// How big a project is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire's three sizes")]
pub enum ProjectSize {
    /// Below 10 files, or not known.
    #[default]
    Small,
    /// Below 50 files.
    Medium,
    /// 50 files and more.
    Large,
}

impl ProjectSize {
    /// Every size, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The size of a project of `files` files.
    #[must_use]
    pub const fn of_files(files: usize) -> Self {
        match files {
            0..10 => Self::Small,
            10..50 => Self::Medium,
            _ => Self::Large,
        }
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The size of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// How far an estimate can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire's three grades")]
pub enum Confidence {
    /// By default, fewer than 5 samples.
    Low,
    /// From 5 samples on.
    Medium,
    /// From 30 samples on.
    High,
}

impl Confidence {
    /// The confidence that `samples` samples give.
    #[must_use]
    pub const fn from_samples(samples: u64) -> Self {
        match samples {
            0..5 => Self::Low,
            5..30 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// An estimate as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Estimate {
    /// How many seconds.
    pub estimated_seconds: Seconds,
    /// The same in minutes, rounded up.
    pub estimated_minutes: u64,
    /// How far it can be relied on.
    pub confidence: Confidence,
    /// From how many samples it was made.
    pub based_on_samples: u64,
}

impl Estimate {
    const fn of(seconds: Seconds, samples: u64) -> Self {
        Self {
            estimated_seconds: seconds,
            estimated_minutes: seconds.minutes_up(),
            confidence: Confidence::from_samples(samples),
            based_on_samples: samples,
        }
    }
}

/// What `operation` on a project of `size` takes by default.
#[must_use]
pub const fn estimate(operation: OperationType, size: ProjectSize) -> Estimate {
    let [small, medium, large] = match operation {
        OperationType::MainBuild => [180, 300, 600],
        OperationType::MetadataGeneration => [20, 30, 45],
        OperationType::Update => [60, 120, 240],
    };
    let seconds = Seconds::from_u32(match size {
        ProjectSize::Small => small,
        ProjectSize::Medium => medium,
        ProjectSize::Large => large,
    });
    Estimate::of(seconds, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_wire() {
        let table = OperationType::ALL
            .map(|op| ProjectSize::ALL.map(|size| estimate(op, size).estimated_seconds.get()));
        assert_eq!(table, [[180, 300, 600], [20, 30, 45], [60, 120, 240]]);
    }

    #[test]
    fn m2_minutes_round_up_once_and_cover_the_seconds() {
        for op in OperationType::ALL {
            for size in ProjectSize::ALL {
                let it = estimate(op, size);
                let seconds = it.estimated_seconds.get();
                assert!(it.estimated_minutes * 60 >= seconds);
                assert!(it.estimated_minutes * 60 < seconds + 60);
            }
        }
        let metadata = estimate(OperationType::MetadataGeneration, ProjectSize::Small);
        assert_eq!(metadata.estimated_minutes, 1);
    }

    #[test]
    fn m3_an_unknown_operation_or_size_has_no_estimate() {
        for text in ["", "MAIN_BUILD", "main build", "chat", "-1"] {
            assert_eq!(OperationType::parse(text), None);
            assert_eq!(ProjectSize::parse(text), None);
            let json = serde_json::Value::from(text);
            assert!(serde_json::from_value::<OperationType>(json.clone()).is_err());
            assert!(serde_json::from_value::<ProjectSize>(json).is_err());
        }
        for op in OperationType::ALL {
            assert_eq!(OperationType::parse(op.as_str()), Some(op));
            assert_eq!(serde_json::to_value(op).unwrap(), op.as_str());
        }
        for size in ProjectSize::ALL {
            assert_eq!(ProjectSize::parse(size.as_str()), Some(size));
            assert_eq!(serde_json::to_value(size).unwrap(), size.as_str());
        }
    }

    #[test]
    fn m4_no_request_can_ask_for_more_than_the_table_holds() {
        for files in [0, 9, 10, 49, 50, 1_000_000, usize::MAX] {
            for op in OperationType::ALL {
                let size = ProjectSize::of_files(files);
                assert!(estimate(op, size).estimated_seconds.get() <= 600);
            }
        }
    }

    #[test]
    fn sizes_and_confidences_change_at_the_wire_s_figures() {
        let sizes = [0, 9, 10, 49, 50].map(ProjectSize::of_files);
        use ProjectSize::{Large, Medium, Small};
        assert_eq!(sizes, [Small, Small, Medium, Medium, Large]);
        assert_eq!(ProjectSize::default(), Small);
        let grades = [0, 4, 5, 29, 30, u64::MAX].map(Confidence::from_samples);
        use Confidence as C;
        assert_eq!(
            grades,
            [C::Low, C::Low, C::Medium, C::Medium, C::High, C::High]
        );
    }
}
