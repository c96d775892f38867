//! The follower's rules of polls, and of when following ends.

use std::time::Duration;

use super::rig::{Rig, control, event, event_at, frames, page, page_of, secs};
use crate::reader::{Action, Answer, Over, Polled};
/// F12, and the intervals of the wire: grows on 304, snaps back on news, spread by a tenth.
#[test]
fn f12_polls_grow_apart_and_come_back_at_once() {
    let mut seen = Vec::new();
    for seed in 0..50 {
        let mut rig = Rig::seeded(seed);
        rig.fall_back();
        rig.follower.stream_again = Some(secs(1_000_000));
        rig.polled(page_of(&page(&[event(1, "x")], "c1", false)));
        let mut waits = vec![rig.poll().1];
        for _ in 0..5 {
            rig.polled(Polled::Answer(Answer::status(304)));
            waits.push(rig.poll().1);
        }
        rig.polled(page_of(&page(&[event(2, "x")], "c2", false)));
        waits.push(rig.poll().1);
        for (wait, millis) in waits
            .iter()
            .zip([4000, 6000, 9000, 13_500, 15_000, 15_000, 4000])
        {
            let (least, most) = (
                Duration::from_millis(millis * 9 / 10),
                Duration::from_millis(millis * 11 / 10),
            );
            assert!((least..=most.min(secs(15))).contains(wait), "{waits:?}");
            assert!(*wait >= secs(3));
        }
        seen.push(waits[1]);
    }
    seen.sort();
    assert!(seen[0] < Duration::from_millis(5700) && seen[49] > Duration::from_millis(6300));
}

/// A page is compared only with itself, and a cursor that means nothing any more begins anew.
#[test]
fn polls_send_the_tag_of_the_same_page_and_begin_anew_after_a_bad_cursor() {
    let mut rig = Rig::new();
    rig.fall_back();
    rig.polled(page_of(&page(&[event(1, "x")], "c1", false)));
    let (call, _) = rig.poll();
    assert_eq!(
        (call.cursor.as_deref(), call.if_none_match),
        (Some("c1"), None)
    );
    rig.polled(page_of(&page(&[], "c1", false)));
    let (call, _) = rig.poll();
    assert_eq!(
        (call.cursor.as_deref(), call.if_none_match.as_deref()),
        (Some("c1"), Some("\"t\""))
    );
    rig.polled(Polled::Answer(Answer::status(400)));
    let (call, _) = rig.poll();
    assert_eq!((call.cursor, call.if_none_match), (None, None));
    rig.polled(page_of(&page(&[event(1, "x"), event(2, "x")], "d2", false)));
    assert_eq!(
        rig.take(),
        ["poll 1", "CaughtUp", "Reset", "poll 1", "poll 2"]
    );
    // Without a cursor there is nothing to forget: that refusal is final.
    let mut rig = Rig::new();
    rig.fall_back();
    rig.polled(Polled::Answer(Answer::status(400)));
    assert_eq!(rig.next(), Action::Over(Over::Refused(400)));
}

/// A7, A8: what is gone is told as gone, and another log as another.
#[test]
fn a8_another_epoch_begins_anew_even_where_the_worker_could_not_tell() {
    let begin = |epoch: u64, from: u64, resumed: &str| {
        control(
            "connection",
            &format!(r#","epoch":{epoch},"from":{from},"resumed":"{resumed}""#),
        )
    };
    let mut rig = Rig::new();
    rig.open(None);
    rig.bytes(&(begin(9, 1, "exact") + &frames([1, 2])));
    rig.pass(secs(2));
    rig.broke();
    rig.wait();
    rig.answer(Answer::stream());
    rig.bytes(&(begin(9, 5, "gap") + &frames([5])));
    rig.pass(secs(2));
    rig.broke();
    assert_eq!(
        rig.take(),
        ["1", "2", "try 1", "gone before 5", "5", "try 2"]
    );
    // A seq was enough for the other log, which is longer: its connection says exact.
    rig.wait();
    rig.answer(Answer::stream());
    rig.bytes(&(begin(10, 6, "exact") + &frames([6])));
    rig.open(None);
    rig.bytes(&(begin(10, 1, "exact") + &frames([1])));
    assert_eq!(rig.take(), ["Reset", "1"]);
    rig.pass(secs(2));
    rig.broke();
    rig.wait();
    rig.answer(Answer::stream());
    rig.bytes(&(begin(11, 1, "reset") + &frames([1, 2])));
    assert_eq!(rig.take(), ["try 3", "Reset", "1", "2"]);
}

#[test]
fn an_event_over_ten_seconds_late_is_reported_by_the_workers_clock() {
    let mut rig = Rig::new();
    // This machine is an hour behind the worker's clock.
    let worker = |rig: &Rig| rig.now.wall.plus(secs(3600));
    rig.next();
    let date = worker(&rig);
    rig.answer(Answer::stream().date(Some(date)));
    let data = |seq, at| format!("data: {}\n\n", event_at(seq, "build_log", at));
    // Of the backlog nothing is late.
    rig.bytes(&data(1, date.minus(secs(500))));
    rig.bytes(&control("caught_up", ""));
    let happened = worker(&rig).plus(secs(1));
    rig.pass(secs(10));
    rig.bytes(&data(2, happened));
    let happened = worker(&rig);
    rig.pass(secs(12));
    rig.bytes(&data(3, happened));
    assert_eq!(rig.take(), ["1", "CaughtUp", "2", "3", "late 3 12 s"]);
}

#[test]
fn a_polled_build_is_over_once_its_recommendations_have_settled() {
    for (last, most) in [("recommendations_ready", 0), ("build_log", 40)] {
        let mut rig = Rig::new();
        rig.fall_back();
        rig.follower.stream_again = Some(secs(1_000_000));
        rig.polled(page_of(&page(
            &[event(1, "deploy_completed"), event(2, last)],
            "c",
            false,
        )));
        let began = rig.now.monotonic;
        loop {
            match rig.wait().0 {
                Action::Poll(_) => rig.polled(Polled::Answer(Answer::status(304))),
                action => break assert_eq!(action, Action::Over(Over::Closed)),
            }
        }
        assert!(rig.now.monotonic - began <= secs(most), "{last}");
    }
}

#[test]
fn what_nothing_answers_is_given_up_after_ten_minutes() {
    let mut rig = Rig::new();
    let began = rig.now.monotonic;
    loop {
        match rig.wait().0 {
            Action::Connect { .. } => rig.broke(),
            Action::Poll(_) => rig.polled(Polled::Broken),
            action => break assert_eq!(action, Action::Over(Over::Lost)),
        }
    }
    let took = rig.now.monotonic - began;
    assert!((secs(600)..secs(620)).contains(&took), "{took:?}");
    assert!(rig.follower.counts().polls > 30);
}

/// A7, A12: a page that says what retention took is believed, with events after it or with none.
#[test]
fn a12_a_page_tells_what_is_gone() {
    let gapped = |events: &[String], floor: u64| {
        let page = page(events, "c9", false);
        page.replace(
            "\"nextPollMs\"",
            &format!("\"gap\":{{\"floor\":{floor}}},\"nextPollMs\""),
        )
    };
    let mut rig = Rig::new();
    rig.fall_back();
    rig.follower.stream_again = Some(secs(1_000_000));
    rig.polled(page_of(&gapped(&[event(5, "x"), event(6, "x")], 4)));
    assert_eq!(rig.take()[..3], ["gone before 5", "poll 5", "poll 6"]);
    rig.poll();
    rig.polled(page_of(&gapped(&[], 9)));
    assert_eq!(rig.take(), ["gone before 10"]);
    rig.poll();
    // What is not ahead of the reader is nothing new.
    rig.polled(page_of(&gapped(&[event(10, "x")], 9)));
    assert_eq!(rig.take(), ["poll 10"]);
}
