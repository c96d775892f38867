//! Steps inside a caller's own transaction.

use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, AppendOutcome, EventLog, NewStream};

use super::{World, append, logs};

fn stream(name: &str) -> NewStream {
    NewStream::new(
        BuildId::parse(name).unwrap(),
        UserId::parse("ann").unwrap(),
        BuildSessionId::parse(&format!("bs_{name}")).unwrap(),
    )
}

/// A1: what is rolled back leaves no hole: the next append has the next number.
#[tokio::test]
async fn a1_a_rollback_leaves_nothing_of_any_step() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    world.append(append(&build, logs(2))).await;
    let mut step = world.pool.begin().await.unwrap();
    let other = stream("other");
    world.log.open_in(&mut step, other.clone()).await.unwrap();
    let named = append(&build, logs(3)).with_key("k");
    for _ in 0..2 {
        let told = world.log.append_in(&mut step, named.clone()).await;
        let (AppendOutcome::Appended(events) | AppendOutcome::Duplicate(events)) = told.unwrap()
        else {
            panic!("not appended");
        };
        assert_eq!((events[0].seq, events.len()), (3, 3));
    }
    let raised = FencingToken::from_u64(7);
    assert!(world.log.raise_in(&mut step, &build, raised).await.unwrap());
    let late = world.log.append_in(&mut step, append(&build, logs(1)));
    assert_eq!(late.await.unwrap(), AppendOutcome::Fenced);
    assert!(world.log.close_in(&mut step, &build).await.unwrap());
    let late = Append::new(build.clone(), raised, logs(1));
    let late = world.log.append_in(&mut step, late).await.unwrap();
    assert_eq!(late, AppendOutcome::Closed);
    // Nobody else sees any of it.
    let page = world.log.read(&build, 0, 50).await.unwrap().unwrap();
    assert_eq!((page.stream.head, page.stream.closed), (2, false));
    step.rollback().await.unwrap();

    assert_eq!(world.log.read(&other.build, 0, 1).await.unwrap(), None);
    let events = world.append(named).await;
    assert_eq!(events[0].seq, 3, "and the writer's name for it is free");
}

/// What is committed with a transaction is a step's like any other.
#[tokio::test]
async fn a_commit_is_a_steps() {
    let world = World::new().await;
    let new = stream("b");
    let mut step = world.pool.begin().await.unwrap();
    let opened = world.log.open_in(&mut step, new.clone()).await.unwrap();
    let first = append(&new.build, logs(1));
    let first = world.log.append_in(&mut step, first).await.unwrap();
    let AppendOutcome::Appended(first) = first else {
        panic!("{first:?}")
    };
    let nobody = BuildId::parse("nobody").unwrap();
    assert!(!world.log.close_in(&mut step, &nobody).await.unwrap());
    let lost = append(&nobody, logs(1));
    let lost = world.log.append_in(&mut step, lost).await.unwrap();
    assert_eq!(lost, AppendOutcome::NotFound);
    step.commit().await.unwrap();
    let page = world.log.read(&new.build, 0, 50).await.unwrap().unwrap();
    assert_eq!((page.events, page.stream.epoch), (first, opened.epoch));
    assert_eq!(world.append(append(&new.build, logs(1))).await[0].seq, 2);
}
