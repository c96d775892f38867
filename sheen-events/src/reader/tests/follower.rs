//! The follower's rules of streams, one by one.

use std::time::Duration;

use sheen_core::time::Timestamp;

use super::rig::{Rig, START, control, event, frame, frames, page, page_of, secs};
use crate::reader::{Action, Answer, Over, Polled};
/// F1, F2: foreign and known events are dropped and counted.
#[test]
fn f1_each_seq_is_told_once_whatever_comes() {
    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&control(
        "connection",
        r#","epoch":9,"from":1,"resumed":"exact""#,
    ));
    rig.bytes(&(frames([1, 2, 2, 1]) + &frame(3).replace("\"s\"", "\"t\"") + &frames([3])));
    rig.bytes("event: news\ndata: not JSON\n\nevent: closed\ndata: {\"buildSessionId\":\"t\"}\n\n");
    rig.bytes(&control("caught_up", ""));
    assert_eq!(rig.take(), ["1", "2", "3", "CaughtUp"]);
    let counts = rig.follower.counts();
    assert_eq!(
        (counts.events, counts.duplicates, counts.foreign),
        (3, 2, 1)
    );
    rig.bytes(&control("closed", ""));
    assert_eq!(rig.next(), Action::Over(Over::Closed));
    rig.bytes(&frames([4]));
    assert_eq!(rig.take(), [] as [&str; 0], "what is over is over");
}

/// F2: a jump is fetched from the last seq without one, by the instant of that event, then the
/// stream goes on.
#[test]
fn f2_a_jump_is_fetched_and_then_the_stream_goes_on() {
    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&frames([1, 2, 6, 7]));
    let (call, waited) = rig.poll();
    assert_eq!(waited, Duration::ZERO);
    let at = Timestamp::from_millis(START - 3_600_000 + 2);
    assert_eq!(call.cursor, Some(at.to_string()));
    rig.polled(page_of(&page(&[event(3, "x"), event(4, "x")], "c4", true)));
    let (call, waited) = rig.poll();
    assert_eq!(
        (call.cursor.as_deref(), waited),
        (Some("c4"), Duration::ZERO)
    );
    rig.polled(page_of(&page(&[event(5, "x")], "c5", false)));
    rig.open(Some(5));
    rig.bytes(&frames([6, 7]));
    assert_eq!(
        rig.take(),
        ["1", "2", "poll 3", "poll 4", "poll 5", "CaughtUp", "6", "7"]
    );
    assert_eq!(rig.follower.counts().gaps, 1);
}

/// E10: a stream that jumps at the same place again, and a page of old events, are no loop.
#[test]
fn e10_nothing_is_repeated_without_progress_or_a_pause() {
    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&frames([1, 3]));
    rig.poll();
    rig.polled(page_of(&page(&[], "c1", false)));
    rig.open(Some(1));
    rig.bytes(&frames([3]));
    assert!(
        matches!(rig.next(), Action::Wait { .. }),
        "a failure, so a pause"
    );

    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&frames([1, 2]));
    rig.fall_back();
    rig.polled(page_of(&page(&[event(1, "x"), event(2, "x")], "old", true)));
    let (call, waited) = rig.poll();
    assert!(waited >= secs(3));
    assert_ne!(
        call.cursor.as_deref(),
        Some("old"),
        "its cursor is ignored too"
    );
    assert_eq!(rig.take(), ["CaughtUp"; 0]);
}

/// F4: full jitter after the cap, five tries in a row, then polls.
#[test]
fn f4_tries_are_spread_over_the_whole_wait_and_end_in_polls() {
    let mut waits: Vec<Vec<Duration>> = vec![Vec::new(); 5];
    for seed in 0..200 {
        let mut rig = Rig::seeded(seed);
        for waits in &mut waits {
            assert!(matches!(rig.next(), Action::Connect { .. }));
            rig.broke();
            let Action::Wait { until } = rig.next() else {
                panic!()
            };
            waits.push(until - rig.now.monotonic);
            rig.now.monotonic = until;
        }
        assert!(matches!(rig.next(), Action::Connect { .. }));
        rig.broke();
        assert!(matches!(rig.next(), Action::Poll(_)));
        assert_eq!(
            rig.take(),
            ["try 1", "try 2", "try 3", "try 4", "try 5", "Polling"]
        );
    }
    for (at, waits) in waits.iter().enumerate() {
        let cap = secs(1 << at);
        assert!(waits.iter().all(|wait| *wait <= cap));
        assert!(
            waits.iter().any(|wait| *wait < cap / 8)
                && waits.iter().any(|wait| *wait > cap * 7 / 8)
        );
    }
}

/// F4: only a stream that was well for a minute begins the count anew.
#[test]
fn f4_tries_are_counted_anew_after_a_healthy_minute() {
    let mut rig = Rig::new();
    for _ in 0..4 {
        rig.wait();
        rig.answer(Answer::stream());
        rig.bytes(&control("connection", r#","from":1"#));
        rig.pass(secs(30));
        rig.broke();
    }
    rig.wait();
    rig.answer(Answer::stream());
    rig.pass(secs(10));
    rig.bytes(": hi\n\n");
    rig.pass(secs(30));
    rig.bytes(": hi\n\n");
    rig.pass(secs(30));
    rig.take();
    rig.broke();
    assert_eq!(rig.take(), ["try 1"]);
}

/// F5: digits within reason.
#[test]
fn f5_the_servers_wish_is_the_first_wait_within_reason() {
    for (wish, least, most) in [
        ("0", 0, 250),
        ("5000", 0, 5000),
        ("99999999999999999999", 0, 300_000),
    ] {
        let mut longest = Duration::ZERO;
        for seed in 0..100 {
            let mut rig = Rig::seeded(seed);
            rig.open(None);
            rig.bytes(&format!("retry: {wish}\n"));
            rig.pass(secs(2));
            rig.broke();
            let (_, waited) = rig.wait();
            assert!((Duration::from_millis(least)..=Duration::from_millis(most)).contains(&waited));
            longest = longest.max(waited);
        }
        assert!(
            longest > Duration::from_millis(most) * 3 / 4,
            "{wish}: {longest:?}"
        );
    }
}

/// F6: silence is death, comments are life, and a machine that slept has no connections.
#[test]
fn f6_a_silent_stream_is_dead_after_37_seconds() {
    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&control("connection", r#","from":1"#));
    for _ in 0..10 {
        rig.pass(secs(36));
        assert!(matches!(rig.next(), Action::Read { .. }));
        rig.bytes(": keep-alive\n\n");
    }
    rig.pass(secs(37));
    assert!(matches!(rig.next(), Action::Wait { .. }));
    assert_eq!(rig.take(), ["try 1"]);

    rig.wait();
    rig.answer(Answer::stream());
    rig.bytes(&control("connection", r#","from":1"#));
    rig.now.wall = rig.now.wall.plus(secs(3600));
    assert!(
        matches!(rig.next(), Action::Connect { .. }),
        "it slept for an hour"
    );
}

/// F7: streams that end at once, or never speak, are polled instead, and tried again later.
#[test]
fn f7_short_streams_are_polled_and_come_back() {
    for silent in [false, true] {
        let mut rig = Rig::new();
        for _ in 0..3 {
            assert!(matches!(rig.wait().0, Action::Connect { .. }));
            rig.answer(Answer::stream());
            if silent {
                let Action::Read { until } = rig.next() else {
                    panic!()
                };
                let wait = until - rig.now.monotonic;
                rig.pass(wait);
            } else {
                rig.bytes(&control("connection", r#","from":1"#));
                rig.broke();
            }
        }
        let began = rig.now.monotonic;
        let mut action = rig.wait().0;
        assert_eq!(rig.take(), ["try 1", "try 2", "Polling"]);
        let (mut polls, mut seq) = (0, 0);
        while let Action::Poll(_) = action {
            (polls, seq) = (polls + 1, seq + 1);
            rig.polled(page_of(&page(&[event(seq, "x")], "c", false)));
            action = rig.wait().0;
        }
        let last = Some(seq);
        assert_eq!(
            action,
            Action::Connect {
                last,
                fresh_token: false
            }
        );
        let after = rig.now.monotonic - began;
        assert!(
            polls > 5 && (secs(30)..=secs(90)).contains(&after),
            "{polls} {after:?}"
        );
        rig.take();
        rig.answer(Answer::stream());
        rig.bytes(
            &(control("connection", &format!(r#","from":{}"#, seq + 1)) + &frames([seq, seq + 1])),
        );
        assert_eq!(rig.take(), ["Streaming".to_owned(), (seq + 1).to_string()]);
    }
}

/// F10: what ends it, and what is waited out.
#[test]
fn f10_statuses_mean_what_the_wire_says() {
    let over = |status: u16| {
        let mut rig = Rig::new();
        rig.next();
        rig.answer(Answer::status(status));
        rig.next()
    };
    assert_eq!(over(204), Action::Over(Over::Closed));
    for status in [400, 403, 404, 410] {
        assert_eq!(over(status), Action::Over(Over::Refused(status)));
    }
    for status in [408, 429, 500, 502, 503, 504] {
        let mut rig = Rig::new();
        rig.next();
        rig.answer(Answer::status(status).retry_after(Some(secs(7))));
        assert_eq!(
            rig.wait(),
            (
                Action::Connect {
                    last: None,
                    fresh_token: false
                },
                secs(7)
            ),
            "{status}"
        );
    }
    // A page of a hotel's network.
    let mut rig = Rig::new();
    rig.next();
    rig.answer(Answer::status(200));
    assert!(matches!(rig.next(), Action::Wait { .. }));
}

/// F8, F10: one new token, then it stops; a token that ends in mid-stream is no failure.
#[test]
fn f10_a_refused_token_is_renewed_once() {
    let fresh = Action::Connect {
        last: None,
        fresh_token: true,
    };
    let mut rig = Rig::new();
    rig.next();
    rig.answer(Answer::status(401));
    assert_eq!(rig.next(), fresh);
    rig.answer(Answer::status(401));
    assert_eq!(rig.next(), Action::Over(Over::Unauthorized));

    let mut rig = Rig::new();
    rig.open(None);
    for seq in 1..4 {
        rig.bytes(&frames([seq]));
        rig.pass(secs(600));
        rig.bytes(&control("token_expired", r#","cursor":"c""#));
        assert_eq!(
            rig.next(),
            Action::Connect {
                last: Some(seq),
                fresh_token: true
            }
        );
        rig.answer(Answer::stream());
    }
    assert_eq!(rig.take(), ["1", "2", "3"]);
    // Each token is over before it began: that is waited after.
    rig.bytes(&control("token_expired", r#","cursor":"c""#));
    assert!(matches!(rig.next(), Action::Wait { .. }));

    let mut rig = Rig::new();
    rig.fall_back();
    rig.polled(Polled::Answer(Answer::status(401)));
    let (call, waited) = rig.poll();
    assert!(call.fresh_token && waited == Duration::ZERO);
    rig.polled(Polled::Answer(Answer::status(401)));
    assert_eq!(rig.next(), Action::Over(Over::Unauthorized));
}
