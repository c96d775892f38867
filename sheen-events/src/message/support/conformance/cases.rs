//! The clauses, one test each, and the model.

use std::sync::Arc;
use std::time::Duration;

use sheen_core::entropy::{Entropy, SeededEntropy};
use sheen_core::id::{BuildId, MessageId, ProjectId, UserId};
use sheen_core::time::{ManualClock, Timestamp};

use super::ChatLogHarness;
use crate::message::support::memory::MemoryChatLog;
use crate::message::support::service::expire_all;
use crate::message::support::store::ChatLog;
use crate::message::support::types::{
    ChatEntry, ChatKind, CorrelationId, Excerpt, Lookup, NewChatEntry, RETENTION,
};

const MOMENT: Duration = Duration::from_millis(1);

fn entry(user: &str, id: &str, correlation: &str) -> NewChatEntry {
    NewChatEntry::new(
        MessageId::parse(id).unwrap(),
        UserId::parse(user).unwrap(),
        CorrelationId::parse(correlation).unwrap(),
        ChatKind::Asked,
        Excerpt::of("hello"),
    )
}

fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

fn of_user(name: &str) -> Lookup {
    Lookup::User(UserId::parse(name).unwrap())
}

fn of_call(name: &str) -> Lookup {
    Lookup::Correlation(CorrelationId::parse(name).unwrap())
}

async fn ids(log: &dyn ChatLog, lookup: &Lookup) -> Vec<String> {
    let found = log.find(lookup, None, 1000).await.unwrap();
    let ids = found.into_iter().map(|kept| kept.entry.id.to_string());
    ids.collect()
}

/// C1.
pub async fn c01_an_entry_is_found_by_its_three_look_ups_and_no_other(h: ChatLogHarness) {
    for new in [
        entry("ann", "m1", "c1").during(build("b1")),
        entry("ann", "m2", "c2").during(build("b2")),
        entry("bob", "m3", "c1").during(build("b1")),
        entry("bob", "m4", "c3"),
    ] {
        h.log.record(new).await.unwrap();
    }
    for (lookup, expected) in [
        (of_user("ann"), vec!["m2", "m1"]),
        (of_user("bob"), vec!["m4", "m3"]),
        (of_user("b1"), vec![]),
        (Lookup::Build(build("b1")), vec!["m3", "m1"]),
        (Lookup::Build(build("b2")), vec!["m2"]),
        (Lookup::Build(build("c1")), vec![]),
        (of_call("c1"), vec!["m3", "m1"]),
        (of_call("c3"), vec!["m4"]),
        (of_call("ann"), vec![]),
    ] {
        assert_eq!(ids(&*h.log, &lookup).await, expected, "{lookup:?}");
    }
}

/// C2.
pub async fn c02_pages_go_from_the_newest_back_and_leave_nothing_out(h: ChatLogHarness) {
    for n in 0..10 {
        let new = entry("ann", &format!("m{n}"), "c").during(build("b"));
        h.log.record(new).await.unwrap();
        h.log
            .record(entry("bob", &format!("m{n}"), "d"))
            .await
            .unwrap();
    }
    for lookup in [of_user("ann"), of_call("c"), Lookup::Build(build("b"))] {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = h.log.find(&lookup, before, 4).await.unwrap();
            assert!(page.len() <= 4);
            let Some(last) = page.last() else { break };
            before = Some(last.seq);
            all.extend(page);
        }
        assert_eq!(all.len(), 10);
        assert!(all.windows(2).all(|pair| pair[0].seq > pair[1].seq));
        assert_eq!(all[0].entry.id.as_str(), "m9");
    }
    assert_eq!(h.log.find(&of_call("c"), None, 0).await.unwrap(), []);
}

/// C3.
pub async fn c03_a_repeat_gets_the_first_entry(h: ChatLogHarness) {
    let first = h.log.record(entry("ann", "m1", "c1")).await.unwrap();
    h.advance.by(Duration::from_secs(5)).await;
    let again = h.log.record(entry("ann", "m1", "c2")).await.unwrap();
    assert_eq!(again, first);
    h.log.record(entry("bob", "m1", "c1")).await.unwrap();
    assert_eq!(ids(&*h.log, &of_call("c1")).await.len(), 2);
    assert_eq!(ids(&*h.log, &of_call("c2")).await.len(), 0);
}

/// C4.
pub async fn c04_after_thirty_days_nothing_is_found(h: ChatLogHarness) {
    let new = entry("ann", "m1", "c").during(build("b"));
    h.log.record(new).await.unwrap();
    h.advance.by(RETENTION - Duration::from_secs(60)).await;
    let lookups = [of_user("ann"), of_call("c"), Lookup::Build(build("b"))];
    for lookup in &lookups {
        assert_eq!(ids(&*h.log, lookup).await, ["m1"]);
    }
    h.advance.by(Duration::from_secs(60)).await;
    for lookup in &lookups {
        assert_eq!(ids(&*h.log, lookup).await.len(), 0, "{lookup:?}");
    }
}

/// C5.
pub async fn c05_expiry_removes_what_is_past_its_time_in_batches(h: ChatLogHarness) {
    for n in 0..25 {
        h.log
            .record(entry("ann", &format!("old{n}"), "c"))
            .await
            .unwrap();
    }
    h.advance.by(RETENTION / 2).await;
    h.log.record(entry("ann", "new", "c")).await.unwrap();
    assert_eq!(h.log.expire(100).await.unwrap(), 0);
    h.advance.by(RETENTION / 2 + MOMENT).await;
    assert_eq!(h.log.expire(0).await.unwrap(), 0);
    assert_eq!(h.log.expire(10).await.unwrap(), 10);
    // The oldest went first: their ids are free, the others' are not.
    let told = h.log.record(entry("ann", "old24", "again")).await.unwrap();
    assert_eq!(told.entry.correlation.as_str(), "c");
    let mut told = Vec::new();
    let total = expire_all(&*h.log, 10, |total| told.push(total)).await;
    assert_eq!((total.unwrap(), told), (15, vec![10, 15]));
    assert_eq!(h.log.expire(10).await.unwrap(), 0);
    assert_eq!(ids(&*h.log, &of_user("ann")).await, ["new"]);
    let fresh = h.log.record(entry("ann", "old24", "again")).await.unwrap();
    assert_eq!(fresh.entry.correlation.as_str(), "again");
}

/// C6.
pub async fn c06_what_is_read_is_what_was_recorded(h: ChatLogHarness) {
    for (n, kind) in ChatKind::ALL.into_iter().enumerate() {
        let mut new = entry("ann", &format!("m{n}"), r#"!~"'\$1"#);
        new.kind = kind;
        new.text = Excerpt::of(&format!(r"\n \0 ' é {}", "é".repeat(n * 2000)));
        if n > 0 {
            new = new.about(ProjectId::parse("p").unwrap());
        }
        let kept = h.log.record(new.clone()).await.unwrap();
        assert_eq!(kept.entry, new);
        let found = h.log.find(&of_user("ann"), None, 1).await.unwrap();
        assert_eq!(found, [kept]);
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

/// 500 random steps over few users, builds and correlation ids.
pub async fn model_random_operations_equal_those_of_the_memory_log(h: ChatLogHarness) {
    let dice = Dice(SeededEntropy::new(3));
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let model = MemoryChatLog::new(clock.clone(), 10_000);
    let plain = |found: Vec<ChatEntry>| found.into_iter().map(|kept| kept.entry);
    for step in 0..500 {
        let user = format!("u{}", dice.roll(3));
        let call = format!("c{}", dice.roll(5));
        let name = build(&format!("b{}", dice.roll(4)));
        match dice.roll(12) {
            0 => {
                let pause = RETENTION / 8 + MOMENT;
                clock.advance(pause);
                h.advance.by(pause).await;
            }
            1 => {
                let limit = u32::from(dice.roll(8));
                let expected = model.expire(limit).await.unwrap();
                assert_eq!(h.log.expire(limit).await.unwrap(), expected, "step {step}");
            }
            2..=5 => {
                let lookup = match dice.roll(3) {
                    0 => of_user(&user),
                    1 => of_call(&call),
                    _ => Lookup::Build(name),
                };
                let limit = u32::from(dice.roll(9));
                let expected = model.find(&lookup, None, limit).await.unwrap();
                let got = h.log.find(&lookup, None, limit).await.unwrap();
                assert!(plain(got).eq(plain(expected)), "step {step}");
            }
            _ => {
                let mut new = entry(&user, &format!("m{}", dice.roll(90)), &call);
                if dice.roll(2) == 0 {
                    new = new.during(name);
                }
                let expected = model.record(new.clone()).await.unwrap();
                let got = h.log.record(new).await.unwrap();
                assert_eq!(got.entry, expected.entry, "step {step}");
            }
        }
    }
}
