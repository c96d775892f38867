//! Servers that say what no worker says, and what a cache or a replica makes of one that is sound.

use std::time::Duration;

use super::rig::{Rig, control, event, frame, page, page_of, secs};
use crate::reader::{Action, Answer, Over, Polled};

const MOST: u64 = u64::MAX;

fn begins(epoch: u64, from: u64) -> String {
    control(
        "connection",
        &format!(r#","epoch":{epoch},"from":{from},"resumed":"exact""#),
    )
}

fn one_more(kind: &str) -> String {
    page(&[event(1, kind)], "c1", true)
}

fn busy(wait: Duration) -> Answer {
    Answer::status(503).retry_after(Some(wait))
}

/// A stream that jumped, and whose gap is to be fetched.
fn with_a_gap() -> Rig {
    let mut rig = Rig::new();
    rig.next();
    rig.with(|f, now, tell| f.opened(now, Answer::stream(), tell));
    rig.bytes(&(begins(1, 1) + &frame(1) + &frame(5)));
    rig
}

/// E10, F4: a log that is another one each time it is opened is waited for.
#[test]
fn e10_a_log_that_is_made_anew_again_and_again_is_not_opened_without_a_pause() {
    let mut rig = Rig::new();
    let mut opened = 0;
    let begun = rig.now.monotonic;
    for n in 0..100 {
        let Action::Connect { .. } = rig.next() else {
            break;
        };
        opened += 1;
        rig.with(|f, now, tell| f.opened(now, Answer::stream(), tell));
        rig.bytes(&(begins(2 * n + 1, 1) + &frame(1) + &begins(2 * n + 2, 1)));
    }
    assert_eq!(rig.now.monotonic, begun);
    assert!(opened <= 2, "{opened} times at one instant");
}

/// E10: neither is one whose cursors it refuses itself, as a replica behind its primary does.
#[test]
fn e10_cursors_that_are_refused_again_and_again_are_not_asked_without_a_pause() {
    let mut rig = Rig::new();
    rig.fall_back();
    let begun = rig.now.monotonic;
    let mut polls = 0;
    rig.polled(page_of(&one_more("build_log")));
    for _ in 0..100 {
        let Action::Poll(call) = rig.next() else {
            break;
        };
        polls += 1;
        match call.cursor {
            Some(_) => rig.polled(Polled::Answer(Answer::status(400))),
            None => rig.polled(page_of(&one_more("build_log"))),
        }
    }
    assert_eq!(rig.now.monotonic, begun);
    assert!(polls <= 6, "{polls} polls at one instant");
}

/// A page that promises more and brings nothing leads back to the stream, and in the end to polls.
#[test]
fn a_gap_whose_page_brings_nothing_does_not_keep_the_stream_closed() {
    let mut rig = with_a_gap();
    for _ in 0..10 {
        match rig.wait().0 {
            Action::Poll(_) => rig.polled(page_of(&one_more("build_log"))),
            Action::Connect { .. } => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("the stream was not opened again");
}

/// wire.md §3: at most five minutes, whatever a server asks for and wherever it does.
#[test]
fn a_wait_that_is_asked_for_is_bounded_everywhere() {
    for asked in [secs(86_400), Duration::MAX] {
        let mut rig = with_a_gap();
        assert!(matches!(rig.wait().0, Action::Poll(_)));
        rig.polled(Polled::Answer(busy(asked)));
        let (_, waited) = rig.wait();
        assert!(waited <= secs(300), "{waited:?}");

        let mut rig = Rig::new();
        rig.fall_back();
        rig.polled(page_of(&page(&[event(1, "build_log")], "c1", false)));
        loop {
            match rig.wait().0 {
                Action::Poll(_) => rig.polled(Polled::Answer(Answer::status(304))),
                Action::Connect { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        let refused = rig.now.monotonic;
        rig.with(|f, now, tell| f.opened(now, busy(asked), tell));
        while !matches!(rig.wait().0, Action::Connect { .. }) {
            rig.polled(Polled::Answer(Answer::status(304)));
        }
        assert!(rig.now.monotonic - refused <= secs(320));
    }
}

/// The end was told and more was promised: it is not over before that was asked for with success.
#[test]
fn a_reader_that_reaches_nobody_after_the_end_does_not_say_that_all_was_told() {
    let mut rig = Rig::new();
    rig.fall_back();
    rig.polled(page_of(&one_more("deploy_completed")));
    loop {
        match rig.wait().0 {
            Action::Poll(_) => rig.polled(Polled::Broken),
            Action::Connect { .. } => rig.broke(),
            Action::Over(over) => return assert_eq!(over, Over::Lost),
            other => panic!("{other:?}"),
        }
    }
}

/// The same where it came back: over, once a poll said that there is no more.
#[test]
fn a_reader_that_was_away_at_the_end_is_told_what_came_meanwhile() {
    let mut rig = Rig::new();
    rig.fall_back();
    rig.polled(page_of(&page(&[event(1, "deploy_completed")], "c1", false)));
    let ended = rig.now.monotonic;
    while rig.now.monotonic - ended < secs(120) {
        match rig.wait().0 {
            Action::Poll(_) => rig.polled(Polled::Broken),
            Action::Connect { .. } => rig.broke(),
            other => panic!("{other:?}"),
        }
    }
    let late = event(2, "recommendations_ready");
    loop {
        match rig.wait().0 {
            Action::Poll(_) => rig.polled(page_of(&page(std::slice::from_ref(&late), "c2", false))),
            Action::Connect { .. } => rig.broke(),
            Action::Over(over) => break assert_eq!(over, Over::Closed),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.follower.last(), 2);
}

#[test]
fn numbers_at_their_end_do_not_overflow() {
    let mut rig = Rig::new();
    rig.next();
    rig.with(|f, now, tell| f.opened(now, Answer::stream(), tell));
    rig.bytes(&begins(1, MOST));
    let seq = format!(r#"{{"seq":{MOST},"buildSessionId":"s","data":{{}}}}"#);
    rig.bytes(&format!("event: build_log\ndata: {seq}\n\n"));
    rig.bytes(&begins(1, MOST));
    rig.next();
}
