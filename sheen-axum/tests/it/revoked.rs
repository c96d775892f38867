//! Viewer tokens that are taken back (V5, wire.md §2).

use std::time::Duration;

use futures_util::StreamExt;
use sheen_core::build::Ending;
use sheen_core::id::{UserId, WorkerId};
use sheen_core::seconds::Seconds;

use crate::support::World;

const LIFE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn v05_a_token_that_was_taken_back_opens_nothing_and_one_issued_later_does() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let target = format!("/v1/builds/{build}/events");
    world.advance(2);
    let old = world.token("ann", &build, LIFE);
    let poll = |token: &str| {
        let bearer = format!("Bearer {token}");
        let call = world.get(&target).unsigned();
        call.header("authorization", bearer)
    };
    assert_eq!(poll(&old).send().await.status, 200);
    let ann = UserId::parse("ann").unwrap();
    world.revocations.revoke(&ann).await.unwrap();
    poll(&old).send().await.refused(401, "TOKEN_INVALID");
    let stream = format!("{target}/stream?access_token={old}");
    let native = world.get(&stream).unsigned().send().await;
    native.refused(401, "TOKEN_INVALID");
    world.advance(1);
    let new = world.token("ann", &build, LIFE);
    assert_eq!(poll(&new).send().await.status, 200);
}

/// Before anything is written; a stream that has nothing to write is over with its next keep-alive.
#[tokio::test]
async fn v05_an_open_stream_ends_before_the_next_frame_once_its_token_was_taken_back() {
    for native in [true, false] {
        let world = World::new();
        let build = world.started("ann", "p1").await;
        world.advance(2);
        let token = world.token("ann", &build, LIFE);
        let target = format!("/v1/builds/{build}/events/stream");
        let call = if native {
            world
                .get(&format!("{target}?access_token={token}"))
                .unsigned()
        } else {
            let call = world.get(&target).unsigned();
            call.header("authorization", format!("Bearer {token}"))
        };
        let answer = tower::ServiceExt::oneshot(world.app.clone(), call.request());
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut frames = answer.into_body().into_data_stream();
        let mut seen = String::new();
        while !seen.contains("event: caught_up") {
            let frame = frames.next().await.unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&frame).unwrap());
        }
        // Somebody else's tokens are taken back: nothing happens to this stream.
        let (ann, bob) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
        world.revocations.revoke(&bob).await.unwrap();
        world.advance(6);
        let worker = WorkerId::parse("w").unwrap();
        let claimed = world.worker.claim(&worker).await.unwrap().unwrap();
        let frame = frames.next().await.unwrap().unwrap();
        let frame = std::str::from_utf8(&frame).unwrap();
        assert!(frame.contains("build_started"), "{frame}");

        world.revocations.revoke(&ann).await.unwrap();
        world.advance(6);
        let ending = Ending::Deployed {
            preview_url: "https://preview.example/".into(),
            seconds: Seconds::from_u32(5),
        };
        let build = &claimed.build;
        let finished = world.worker.finish(&build.id, build.token, ending);
        finished.await.unwrap();
        let end = frames.next().await;
        if native {
            assert!(end.is_none(), "{end:?}");
        } else {
            assert!(
                end.unwrap().is_err(),
                "a bearer's reader comes back after an error"
            );
        }
        assert!(frames.next().await.is_none());
        drop(frames);
        assert_eq!(world.streams.active(), 0, "it holds nothing any more");
    }
}
