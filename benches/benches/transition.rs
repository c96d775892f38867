//! A build's transitions: the table itself, and the decision that a store applies.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sheen_core::build::{
    Authority, Build, BuildInput, BuildKind, Deadlines, Ending, Finish, NewBuild, Status,
    decide_claim, decide_finish,
};
use sheen_core::files::FileSet;
use sheen_core::id::{BuildId, BuildSessionId, ProjectId, UserId, VersionId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

fn queued(now: Timestamp) -> Build {
    let input = BuildInput::new(
        BuildKind::Create,
        "Create a salon website",
        FileSet::default(),
    );
    let new = NewBuild::new(
        BuildId::parse("bld_1").expect("an id"),
        VersionId::parse("ver_1").expect("an id"),
        UserId::parse("ada").expect("an id"),
        ProjectId::parse("salon").expect("an id"),
        BuildSessionId::parse("bs_salon_1").expect("an id"),
        input,
    );
    Build::queued(&new, now)
}

fn transitions(c: &mut Criterion) {
    let now = Timestamp::from_millis(1_763_634_600_000);
    let queued = queued(now);
    let building = decide_claim(&queued, now).expect("claimable").after;
    let by = Authority::Claim(building.token);

    let mut group = c.benchmark_group("transition");
    let (from, to) = (Status::Building, Status::Deployed);
    group.bench_function("the table", |b| {
        b.iter(|| black_box(from).transition(black_box(to)));
    });
    group.bench_function("decide a claim", |b| {
        b.iter(|| decide_claim(black_box(&queued), now));
    });
    let ending = Ending::Deployed {
        preview_url: "/preview/bld_1/".into(),
        seconds: Seconds::from_u32(42),
    };
    let finish = Finish::new(building.id.clone(), by, ending);
    let deadlines = Deadlines::default();
    group.bench_function("decide an end", |b| {
        b.iter(|| decide_finish(Some(black_box(&building)), &finish, now, &deadlines));
    });
    // A decision carries the row as it will be, so it costs a copy of it at least.
    group.bench_function("floor: a copy of the row", |b| {
        b.iter(|| black_box(&building).clone());
    });
    group.finish();
}

criterion_group!(benches, transitions);
criterion_main!(benches);
