//! Random operations on the store under test and on the memory store: the same answers.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::id::{ProjectId, UserId};
use sheen_core::time::{Clock, ManualClock, Timestamp};

use super::MessageHarness;
use super::cases::said;
use crate::message::memory::MemoryMessageStore;
use crate::message::store::MessageStore;
use crate::message::types::{Message, MessageOutcome, Role};

struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: u8) -> u8 {
        let mut byte = [0];
        self.0.fill(&mut byte);
        byte[0] % sides
    }
}

/// Everything but the instant: the clocks of two stores do not begin at the same time.
fn timeless(outcome: MessageOutcome) -> MessageOutcome {
    let strip = |mut message: Message| {
        message.created_at = Timestamp::EPOCH;
        message
    };
    match outcome {
        MessageOutcome::Duplicate(message) => MessageOutcome::Duplicate(strip(message)),
        MessageOutcome::Appended(message) => MessageOutcome::Appended(strip(message)),
        other => other,
    }
}

/// 600 random steps over three projects and two users, over few ids.
pub async fn model_random_operations_equal_those_of_the_memory_store(h: MessageHarness) {
    let dice = Dice(SeededEntropy::new(5));
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let model = MemoryMessageStore::new(clock.clone(), Default::default());
    for step in 0..600 {
        let project = format!("p{}", dice.roll(3));
        let user = ["ann", "ann", "ann", "bob"][usize::from(dice.roll(4))];
        match dice.roll(10) {
            0 => {
                let pause = Duration::from_millis(u64::from(dice.roll(200)));
                clock.advance(pause);
                h.advance.by(pause).await;
            }
            1..=3 => {
                let (user, project) = (UserId::parse(user), ProjectId::parse(&project));
                let (user, project) = (user.unwrap(), project.unwrap());
                let (after, limit) = (u64::from(dice.roll(60)), u32::from(dice.roll(20)));
                let expected = model.page(&user, &project, after, limit).await.unwrap();
                let mut got = h.store.page(&user, &project, after, limit).await.unwrap();
                let ids = |page: &Option<crate::message::MessagePage>| {
                    page.as_ref().map(|page| {
                        let each = page.messages.iter();
                        let each = each.map(|m| (m.seq, m.id.clone(), m.role, m.content.clone()));
                        (each.collect::<Vec<_>>(), page.head)
                    })
                };
                assert_eq!(ids(&got), ids(&expected), "step {step}");
                if let Some(page) = &mut got {
                    assert!(page.messages.is_sorted_by_key(|m| m.created_at));
                }
            }
            _ => {
                let id = format!("m{}", dice.roll(120));
                let text = ["a", "b"][usize::from(dice.roll(8) == 0)];
                let mut message = said(&project, user, &id, text);
                message.role = Role::ALL[usize::from(dice.roll(16) == 0)];
                let expected = model.append(message.clone()).await.unwrap();
                let got = h.store.append(message).await.unwrap();
                assert_eq!(timeless(got), timeless(expected), "step {step}");
            }
        }
    }
    assert!(clock.now() > Timestamp::EPOCH);
}
