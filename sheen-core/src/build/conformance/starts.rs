//! Starting and claiming: C1 to C6.

use std::sync::Arc;
use std::time::Duration;

use super::{
    BuildHarness, SECOND, crowd, deployed, failed, files, new_build, project, user, worker,
};
use crate::build::types::{Authority, FailureReason, FinishOutcome, Queued, StartOutcome, Status};
use crate::error::StoreErrorKind;
use crate::files::FileSet;
use crate::id::{BuildId, VersionId};
use crate::token::FencingToken;

/// C1: the first start makes its user the owner; a refused one makes nobody the owner.
pub async fn c01_the_first_start_makes_the_owner(h: BuildHarness) {
    assert_eq!(h.reader.owner(&project("p")).await.unwrap(), None);
    h.started(new_build(1, "u", "p")).await;
    assert_eq!(
        h.reader.owner(&project("p")).await.unwrap(),
        Some(user("u"))
    );
    // The session is known, so this start of another project is refused and claims nothing.
    let mut repeat = new_build(1, "u", "q");
    repeat.id = BuildId::parse("bld_other").unwrap();
    let refused = h.store.start(repeat).await.unwrap();
    assert!(matches!(refused, StartOutcome::SessionKnown(_)));
    assert_eq!(h.reader.owner(&project("q")).await.unwrap(), None);
}

/// C1: of many users who start the same new project at once, one owns it and the rest are told so.
pub async fn c01_of_two_users_at_once_one_becomes_the_owner(h: BuildHarness) {
    let outcomes = crowd(|n| {
        let store = Arc::clone(&h.store);
        async move { store.start(new_build(n, &format!("u{n}"), "p")).await }
    })
    .await;
    let mut started = Vec::new();
    for outcome in outcomes {
        match outcome.unwrap() {
            StartOutcome::Started(queued) => started.push(queued.build),
            StartOutcome::NotOwner => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(started.len(), 1);
    let owner = h.reader.owner(&project("p")).await.unwrap();
    assert_eq!(owner.as_ref(), Some(&started[0].user));
}

/// C2: before session and active build are looked at.
pub async fn c02_another_users_project_is_not_startable(h: BuildHarness) {
    h.started(new_build(1, "u", "p")).await;
    h.started(new_build(2, "other", "q")).await;
    for mut new in [new_build(3, "other", "p"), new_build(2, "other", "p")] {
        assert_eq!(
            h.store.start(new.clone()).await.unwrap(),
            StartOutcome::NotOwner
        );
        new.allow_concurrent = true;
        assert_eq!(h.store.start(new).await.unwrap(), StartOutcome::NotOwner);
    }
    let absent = BuildId::parse("bld_3").unwrap();
    assert_eq!(h.reader.get(&absent).await.unwrap(), None);
}

/// C3: queued, building or ended, and whatever else the repeat says.
pub async fn c03_a_session_names_one_build_for_ever(h: BuildHarness) {
    let first = h.started(new_build(1, "u", "p")).await;
    let mut repeat = new_build(1, "u", "elsewhere");
    repeat.id = BuildId::parse("bld_again").unwrap();
    repeat.version = VersionId::parse("ver_again").unwrap();
    repeat.allow_concurrent = true;
    let known = StartOutcome::SessionKnown(first);
    assert_eq!(h.store.start(repeat.clone()).await.unwrap(), known);

    let building = h.claimed().await.build;
    let known = StartOutcome::SessionKnown(Queued::new(building.clone(), 0));
    assert_eq!(h.store.start(repeat.clone()).await.unwrap(), known);

    let by = Authority::Claim(building.token);
    let ended = h.finished(&building.id, by, deployed()).await;
    h.advance.by(Duration::from_secs(365 * 24 * 3600)).await;
    let known = StartOutcome::SessionKnown(Queued::new(ended, 0));
    assert_eq!(h.store.start(repeat.clone()).await.unwrap(), known);
    assert_eq!(h.reader.get(&repeat.id).await.unwrap(), None);

    // The same name is another session with another user.
    let mut others = new_build(1, "other", "q");
    others.id = BuildId::parse("bld_2").unwrap();
    h.started(others).await;
}

/// C3: many starts of one session at once, each with ids of its own, are one build.
pub async fn c03_one_session_at_once_starts_one_build(h: BuildHarness) {
    let outcomes = crowd(|n| {
        let store = Arc::clone(&h.store);
        let mut new = new_build(1_000, "u", "p");
        new.id = BuildId::parse(&format!("bld_{n}")).unwrap();
        new.allow_concurrent = n % 2 == 0;
        async move { store.start(new).await }
    })
    .await;
    let (mut started, mut known) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome.unwrap() {
            StartOutcome::Started(queued) => started.push(queued),
            StartOutcome::SessionKnown(queued) => known.push(queued),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(started.len(), 1);
    assert!(known.iter().all(|queued| *queued == started[0]));
}

/// C4, B9: busy while queued and while building, free in the instant the end was written.
pub async fn c04_an_active_build_keeps_others_out(h: BuildHarness) {
    let first = h.started(new_build(1, "u", "p")).await.build;
    let busy = StartOutcome::ProjectBusy {
        active: first.id.clone(),
    };
    assert_eq!(h.store.start(new_build(2, "u", "p")).await.unwrap(), busy);
    let first = h.claimed().await.build;
    assert_eq!(h.store.start(new_build(2, "u", "p")).await.unwrap(), busy);

    // Another project of the same user is free, and so is this one for who says so.
    h.started(new_build(3, "u", "q")).await;
    let mut beside = new_build(4, "u", "p");
    beside.allow_concurrent = true;
    let beside = h.started(beside).await.build;

    let by = Authority::Claim(first.token);
    h.finished(&first.id, by, failed(FailureReason::BuildFailed))
        .await;
    let busy = StartOutcome::ProjectBusy {
        active: beside.id.clone(),
    };
    assert_eq!(h.store.start(new_build(2, "u", "p")).await.unwrap(), busy);
    let owner = Authority::Owner(user("u"));
    h.finished(&beside.id, owner, failed(FailureReason::Cancelled))
        .await;
    h.started(new_build(2, "u", "p")).await;
}

/// C4, B1: every one of the others is told the build that got the slot.
pub async fn c04_of_any_number_of_starts_at_once_one_succeeds(h: BuildHarness) {
    for round in 0..3 {
        let outcomes = crowd(|n| {
            let store = Arc::clone(&h.store);
            async move { store.start(new_build(round * 100 + n, "u", "p")).await }
        })
        .await;
        let (mut started, mut told) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome.unwrap() {
                StartOutcome::Started(queued) => started.push(queued.build.id),
                StartOutcome::ProjectBusy { active } => told.push(active),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(started.len(), 1, "round {round}");
        assert!(told.iter().all(|active| *active == started[0]));
        let claimed = h.claimed().await.build;
        assert_eq!(claimed.id, started[0]);
        let by = Authority::Claim(claimed.token);
        h.finished(&claimed.id, by, deployed()).await;
    }
}

/// C5.
pub async fn c05_a_started_build_is_queued_with_its_input_and_place(h: BuildHarness) {
    let mut first = new_build(1, "u", "p");
    first.hold = Some(crate::build::HoldRef::new(
        crate::id::ReservationId::derive(&["u", "1"]),
        crate::seconds::Seconds::from_u32(300),
    ));
    first.input.locale = crate::locale::Locale::Ar;
    let queued = h.started(first.clone()).await;
    assert_eq!(queued.position, 1);
    let build = queued.build;
    assert_eq!(build.status, Status::Queued);
    assert_eq!(build.token, FencingToken::ZERO);
    assert_eq!(build.created_at, build.updated_at);
    let expected = crate::build::Build::queued(&first, build.created_at);
    assert_eq!(build, expected);
    let kept = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(kept, files("<h1>"));
    assert_eq!(kept.get("index.html"), Some("<h1>"));

    let mut bare = new_build(2, "u", "q");
    bare.input.metadata = None;
    bare.input.files = FileSet::default();
    assert_eq!(h.started(bare.clone()).await.position, 2);
    assert_eq!(h.started(new_build(3, "v", "r")).await.position, 3);

    h.advance.by(SECOND * 5).await;
    let claimed = h.claimed().await;
    assert_eq!(claimed.input, first.input);
    assert!(claimed.waited >= SECOND * 5);
    assert_eq!(h.claimed().await.input, bare.input);
    assert_eq!(h.started(new_build(4, "v", "s")).await.position, 2);
}

/// An id that another build has is a fault of the caller's, not a second build.
pub async fn c05_an_id_is_never_given_twice(h: BuildHarness) {
    let first = h.started(new_build(1, "u", "p")).await.build;
    let mut same = new_build(2, "v", "q");
    same.id = first.id.clone();
    let error = h.store.start(same).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Rejected);
    h.unchanged(&first).await;
    assert_eq!(h.reader.owner(&project("q")).await.unwrap(), None);
}

/// C6: by admission, not by id; the token rises and the claim counts as a heartbeat.
pub async fn c06_a_claim_takes_the_build_queued_longest(h: BuildHarness) {
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);
    for (n, of) in [(9, "a"), (1, "b"), (5, "c")] {
        h.started(new_build(n, "u", of)).await;
    }
    h.advance.by(SECOND).await;
    for n in [9, 1, 5] {
        let queued = h.row(&new_build(n, "u", "x").id).await;
        let build = h.claimed().await.build;
        assert_eq!(build.id, queued.id);
        assert_eq!(build.status, Status::Building);
        assert_eq!(build.token, queued.token.next());
        assert_eq!(build.heartbeat_at, Some(build.updated_at));
        assert!(build.updated_at >= queued.created_at.plus(SECOND));
        assert_eq!(h.row(&build.id).await, build);
    }
    assert_eq!(h.store.claim(&worker()).await.unwrap(), None);
}

/// C6, B8: also when every process that claims has the same name.
pub async fn c06_of_any_number_of_claims_at_once_one_gets_it(h: BuildHarness) {
    for n in 0..3 {
        h.started(new_build(n, "u", &format!("p{n}"))).await;
    }
    let claims = crowd(|_| {
        let store = Arc::clone(&h.store);
        async move { store.claim(&worker()).await }
    })
    .await;
    let mut got: Vec<_> = claims
        .into_iter()
        .filter_map(|claim| claim.unwrap())
        .map(|claimed| claimed.build)
        .collect();
    got.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<_> = got.iter().map(|build| build.id.as_str()).collect();
    assert_eq!(ids, ["bld_0", "bld_1", "bld_2"]);
    for build in got {
        let by = Authority::Claim(build.token);
        let ended = h.finish(&build.id, by, deployed()).await;
        assert!(matches!(ended, FinishOutcome::Finished(_)));
    }
}
