//! Random operations on the store under test and on the memory store: the same answers.

use std::sync::Arc;

use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::time::{ManualClock, Timestamp};

use super::*;
use crate::recommend::memory::MemoryRecommendStore;
use crate::recommend::types::Step;

struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: u8) -> u8 {
        let mut byte = [0];
        self.0.fill(&mut byte);
        byte[0] % sides
    }
}

/// Everything but instants: the clocks of two stores do not begin at the same time.
fn timeless(mut record: Record) -> Record {
    record.requested_at = Timestamp::EPOCH;
    record.started_at = record.started_at.map(|_| Timestamp::EPOCH);
    record.ended_at = record.ended_at.map(|_| Timestamp::EPOCH);
    record
}

fn plain_request(outcome: RequestOutcome) -> RequestOutcome {
    match outcome {
        RequestOutcome::NotOwner => RequestOutcome::NotOwner,
        RequestOutcome::Known(record) => RequestOutcome::Known(timeless(record)),
        RequestOutcome::Taken(record) => RequestOutcome::Taken(timeless(record)),
    }
}

fn plain_settle(outcome: SettleOutcome) -> SettleOutcome {
    match outcome {
        SettleOutcome::NotFound => SettleOutcome::NotFound,
        SettleOutcome::Unchanged(record) => SettleOutcome::Unchanged(timeless(record)),
        SettleOutcome::Settled(record) => SettleOutcome::Settled(timeless(record)),
    }
}

/// 500 random steps over four sessions of two projects, with a clock that moves in whole seconds.
pub async fn model_random_operations_equal_those_of_the_memory_store(h: RecommendHarness) {
    let dice = Dice(SeededEntropy::new(9));
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let model = MemoryRecommendStore::new(clock.clone(), LIMITS, 1000);
    let mut works: Vec<Record> = Vec::new();
    for step in 0..500 {
        let project = ["p", "q"][usize::from(dice.roll(2))];
        let session = format!("s{}", dice.roll(4));
        let at = format!("step {step}");
        match dice.roll(16) {
            0..=2 => {
                let pause = SECOND * [1, 7, 26, 90, 301][usize::from(dice.roll(5))];
                clock.advance(pause);
                h.advance.by(pause).await;
            }
            3..=6 => {
                let user = ["ann", "ann", "ann", "eve"][usize::from(dice.roll(4))];
                let new = wish(user, project, &session);
                let expected = model.request(new.clone()).await.unwrap();
                let got = h.store.request(new).await.unwrap();
                assert_eq!(plain_request(got), plain_request(expected), "{at}");
            }
            7..=9 => {
                let expected = model.claim().await.unwrap();
                let got = h.queue.claim().await.unwrap();
                match (got, expected) {
                    (ClaimOutcome::Claimed(got), ClaimOutcome::Claimed(expected)) => {
                        assert_eq!(timeless(got.clone()), timeless(expected), "{at}");
                        works.push(got);
                    }
                    (got, expected) => assert_eq!(got, expected, "{at}"),
                }
            }
            10 | 11 if !works.is_empty() => {
                let last = works.len() - 1;
                let work = works[usize::from(dice.roll(3)).min(last)].clone();
                let result = match dice.roll(2) {
                    0 => Ok(items(&["a", "b"])),
                    _ => Err(Arc::from("it failed")),
                };
                let expected = model
                    .settle(&work.key(), work.attempt, result.clone())
                    .await;
                let got = h.queue.settle(&work.key(), work.attempt, result).await;
                let (got, expected) = (got.unwrap(), expected.unwrap());
                assert_eq!(plain_settle(got), plain_settle(expected), "{at}");
                works.retain(|it| it.attempt != work.attempt || it.key() != work.key());
            }
            12 => {
                let key = key(project, &session);
                let expected = model.build_ended(&key).await.unwrap();
                let got = h.store.build_ended(&key).await.unwrap();
                assert_eq!(got.map(timeless), expected.map(timeless), "{at}");
            }
            13 => {
                let user = UserId::parse("ann").unwrap();
                let key = key(project, &session);
                let session = (dice.roll(2) == 0).then_some(&key.session);
                let expected = model.read(&user, &key.project, session).await.unwrap();
                let got = h.store.read(&user, &key.project, session).await.unwrap();
                assert_eq!(got.map(timeless), expected.map(timeless), "{at}");
            }
            _ => same_due(&h, &model, &dice, &at).await,
        }
    }
}

async fn same_due(h: &RecommendHarness, model: &MemoryRecommendStore, dice: &Dice, at: &str) {
    let limit = u32::from(dice.roll(6));
    let expected = model.due(limit).await.unwrap();
    let got = h.queue.due(limit).await.unwrap();
    let plain = |due: &[crate::recommend::types::Due]| -> Vec<(Record, Step)> {
        let each = due.iter();
        each.map(|due| (timeless(due.record.clone()), due.step))
            .collect()
    };
    assert_eq!(plain(&got), plain(&expected), "{at}");
    for due in got {
        let (key, attempt) = (due.record.key(), due.record.attempt);
        if dice.roll(2) == 0 {
            model.done(&key, attempt, due.step).await.unwrap();
            h.queue.done(&key, attempt, due.step).await.unwrap();
        }
    }
}
