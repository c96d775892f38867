//! Order, cursors and epochs under fire (failures A).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use futures_util::future::join_all;
use sheen_core::error::StoreErrorKind;
use sheen_events::feed::{Feed, PollOutcome, PollRequest};
use sheen_events::log::{Append, AppendOutcome, EventLog};
use sqlx::{Connection, Executor};

use super::{World, append, logs};

/// A1, A2, A3: eight writers on connections of their own and a reader that follows: no row is
/// overtaken by its cursor, and appends that are torn down midway leave no hole.
#[tokio::test(flavor = "multi_thread")]
async fn a1_a_reader_beside_eight_writers_loses_nothing() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    let done = AtomicBool::new(false);
    let writers = async {
        join_all((0..8).map(|_| async {
            for n in 0..60 {
                world.append(append(&build, logs(1 + n % 3))).await;
            }
        }))
        .await;
        done.store(true, SeqCst);
    };
    // Sessions that append and are rolled back, or killed with the rows written.
    let vandal = async {
        for n in 0..30 {
            let mut connection = world.database.connection().await;
            let mut step = connection.begin().await.unwrap();
            step.execute(
                "SELECT sheen.event_append_v1('b', NULL, 0, true, NULL, NULL,
                    '{t,t}', '{x,x}', '{\"{}\",\"{}\"}')",
            )
            .await
            .unwrap();
            if n % 2 == 0 {
                step.rollback().await.unwrap();
            } else {
                drop(step);
                drop(connection);
            }
        }
    };
    let reader = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let is_last = done.load(SeqCst);
            let page = world.log.read(&build, after, 7).await.unwrap().unwrap();
            seen.extend(page.events.iter().map(|event| event.seq));
            after = seen.last().copied().unwrap_or(0);
            if is_last && page.stream.head == after {
                return seen;
            }
        }
    };
    let ((), (), seen) = futures_util::join!(writers, vandal, reader);
    assert!(seen.into_iter().eq(1..=8 * 60 * 2), "a hole or a double");
}

/// A5: the same append after its answer was lost, also after the epoch changed; another process too.
#[tokio::test]
async fn a5_a_repeat_gets_the_first_answer_also_in_a_new_epoch() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    let mut mixed = logs(4);
    mixed[1] = mixed[1].clone().hidden();
    mixed[3] = mixed[3].clone().hidden();
    let named: Append = append(&build, mixed).with_key("odd \\ key \0");
    let first = world.append(named.clone()).await;
    world.append(append(&build, logs(2))).await;
    world.log.renew_epochs().await.unwrap();
    let again = world.log.append(named).await.unwrap();
    assert_eq!(again, AppendOutcome::Duplicate(first));
}

/// A7, A8: after a restore, cursors of before are told from cursors of now.
#[tokio::test]
async fn a8_a_restored_database_gets_new_epochs() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    world.append(append(&build, logs(5))).await;
    let feed = Feed::new(Arc::clone(&world.log) as Arc<dyn EventLog>);
    let ann = "ann".parse().unwrap();
    let poll = |cursor: Option<String>| {
        let (feed, ann, build) = (feed.clone(), &ann, &build);
        async move {
            let mut request = PollRequest::new();
            request.cursor = cursor.as_deref();
            feed.poll(ann, build, request).await.unwrap()
        }
    };
    let PollOutcome::Page(page) = poll(None).await else {
        panic!("it is her build")
    };
    assert!(matches!(
        poll(Some(page.cursor.clone())).await,
        PollOutcome::Page(_)
    ));
    assert_eq!(world.log.renew_epochs().await.unwrap(), 1);
    assert_eq!(poll(Some(page.cursor)).await, PollOutcome::CursorInvalid);
}

/// A6: an append that cannot be committed shows nothing to anyone.
#[tokio::test]
async fn a6_what_is_not_committed_is_not_read() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    let mut connection = world.database.connection().await;
    let mut step = connection.begin().await.unwrap();
    step.execute(
        "SELECT sheen.event_append_v1('b', NULL, 0, true, NULL, NULL, '{t}', '{x}', '{\"{}\"}')",
    )
    .await
    .unwrap();
    let page = world.log.read(&build, 0, 9).await.unwrap().unwrap();
    assert_eq!((page.events.len(), page.stream.head), (0, 0));
    step.commit().await.unwrap();
    let page = world.log.read(&build, 0, 9).await.unwrap().unwrap();
    assert_eq!((page.events.len(), page.stream.head), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_of_a_known_kind() {
    let world = World::new().await;
    let build = world.open("b", "ann").await;
    world.pool.close().await;
    let error = world.log.append(append(&build, logs(1))).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(
        world
            .log
            .read(&build, 0, 1)
            .await
            .unwrap_err()
            .is_transient()
    );
}
