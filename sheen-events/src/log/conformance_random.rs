//! Random steps on the log under test and on a model, whose answers must be the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::token::FencingToken;

use super::conformance::LogHarness;
use super::types::{Append, AppendOutcome, Event, EventType, NewEvent, NewStream, Visibility};

/// A stream as one would write it down by hand: lists, and nothing clever.
#[derive(Debug, Default)]
struct Model {
    visible: Vec<(EventType, Arc<str>)>,
    hidden: u64,
    keys: BTreeMap<String, Vec<(u64, Arc<str>)>>,
    token: u64,
    closed: bool,
}

#[derive(Debug, PartialEq)]
enum Answer {
    NotFound,
    Duplicate(Vec<(u64, Arc<str>)>),
    Fenced,
    Closed,
    Appended(Vec<(u64, Arc<str>)>),
}

impl Model {
    fn append(&mut self, append: &Append) -> Answer {
        let key = append.key.as_deref().map(str::to_owned);
        if let Some(first) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return Answer::Duplicate(first.clone());
        }
        if append.token.get() != self.token {
            return Answer::Fenced;
        }
        if self.closed {
            return Answer::Closed;
        }
        let mut written = Vec::new();
        for event in &append.events {
            let seq = if event.visibility == Visibility::User {
                self.visible
                    .push((event.kind.clone(), Arc::clone(&event.data)));
                self.visible.len() as u64
            } else {
                self.hidden += 1;
                self.hidden
            };
            written.push((seq, Arc::clone(&event.data)));
        }
        if let Some(key) = key {
            self.keys.insert(key, written.clone());
        }
        Answer::Appended(written)
    }
}

fn plain(outcome: AppendOutcome) -> Answer {
    let list = |events: Vec<Event>| events.into_iter().map(|e| (e.seq, e.data)).collect();
    match outcome {
        AppendOutcome::NotFound => Answer::NotFound,
        AppendOutcome::Duplicate(events) => Answer::Duplicate(list(events)),
        AppendOutcome::Fenced => Answer::Fenced,
        AppendOutcome::Closed => Answer::Closed,
        AppendOutcome::Appended(events) => Answer::Appended(list(events)),
    }
}

struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: u8) -> u8 {
        let mut byte = [0];
        self.0.fill(&mut byte);
        byte[0] % sides
    }
}

#[expect(clippy::unwrap_used, reason = "an event written here")]
fn random_append(dice: &Dice, build: &BuildId, token: u64, step: u32) -> Append {
    let kinds = [
        EventType::BUILD_LOG,
        EventType::BUILD_LOG,
        EventType::TASK_FAILED,
        EventType::DEPLOY_COMPLETED,
    ];
    let events = (0..=dice.roll(3)).map(|n| {
        let data = json!({ "message": format!("{step}/{n}") });
        let kind = kinds[usize::from(dice.roll(4))].clone();
        let event = NewEvent::new(kind, data.as_object().unwrap()).unwrap();
        if dice.roll(4) == 0 {
            event.hidden()
        } else {
            event
        }
    });
    let append = Append::new(
        build.clone(),
        FencingToken::from_u64(token),
        events.collect(),
    );
    match dice.roll(3) {
        0 => append.with_key(format!("key {}", dice.roll(12))),
        _ => append,
    }
}

/// 2,000 random steps over three builds, each answered as a plain model answers it.
///
/// # Panics
/// When one is not.
#[expect(clippy::unwrap_used, reason = "assertions of the suite")]
pub async fn random_steps_go_as_in_a_plain_model(h: LogHarness) {
    let dice = Dice(SeededEntropy::new(7));
    let mut models: BTreeMap<BuildId, Model> = BTreeMap::new();
    for step in 0..2000 {
        let build = BuildId::parse(&format!("b{}", dice.roll(3))).unwrap();
        let current = models.get(&build).map_or(0, |model| model.token);
        match dice.roll(20) {
            0 => {
                let user = UserId::parse("ann").unwrap();
                let session = BuildSessionId::parse("bs").unwrap();
                let head = h
                    .log
                    .open(NewStream::new(build.clone(), user, session))
                    .await;
                let model = models.entry(build).or_default();
                assert_eq!(head.unwrap().head, model.visible.len() as u64);
            }
            1 => {
                let token = current + u64::from(dice.roll(2));
                let raised = h.log.raise(&build, FencingToken::from_u64(token)).await;
                assert_eq!(raised.unwrap(), models.contains_key(&build));
                if let Some(model) = models.get_mut(&build) {
                    model.token = model.token.max(token);
                }
            }
            // Closing is the end of a stream, so it must be rare to leave something to test.
            2 if step > 1500 => {
                assert_eq!(
                    h.log.close(&build).await.unwrap(),
                    models.contains_key(&build)
                );
                if let Some(model) = models.get_mut(&build) {
                    model.closed = true;
                }
            }
            3..=6 => same_page(&h, &dice, &build, models.get(&build)).await,
            _ => {
                let token = current + u64::from(dice.roll(8) == 0);
                let append = random_append(&dice, &build, token, step);
                let model = models.get_mut(&build);
                let expected = model.map_or(Answer::NotFound, |model| model.append(&append));
                let got = plain(h.log.append(append).await.unwrap());
                assert_eq!(got, expected, "step {step}");
            }
        }
    }
    assert!(models.values().all(|model| model.visible.len() > 100));
}

#[expect(clippy::unwrap_used, reason = "assertions of the suite")]
async fn same_page(h: &LogHarness, dice: &Dice, build: &BuildId, model: Option<&Model>) {
    let (after, limit) = (u64::from(dice.roll(200)), u32::from(dice.roll(20)));
    let page = h.log.read(build, after, limit).await.unwrap();
    let Some(model) = model else {
        assert_eq!(page, None);
        return;
    };
    let page = page.unwrap();
    let kept = model.visible.iter().skip(usize::try_from(after).unwrap());
    let expected: Vec<_> = kept
        .take(usize::try_from(limit).unwrap())
        .cloned()
        .collect();
    let got: Vec<_> = page.events.into_iter().map(|e| (e.kind, e.data)).collect();
    assert_eq!(got, expected);
    assert_eq!(page.stream.head, model.visible.len() as u64);
    assert_eq!(page.stream.closed, model.closed);
}
