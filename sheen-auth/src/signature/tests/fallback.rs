//! A replay store that fails: closed by default, the timestamp alone where that was chosen.

use std::sync::Mutex;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};

use super::*;
use crate::replay::{Claim, ClaimOutcome, ReplayStore, V1Mark};
use crate::signature::{Fallback, FallbackWitness};

#[derive(Debug)]
struct Failing(StoreErrorKind);

#[async_trait]
impl ReplayStore for Failing {
    async fn claim(&self, _: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        Err(StoreError::new(self.0))
    }

    async fn v1_marked(&self, _: &PrincipalId, _: &V1Mark) -> Result<bool, StoreError> {
        Err(StoreError::new(self.0))
    }
}

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<(String, Scheme, StoreErrorKind)>>);

impl FallbackWitness for Seen {
    fn let_in(&self, fallback: &Fallback<'_>) {
        let line = (
            format!("{}/{}", fallback.principal, fallback.key_id),
            fallback.scheme,
            fallback.error.kind,
        );
        self.0.lock().unwrap().push(line);
    }
}

fn failing(kind: StoreErrorKind) -> Gate {
    let clock = Arc::new(ManualClock::at(now()));
    Gate::new(verifier(Mode::Dual), Arc::new(Failing(kind)), clock)
}

#[tokio::test]
async fn n10_by_default_a_failing_store_lets_nobody_in() {
    let both = signed(1, "POST", None);
    let gate = failing(StoreErrorKind::Unavailable);
    let examined = gate
        .examine(&post(both.as_headers()), &mut Scratch::new())
        .await;
    assert_eq!(
        examined.verdict.unwrap_err(),
        Refusal::ReplayStoreUnavailable
    );
    let readiness = gate.readiness();
    assert_eq!((readiness.store_failures, readiness.timestamp_only), (1, 0));
    let refused = readiness.keys[0].refused(Scheme::V2, Refusal::ReplayStoreUnavailable);
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn where_chosen_the_timestamp_lets_in_counted_and_told_each_time() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::OutcomeUnknown] {
        let seen = Arc::new(Seen::default());
        let gate = failing(kind).timestamp_only_when_store_fails(seen.clone());
        let both = signed(1, "POST", None);
        let v2 = Headers {
            signature: None,
            ..both.as_headers()
        };
        let id = request_id_signature(&both.timestamp, "req_1", BODY);
        let by_id = Headers {
            signature: Some(&id),
            timestamp: Some(&both.timestamp),
            request_id: Some("req_1"),
            ..Headers::default()
        };
        for (headers, scheme) in [
            (v2, Scheme::V2),
            (v2, Scheme::V2),
            (by_id, Scheme::V1RequestId),
        ] {
            let examined = gate.examine(&post(headers), &mut Scratch::new()).await;
            let verified = examined.verdict.unwrap();
            assert_eq!((verified.scheme, verified.timestamp_only), (scheme, true));
            assert_eq!(examined.store_error.unwrap().kind, kind);
        }
        let readiness = gate.readiness();
        assert_eq!((readiness.store_failures, readiness.timestamp_only), (3, 3));
        let told = seen.0.lock().unwrap();
        let line = |scheme| ("web/k1".to_owned(), scheme, kind);
        let expected = [Scheme::V2, Scheme::V2, Scheme::V1RequestId].map(line);
        assert_eq!(told.as_slice(), expected);
    }
}

#[tokio::test]
async fn the_fallback_opens_for_nothing_else() {
    let seen = Arc::new(Seen::default());
    let both = signed(1, "POST", None);
    let v1 = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    let v2 = Headers {
        signature: None,
        ..both.as_headers()
    };
    let forged = "0".repeat(64);
    let forged = Headers {
        sig_v2: Some(&forged),
        ..v2
    };
    let down = StoreErrorKind::Unavailable;
    for (kind, headers, refusal) in [
        // Plain v1 has no timestamp; a full store could have been filled to get here.
        (down, v1, Refusal::ReplayStoreUnavailable),
        (StoreErrorKind::Full, v2, Refusal::ReplayStoreUnavailable),
        (down, forged, Refusal::Invalid),
    ] {
        let gate = failing(kind).timestamp_only_when_store_fails(seen.clone());
        let refused = gate.admit(&post(headers), &mut Scratch::new()).await;
        assert_eq!(refused.unwrap_err(), refusal);
        assert_eq!(gate.readiness().timestamp_only, 0);
    }
    let (gate, clock, _) = gate(Mode::Dual);
    let gate = gate.timestamp_only_when_store_fails(seen.clone());
    let verified = gate
        .admit(&post(both.as_headers()), &mut Scratch::new())
        .await;
    assert!(!verified.unwrap().timestamp_only);
    let again = gate
        .admit(&post(both.as_headers()), &mut Scratch::new())
        .await;
    assert_eq!(
        again.unwrap_err(),
        Refusal::NonceReplayed,
        "a store that works decides"
    );
    clock.advance(std::time::Duration::from_secs(121));
    let late = failing(down).timestamp_only_when_store_fails(seen.clone());
    let old = Signer::new(key("k1"));
    let stamp = now().minus(std::time::Duration::from_secs(121));
    let old = old.sign("POST", PATH, None, BODY, stamp, &SeededEntropy::new(2));
    let old = old.unwrap();
    let refused = late
        .admit(&post(old.as_headers()), &mut Scratch::new())
        .await;
    assert_eq!(refused.unwrap_err(), Refusal::TimestampOutsideWindow);
    assert!(seen.0.lock().unwrap().is_empty());
}

/// Fails until it is mended.
#[derive(Debug)]
struct Mended(MemoryReplayStore, std::sync::atomic::AtomicBool);

impl Mended {
    fn ask(&self) -> Result<&MemoryReplayStore, StoreError> {
        let works = self.1.load(std::sync::atomic::Ordering::SeqCst);
        works
            .then_some(&self.0)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable))
    }
}

#[async_trait]
impl ReplayStore for Mended {
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        self.ask()?.claim(claim).await
    }

    async fn v1_marked(&self, principal: &PrincipalId, mark: &V1Mark) -> Result<bool, StoreError> {
        self.ask()?.v1_marked(principal, mark).await
    }
}

/// N8: whoever gets in by the timestamp alone leaves no v1 signature behind that gets in too.
#[tokio::test]
async fn n08_what_would_mark_a_v1_signature_does_not_fall_back() {
    let clock = Arc::new(ManualClock::at(now()));
    let seen = Arc::new(Seen::default());
    for (mode, method, falls_back) in [
        (Mode::Dual, "POST", false),
        (Mode::Dual, "DELETE", false),
        (Mode::Dual, "GET", true),
        (Mode::EnforceV2, "POST", true),
    ] {
        let store = MemoryReplayStore::new(clock.clone(), 10);
        let store = Arc::new(Mended(store, false.into()));
        let gate = Gate::new(verifier(mode), store.clone(), clock.clone());
        let gate = gate.timestamp_only_when_store_fails(seen.clone());
        let both = signed(1, method, None);
        let request = |headers| Request::new(method, PATH, None, headers, BODY);
        let mut scratch = Scratch::new();
        let first = gate.admit(&request(both.as_headers()), &mut scratch).await;
        assert_eq!(first.is_ok(), falls_back, "{mode} {method}");
        let stripped = request(Headers {
            signature: both.signature.as_deref(),
            ..Headers::default()
        });
        let while_failing = gate.admit(&stripped, &mut scratch).await;
        store.1.store(true, std::sync::atomic::Ordering::SeqCst);
        let afterwards = gate.admit(&stripped, &mut scratch).await;
        if method != "GET" {
            let copies = [while_failing, afterwards]
                .iter()
                .filter(|r| r.is_ok())
                .count();
            assert!(copies + usize::from(first.is_ok()) <= 1, "{mode} {method}");
        }
    }
}
