//! What was measured, and what it says of the next time. Pure.

use std::time::Duration;

use sheen_core::id::OperationId;
use sheen_core::seconds::Seconds;

use super::{Confidence, Estimate, OperationType, ProjectSize, estimate};

/// One operation that was done: what it was estimated at, and what it used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// What was measured, so that it counts once.
    pub id: OperationId,
    /// What was done.
    pub operation: OperationType,
    /// On how big a project.
    pub size: ProjectSize,
    /// What it had been estimated at.
    pub estimated: Seconds,
    /// What it used.
    pub used: Seconds,
}

impl Sample {
    /// A measured operation.
    #[must_use]
    pub const fn new(
        id: OperationId,
        operation: OperationType,
        size: ProjectSize,
        estimated: Seconds,
        used: Seconds,
    ) -> Self {
        Self {
            id,
            operation,
            size,
            estimated,
            used,
        }
    }
}

/// How many of a hundred uses an estimate should cover: 1 to 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// Three in four.
    pub const P75: Self = Self(75);

    /// `percent` of a hundred; `None` of none, of all and of more.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=99 => Some(Self(percent)),
            _ => None,
        }
    }

    /// How many of a hundred.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How estimates are made of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EstimateSettings {
    /// How many uses of a hundred stay within their estimate.
    pub covers: Percent,
    /// The most that any estimate says, whatever was measured.
    pub cap: Seconds,
    /// For how long samples that were read are relied on.
    pub fresh_for: Duration,
}

impl EstimateSettings {
    /// The newest samples of an operation and size that count; older ones are forgotten.
    pub const WINDOW: usize = 200;
}

impl Default for EstimateSettings {
    fn default() -> Self {
        Self {
            covers: Percent::P75,
            cap: Seconds::from_u32(1_800),
            fresh_for: Duration::from_secs(60),
        }
    }
}

/// How good estimates were, over the samples that count. Of a calibrated estimator `covered` is
/// near [`EstimateSettings::covers`] of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Calibration {
    /// Over how many samples.
    pub samples: u64,
    /// How many of them used no more than was estimated.
    pub covered: u64,
    /// By how much those were estimated too high, in sum.
    pub overshoot: Seconds,
    /// By how much the others were estimated too low, in sum.
    pub undershoot: Seconds,
    /// The most that one of them was estimated too low: what a hold by estimate risks.
    pub worst_undershoot: Seconds,
    /// How many used more than the cap, which no estimate covers.
    pub above_cap: u64,
}

impl Calibration {
    /// What `samples` say of the estimates that were made of them, with `cap` the most they could
    /// be.
    #[must_use]
    pub fn of(samples: &[Sample], cap: Seconds) -> Self {
        let mut told = Self::default();
        for sample in samples {
            let over = sample.estimated.saturating_sub(sample.used);
            let under = sample.used.saturating_sub(sample.estimated);
            told.samples += 1;
            told.covered += u64::from(under.is_zero());
            told.above_cap += u64::from(sample.used > cap);
            told.overshoot = told.overshoot.checked_add(over).unwrap_or(Seconds::MAX);
            told.undershoot = told.undershoot.checked_add(under).unwrap_or(Seconds::MAX);
            told.worst_undershoot = told.worst_undershoot.max(under);
        }
        told
    }
}

/// What `operation` on a project of `size` takes, by those of its `samples` that count: the newest
/// [`EstimateSettings::WINDOW`], newest first. With too few of them, what it takes by default.
///
/// Of n samples it is the ⌈(n + 1)·q⌉-th smallest, at most the largest. If the next use is drawn
/// as they were, it stays within that with a probability of at least q, as far as n samples can
/// say (split conformal prediction: Vovk et al., Algorithmic Learning in a Random World).
#[must_use]
pub fn from_samples(
    operation: OperationType,
    size: ProjectSize,
    samples: &[Sample],
    settings: &EstimateSettings,
) -> Estimate {
    let of = |sample: &&Sample| sample.operation == operation && sample.size == size;
    let counting = samples.iter().filter(of).take(EstimateSettings::WINDOW);
    let mut used: Vec<Seconds> = counting.map(|sample| sample.used).collect();
    let count = u64::try_from(used.len()).unwrap_or(u64::MAX);
    if Confidence::from_samples(count) == Confidence::Low {
        let default = estimate(operation, size).estimated_seconds;
        return Estimate::of(default.min(settings.cap), 0);
    }
    used.sort_unstable();
    let rank = ((used.len() + 1) * usize::from(settings.covers.0)).div_ceil(100);
    let at = rank.clamp(1, used.len()) - 1;
    // What took no time was not measured: an estimate holds something.
    let seconds = used[at].max(Seconds::from_u32(1)).min(settings.cap);
    Estimate::of(seconds, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: OperationType = OperationType::MainBuild;
    const SMALL: ProjectSize = ProjectSize::Small;

    fn sample(n: u32, estimated: u32, used: u32) -> Sample {
        let id = OperationId::parse(&format!("s{n}")).unwrap();
        let [estimated, used] = [estimated, used].map(Seconds::from_u32);
        Sample::new(id, BUILD, SMALL, estimated, used)
    }

    fn estimated(samples: &[Sample]) -> Estimate {
        from_samples(BUILD, SMALL, samples, &EstimateSettings::default())
    }

    #[test]
    fn fewer_than_five_samples_say_nothing() {
        let mut samples: Vec<_> = (0..4).map(|n| sample(n, 180, 50)).collect();
        assert_eq!(estimated(&samples), estimate(BUILD, SMALL));
        samples.push(sample(4, 180, 90));
        let five = estimated(&samples);
        // ⌈6 · 0.75⌉ = 5: the largest.
        assert_eq!(five.estimated_seconds.get(), 90);
        assert_eq!(
            (five.confidence, five.based_on_samples),
            (Confidence::Medium, 5)
        );
        let other = from_samples(
            BUILD,
            ProjectSize::Large,
            &samples,
            &EstimateSettings::default(),
        );
        assert_eq!(other, estimate(BUILD, ProjectSize::Large));
    }

    #[test]
    fn the_quantile_is_the_corrected_one_and_only_the_window_counts() {
        // Newest first: 200 of 1..=200, then older ones that are far larger.
        let mut samples: Vec<_> = (1..=200).map(|n| sample(n, 1, n)).collect();
        samples.extend((1_000..1_100).map(|n| sample(n, 1, n)));
        let told = estimated(&samples);
        // ⌈201 · 0.75⌉ = 151.
        assert_eq!(told.estimated_seconds.get(), 151);
        assert_eq!(
            (told.confidence, told.based_on_samples),
            (Confidence::High, 200)
        );
        let settings = EstimateSettings {
            covers: Percent::new(99).unwrap(),
            ..EstimateSettings::default()
        };
        let cautious = from_samples(BUILD, SMALL, &samples, &settings);
        assert_eq!(cautious.estimated_seconds.get(), 199);
        for none in [0, 100, 255] {
            assert_eq!(Percent::new(none), None);
        }
    }

    /// M4: whatever was measured, one request asks for the cap at most, and for something.
    #[test]
    fn m4_an_estimate_is_capped_and_the_risk_is_told() {
        let huge: Vec<_> = (0..9).map(|n| sample(n, 1_800, u32::MAX)).collect();
        let cap = EstimateSettings::default().cap;
        assert_eq!(estimated(&huge).estimated_seconds, cap);
        let told = Calibration::of(&huge, cap);
        assert_eq!((told.samples, told.covered, told.above_cap), (9, 0, 9));
        assert_eq!(told.worst_undershoot.get(), u64::from(u32::MAX) - 1_800);
        let low = EstimateSettings {
            cap: Seconds::from_u32(100),
            ..EstimateSettings::default()
        };
        let default = from_samples(BUILD, SMALL, &[], &low);
        assert_eq!(default.estimated_seconds.get(), 100);
        let nothing: Vec<_> = (0..9).map(|n| sample(n, 1, 0)).collect();
        assert_eq!(estimated(&nothing).estimated_seconds.get(), 1);
    }

    #[test]
    fn over_and_undershoot_are_told() {
        let samples = [sample(1, 10, 4), sample(2, 10, 10), sample(3, 10, 25)];
        let told = Calibration::of(&samples, Seconds::from_u32(1_800));
        assert_eq!((told.samples, told.covered, told.above_cap), (3, 2, 0));
        assert_eq!((told.overshoot.get(), told.undershoot.get()), (6, 15));
        let most = Sample {
            estimated: Seconds::MAX,
            ..sample(4, 0, 0)
        };
        let told = Calibration::of(&[most.clone(), most], Seconds::MAX);
        assert_eq!(told.overshoot, Seconds::MAX);
    }

    /// Estimates made one after the other, each of what came before it, cover what they say: of
    /// uses in minutes with a long tail, p75 covers 72 to 80 of a hundred, p90 87 to 94.
    #[test]
    fn estimates_are_calibrated_for_what_comes_next() {
        let mut dice = 0x5EED_u64;
        let mut roll = move |below: u32| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((dice >> 33) % u64::from(below)).unwrap()
        };
        for (percent, from, to) in [(75, 72, 80), (90, 87, 94)] {
            let settings = EstimateSettings {
                covers: Percent::new(percent).unwrap(),
                ..EstimateSettings::default()
            };
            let mut newest_first: Vec<Sample> = Vec::new();
            let (mut covered, mut all) = (0, 0);
            for n in 0..5_000 {
                let used = 20 + roll(60) + roll(30) * roll(30) / 4;
                let told = from_samples(BUILD, SMALL, &newest_first, &settings);
                if told.based_on_samples > 0 {
                    all += 1;
                    covered += u32::from(u64::from(used) <= told.estimated_seconds.get());
                }
                newest_first.insert(0, sample(n, 0, used));
                newest_first.truncate(EstimateSettings::WINDOW);
            }
            let of_hundred = covered * 100 / all;
            assert!(
                (from..=to).contains(&of_hundred),
                "p{percent} covered {of_hundred}"
            );
        }
    }
}
