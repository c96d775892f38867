//! The family's suites over the store, and what only a file can get wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use custom_store::RedbStore;
use sheen_core::build::conformance::BuildHarness;
use sheen_core::error::StoreErrorKind;
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::idempotency::conformance::IdempotencyHarness;
use sheen_core::idempotency::{
    BeginOutcome, Fingerprint, IdempotencyKey, IdempotencyStore, LeaseOutcome, Scope, StoredAnswer,
};
use sheen_core::time::{Advance, ManualClock, Timestamp};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)))
}

fn store() -> (Arc<RedbStore>, Advance) {
    let clock = clock();
    let store = RedbStore::in_memory(clock.clone()).unwrap();
    (Arc::new(store), Advance::manual(clock))
}

mod builds {
    use super::*;

    sheen_core::build_store_conformance!(async {
        let (store, advance) = store();
        BuildHarness::new(store.clone(), store, advance)
    });
}

mod keys {
    use super::*;

    sheen_core::idempotency_store_conformance!(async {
        let (store, advance) = store();
        IdempotencyHarness::new(store, advance)
    });
}

/// What was acknowledged is there when the file is opened again, and no token is given twice.
#[tokio::test]
async fn a_file_that_is_opened_again_holds_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sheen.redb");
    let scope = Scope::new(
        PrincipalId::parse("web").unwrap(),
        UserId::parse("ada").unwrap(),
    );
    let key = |name: &str| IdempotencyKey::parse(name.as_bytes()).unwrap();
    let call = Fingerprint::of("POST", "/v1/update-project", "", &[0; 32]);
    let answer = StoredAnswer::new(202, Vec::new(), &b"\0\xff"[..], "req_1").unwrap();
    let mut last = None;
    for _ in 0..3 {
        let store = RedbStore::open(&path, clock()).unwrap();
        let again = RedbStore::open(&path, clock()).unwrap_err();
        assert_eq!(
            again.kind,
            StoreErrorKind::Unavailable,
            "one process at a time"
        );
        let done = store.begin(&scope, &key("done"), call).await.unwrap();
        if last.is_none() {
            let BeginOutcome::Started(lease) = done else {
                panic!("{done:?}");
            };
            let kept = store.complete(&lease, answer.clone()).await.unwrap();
            assert_eq!(kept, LeaseOutcome::Done);
        } else {
            assert_eq!(done, BeginOutcome::Replay(answer.clone()));
        }
        let BeginOutcome::Started(lease) = store.begin(&scope, &key("k"), call).await.unwrap()
        else {
            panic!("it was abandoned");
        };
        assert!(last.replace(lease.token) < Some(lease.token));
        assert_eq!(store.abandon(&lease).await.unwrap(), LeaseOutcome::Done);
    }
}
