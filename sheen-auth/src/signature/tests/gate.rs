//! The door with its memory: nothing gets in twice (N1–N3, N5, N8, N9, N12, R3).

use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::time::Clock as _;

use super::*;
use crate::replay::{Claim, ClaimOutcome, ReplayStore, V1Mark};

async fn admit(gate: &Gate, request: &Request<'_>) -> Result<Scheme, Refusal> {
    let verified = gate.admit(request, &mut Scratch::new()).await;
    verified.map(|verified| verified.scheme)
}

#[tokio::test]
async fn n01_bad_signatures_leave_the_store_empty_and_the_nonce_usable() {
    let (gate, _, store) = gate(Mode::Dual);
    let victim = signed(1, "POST", None);
    let mut scratch = Scratch::new();
    for number in 0..testkit::Proof::size().pick(20_000, 1_000_000) {
        let forged = format!("{number:064x}");
        let nonce = format!("attacker-{number:016}");
        let nonce = if number % 2 == 0 {
            nonce.as_str()
        } else {
            victim.nonce.as_str()
        };
        let headers = Headers {
            sig_v2: Some(&forged),
            nonce: Some(nonce),
            ..victim.as_headers()
        };
        let refused = gate.admit(&post(headers), &mut scratch).await;
        assert_eq!(refused.unwrap_err(), Refusal::Invalid);
    }
    assert!(store.lock().is_empty());
    assert_eq!(
        admit(&gate, &post(victim.as_headers())).await,
        Ok(Scheme::V2)
    );
    assert_eq!(store.lock().len(), 2, "the nonce and the mark");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn n02_of_64_at_once_one_gets_in() {
    let (gate, ..) = gate(Mode::Dual);
    let gate = Arc::new(gate);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let gate = Arc::clone(&gate);
        tasks.spawn(async move {
            let headers = signed(1, "POST", None);
            admit(&gate, &post(headers.as_headers())).await
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|o| **o == Ok(Scheme::V2)).count(), 1);
    assert_eq!(
        outcomes
            .iter()
            .filter(|o| **o == Err(Refusal::NonceReplayed))
            .count(),
        63
    );
}

#[tokio::test]
async fn n08_r03_a_copy_stripped_of_v2_is_a_replay_for_ten_minutes() {
    let (gate, clock, _) = gate(Mode::Dual);
    let both = signed(1, "POST", None);
    let stripped = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    assert_eq!(admit(&gate, &post(both.as_headers())).await, Ok(Scheme::V2));
    assert_eq!(
        admit(&gate, &post(both.as_headers())).await,
        Err(Refusal::NonceReplayed)
    );
    assert_eq!(
        admit(&gate, &post(stripped)).await,
        Err(Refusal::NonceReplayed)
    );
    // The same v1 signature beside a fresh nonce is another call of the same kind.
    let fresh = signed(2, "POST", None);
    assert_eq!(fresh.signature, both.signature);
    assert_eq!(
        admit(&gate, &post(fresh.as_headers())).await,
        Ok(Scheme::V2)
    );
    clock.advance(Duration::from_secs(600));
    assert_eq!(
        admit(&gate, &post(stripped)).await,
        Err(Refusal::NonceReplayed)
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        admit(&gate, &post(stripped)).await,
        Ok(Scheme::V1),
        "past that only enforce-v2 helps"
    );
}

#[tokio::test]
async fn n08_a_stripped_v1_request_id_is_a_replay_too() {
    let (gate, ..) = gate(Mode::Dual);
    let both = signed(1, "POST", None);
    let rid = request_id_signature(&both.timestamp, "req_1", BODY);
    let with_id = Headers {
        signature: Some(&rid),
        request_id: Some("req_1"),
        ..both.as_headers()
    };
    assert_eq!(admit(&gate, &post(with_id)).await, Ok(Scheme::V2));
    let stripped = Headers {
        sig_v2: None,
        nonce: None,
        ..with_id
    };
    assert_eq!(
        admit(&gate, &post(stripped)).await,
        Err(Refusal::NonceReplayed)
    );
}

#[tokio::test]
async fn a_marked_call_does_not_shut_out_reads_of_the_same_address() {
    let (gate, ..) = gate(Mode::Dual);
    let both = signed(1, "DELETE", None);
    let delete = Request::new("DELETE", PATH, None, both.as_headers(), BODY);
    assert_eq!(admit(&gate, &delete).await, Ok(Scheme::V2));
    let v1 = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    for (method, expected) in [
        ("GET", Ok(Scheme::V1)),
        ("POST", Err(Refusal::NonceReplayed)),
    ] {
        let request = Request::new(method, PATH, None, v1, BODY);
        assert_eq!(admit(&gate, &request).await, expected, "{method}");
    }
}

#[tokio::test]
async fn a_repeated_request_id_is_a_replay_for_as_long_as_it_is_fresh() {
    for mode in [Mode::V1Only, Mode::Shadow, Mode::Dual] {
        let (gate, clock, _) = gate(mode);
        let rid = request_id_signature("1800000300", "req_1", BODY);
        let headers = Headers {
            signature: Some(&rid),
            timestamp: Some("1800000300"),
            request_id: Some("req_1"),
            ..Headers::default()
        };
        assert_eq!(admit(&gate, &post(headers)).await, Ok(Scheme::V1RequestId));
        for seconds in [0, 1, 299, 300] {
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(
                admit(&gate, &post(headers)).await,
                Err(Refusal::NonceReplayed),
                "{mode}"
            );
        }
        clock.advance(Duration::from_millis(1));
        assert_eq!(
            admit(&gate, &post(headers)).await,
            Err(Refusal::TimestampOutsideWindow)
        );
        // Signed anew within ten minutes it is still the same id.
        let stamp = clock.now().as_millis().to_string();
        let rid = request_id_signature(&stamp, "req_1", BODY);
        let again = Headers {
            signature: Some(&rid),
            timestamp: Some(&stamp),
            ..headers
        };
        assert_eq!(
            admit(&gate, &post(again)).await,
            Err(Refusal::NonceReplayed)
        );
    }
}

#[tokio::test]
async fn v1_alone_may_come_again_and_is_deprecated_in_dual_only() {
    for (mode, deprecated) in [
        (Mode::V1Only, false),
        (Mode::Shadow, false),
        (Mode::Dual, true),
    ] {
        let (gate, _, store) = gate(mode);
        let both = signed(1, "POST", None);
        let v1 = Headers {
            signature: both.signature.as_deref(),
            ..Headers::default()
        };
        for _ in 0..2 {
            let verified = gate.admit(&post(v1), &mut Scratch::new()).await.unwrap();
            assert_eq!(
                (verified.scheme, verified.deprecated),
                (Scheme::V1, deprecated)
            );
        }
        assert!(store.lock().is_empty());
    }
    let (gate, ..) = gate(Mode::Dual);
    let both = signed(1, "POST", None);
    let verified = gate
        .admit(&post(both.as_headers()), &mut Scratch::new())
        .await
        .unwrap();
    assert!(!verified.deprecated);
    assert_eq!(
        verified.body_sha256,
        Some(crate::signature::body::sha256(BODY))
    );
}

#[tokio::test]
async fn r02_shadow_burns_no_nonce() {
    let (gate, _, store) = gate(Mode::Shadow);
    let both = signed(1, "POST", None);
    for _ in 0..3 {
        assert_eq!(admit(&gate, &post(both.as_headers())).await, Ok(Scheme::V1));
    }
    assert!(store.lock().is_empty());
}

#[tokio::test]
async fn n07_one_principals_keys_share_nonces_and_two_principals_do_not() {
    let ring = vec![key("k1"), key("k2"), key_of("app", "k3")];
    let (gate, ..) = gate_of(Verifier::new(KeyRing::new(ring).unwrap(), Mode::Dual));
    let expected = [
        ("web", "k1", Ok(Scheme::V2)),
        ("web", "k2", Err(Refusal::NonceReplayed)),
        ("app", "k3", Ok(Scheme::V2)),
    ];
    for (principal, id, expected) in expected {
        let signer = Signer::new(key_of(principal, id)).naming_key();
        // One seed, so one nonce.
        let entropy = SeededEntropy::new(1);
        let headers = signer
            .sign("POST", PATH, None, BODY, now(), &entropy)
            .unwrap();
        assert_eq!(
            admit(&gate, &post(headers.as_headers())).await,
            expected,
            "{id}"
        );
    }
}

#[tokio::test]
async fn n09_after_a_restart_what_was_signed_before_stays_out() {
    let (gate, ..) = gate(Mode::Dual);
    let headers = signed(1, "POST", None);
    assert_eq!(
        admit(&gate, &post(headers.as_headers())).await,
        Ok(Scheme::V2)
    );
    for (after, expected) in [
        (2000, Ok(Scheme::V2)),
        (2001, Err(Refusal::TimestampOutsideWindow)),
    ] {
        let clock = Arc::new(ManualClock::at(now().plus(Duration::from_millis(after))));
        let store = Arc::new(MemoryReplayStore::new(clock.clone(), 100));
        let restarted = Gate::new(verifier(Mode::Dual), store, clock);
        assert_eq!(
            admit(&restarted, &post(headers.as_headers())).await,
            expected
        );
    }
}

#[tokio::test]
async fn n12_signing_again_makes_another_nonce() {
    let (gate, ..) = gate(Mode::Dual);
    let signer = Signer::new(key("k1"));
    let entropy = SeededEntropy::new(1);
    for _ in 0..3 {
        let headers = signer
            .sign("POST", PATH, None, BODY, now(), &entropy)
            .unwrap();
        assert_eq!(
            admit(&gate, &post(headers.as_headers())).await,
            Ok(Scheme::V2)
        );
    }
}

/// A store that cannot be reached.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl ReplayStore for Broken {
    async fn claim(&self, _: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        Err(StoreError::new(StoreErrorKind::OutcomeUnknown))
    }

    async fn v1_marked(&self, _: &PrincipalId, _: &V1Mark) -> Result<bool, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }
}

#[tokio::test]
async fn n10_a_store_that_fails_or_is_full_closes_the_door() {
    let clock = Arc::new(ManualClock::at(now()));
    let stores: [(Arc<dyn ReplayStore>, StoreErrorKind); 2] = [
        (Arc::new(Broken), StoreErrorKind::OutcomeUnknown),
        (
            Arc::new(MemoryReplayStore::new(clock.clone(), 1)),
            StoreErrorKind::Full,
        ),
    ];
    let both = signed(1, "POST", None);
    for (store, kind) in stores {
        let gate = Gate::new(verifier(Mode::Dual), store, clock.clone());
        let examined = gate
            .examine(&post(both.as_headers()), &mut Scratch::new())
            .await;
        assert_eq!(
            examined.verdict.unwrap_err(),
            Refusal::ReplayStoreUnavailable
        );
        assert_eq!(examined.store_error.unwrap().kind, kind);
        assert_eq!(examined.report.scheme, Some(Scheme::V2));
    }
    let gate = Gate::new(verifier(Mode::Dual), Arc::new(Broken), clock);
    let v1 = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    assert_eq!(
        admit(&gate, &post(v1)).await,
        Err(Refusal::ReplayStoreUnavailable)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was accepted once is refused at every later instant, as the clock moves on.
    #[test]
    fn no_accepted_request_is_accepted_again(
        calls in prop::collection::vec((0_u64..40_000, -130_000_i64..=130_000, any::<bool>()), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (gate, clock, _) = gate(Mode::Dual);
            let signer = Signer::new(key("k1")).with_v1();
            let entropy = SeededEntropy::new(7);
            let mut accepted: Vec<(SignedHeaders, String)> = Vec::new();
            for (wait, skew, strip) in calls {
                clock.advance(Duration::from_millis(wait));
                let stamp = Timestamp::from_millis(clock.now().as_millis() + skew);
                let body = format!("{{\"n\":{}}}", accepted.len());
                let headers = signer.sign("POST", PATH, None, body.as_bytes(), stamp, &entropy).unwrap();
                let request = Request::new("POST", PATH, None, headers.as_headers(), body.as_bytes());
                let fresh = skew.abs() <= 120_000;
                assert_eq!(admit(&gate, &request).await.is_ok(), fresh);
                if fresh {
                    accepted.push((headers, body));
                }
                for (headers, body) in &accepted {
                    // Stripping helps for no ten minutes, so not while these calls go on.
                    let stripped = strip && clock.now().since(now()) < Duration::from_secs(600);
                    let replay = if stripped {
                        Headers { signature: headers.signature.as_deref(), ..Headers::default() }
                    } else {
                        headers.as_headers()
                    };
                    let request = Request::new("POST", PATH, None, replay, body.as_bytes());
                    assert!(admit(&gate, &request).await.is_err());
                }
            }
        });
    }
}
