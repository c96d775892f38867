//! Steps inside a caller's own transaction.

use std::time::Duration;

use super::support::{beside, waiting};
use super::{World, new_build, worker};
use sheen_core::build::settled::{ObserverRegistry, SettledOutbox};
use sheen_core::build::{
    Authority, BeatOutcome, Build, BuildReader, BuildStore, Deadlines, Ending, FailureReason,
    Finish, FinishOutcome, PgBuildStore, ProjectClaimOutcome, StartOutcome,
};
use sheen_core::id::{ObserverId, ProjectId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;

fn finish(build: &Build) -> Finish {
    let ending = Ending::Deployed {
        preview_url: "/preview/p/".into(),
        seconds: Seconds::from_u32(7),
    };
    Finish::new(build.id.clone(), Authority::Claim(build.token), ending)
}

/// Every row of the rooms' tables, as text.
async fn everything(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'p' || to_jsonb(p)::text FROM sheen.projects p
         UNION ALL SELECT 'b' || to_jsonb(b)::text FROM sheen.builds b
         UNION ALL SELECT 'i' || to_jsonb(i)::text FROM sheen.build_inputs i
         UNION ALL SELECT 'd' || to_jsonb(d)::text FROM sheen.settled_deliveries d
         ORDER BY 1",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rollback_leaves_nothing_of_any_step() {
    let world = World::new().await;
    let mail = ObserverId::parse("mail").unwrap();
    world.store.register(&mail).await.unwrap();
    world.started(new_build(1, "u", "p")).await;
    let building = world.claimed().await.build;
    world.started(new_build(2, "u", "q")).await;
    world.advance(Duration::from_secs(1)).await;
    let before = everything(&world).await;

    let mut step = world.pool.begin().await.unwrap();
    let started = world.store.start_in(&mut step, new_build(3, "u", "r"));
    assert!(matches!(started.await.unwrap(), StartOutcome::Started(_)));
    let batch = vec![new_build(4, "u", "s"), new_build(5, "u", "p")];
    let started = world.store.start_many_in(&mut step, batch).await.unwrap();
    assert!(matches!(started[0], StartOutcome::Started(_)));
    assert!(matches!(started[1], StartOutcome::ProjectBusy { .. }));
    let claimed = world.store.claim_in(&mut step, &worker()).await.unwrap();
    assert_eq!(claimed.unwrap().build.id.as_str(), "bld_2");
    let beat = world.store.beat_in(&mut step, &building.id, building.token);
    assert!(matches!(beat.await.unwrap(), BeatOutcome::Alive { .. }));
    let ended = world.store.finish_in(&mut step, finish(&building)).await;
    assert!(matches!(ended.unwrap(), FinishOutcome::Finished(_)));
    // Nobody else sees any of it.
    assert_eq!(everything(&world).await, before);
    step.rollback().await.unwrap();
    assert_eq!(everything(&world).await, before);

    // And the store goes on as if nothing had been.
    let alive = world.store.beat(&building.id, building.token).await;
    assert!(matches!(alive.unwrap(), BeatOutcome::Alive { .. }));
    assert_eq!(world.claimed().await.build.id.as_str(), "bld_2");
    let ended = world.store.finish(finish(&building)).await.unwrap();
    assert!(matches!(ended, FinishOutcome::Finished(_)));
}

/// B6, B9: the end of a build, the next one of its project, the caller's own rows and what
/// observers are to hear are one commit.
#[tokio::test]
async fn b9_an_end_and_the_next_start_are_one_transaction() {
    let world = World::new().await;
    let mail = ObserverId::parse("mail").unwrap();
    world.store.register(&mail).await.unwrap();
    sqlx::raw_sql("CREATE TABLE charges (build_id text PRIMARY KEY)")
        .execute(&world.pool)
        .await
        .unwrap();
    world.started(new_build(1, "u", "p")).await;
    let first = world.claimed().await.build;
    let next = new_build(2, "u", "p");

    let mut step = world.pool.begin().await.unwrap();
    let busy = world.store.start_in(&mut step, next.clone()).await.unwrap();
    assert!(matches!(busy, StartOutcome::ProjectBusy { .. }));
    world
        .store
        .finish_in(&mut step, finish(&first))
        .await
        .unwrap();
    let started = world.store.start_in(&mut step, next.clone()).await.unwrap();
    assert!(matches!(started, StartOutcome::Started(_)));
    sqlx::query("INSERT INTO charges VALUES ($1)")
        .bind(first.id.as_str())
        .execute(&mut *step)
        .await
        .unwrap();
    assert!(world.row(&first.id).await.status.is_active());
    assert_eq!(
        world
            .store
            .lease(&mail, &worker(), 10)
            .await
            .unwrap()
            .deliveries,
        []
    );
    step.commit().await.unwrap();

    assert!(!world.row(&first.id).await.status.is_active());
    assert_eq!(world.claimed().await.build.id, next.id);
    let due = world
        .store
        .lease(&mail, &worker(), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].build.id, first.id);
}

/// Each says what its namesake would.
#[tokio::test]
async fn refusals_are_those_of_the_store() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    let mut step = world.pool.begin().await.unwrap();
    let store = &world.store;
    let stranger = store.start_in(&mut step, new_build(2, "other", "p")).await;
    assert_eq!(stranger.unwrap(), StartOutcome::NotOwner);
    let known = store.start_in(&mut step, new_build(1, "u", "q")).await;
    assert!(matches!(known.unwrap(), StartOutcome::SessionKnown(_)));
    assert_eq!(store.claim_in(&mut step, &worker()).await.unwrap(), None);
    let lost = store
        .beat_in(&mut step, &build.id, FencingToken::ZERO)
        .await;
    assert_eq!(lost.unwrap(), BeatOutcome::Lost);
    let mut fenced = finish(&build);
    fenced.by = Authority::Claim(FencingToken::ZERO);
    let fenced = store.finish_in(&mut step, fenced).await.unwrap();
    assert_eq!(fenced, FinishOutcome::Fenced(build.clone()));
    let ending = Ending::timed_out();
    let early = Finish::new(build.id.clone(), Authority::Sweep, ending);
    let early = store.finish_in(&mut step, early).await.unwrap();
    assert_eq!(early, FinishOutcome::NotOverdue(build.clone()));
    let ended = store.finish_in(&mut step, finish(&build)).await.unwrap();
    let FinishOutcome::Finished(ended) = ended else {
        panic!("{ended:?}");
    };
    let again = store.finish_in(&mut step, finish(&build)).await.unwrap();
    assert_eq!(again, FinishOutcome::AlreadySo(ended));
    step.commit().await.unwrap();
}

/// B4: what another step meets is what the transaction left, however it ended.
#[tokio::test]
async fn b4_another_step_waits_for_the_transaction_and_decides_over_what_it_left() {
    for commits in [true, false] {
        let world = World::new().await;
        world.started(new_build(1, "u", "p")).await;
        let build = world.claimed().await.build;
        let mut step = world.pool.begin().await.unwrap();
        let ended = world.store.finish_in(&mut step, finish(&build)).await;
        assert!(matches!(ended.unwrap(), FinishOutcome::Finished(_)));
        let ending = Ending::Failed {
            reason: FailureReason::Cancelled,
            error: "called off".into(),
        };
        let by = Authority::Owner(build.user.clone());
        let cancel = Finish::new(build.id.clone(), by, ending);
        let store = PgBuildStore::new(world.pool.clone(), Deadlines::default());
        let cancelled = beside(async move { store.finish(cancel).await });
        waiting(&world, 1).await;
        let left = if commits {
            step.commit().await.unwrap();
            "/preview/p/"
        } else {
            step.rollback().await.unwrap();
            ""
        };
        let cancelled = cancelled.await.unwrap().unwrap();
        assert_eq!(
            matches!(cancelled, FinishOutcome::AlreadyEnded(_)),
            commits,
            "{cancelled:?}"
        );
        let row = world.row(&build.id).await;
        assert_eq!(row.preview_url.as_deref().unwrap_or_default(), left);
    }
}

/// S1: a transaction that is dropped halfway is gone when its connection is, and nobody waits on.
#[tokio::test]
async fn s1_a_dropped_transaction_lets_the_next_step_through() {
    let world = World::new().await;
    world.started(new_build(1, "u", "p")).await;
    let build = world.claimed().await.build;
    let mut step = world.pool.begin().await.unwrap();
    let ended = world.store.finish_in(&mut step, finish(&build)).await;
    assert!(matches!(ended.unwrap(), FinishOutcome::Finished(_)));
    let store = world.store.clone();
    let (id, token) = (build.id.clone(), build.token);
    let beat = beside(async move { store.beat(&id, token).await });
    waiting(&world, 1).await;
    drop(step);
    let alive = beat.await.unwrap().unwrap();
    assert!(matches!(alive, BeatOutcome::Alive { .. }));
    assert_eq!(world.store.overdue(10).await.unwrap(), []);
}

/// A project named in a transaction is its user's once that is committed, and stays nobody's
/// when it is not; whoever names it meanwhile waits.
#[tokio::test]
async fn a_project_is_claimed_by_a_transaction_that_commits() {
    let world = World::new().await;
    let store = &world.store;
    let (ada, eve) = ("ada".parse().unwrap(), "eve".parse().unwrap());
    let project = "p".parse().unwrap();
    for commits in [false, true] {
        let mut step = world.pool.begin().await.unwrap();
        let claim = store.claim_project_in(&mut step, &ada, &project).await;
        assert_eq!(claim.unwrap(), ProjectClaimOutcome::Claimed);
        let claim = store.claim_project_in(&mut step, &ada, &project).await;
        assert_eq!(claim.unwrap(), ProjectClaimOutcome::AlreadyOwner);
        let (other, pool) = (world.store.clone(), world.pool.clone());
        let (eve, named) = (UserId::clone(&eve), ProjectId::clone(&project));
        let waits = beside(async move {
            let mut step = pool.begin().await.unwrap();
            other.claim_project_in(&mut step, &eve, &named).await
        });
        waiting(&world, 1).await;
        let expected = if commits {
            step.commit().await.unwrap();
            ProjectClaimOutcome::NotOwner
        } else {
            step.rollback().await.unwrap();
            ProjectClaimOutcome::Claimed
        };
        assert_eq!(waits.await.unwrap().unwrap(), expected);
    }
    assert_eq!(store.owner(&project).await.unwrap(), Some(ada));
}
