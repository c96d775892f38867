//! The follower's rules, one by one, under a clock by hand.

use std::time::Duration;

use sheen_core::id::BuildSessionId;
use sheen_core::time::Timestamp;

use crate::reader::{
    Action, Answer, FollowConfig, Follower, Moment, Over, PollCall, Polled, Told, Via,
};

const START: i64 = 1_763_634_600_000;

/// A follower, its clock, and what it told.
struct Rig {
    follower: Follower,
    now: Moment,
    told: Vec<String>,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Rig {
    fn new() -> Self {
        Self::seeded(7)
    }

    fn seeded(seed: u64) -> Self {
        let session = BuildSessionId::parse("s").unwrap();
        Self {
            follower: Follower::new(session, seed, FollowConfig::default()),
            now: Moment {
                monotonic: secs(100),
                wall: Timestamp::from_millis(START),
            },
            told: Vec::new(),
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now.monotonic += duration;
        self.now.wall = self.now.wall.plus(duration);
    }

    fn with<T>(
        &mut self,
        step: impl FnOnce(&mut Follower, Moment, &mut (dyn FnMut(Told<'_>) + Send)) -> T,
    ) -> T {
        let told = &mut self.told;
        step(&mut self.follower, self.now, &mut |one| {
            told.push(text(&one))
        })
    }

    fn next(&mut self) -> Action {
        self.with(|f, now, tell| f.next(now, tell))
    }

    fn bytes(&mut self, bytes: &str) {
        self.with(|f, now, tell| f.bytes(now, bytes.as_bytes(), tell));
    }

    fn broke(&mut self) {
        self.with(|f, now, tell| f.broke(now, tell));
    }

    fn answer(&mut self, answer: Answer) {
        self.with(|f, now, tell| f.opened(now, answer, tell));
    }

    fn polled(&mut self, polled: Polled<'_>) {
        self.with(|f, now, tell| f.polled(now, polled, tell));
    }

    /// Expects that the stream is asked for after `last`, and opens it.
    fn open(&mut self, last: Option<u64>) {
        assert_eq!(
            self.next(),
            Action::Connect {
                last,
                fresh_token: false
            }
        );
        self.answer(Answer::stream());
    }

    /// Waits as long as it asks, and gives what is to be done then and how long it took.
    fn wait(&mut self) -> (Action, Duration) {
        let mut waited = Duration::ZERO;
        loop {
            match self.next() {
                Action::Wait { until } => {
                    let wait = until - self.now.monotonic;
                    self.pass(wait);
                    waited += wait;
                }
                action => return (action, waited),
            }
        }
    }

    fn poll(&mut self) -> (PollCall, Duration) {
        match self.wait() {
            (Action::Poll(call), waited) => (call, waited),
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Breaks streams until it polls.
    fn fall_back(&mut self) {
        loop {
            match self.wait().0 {
                Action::Connect { .. } => self.broke(),
                Action::Read { .. } => {
                    self.pass(secs(2));
                    self.broke();
                }
                Action::Poll(_) => break,
                other => panic!("{other:?}"),
            }
        }
        self.told.clear();
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn text(told: &Told<'_>) -> String {
    match told {
        Told::Event(seen) if seen.via == Via::Stream => format!("{}", seen.seq),
        Told::Event(seen) => format!("poll {}", seen.seq),
        Told::Gone { from } => format!("gone before {from}"),
        Told::Late { seq, by } => format!("late {seq} {} s", by.as_secs()),
        Told::Reconnecting { attempt, .. } => format!("try {attempt}"),
        other => format!("{other:?}"),
    }
}

fn event_at(seq: u64, kind: &str, at: Timestamp) -> String {
    format!(
        r#"{{"id":"{seq}","seq":{seq},"buildId":"b","buildSessionId":"s","type":"{kind}","data":{{"message":"m"}},"createdAt":"{at}"}}"#
    )
}

fn event(seq: u64, kind: &str) -> String {
    event_at(
        seq,
        kind,
        Timestamp::from_millis(START - 3_600_000 + i64::try_from(seq).unwrap()),
    )
}

fn frame(seq: u64) -> String {
    format!(
        "id: {seq}\nevent: build_log\ndata: {}\n\n",
        event(seq, "build_log")
    )
}

fn frames(seqs: impl IntoIterator<Item = u64>) -> String {
    seqs.into_iter().map(frame).collect()
}

fn control(kind: &str, rest: &str) -> String {
    format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"buildSessionId\":\"s\",\"seq\":0{rest}}}\n\n"
    )
}

fn page(events: &[String], cursor: &str, has_next: bool) -> String {
    format!(
        r#"{{"events":[{}],"cursor":"{cursor}","hasNext":{has_next},"nextPollMs":4000}}"#,
        events.join(",")
    )
}

fn page_of(body: &str) -> Polled<'_> {
    Polled::Page {
        body: body.as_bytes(),
        etag: Some("\"t\""),
        date: None,
    }
}

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
        for at in 0..6 {
            assert!(matches!(rig.next(), Action::Connect { .. }));
            rig.broke();
            if at < 5 {
                let Action::Wait { until } = rig.next() else {
                    panic!()
                };
                waits[at].push(until - rig.now.monotonic);
                rig.now.monotonic = until;
            }
        }
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
