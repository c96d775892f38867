//! The rules over every state and event.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId};
use crate::seconds::Seconds;
use crate::time::Timestamp;
use crate::token::FencingToken;

const START: Timestamp = Timestamp::from_millis(1_763_634_600_000);

fn new_build(n: u32) -> NewBuild {
    NewBuild::new(
        BuildId::parse(&format!("bld_{n}")).unwrap(),
        VersionId::parse(&format!("ver_{n}")).unwrap(),
        UserId::parse("owner").unwrap(),
        ProjectId::parse("salon").unwrap(),
        BuildSessionId::parse(&format!("bs_{n}")).unwrap(),
        BuildInput::new(
            BuildKind::Create,
            "Create a salon website",
            FileSet::default(),
        ),
    )
}

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn deployed() -> Ending {
    Ending::Deployed {
        preview_url: "/preview/bld_1/".into(),
        seconds: Seconds::from_u32(7),
    }
}

fn failed(reason: FailureReason) -> Ending {
    Ending::Failed {
        reason,
        error: "it broke".into(),
    }
}

fn finish(by: Authority, ending: Ending) -> Finish {
    Finish::new(BuildId::parse("bld_1").unwrap(), by, ending)
}

mod memory;

/// A build in each state, reached by the rules themselves.
fn in_state(status: Status) -> Build {
    let queued = Build::queued(&new_build(1), START);
    if status == Status::Queued {
        return queued;
    }
    let building = decide_claim(&queued, at(1)).unwrap().after;
    let ending = match status {
        Status::Deployed => deployed(),
        Status::Failed => failed(FailureReason::BuildFailed),
        _ => return building,
    };
    let by = Authority::Claim(building.token);
    match decide_finish(
        Some(&building),
        &finish(by, ending),
        at(2),
        &Deadlines::default(),
    ) {
        FinishDecision::Apply(change) => change.after,
        refused @ FinishDecision::Refuse(_) => panic!("{refused:?}"),
    }
}

#[test]
fn b02_every_pair_of_states_is_in_the_table() {
    use Status::{Building, Deployed, Failed, Queued};
    for from in Status::ALL {
        for to in Status::ALL {
            let expected = match (from, to) {
                (Queued, Building | Failed) | (Building, Deployed | Failed) => Transition::Legal,
                (from, to) if from == to => Transition::NoOp,
                _ => Transition::Illegal,
            };
            assert_eq!(from.transition(to), expected, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn b02_a_claim_takes_a_queued_build_alone() {
    for status in Status::ALL {
        let build = in_state(status);
        let change = decide_claim(&build, at(5));
        assert_eq!(change.is_some(), status == Status::Queued, "{status:?}");
    }
    let claimed = decide_claim(&in_state(Status::Queued), at(5)).unwrap();
    assert_eq!(claimed.after.status, Status::Building);
    assert_eq!(claimed.after.token, FencingToken::ZERO.next());
    assert_eq!(claimed.after.heartbeat_at, Some(at(5)));
    assert_eq!(claimed.after.updated_at, at(5));
    assert_eq!(claimed.after.created_at, START);
}

#[test]
fn b02_a_heartbeat_counts_for_the_last_claim_of_a_building_build_alone() {
    for status in Status::ALL {
        let build = in_state(status);
        for number in 0..4 {
            let token = FencingToken::from_u64(number);
            let counts = status == Status::Building && token == build.token;
            let change = decide_beat(Some(&build), token, at(1_000));
            assert_eq!(change.is_some(), counts, "{status:?} {token}");
        }
    }
    assert_eq!(decide_beat(None, FencingToken::ZERO, START), None);
}

/// What a finish of `by` and `ending` comes to in each state, by name.
fn expected(build: &Build, by: &Authority, ending: &Ending, overdue: bool) -> &'static str {
    let fails = matches!(ending, Ending::Failed { .. });
    match (build.status, by) {
        (_, Authority::Owner(user)) if user.as_str() != "owner" => "NotFound",
        (Status::Queued, Authority::Claim(_)) => "Fenced",
        (Status::Building, Authority::Claim(token)) if *token != build.token => "Fenced",
        (Status::Building, Authority::Claim(_)) => "Finished",
        (Status::Queued | Status::Building, Authority::Sweep) if !overdue => "NotOverdue",
        (Status::Queued | Status::Building, _) if fails => "Finished",
        (Status::Queued | Status::Building, _) => "NotAllowed",
        (Status::Deployed, Authority::Claim(token))
            if token.next() == build.token && *ending == deployed() =>
        {
            "AlreadySo"
        }
        (Status::Failed, Authority::Claim(token)) if token.next() != build.token => "AlreadyEnded",
        (Status::Failed, _) if *ending == failed(FailureReason::BuildFailed) => "AlreadySo",
        _ => "AlreadyEnded",
    }
}

fn name(outcome: &FinishOutcome) -> &'static str {
    match outcome {
        FinishOutcome::NotFound => "NotFound",
        FinishOutcome::AlreadySo(_) => "AlreadySo",
        FinishOutcome::AlreadyEnded(_) => "AlreadyEnded",
        FinishOutcome::Fenced(_) => "Fenced",
        FinishOutcome::NotOverdue(_) => "NotOverdue",
        FinishOutcome::NotAllowed(_) => "NotAllowed",
        FinishOutcome::Finished(_) => "Finished",
    }
}

#[test]
fn b02_b04_every_end_in_every_state_is_decided_and_a_refusal_shows_the_row_as_it_is() {
    let mut rights: Vec<Authority> = (0..4)
        .map(|number| Authority::Claim(FencingToken::from_u64(number)))
        .collect();
    rights.push(Authority::Owner(UserId::parse("owner").unwrap()));
    rights.push(Authority::Owner(UserId::parse("stranger").unwrap()));
    rights.push(Authority::Sweep);
    let endings = [
        deployed(),
        failed(FailureReason::BuildFailed),
        failed(FailureReason::TimedOut),
        failed(FailureReason::Cancelled),
    ];
    let mut decided = 0;
    for status in Status::ALL {
        let build = in_state(status);
        for (by, ending) in rights
            .iter()
            .flat_map(|by| endings.iter().map(move |ending| (by, ending)))
        {
            for (now, overdue) in [(at(60), false), (at(601), true)] {
                let wish = finish(by.clone(), ending.clone());
                let wanted = expected(&build, by, ending, overdue);
                let case = format!("{status:?} {by:?} {ending:?} overdue {overdue}");
                match decide_finish(Some(&build), &wish, now, &Deadlines::default()) {
                    FinishDecision::Refuse(outcome) => {
                        assert_eq!(name(&outcome), wanted, "{case}");
                        check_untouched(&outcome, &build);
                    }
                    FinishDecision::Apply(change) => {
                        assert_eq!(wanted, "Finished", "{case}");
                        check_end(&change, &build, ending, now);
                    }
                }
                decided += 1;
            }
        }
    }
    assert_eq!(decided, 4 * 7 * 4 * 2);
}

fn check_untouched(outcome: &FinishOutcome, build: &Build) {
    match outcome {
        FinishOutcome::AlreadySo(shown)
        | FinishOutcome::AlreadyEnded(shown)
        | FinishOutcome::Fenced(shown)
        | FinishOutcome::NotOverdue(shown)
        | FinishOutcome::NotAllowed(shown) => assert_eq!(shown, build),
        FinishOutcome::NotFound => {}
        FinishOutcome::Finished(_) => panic!("a refusal cannot have finished"),
    }
}

fn check_end(change: &Change, build: &Build, ending: &Ending, now: Timestamp) {
    assert_eq!(change.relied_on, build.revision());
    let after = &change.after;
    assert_eq!(after.status, ending.status());
    assert_eq!(after.token, build.token.next(), "b05: the claim is over");
    assert_eq!(after.updated_at, now);
    assert_eq!(after.created_at, build.created_at);
    assert_eq!(after.heartbeat_at, build.heartbeat_at);
    match ending {
        Ending::Deployed {
            preview_url,
            seconds,
        } => {
            assert_eq!(after.preview_url.as_ref(), Some(preview_url));
            assert_eq!((after.seconds, after.reason), (Some(*seconds), None));
        }
        Ending::Failed { reason, error } => {
            assert_eq!(after.error.as_ref(), Some(error));
            assert_eq!((after.seconds, after.reason), (None, Some(*reason)));
        }
    }
}

#[test]
fn b07_deadlines_are_half_open_and_a_sweep_carries_its_own() {
    let deadlines = Deadlines::default();
    for (status, from, length) in [
        (Status::Queued, START, deadlines.queued),
        (Status::Building, at(1), deadlines.building),
    ] {
        let build = in_state(status);
        let due = from.plus(length);
        assert_eq!(deadline(&build, &deadlines), Some(due));
        let just_before = due.minus(Duration::from_millis(1));
        assert!(!is_overdue(&build, just_before, &deadlines));
        assert!(is_overdue(&build, due, &deadlines));
        let wish = finish(Authority::Sweep, failed(FailureReason::TimedOut));
        let FinishDecision::Apply(change) = decide_finish(Some(&build), &wish, due, &deadlines)
        else {
            panic!("an overdue build is swept");
        };
        assert_eq!(change.not_before, Some(due));
    }
    for status in [Status::Deployed, Status::Failed] {
        assert_eq!(deadline(&in_state(status), &deadlines), None);
    }
}

#[test]
fn a_start_is_refused_in_the_order_of_the_wire() {
    let new = new_build(2);
    let stranger = Some(UserId::parse("stranger").unwrap());
    let owner = Some(new.user.clone());
    let known = Queued::new(in_state(Status::Failed), 0);
    let active = BuildId::parse("bld_9").unwrap();
    for session in [None, Some(known.clone())] {
        for active in [None, Some(active.clone())] {
            let state = StartState::new(stranger.clone(), session.clone(), active);
            let decision = decide_start(&state, &new, START);
            assert_eq!(decision, StartDecision::Refuse(StartOutcome::NotOwner));
        }
    }
    let state = StartState::new(owner.clone(), Some(known.clone()), Some(active.clone()));
    let told = StartOutcome::SessionKnown(known);
    assert_eq!(
        decide_start(&state, &new, START),
        StartDecision::Refuse(told)
    );
    let state = StartState::new(owner, None, Some(active.clone()));
    let busy = StartOutcome::ProjectBusy { active };
    assert_eq!(
        decide_start(&state, &new, START),
        StartDecision::Refuse(busy)
    );
    let mut beside = new;
    beside.allow_concurrent = true;
    match decide_start(&state, &beside, START) {
        StartDecision::Insert(insertion) => assert!(!insertion.claims_project),
        refused @ StartDecision::Refuse(_) => panic!("{refused:?}"),
    }
    match decide_start(&StartState::default(), &beside, START) {
        StartDecision::Insert(insertion) => {
            assert!(insertion.claims_project);
            assert_eq!(insertion.build, Build::queued(&beside, START));
        }
        refused @ StartDecision::Refuse(_) => panic!("{refused:?}"),
    }
}

proptest! {
    #[test]
    fn an_error_is_cut_between_two_characters(text in "(\\PC|é|漢|🙂){0,2500}") {
        let text: Arc<str> = text.into();
        let kept = kept_error(&text);
        prop_assert!(kept.len() <= Ending::MAX_ERROR);
        prop_assert!(text.starts_with(&*kept));
        // Nothing that would have fitted was dropped.
        prop_assert!(kept.len() == text.len() || kept.len() > Ending::MAX_ERROR - 4);
    }

    #[test]
    fn rows_of_one_revision_are_one_row(events in proptest::collection::vec((0u8..4, 0u64..3), 0..40)) {
        let mut build = Build::queued(&new_build(1), START);
        let mut seen = vec![build.clone()];
        let mut now = START;
        for (event, wait) in events {
            now = now.plus(Duration::from_millis(wait));
            let claim = Authority::Claim(build.token);
            let change = match event {
                0 => decide_claim(&build, now),
                1 => decide_beat(Some(&build), build.token, now),
                _ => {
                    let ending = if event == 2 { deployed() } else { failed(FailureReason::Cancelled) };
                    match decide_finish(Some(&build), &finish(claim, ending), now, &Deadlines::default()) {
                        FinishDecision::Apply(change) => Some(change),
                        FinishDecision::Refuse(_) => None,
                    }
                }
            };
            if let Some(change) = change {
                build = change.after;
                for earlier in &seen {
                    prop_assert_eq!(earlier.revision() == build.revision(), *earlier == build);
                }
                seen.push(build.clone());
            }
        }
    }
}
