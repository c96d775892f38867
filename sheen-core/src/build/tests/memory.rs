//! The memory store: its contract, its bounds, and checks that foretell their steps.

use super::*;
use crate::build::conformance::BuildHarness;
use crate::error::StoreErrorKind;
use crate::time::{Advance, ManualClock};

async fn harness() -> BuildHarness {
    let clock = Arc::new(ManualClock::at(START));
    let deadlines = Deadlines::default();
    let store = Arc::new(MemoryBuildStore::new(clock.clone(), deadlines, 1_000));
    BuildHarness::new(store.clone(), store, Advance::manual(clock))
}

crate::build_store_conformance!(harness());

mod settled {
    use std::sync::Arc;

    use crate::build::conformance::BuildHarness;
    use crate::build::settled::conformance::OutboxHarness;
    use crate::build::{Deadlines, MemoryBuildStore};
    use crate::time::{Advance, ManualClock};

    async fn harness() -> OutboxHarness {
        let clock = Arc::new(ManualClock::at(super::START));
        let deadlines = Deadlines::default();
        let store = Arc::new(MemoryBuildStore::new(clock.clone(), deadlines, 1_000));
        let builds = BuildHarness::new(store.clone(), store.clone(), Advance::manual(clock));
        OutboxHarness::new(builds, store.clone(), store)
    }

    crate::settled_outbox_conformance!(harness());
}

fn store(capacity: usize) -> MemoryBuildStore {
    let clock = Arc::new(ManualClock::at(START));
    MemoryBuildStore::new(clock, Deadlines::default(), capacity)
}

fn of_project(n: u32, project: &str) -> NewBuild {
    let mut new = new_build(n);
    new.project = ProjectId::parse(project).unwrap();
    new
}

fn cancel(build: &BuildId) -> Finish {
    let owner = Authority::Owner(UserId::parse("owner").unwrap());
    Finish::new(build.clone(), owner, failed(FailureReason::Cancelled))
}

#[test]
fn a_full_store_refuses_and_forgets_nothing() {
    let store = store(2);
    let mut state = store.lock();
    for (n, project) in [(1, "p"), (2, "q")] {
        let outcome = state.start(START, of_project(n, project)).unwrap();
        assert!(matches!(outcome, StartOutcome::Started(_)));
    }
    let ended = state.finish(START, &cancel(&new_build(1).id));
    assert!(matches!(ended, FinishOutcome::Finished(_)));
    // An ended build keeps its place: its session still names it.
    for project in ["p", "r"] {
        let new = of_project(3, project);
        let full = state.check_start(START, &new).unwrap_err();
        assert_eq!(full.kind, StoreErrorKind::Full);
        let full = state.start(START, new).unwrap_err();
        assert_eq!(full.kind, StoreErrorKind::Full);
    }
    assert_eq!(state.get_build(&new_build(3).id), None);
    assert_eq!(state.owner(&ProjectId::parse("r").unwrap()), None);
    // What needs no room is answered as before.
    let known = state.start(START, of_project(1, "p")).unwrap();
    assert!(matches!(known, StartOutcome::SessionKnown(_)));
    let busy = state.start(START, of_project(3, "q")).unwrap();
    assert!(matches!(busy, StartOutcome::ProjectBusy { .. }));
    assert!(state.claim(START).is_some());
}

#[test]
fn a_project_is_claimed_once_and_within_the_bound() {
    let store = store(2);
    let mut state = store.lock();
    let user = |name: &str| UserId::parse(name).unwrap();
    let project = |name: &str| ProjectId::parse(name).unwrap();
    let (u, v, p, q, r) = (
        user("u"),
        user("v"),
        project("p"),
        project("q"),
        project("r"),
    );
    assert_eq!(state.check_project_claim(&u, &p).unwrap(), None);
    assert_eq!(state.owner(&p), None, "a check claims nothing");
    assert_eq!(
        state.claim_project(&u, &p).unwrap(),
        ProjectClaimOutcome::Claimed
    );
    for (who, outcome) in [
        (&u, ProjectClaimOutcome::AlreadyOwner),
        (&v, ProjectClaimOutcome::NotOwner),
    ] {
        assert_eq!(state.check_project_claim(who, &p).unwrap(), Some(outcome));
        assert_eq!(state.claim_project(who, &p).unwrap(), outcome);
    }
    assert_eq!(state.owner(&p), Some(&u));
    let latest = state.latest(std::slice::from_ref(&p));
    assert_eq!(latest, [ProjectLatest::new(p, u.clone(), None)]);
    // The claim binds a start, and a start binds a claim.
    let stranger = state.start(START, of_project(1, "p")).unwrap();
    assert_eq!(stranger, StartOutcome::NotOwner);
    let started = state.start(START, of_project(1, "q")).unwrap();
    assert!(matches!(started, StartOutcome::Started(_)));
    assert_eq!(
        state.claim_project(&u, &q).unwrap(),
        ProjectClaimOutcome::NotOwner
    );
    let full = state.check_project_claim(&u, &r).unwrap_err();
    assert_eq!(full.kind, StoreErrorKind::Full);
    let full = state.claim_project(&u, &r).unwrap_err();
    assert_eq!(full.kind, StoreErrorKind::Full);
    assert_eq!(state.owner(&r), None);
}

proptest! {
    /// What a check says is what the step then does, in every state reached by random steps; and
    /// the counts of queued and building builds are those of the rows.
    #[test]
    fn a_check_foretells_its_step(steps in proptest::collection::vec((0u8..6, 0u32..8, 0u64..4), 1..80)) {
        let store = store(6);
        let mut state = store.lock();
        let mut now = START;
        for (step, n, number) in steps {
            let token = FencingToken::from_u64(number);
            let id = new_build(n).id;
            match step {
                0 | 1 => {
                    let mut new = of_project(n, ["p", "q"][n as usize % 2]);
                    new.allow_concurrent = number == 0;
                    let foretold = state.check_start(now, &new);
                    match (foretold, state.start(now, new)) {
                        (Err(wanted), Err(got)) => prop_assert_eq!(wanted.kind, got.kind),
                        (Ok(Some(wanted)), Ok(got)) => prop_assert_eq!(wanted, got),
                        (Ok(None), Ok(StartOutcome::Started(_))) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                2 => {
                    let foretold = state.peek_claim().map(|build| build.id.clone());
                    let claimed = state.claim(now).map(|claimed| claimed.build.id);
                    prop_assert_eq!(foretold, claimed);
                }
                3 => {
                    let foretold = state.check_beat(&id, token);
                    let beaten = state.beat(now, &id, token);
                    prop_assert_eq!(foretold.is_some(), beaten == BeatOutcome::Lost);
                }
                4 => {
                    let by = match number {
                        0 => Authority::Sweep,
                        1 => Authority::Owner(UserId::parse("owner").unwrap()),
                        _ => Authority::Claim(token.next()),
                    };
                    let ending = if n % 2 == 0 { deployed() } else { failed(FailureReason::Cancelled) };
                    let wish = Finish::new(id, by, ending);
                    let foretold = state.check_finish(now, &wish);
                    match (foretold, state.finish(now, &wish)) {
                        (Some(wanted), got) => prop_assert_eq!(wanted, got),
                        (None, FinishOutcome::Finished(_)) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                _ => now = now.plus(Duration::from_secs(u64::from(n) * 100)),
            }
            check_counts(&state, now)?;
        }
    }
}

fn check_counts(state: &BuildState, now: Timestamp) -> Result<(), TestCaseError> {
    let rows: Vec<Build> = (0..8)
        .filter_map(|n| state.get_build(&new_build(n).id).cloned())
        .collect();
    let count = |status| rows.iter().filter(|build| build.status == status).count() as u64;
    prop_assert_eq!(state.queued(), count(Status::Queued));
    prop_assert_eq!(state.building(), count(Status::Building));
    let deadlines = Deadlines::default();
    let due = |build: &&Build| is_overdue(build, now, &deadlines);
    prop_assert_eq!(
        state.overdue(now, 100).len(),
        rows.iter().filter(due).count()
    );
    let mut positions: Vec<u64> = rows
        .iter()
        .filter_map(|build| state.get(&build.id))
        .map(|queued| queued.position)
        .filter(|position| *position > 0)
        .collect();
    positions.sort_unstable();
    prop_assert_eq!(positions, (1..=state.queued()).collect::<Vec<_>>());
    Ok(())
}
