//! Holding seconds in memory: a reserve and the commit that ends it, beside what any store must
//! at least do, keep a row in a map and take it out again.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sheen_billing::account::{
    Commit, CommitOutcome, CreditPolicy, CreditState, Reserve, ReserveOutcome,
};
use sheen_core::id::{OperationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

/// Operations on one account in a round; its history grows by as many.
const ROUND: usize = 100;

fn wishes() -> Vec<(Reserve, Commit)> {
    let user = UserId::parse("ada").expect("an id");
    (0..ROUND)
        .map(|number| {
            let operation = OperationId::parse(&format!("build-{number}")).expect("an id");
            let wish = Reserve::new(user.clone(), operation.clone(), Seconds::from_u32(2));
            let used = Commit::new(wish.reservation_id(), operation, Seconds::from_u32(1));
            (wish, used)
        })
        .collect()
}

fn holds(c: &mut Criterion) {
    let now = Timestamp::from_millis(1_763_634_600_000);
    let wishes = wishes();
    let empty = || CreditState::new(CreditPolicy::default(), 10);

    let mut group = c.benchmark_group(format!("hold, {ROUND} on one account"));
    group.bench_function("reserve", |b| {
        b.iter_batched_ref(
            empty,
            |state| {
                for (wish, _) in &wishes {
                    let reserved = state.reserve(now, black_box(wish));
                    assert!(matches!(reserved, Ok(ReserveOutcome::Reserved(_))));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("reserve and commit", |b| {
        b.iter_batched_ref(
            empty,
            |state| {
                for (wish, used) in &wishes {
                    let reserved = state.reserve(now, black_box(wish));
                    assert!(matches!(reserved, Ok(ReserveOutcome::Reserved(_))));
                    let committed = state.commit(now, black_box(used));
                    assert!(matches!(committed, Ok(CommitOutcome::Committed(_))));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("floor: a map's insert and remove", |b| {
        b.iter_batched_ref(
            HashMap::new,
            |rows| {
                for (wish, used) in &wishes {
                    rows.insert(used.reservation.clone(), black_box(wish).clone());
                    rows.remove(&used.reservation);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, holds);
criterion_main!(benches);
