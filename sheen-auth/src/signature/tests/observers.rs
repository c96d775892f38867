//! Who is told what came of a request, and a replay store that says nothing.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::runtime::{BoxFuture, Sleep};

use super::*;
use crate::replay::{Claim, ClaimOutcome, ReplayStore, V1Mark};
use crate::signature::{Examined, GateObserver};

/// Its scheme, its refusal, and whether the schemes disagreed.
type Line = (Option<Scheme>, Option<Refusal>, bool);

#[derive(Debug, Default)]
struct Told(Mutex<Vec<Line>>);

impl GateObserver for Told {
    fn examined(&self, examined: &Examined) {
        let refusal = examined.verdict.as_ref().err().copied();
        let line = (examined.report.scheme, refusal, examined.report.mismatch());
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn every_verification_is_told_once_accepted_or_not() {
    let (gate, ..) = gate(Mode::Dual);
    let told = Arc::new(Told::default());
    let gate = gate.observed_by(told.clone());
    let both = signed(1, "POST", None);
    let mismatch = Headers {
        signature: Some(both.sig_v2.as_str()),
        ..signed_headers(&both)
    };
    let mut scratch = Scratch::new();
    for headers in [mismatch, signed_headers(&both), Headers::default()] {
        let _ = gate.admit(&post(headers), &mut scratch).await;
    }
    assert_eq!(
        *told.0.lock().unwrap(),
        [
            (Some(Scheme::V2), None, true),
            (Some(Scheme::V2), Some(Refusal::NonceReplayed), false),
            (None, Some(Refusal::Missing), false),
        ]
    );
}

fn signed_headers(signed: &SignedHeaders) -> Headers<'_> {
    signed.as_headers()
}

/// It takes every question and answers none.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl ReplayStore for Silent {
    async fn claim(&self, _: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        std::future::pending().await
    }

    async fn v1_marked(&self, _: &PrincipalId, _: &V1Mark) -> Result<bool, StoreError> {
        std::future::pending().await
    }
}

/// Sleeps that are over at once, and how long each was to be.
#[derive(Debug, Default)]
struct Naps(Mutex<Vec<Duration>>);

impl Sleep for Naps {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn n10_a_store_that_says_nothing_has_failed_after_its_time() {
    let clock = Arc::new(ManualClock::at(now()));
    let naps = Arc::new(Naps::default());
    let limit = Duration::from_millis(250);
    let gate = Gate::new(verifier(Mode::Dual), Arc::new(Silent), clock).within(limit, naps.clone());
    let both = signed(1, "POST", None);
    let v1 = Headers {
        signature: both.signature.as_deref(),
        ..Headers::default()
    };
    let mut scratch = Scratch::new();
    for headers in [both.as_headers(), v1] {
        let examined = gate.examine(&post(headers), &mut scratch).await;
        assert_eq!(
            examined.verdict.unwrap_err(),
            Refusal::ReplayStoreUnavailable
        );
        let error = examined.store_error.unwrap();
        assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown);
    }
    assert_eq!(*naps.0.lock().unwrap(), [limit; 2]);
    assert_eq!(gate.readiness().store_failures, 2);
}
