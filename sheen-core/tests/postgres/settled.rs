//! Observers of settled builds, told by several processes over one database.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sheen_core::build::PgBuildStore;
use sheen_core::build::settled::{
    BuildObserver, Courier, Delivery, Hearing, LEASE, MAX_ATTEMPTS, ObserverRegistry,
    ResolveOutcome, Round, SettledOutbox,
};
use sheen_core::build::{Authority, BuildStore, Deadlines, Ending, FailureReason, Finish};
use sheen_core::id::{ObserverId, WorkerId};
use sheen_core::runtime::{BoxFuture, Sleep, TokioRuntime};

use super::support::{Holder, beside};
use super::{World, new_build, worker};

/// Notes what it hears, and does as it is told.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<BTreeMap<String, u32>>,
    manner: Manner,
}

#[derive(Debug, Default, Clone, Copy)]
enum Manner {
    #[default]
    Hears,
    Fails,
    Panics,
    Hangs,
}

#[async_trait]
impl BuildObserver for Ear {
    async fn settled(&self, delivery: &Delivery) -> Result<(), Box<dyn Error + Send + Sync>> {
        let id = delivery.build.id.to_string();
        *self.heard.lock().unwrap().entry(id).or_default() += 1;
        match self.manner {
            Manner::Hears => Ok(()),
            Manner::Fails => Err("no mail today".into()),
            Manner::Panics => panic!("an observer's fault"),
            Manner::Hangs => std::future::pending().await,
        }
    }
}

/// No try is given time: what is pending took too long.
#[derive(Debug)]
struct NoTime;

impl Sleep for NoTime {
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Ear {
    fn of(manner: Manner) -> Arc<Self> {
        Arc::new(Self {
            manner,
            ..Self::default()
        })
    }

    fn heard(&self) -> BTreeMap<String, u32> {
        self.heard.lock().unwrap().clone()
    }
}

fn courier(store: &Arc<PgBuildStore>, name: &ObserverId, ear: &Arc<Ear>, process: u32) -> Courier {
    let worker = WorkerId::parse(&format!("wrk_{process}")).unwrap();
    let sleep: Arc<dyn Sleep> = match ear.manner {
        Manner::Hangs => Arc::new(NoTime),
        _ => Arc::new(TokioRuntime),
    };
    Courier::new(store.clone(), name.clone(), ear.clone(), worker, sleep)
}

async fn registered(world: &World, name: &str) -> ObserverId {
    let name = ObserverId::parse(name).unwrap();
    world.store.register(&name).await.unwrap();
    name
}

/// Starts builds and calls them off.
async fn ended(world: &World, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let build = world
            .started(new_build(n, "u", &format!("p{n}")))
            .await
            .build;
        let ending = Ending::Failed {
            reason: FailureReason::Cancelled,
            error: "called off".into(),
        };
        let finish = Finish::new(build.id, Authority::Owner(build.user), ending);
        world.store.finish(finish).await.unwrap();
    }
}

/// Another process: a pool and a memory of its own.
async fn process(world: &World) -> Arc<PgBuildStore> {
    let pool = world.database.pool_with(4, world.database.options()).await;
    Arc::new(PgBuildStore::new(pool, Deadlines::default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_tell_of_each_build_once_while_none_dies() {
    const BUILDS: u32 = 60;
    let world = World::new().await;
    let mail = registered(&world, "mail").await;
    ended(&world, 0..BUILDS).await;
    let ear = Ear::of(Manner::Hears);
    let mut tasks = Vec::new();
    for n in 0..2 {
        let store = process(&world).await;
        for _ in 0..2 {
            let courier = courier(&store, &mail, &ear, n);
            tasks.push(beside(async move {
                let mut heard = 0;
                loop {
                    let round = courier.deliver(7).await.unwrap();
                    heard += round.heard;
                    if round == Round::default() {
                        return heard;
                    }
                }
            }));
        }
    }
    let mut heard = 0;
    for task in tasks {
        heard += task.await.unwrap();
    }
    assert_eq!(heard, BUILDS);
    let by_build = ear.heard();
    assert_eq!(by_build.len(), 60);
    assert!(by_build.values().all(|times| *times == 1), "{by_build:?}");
}

/// A process tells the observer and dies before it can say so: another one tells again once the
/// lease has run out, and what the dead one sends late changes nothing.
#[tokio::test]
async fn a_crash_between_telling_and_saying_so_tells_again() {
    let world = World::new().await;
    let mail = registered(&world, "mail").await;
    ended(&world, 1..2).await;
    let ear = Ear::of(Manner::Hears);
    let dead = process(&world).await;
    let due = dead.lease(&mail, &worker(), 1).await.unwrap().deliveries;
    ear.settled(&due[0]).await.unwrap();

    let other = courier(&process(&world).await, &mail, &ear, 2);
    assert_eq!(other.deliver(10).await.unwrap(), Round::default());
    world.advance(LEASE).await;
    assert_eq!(other.deliver(10).await.unwrap().heard, 1);
    assert_eq!(ear.heard()["bld_1"], 2);
    let late = dead.resolve(&due[0].lease, Hearing::Heard).await.unwrap();
    assert_eq!(late, ResolveOutcome::Lost);
    world.advance(LEASE).await;
    assert_eq!(other.deliver(10).await.unwrap(), Round::default());
}

/// A delivery whose last try ended in silence is parked within a round: the round goes on and says so.
#[tokio::test]
async fn a_round_goes_past_what_it_parks_and_counts_it() {
    let world = World::new().await;
    let mail = registered(&world, "mail").await;
    ended(&world, 1..2).await;
    for _ in 0..MAX_ATTEMPTS {
        let leased = world.store.lease(&mail, &worker(), 1).await.unwrap();
        assert_eq!(leased.deliveries.len(), 1);
        world.advance(LEASE).await;
    }
    ended(&world, 2..3).await;
    let ear = Ear::of(Manner::Hears);
    let round = courier(&world.store, &mail, &ear, 1)
        .deliver(10)
        .await
        .unwrap();
    assert_eq!((round.heard, round.parked, round.failed), (1, 1, 0));
    assert_eq!(ear.heard().len(), 1);
    assert_eq!(world.store.parked(&mail, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn failing_observers_hold_no_other_up_and_are_parked_after_ten_tries() {
    let world = World::new().await;
    let mut couriers = Vec::new();
    for (name, manner) in [
        ("fails", Manner::Fails),
        ("hangs", Manner::Hangs),
        ("hears", Manner::Hears),
        ("panics", Manner::Panics),
    ] {
        let (name, ear) = (registered(&world, name).await, Ear::of(manner));
        couriers.push((courier(&world.store, &name, &ear, 1), name, ear));
    }
    ended(&world, 1..4).await;
    for _ in 0..MAX_ATTEMPTS {
        for (courier, _, _) in &couriers {
            courier.deliver(10).await.unwrap();
        }
        world.advance(Duration::from_secs(3600)).await;
    }
    for (courier, name, ear) in &couriers {
        let parked = world.store.parked(name, 0, 10).await.unwrap();
        let heard = ear.heard();
        assert_eq!(heard.len(), 3);
        let error = match ear.manner {
            Manner::Hears => {
                assert!(heard.values().all(|times| *times == 1));
                assert_eq!(parked, []);
                continue;
            }
            Manner::Fails => "no mail today",
            Manner::Panics => "it panicked",
            Manner::Hangs => "it took too long",
        };
        assert!(heard.values().all(|times| *times == MAX_ATTEMPTS));
        assert_eq!(parked.len(), 3);
        for parked in &parked {
            assert_eq!((&*parked.error, parked.attempts), (error, MAX_ATTEMPTS));
        }
        // An operator puts one back: it is told of that one alone.
        let back = &parked[1].build.id;
        world.store.put_back(name, back).await.unwrap();
        let round = courier.deliver(10).await.unwrap();
        assert_eq!((round.failed, round.parked), (1, 0));
        assert_eq!(ear.heard()[back.as_str()], MAX_ATTEMPTS + 1);
    }
}

/// What a session holds of one observer is passed by, by its own leases and by everybody's else.
#[tokio::test]
async fn a_lease_waits_for_nobody() {
    // So that a lease which does wait is refused instead of waiting for ever.
    let world = World::with(|options| options.options([("lock_timeout", "1s")])).await;
    let mail = registered(&world, "mail").await;
    let status = registered(&world, "status").await;
    ended(&world, 1..3).await;
    let holder = Holder::of(
        &world,
        "SELECT 1 FROM sheen.settled_deliveries
         WHERE build_id = 'bld_1' AND observer = 'mail' FOR UPDATE",
    )
    .await;
    let ids = |due: Vec<Delivery>| -> Vec<String> {
        due.iter().map(|due| due.build.id.to_string()).collect()
    };
    let due = world
        .store
        .lease(&mail, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(ids(due), ["bld_2"]);
    let due = world
        .store
        .lease(&status, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(ids(due), ["bld_1", "bld_2"]);
    holder.let_go().await;
    let due = world
        .store
        .lease(&mail, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(ids(due), ["bld_1"]);
}

/// An end written by hand, or by an older process, is told of too.
#[tokio::test]
async fn an_end_by_any_statement_is_told_of() {
    let world = World::new().await;
    let mail = registered(&world, "mail").await;
    world.started(new_build(1, "u", "p")).await;
    sqlx::query(
        "UPDATE sheen.builds SET status = 'failed', token = token + 1, reason = 'CANCELLED',
            error = ''",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let due = world
        .store
        .lease(&mail, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(due.len(), 1);
}
