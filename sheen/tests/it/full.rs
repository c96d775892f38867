//! Rooms at their bounds: a step that has no room in one of them writes in none.

use std::sync::Arc;

use sheen::admission::conformance::GIFT;
use sheen::admission::{AdmitOutcome, Admitted, KeyedCall};
use sheen::memory::MemoryConfig;
use sheen::worker::{Start, Worker};
use sheen_billing::account::CreditReader;
use sheen_core::build::{BuildInput, BuildKind, BuildReader};
use sheen_core::error::StoreErrorKind;
use sheen_core::files::{FilePath, FileSet};
use sheen_core::id::{PrincipalId, ProjectId, UserId};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, IdempotencyStore, Scope, StoredAnswer};
use sheen_core::mode::permit;
use sheen_core::seconds::Seconds;

use crate::support::Rooms;

fn user() -> UserId {
    UserId::parse("u").unwrap()
}

fn call(key: &str) -> KeyedCall {
    let scope = Scope::new(PrincipalId::parse("front").unwrap(), user());
    let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
    KeyedCall::new(scope, key, Fingerprint::of("POST", "/", "", &[0; 32]))
}

async fn start(
    worker: &Worker,
    project: &str,
) -> Result<AdmitOutcome, sheen_core::error::StoreError> {
    let path = FilePath::parse("index.html").unwrap();
    let files = FileSet::from_iter([(path, "0123456789".into())]);
    let input = BuildInput::new(BuildKind::Create, "a site", files);
    let render = |_: &Admitted| StoredAnswer::new(202, Vec::new(), *b"{}", "req_1");
    let project = ProjectId::parse(project).unwrap();
    let mut start = Start::new(user(), project.clone(), input, Arc::new(render));
    start.call = Some(call(project.as_str()));
    worker.start(permit(None, None).unwrap(), start).await
}

async fn second_start_writes_nothing(bound: impl FnOnce(&mut MemoryConfig)) {
    let rooms = Rooms::with(|config| {
        config.credits.daily_gift = Seconds::from_u32(10 * GIFT);
        bound(config);
    });
    let worker = rooms.worker(Vec::new());
    let first = start(&worker, "p1").await.unwrap();
    assert!(matches!(first, AdmitOutcome::Admitted(..)));
    let before = rooms.credits.ledger_totals().await.unwrap();
    let refused = start(&worker, "p2").await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Full);
    assert_eq!(rooms.credits.ledger_totals().await.unwrap(), before);
    assert_eq!(rooms.builds.lock().queued(), 1);
    assert_eq!(rooms.log.lock().streams(), 1);
    let project = ProjectId::parse("p2").unwrap();
    assert_eq!(rooms.builds.owner(&project).await.unwrap(), None);
    let call = call("p2");
    let looked = rooms
        .idempotency
        .look(&call.scope, &call.key, call.fingerprint)
        .await;
    assert_eq!(looked.unwrap(), None);
}

#[tokio::test]
async fn no_room_for_the_build() {
    second_start_writes_nothing(|config| config.builds = 1).await;
}

#[tokio::test]
async fn no_room_for_the_files() {
    second_start_writes_nothing(|config| config.project_bytes = 19).await;
}

#[tokio::test]
async fn no_room_for_the_stream() {
    second_start_writes_nothing(|config| config.log.max_streams = 1).await;
}

#[tokio::test]
async fn no_room_for_the_answer() {
    second_start_writes_nothing(|config| config.records = 1).await;
}
