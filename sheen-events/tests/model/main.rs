//! Log, wake-ups, streams, feed and readers together, under a clock by hand and a seed: whatever
//! happens on the way, each reader ends with every seq once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod viewer;
mod world;

use std::sync::Arc;

use sheen_core::entropy::{OsEntropy, SeededEntropy};
use sheen_core::time::{ManualClock, Timestamp};
use sheen_events::log::{EventLog, MemoryEventLog, PgEventLog};
use sheen_events::postgres::migrate;
use testkit::Proof;

use chaos::Blocking;
use world::World;

const START: i64 = 1_763_634_600_000;

/// B1 to B9, C1, F1 and F2: thousands of schedules over a log in memory.
#[tokio::test]
async fn b2_every_reader_ends_with_every_seq_once_whatever_happens_on_the_way() {
    let mut counts = world::Counts::default();
    for seed in 0..Proof::size().pick(1_500, 100_000) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let log = MemoryEventLog::new(clock.clone(), entropy, Default::default());
        let world = World::new(Arc::new(log), clock, seed, "b").await;
        counts += world.run().await;
    }
    counts.assert_that_all_happened();
}

/// The same over PostgreSQL, with fewer.
#[tokio::test(flavor = "multi_thread")]
async fn b2_every_reader_ends_with_every_seq_once_over_postgresql() {
    let database = testkit::postgres().await;
    let pool = database.pool(4).await;
    migrate(&pool).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(PgEventLog::new(pool, Arc::new(OsEntropy)));
    // Its reads are done where they are asked for, so that the schedule is the seed's here too.
    let log = Arc::new(Blocking(log));
    let mut counts = world::Counts::default();
    for seed in 0..Proof::size().pick(24, 500) {
        // Events have the database's instants, which no reader may take for late or old.
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let world = World::new(log.clone(), clock, seed, &format!("b{seed}")).await;
        counts += world.run().await;
    }
    counts.assert_that_lines_broke();
}
