//! Keys, fingerprints, answers, and the rules over every state and event.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::id::{PrincipalId, UserId};
use crate::time::Timestamp;
use crate::token::FencingToken;

#[test]
fn the_quoted_and_the_bare_form_are_one_key() {
    let bare = IdempotencyKey::parse(b"8e03978e").unwrap();
    assert_eq!(IdempotencyKey::parse(b"\"8e03978e\""), Ok(bare.clone()));
    assert_eq!(IdempotencyKey::parse(b" \t8e03978e "), Ok(bare));
    assert_eq!(
        IdempotencyKey::parse(br#""a\"b\\c""#).unwrap().as_str(),
        r#"a"b\c"#
    );
}

#[test]
fn what_is_not_a_key_is_refused() {
    for bad in [
        &b""[..],
        b"\"\"",
        b"\"open",
        b"\"a\"b",
        b"\"a\\n\"",
        b"a b",
        b"a\tb",
        b"a\0b",
        b"\"a\x01\"",
        "é".as_bytes(),
        b"\xff",
        b"\"\\\"",
    ] {
        assert!(IdempotencyKey::parse(bad).is_err(), "{bad:?}");
    }
    assert!(IdempotencyKey::parse(&[b'a'; 255]).is_ok());
    assert!(IdempotencyKey::parse(&[b'a'; 256]).is_err());
}

#[test]
fn a_fingerprint_depends_on_every_part_and_every_joint() {
    let of = |method, path, query| Fingerprint::of(method, path, query, &[0; 32]);
    let base = of("POST", "/a", "b=1");
    assert_eq!(base, of("POST", "/a", "b=1"));
    for other in [
        of("PUT", "/a", "b=1"),
        of("POST", "/ab", "=1"),
        of("POST", "/a", "b=2"),
    ] {
        assert_ne!(base, other);
    }
    assert_ne!(base, Fingerprint::of("POST", "/a", "b=1", &[1; 32]));
}

const START: Timestamp = Timestamp::from_millis(1_763_634_600_000);

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn answer(text: &str) -> StoredAnswer {
    StoredAnswer::new(200, Vec::new(), text.as_bytes(), "req_1").unwrap()
}

#[test]
fn i04_white_space_of_the_body_is_another_call() {
    use sha2::{Digest, Sha256};
    let of = |body: &str| Fingerprint::of("POST", "/a", "", &Sha256::digest(body).into());
    assert_eq!(of(r#"{"a":1,"b":2}"#), of(r#"{"a":1,"b":2}"#));
    assert_ne!(of(r#"{"a":1,"b":2}"#), of(r#"{"a":1, "b":2}"#));
    assert_ne!(of(r#"{"a":1,"b":2}"#), of(r#"{"b":2,"a":1}"#));
}

#[test]
fn i12_only_a_success_is_kept() {
    for status in [100, 199, 300, 304, 400, 402, 409, 422, 500, 503] {
        let refused = StoredAnswer::new(status, Vec::new(), &b""[..], "req_1");
        assert_eq!(refused, Err(StoredAnswerError::Status), "{status}");
    }
    for status in [200, 201, 202, 204, 299] {
        assert!(StoredAnswer::new(status, Vec::new(), &b""[..], "req_1").is_ok());
    }
}

#[test]
fn i13_what_belongs_to_one_call_is_not_kept_and_what_is_too_large_is_refused() {
    let header = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    let headers = vec![
        header("Content-Type", "application/json"),
        header("set-cookie", "session=1"),
        header("Date", "Thu, 20 Nov 2026 10:30:00 GMT"),
        header("x-request-id", "req_1"),
        header("authorization", "Bearer x"),
        header("www-authenticate", "Basic"),
        header("x-ratelimit-reset", "3"),
        header("LOCATION", "/v1/builds/bld_1"),
    ];
    let kept = StoredAnswer::new(202, headers, &b"{}"[..], "req_1").unwrap();
    let wanted = [
        header("content-type", "application/json"),
        header("location", "/v1/builds/bld_1"),
    ];
    assert_eq!(kept.headers, wanted);

    let body = vec![0; StoredAnswer::MAX_BODY + 1];
    let refused = StoredAnswer::new(200, Vec::new(), body, "req_1");
    assert_eq!(refused, Err(StoredAnswerError::TooLarge));
    let link = "x".repeat(StoredAnswer::MAX_HEADERS);
    let refused = StoredAnswer::new(200, vec![header("link", &link)], &b""[..], "req_1");
    assert_eq!(refused, Err(StoredAnswerError::HeadersTooLarge));
}

/// Every state a record can be in, over one fingerprint and token 5: absent, live, at its very end,
/// done, at the end of its life.
fn states() -> [(&'static str, Option<Record>); 5] {
    let record = |progress| Some(Record::new(call(1), FencingToken::from_u64(5), progress));
    let answer = answer("kept");
    [
        ("absent", None),
        (
            "live",
            record(Progress::Running {
                expires_at: at(101),
            }),
        ),
        (
            "lapsed",
            record(Progress::Running {
                expires_at: at(100),
            }),
        ),
        (
            "done",
            record(Progress::Done {
                answer: answer.clone(),
                forget_at: at(101),
            }),
        ),
        (
            "forgotten",
            record(Progress::Done {
                answer,
                forget_at: at(100),
            }),
        ),
    ]
}

fn call(n: u8) -> Fingerprint {
    Fingerprint::of("POST", "/", "", &[n; 32])
}

#[test]
fn every_event_in_every_state_is_decided() {
    let (now, lifetimes) = (at(100), Lifetimes::default());
    let fresh = FencingToken::from_u64(9);
    for (name, record) in states() {
        for n in [1, 2] {
            let wanted = match (name, n) {
                ("absent" | "forgotten", _) | ("lapsed", 1) => None,
                ("live" | "lapsed" | "done", 2) => Some(BeginOutcome::Reused),
                ("live", _) => Some(BeginOutcome::InProgress),
                _ => Some(BeginOutcome::Replay(answer("kept"))),
            };
            assert_eq!(
                decide_look(record.as_ref(), call(n), now),
                wanted,
                "{name} {n}"
            );
            let begun = decide_begin(record.as_ref(), call(n), fresh, now, &lifetimes);
            let expires_at = at(160);
            let taken = Record::new(call(n), fresh, Progress::Running { expires_at });
            let wanted = wanted.map_or(BeginDecision::Take(taken), BeginDecision::Refuse);
            assert_eq!(begun, wanted, "{name} {n}");
        }
        for number in [4, 5, 6] {
            let token = FencingToken::from_u64(number);
            let holds = number == 5 && matches!(name, "live" | "lapsed");
            let case = format!("{name} {number}");
            let extended = decide_extend(record.as_ref(), token, now, &lifetimes);
            let expires_at = at(160);
            let running = Record::new(call(1), token, Progress::Running { expires_at });
            assert_eq!(extended, holds.then_some(running), "{case}");
            assert_eq!(decide_abandon(record.as_ref(), token), holds, "{case}");
            for text in ["kept", "other"] {
                let decided =
                    decide_complete(record.as_ref(), token, answer(text), now, &lifetimes);
                let forget_at = now.plus(lifetimes.record);
                let answer = answer(text);
                let done = Record::new(call(1), token, Progress::Done { answer, forget_at });
                let wanted = match (name, number, text) {
                    _ if holds => CompleteDecision::Keep(done),
                    ("done", 5, "kept") => CompleteDecision::Repeat,
                    _ => CompleteDecision::Lost,
                };
                assert_eq!(decided, wanted, "{case} {text}");
            }
        }
    }
}

proptest! {
    #[test]
    fn i14_a_key_is_1_to_255_visible_characters_and_nothing_else(header: Vec<u8>) {
        if let Ok(key) = IdempotencyKey::parse(&header) {
            prop_assert!((1..=IdempotencyKey::MAX_LEN).contains(&key.as_str().len()));
            prop_assert!(key.as_str().bytes().all(|b| b.is_ascii_graphic()));
        }
    }

    #[test]
    fn i14_quoting_a_key_and_reading_it_gives_the_key(text in "[!-~]{1,255}") {
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let from_quoted = IdempotencyKey::parse(quoted.as_bytes()).unwrap();
        prop_assert_eq!(from_quoted.as_str(), &text);
        // A bare key that begins with a quote is an unfinished quoted one.
        if !text.starts_with('"') {
            prop_assert_eq!(IdempotencyKey::parse(text.as_bytes()), Ok(from_quoted));
        }
    }

    #[test]
    fn i14_no_character_outside_the_visible_ones_passes(before in "[a-z]{0,4}", bad: char, after in "[a-z]{1,4}") {
        prop_assume!(!bad.is_ascii_graphic());
        let inside = format!("{before}x{bad}{after}");
        prop_assert!(IdempotencyKey::parse(inside.as_bytes()).is_err());
        let quoted = format!("\"{before}{bad}{after}\"");
        prop_assert!(IdempotencyKey::parse(quoted.as_bytes()).is_err());
    }
}

mod memory {
    use super::*;
    use crate::error::StoreErrorKind;
    use crate::idempotency::conformance::IdempotencyHarness;
    use crate::time::{Advance, ManualClock};

    async fn harness() -> IdempotencyHarness {
        let clock = Arc::new(ManualClock::at(START));
        let store = MemoryIdempotencyStore::new(clock.clone(), Lifetimes::default(), 200);
        IdempotencyHarness::new(Arc::new(store), Advance::manual(clock)).full_at(200)
    }

    crate::idempotency_store_conformance!(harness());

    fn store(capacity: usize) -> MemoryIdempotencyStore {
        let clock = Arc::new(ManualClock::at(START));
        MemoryIdempotencyStore::new(clock, Lifetimes::default(), capacity)
    }

    fn scope() -> Scope {
        Scope::new(
            PrincipalId::parse("web").unwrap(),
            UserId::parse("u").unwrap(),
        )
    }

    fn key(n: u32) -> IdempotencyKey {
        IdempotencyKey::parse(format!("k{n}").as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_recorded_in_one_go_is_replayed_and_written_once() {
        let store = store(10);
        let mut state = store.lock();
        let (scope, key) = (scope(), key(1));
        let record = |state: &mut IdempotencyState, now, text| {
            state.record(now, &scope, &key, call(1), answer(text))
        };
        record(&mut state, START, "one").unwrap();
        let replay = Some(BeginOutcome::Replay(answer("one")));
        assert_eq!(state.look(at(1), &scope, &key, call(1)), replay);
        let refused = record(&mut state, at(1), "two").unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Rejected);
        assert_eq!(state.look(at(1), &scope, &key, call(1)), replay);
        record(&mut state, at(24 * 3600), "three").unwrap();
        assert_eq!(state.len(), 1);
    }

    #[test]
    fn room_is_what_recording_finds() {
        let store = store(2);
        let mut state = store.lock();
        let scope = scope();
        let first = state.begin(START, &scope, &key(1), call(1)).unwrap();
        assert!(matches!(first, BeginOutcome::Started(_)));
        let record = |state: &mut IdempotencyState, now, n| {
            state.record(now, &scope, &key(n), call(1), answer("x"))
        };
        record(&mut state, START, 2).unwrap();
        for now in [START, at(59)] {
            let full = state.check_room(now).unwrap_err();
            assert_eq!(full.kind, StoreErrorKind::Full);
            assert_eq!(
                record(&mut state, now, 3).unwrap_err().kind,
                StoreErrorKind::Full
            );
            let full = state.begin(now, &scope, &key(3), call(1)).unwrap_err();
            assert_eq!(full.kind, StoreErrorKind::Full);
        }
        assert!(state.check_room(at(60)).is_ok());
        record(&mut state, at(60), 3).unwrap();
        assert_eq!(state.len(), 2);
        let replay = state.look(at(60), &scope, &key(2), call(1));
        assert_eq!(replay, Some(BeginOutcome::Replay(answer("x"))));
    }

    #[test]
    fn a_take_over_in_a_full_store_needs_no_room_of_its_own() {
        let store = store(1);
        let mut state = store.lock();
        let scope = scope();
        for now in [START, at(60), at(120)] {
            let outcome = state.begin(now, &scope, &key(1), call(1)).unwrap();
            assert!(matches!(outcome, BeginOutcome::Started(_)));
            assert_eq!(state.len(), 1);
        }
        // The index of ends holds one end a record, whatever was rewritten.
        assert_eq!(state.reap(at(180), 10), 1);
        assert!(state.is_empty());
        assert_eq!(state.reap(at(180), 10), 0);
    }

    #[test]
    fn a_store_without_room_refuses_everything() {
        let store = store(0);
        let mut state = store.lock();
        let full = state.begin(START, &scope(), &key(1), call(1)).unwrap_err();
        assert_eq!(full.kind, StoreErrorKind::Full);
    }
}
