//! Followers against a worker that drops, doubles, cuts and lies about health: each ends with every
//! seq once.

use std::time::Duration;

use proptest::collection::vec;
use proptest::{prop_assert, prop_assert_eq};
use sheen_core::id::BuildSessionId;
use sheen_core::time::Timestamp;

use crate::reader::{Action, Answer, FollowConfig, Follower, Moment, Over, Polled, Told};

const HEAD: u64 = 60;

fn event(seq: u64) -> String {
    let kind = if seq == HEAD {
        "deploy_completed"
    } else {
        "build_log"
    };
    let at = Timestamp::from_millis(1_763_634_600_000 + i64::try_from(seq).unwrap_or(0));
    format!(
        r#"{{"seq":{seq},"buildSessionId":"s","type":"{kind}","data":{{}},"createdAt":"{at}"}}"#
    )
}

/// What follows the seq a cursor stands for: this worker's cursors are `c{seq}`.
fn after(cursor: Option<&str>) -> u64 {
    let Some(cursor) = cursor else { return 0 };
    if let Some(seq) = cursor.strip_prefix('c') {
        return seq.parse().unwrap_or(0);
    }
    let at = Timestamp::parse_rfc3339(cursor).map_or(0, Timestamp::as_millis);
    u64::try_from(at - 1_763_634_600_000).unwrap_or(0)
}

/// The bytes of a stream after `last`, of which some frames are dropped, doubled or foreign.
fn stream(last: u64, head: u64, chaos: u8) -> String {
    let mut out = format!(
        "event: connection\ndata: {{\"buildSessionId\":\"s\",\"seq\":{last},\"epoch\":1,\"from\":{},\"resumed\":\"exact\"}}\n\n",
        last + 1
    );
    for seq in last + 1..=head {
        let frame = format!("id: {seq}\nevent: build_log\ndata: {}\n\n", event(seq));
        match (u64::from(chaos) + seq * 7) % 11 {
            0 if chaos > 128 => {}
            1 => out += &(frame.clone() + &frame),
            2 => out += &(frame.replace("\"s\"", "\"other\"") + &frame),
            3 => out += &(format!(": keep-alive\n\n{frame}")),
            _ => out += &frame,
        }
    }
    out
}

proptest::proptest! {
    /// F1, F2, B2, and F3: at most one call is open at any time, which the types say.
    #[test]
    fn f2_every_seq_once_through_any_worker(seed in 0..u64::MAX, chaos in vec(0..=255_u8, 40)) {
        let session = BuildSessionId::parse("s").unwrap();
        let mut follower = Follower::new(session, seed, FollowConfig::default());
        let mut now = Moment { monotonic: Duration::ZERO, wall: Timestamp::from_millis(1_763_634_600_000) };
        let (mut seen, mut head) = (Vec::new(), 0);
        // In the end all is well.
        let mut chaos = chaos.into_iter().chain(std::iter::repeat(14));
        let mut tell = |told: Told<'_>| if let Told::Event(event) = told { seen.push(event.seq) };
        let mut steps = 0;
        let over = loop {
            steps += 1;
            prop_assert!(steps < 5000, "no end");
            head = (head + 2).min(HEAD);
            let dice = chaos.next().unwrap_or_default();
            match follower.next(now, &mut tell) {
                Action::Over(over) => break over,
                Action::Connect { last, .. } => match dice % 8 {
                    0 => follower.broke(now, &mut tell),
                    1 => follower.opened(now, Answer::status(503), &mut tell),
                    2 => follower.opened(now, Answer::status(200), &mut tell),
                    _ => {
                        follower.opened(now, Answer::stream(), &mut tell);
                        let bytes = stream(last.unwrap_or(0), head, dice);
                        // Cut anywhere, in pieces of any size, unless all is there: then it ends.
                        let whole = dice % 8 > 5;
                        let end = if whole { bytes.len() } else { bytes.len() * usize::from(dice) / 256 };
                        for piece in bytes.as_bytes()[..end].chunks(1 + usize::from(dice % 50)) {
                            follower.bytes(now, piece, &mut tell);
                        }
                        if whole && follower.last() == HEAD {
                            let closed = b"event: closed\ndata: {\"buildSessionId\":\"s\"}\n\n";
                            follower.bytes(now, closed, &mut tell);
                        } else {
                            follower.broke(now, &mut tell);
                        }
                    }
                },
                Action::Poll(call) => match dice % 5 {
                    0 => follower.polled(now, Polled::Broken, &mut tell),
                    1 => follower.polled(now, Polled::Answer(Answer::status(502)), &mut tell),
                    // A page of long ago, from a cache.
                    2 => {
                        let old: Vec<_> = (1..=head.min(5)).map(event).collect();
                        let body = format!(r#"{{"events":[{}],"cursor":"c5","hasNext":true}}"#, old.join(","));
                        let page = Polled::Page { body: body.as_bytes(), etag: None, date: None };
                        if call.cursor.is_some() {
                            follower.polled(now, page, &mut tell);
                        } else {
                            follower.polled(now, Polled::Broken, &mut tell);
                        }
                    }
                    _ => {
                        let from = after(call.cursor.as_deref());
                        let last = head.min(from + 4);
                        let events: Vec<_> = (from + 1..=last).map(event).collect();
                        let body = format!(
                            r#"{{"events":[{}],"cursor":"c{last}","hasNext":{}}}"#,
                            events.join(","), last < head
                        );
                        let page = Polled::Page { body: body.as_bytes(), etag: None, date: None };
                        follower.polled(now, page, &mut tell);
                    }
                },
                Action::Read { until } | Action::Wait { until } => {
                    let wait = until.saturating_sub(now.monotonic);
                    now.monotonic += wait;
                    now.wall = now.wall.plus(wait);
                }
            }
        };
        prop_assert_eq!(over, Over::Closed);
        prop_assert!(seen.iter().copied().eq(1..=HEAD), "{:?}", seen);
    }
}
