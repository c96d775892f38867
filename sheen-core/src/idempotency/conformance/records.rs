//! What is kept, and for how long: C3, C4, C8, C9, C11, C12, C13.

use super::{DAY, IdempotencyHarness, LAPSE, SECOND, answer, call, key, mine, scope};
use crate::error::StoreErrorKind;
use crate::idempotency::types::{
    BeginOutcome, IdempotencyKey, LeaseOutcome, Lifetimes, StoredAnswer,
};

/// C3, I13: bytes that are no text, an empty body, a header twice, the longest of everything.
pub async fn c03_the_replayed_answer_is_the_stored_one(h: IdempotencyHarness) {
    let header = |name: &str, value: &str| (name.into(), value.into());
    let two_links = vec![
        header("link", "</a>; rel=next"),
        header("content-language", "ar"),
        header("link", "</b>; rel=prev"),
    ];
    let large = vec![0xAB; StoredAnswer::MAX_BODY];
    let answers = [
        StoredAnswer::new(200, two_links, &b"\x00\xff\xfe{\"\xc3\""[..], "req_a"),
        StoredAnswer::new(204, Vec::new(), &b""[..], ""),
        StoredAnswer::new(299, vec![header("etag", "\"é\"")], large, "r".repeat(128)),
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        let (name, answer) = (format!("k{n}"), answer.unwrap());
        let lease = h.started(&name, 1).await;
        let stored = h.store.complete(&lease, answer.clone()).await.unwrap();
        assert_eq!(stored, LeaseOutcome::Done);
        let replay = BeginOutcome::Replay(answer);
        assert_eq!(h.begin(&name, 1).await, replay);
        assert_eq!(h.look(&name, 1).await, Some(replay));
    }
}

/// C4, I14: another person, another front end, and pairs that would join to the same text.
pub async fn c04_scopes_never_meet(h: IdempotencyHarness) {
    let longest = "k".repeat(IdempotencyKey::MAX_LEN);
    for name in ["k", "K", longest.as_str()] {
        let scopes = [
            scope("web", "u"),
            scope("web", "v"),
            scope("app", "u"),
            scope("web:u", "v"),
            scope("web", "u:v"),
        ];
        let mut leases = Vec::new();
        for (scope, n) in scopes.iter().zip(0..) {
            match h.store.begin(scope, &key(name), call(n)).await.unwrap() {
                BeginOutcome::Started(lease) => leases.push(lease),
                met => panic!("{scope:?} {met:?}"),
            }
        }
        for (lease, n) in leases.iter().zip(0..) {
            assert_eq!(h.complete(lease, &n.to_string()).await, LeaseOutcome::Done);
        }
        for (scope, n) in scopes.iter().zip(0..) {
            let outcome = h.store.begin(scope, &key(name), call(n)).await.unwrap();
            assert_eq!(outcome, BeginOutcome::Replay(answer(&n.to_string())));
        }
    }
}

/// C8: counted from the storing of the answer, reaped or not.
pub async fn c08_a_record_lives_its_life_and_is_forgotten(h: IdempotencyHarness) {
    let lease = h.started("k", 1).await;
    h.advance.by(SECOND * 50).await;
    assert_eq!(h.complete(&lease, "one").await, LeaseOutcome::Done);
    h.advance
        .by(Lifetimes::default().record - SECOND * 30)
        .await;
    let replay = BeginOutcome::Replay(answer("one"));
    assert_eq!(h.begin("k", 1).await, replay);
    assert_eq!(h.begin("k", 2).await, BeginOutcome::Reused);
    h.advance.by(SECOND * 30).await;
    assert_eq!(h.look("k", 1).await, None);
    assert_eq!(h.complete(&lease, "one").await, LeaseOutcome::Lost);
    h.done("k", 2, "two").await;
    assert_eq!(h.begin("k", 1).await, BeginOutcome::Reused);
}

/// C9: at its bound it refuses new keys, serves the old ones, and has room again once something is
/// past its life. A store without a bound keeps them all.
pub async fn c09_a_full_store_refuses_and_evicts_nothing_alive(h: IdempotencyHarness) {
    let count = h.capacity.unwrap_or(500);
    let mut leases = Vec::new();
    for n in 0..count {
        if n % 2 == 0 {
            h.done(&format!("k{n}"), 1, &n.to_string()).await;
        } else {
            leases.push(h.started(&format!("k{n}"), 1).await);
        }
    }
    if h.capacity.is_some() {
        for _ in 0..3 {
            let refused = h.store.begin(&mine(), &key("one-more"), call(1)).await;
            assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Full);
        }
    }
    for n in 0..count {
        let expected = match n % 2 {
            0 => BeginOutcome::Replay(answer(&n.to_string())),
            _ => BeginOutcome::InProgress,
        };
        assert_eq!(h.begin(&format!("k{n}"), 1).await, expected);
    }
    // One lease is kept alive, the others lapse and make room; no answer is forgotten for it.
    h.advance.by(LAPSE).await;
    let kept = leases.remove(0);
    h.store.extend(&kept).await.unwrap();
    for n in 0..u32::try_from(leases.len()).unwrap() {
        h.started(&format!("next{n}"), 1).await;
    }
    assert_eq!(h.begin("k1", 1).await, BeginOutcome::InProgress);
    for n in (0..count).step_by(2) {
        let replay = BeginOutcome::Replay(answer(&n.to_string()));
        assert_eq!(h.begin(&format!("k{n}"), 1).await, replay);
    }
}

/// C11, I15: a live lease and a record within its life stay, however often it runs.
pub async fn c11_reaping_removes_only_what_is_past_its_life(h: IdempotencyHarness) {
    h.done("old", 1, "old").await;
    h.advance.by(DAY - SECOND * 300).await;
    h.done("young", 1, "young").await;
    let lapsed = h.started("lapsed", 1).await;
    h.advance.by(SECOND * 300).await;
    let live = h.started("live", 1).await;
    h.reaps(0, 0).await;
    h.reaps(1, 1).await;
    h.reaps(10, 1).await;
    h.reaps(10, 0).await;
    assert_eq!(h.look("old", 2).await, None);
    assert_eq!(h.look("lapsed", 2).await, None);
    assert_eq!(h.complete(&lapsed, "late").await, LeaseOutcome::Lost);
    let replay = BeginOutcome::Replay(answer("young"));
    assert_eq!(h.begin("young", 1).await, replay);
    assert_eq!(h.begin("live", 1).await, BeginOutcome::InProgress);
    assert_eq!(h.complete(&live, "live").await, LeaseOutcome::Done);
}

/// C12: with another answer the second is `Lost`, and the first stays.
pub async fn c12_completing_twice_is_done_twice(h: IdempotencyHarness) {
    let lease = h.done("k", 1, "one").await;
    h.advance.by(SECOND * 3600).await;
    assert_eq!(h.complete(&lease, "one").await, LeaseOutcome::Done);
    assert_eq!(h.complete(&lease, "two").await, LeaseOutcome::Lost);
    let replay = BeginOutcome::Replay(answer("one"));
    assert_eq!(h.begin("k", 1).await, replay);
    // The repeat did not lengthen its life.
    h.advance.by(DAY - SECOND * 3600).await;
    assert_eq!(h.look("k", 1).await, None);
}

/// C13.
pub async fn c13_looking_changes_nothing(h: IdempotencyHarness) {
    for _ in 0..2 {
        assert_eq!(h.look("k", 1).await, None);
    }
    let first = h.started("k", 1).await;
    for _ in 0..2 {
        assert_eq!(h.look("k", 1).await, Some(BeginOutcome::InProgress));
        assert_eq!(h.look("k", 2).await, Some(BeginOutcome::Reused));
    }
    h.advance.by(LAPSE).await;
    for _ in 0..2 {
        assert_eq!(h.look("k", 1).await, None);
    }
    // Looking did not take the lease over.
    assert_eq!(h.complete(&first, "first").await, LeaseOutcome::Done);
    let replay = Some(BeginOutcome::Replay(answer("first")));
    for _ in 0..2 {
        assert_eq!(h.look("k", 1).await, replay);
    }
    h.advance.by(DAY).await;
    assert_eq!(h.look("k", 1).await, None);
    h.reaps(10, 1).await;
}
