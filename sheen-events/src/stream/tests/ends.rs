use super::*;

/// How long a stream is silent before its error, in ms.
const LINGER: u64 = 200;

#[tokio::test]
async fn a_closed_build_is_told_whole_and_ends() {
    let rig = Rig::new().await;
    rig.append(1).await;
    rig.finish().await;
    let mut reader = rig.open(rig.request().abort_unfinished()).await;
    let frames = reader.now();
    let names: Vec<_> = frames.iter().map(Frame::name).collect();
    assert_eq!(names, ["connection", "1", "2", "caught_up", "closed"]);
    assert_eq!(frames[0].data["closed"], json!(true));
    assert!(reader.is_over);
    assert_eq!(
        (reader.abort, reader.stream.ended()),
        (None, Some(Ended::Closed))
    );
    assert_eq!(
        rig.streams.active(),
        0,
        "an ended stream holds nothing, even before it is dropped"
    );
    // Who has it all is told that it is over, not left to wait.
    let mut again = rig.resumed(Resume::After(2)).await;
    assert_eq!(again.names(), ["connection", "caught_up", "closed"]);
}

#[tokio::test]
async fn e01_a_stream_ends_at_its_tokens_instant_with_the_cursor() {
    let rig = Rig::new().await;
    rig.append(2).await;
    let mut reader = rig.open(rig.request().until(rig.in_seconds(20))).await;
    assert_eq!(reader.names(), ["connection", "1", "2", "caught_up"]);
    rig.pass(19_999);
    assert_eq!(reader.names(), ["comment"]);
    // What happens at the instant itself is no longer for this token.
    rig.append(1).await;
    rig.pass(1);
    let frames = reader.now();
    assert_eq!(frames.len(), 1);
    assert_eq!(
        (frames[0].event.as_str(), &frames[0].data["seq"]),
        ("token_expired", &json!(2))
    );
    assert!(reader.is_over);
    assert_eq!(
        (reader.abort, reader.stream.ended()),
        (None, Some(Ended::TokenExpired))
    );

    let cursor = frames[0].data["cursor"].as_str().unwrap();
    let resume = Resume::from_request(None, None, Some(cursor));
    let mut next = rig
        .open(rig.request().resume(resume).until(rig.in_seconds(600)))
        .await;
    let frames = next.now();
    assert_eq!(frames[0].data["resumed"], json!("exact"));
    assert_eq!(frames[1].id, Some(3));
}

#[tokio::test]
async fn e01_an_old_readers_expiry_is_an_error_after_the_frame() {
    let rig = Rig::new().await;
    let request = rig.request().until(rig.in_seconds(1)).abort_unfinished();
    let mut reader = rig.open(request).await;
    reader.now();
    rig.pass(1000);
    assert_eq!(reader.names(), ["token_expired"]);
    // A server would drop the frame with an error that came at once.
    assert_eq!((reader.abort, reader.is_over), (None, false));
    rig.pass(LINGER - 1);
    reader.now();
    assert_eq!((reader.abort, reader.is_over), (None, false));
    rig.pass(1);
    assert_eq!(reader.names(), [] as [&str; 0]);
    assert_eq!(reader.abort, Some(Abort::new(Ended::TokenExpired)));
    assert!(reader.is_over);
}

#[tokio::test]
async fn e01_a_backlog_stops_at_the_expiry_and_goes_on_at_the_cursor() {
    let rig = Rig::new().await;
    rig.append(5000).await;
    let mut reader = rig.open(rig.request().until(rig.in_seconds(1))).await;
    let first = reader.stream.next().await.unwrap().unwrap();
    let had = parse(&first).last().unwrap().id.unwrap();
    rig.pass(1000);
    let frames = reader.now();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].data["seq"], json!(had));
    let cursor = frames[0].data["cursor"].as_str().unwrap().to_owned();
    let mut next = rig.resumed(Resume::Cursor(&cursor)).await;
    assert!(numbers(&next.names()).into_iter().eq(had + 1..=5000));
}

#[tokio::test]
async fn d12_a_full_service_refuses_and_drops_nobody() {
    let config = StreamConfig {
        max_streams: 2,
        ..Default::default()
    };
    let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
    let (mut one, two) = (rig.open(rig.request()).await, rig.open(rig.request()).await);
    for _ in 0..10 {
        let outcome = rig.streams.open(rig.request()).await.unwrap();
        assert!(matches!(outcome, OpenOutcome::Full), "{outcome:?}");
    }
    one.now();
    rig.append(1).await;
    assert_eq!(one.names(), ["1"]);
    assert_eq!(rig.streams.active(), 2);
    drop(two);
    rig.open(rig.request()).await;
}

#[tokio::test]
async fn d08_a_stream_whose_reader_takes_nothing_loses_its_place_a_minute_after_its_end() {
    let config = StreamConfig {
        max_streams: 2,
        ..Default::default()
    };
    let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
    let request = rig.request().until(rig.in_seconds(600));
    let (mut stalled, mut read) = (rig.open(request).await, rig.open(rig.request()).await);
    stalled.now();
    let is_full = async || matches!(rig.streams.open(rig.request()).await, Ok(OpenOutcome::Full));
    rig.pass(659_999);
    assert!(
        is_full().await,
        "its token has ended, its reader may yet take it"
    );
    rig.pass(1);
    read.now();
    let mut next = rig.open(rig.request()).await;
    assert_eq!(next.names(), ["connection", "caught_up"]);
    assert!(is_full().await);

    // It may be asked again, too late.
    stalled.now();
    assert!(stalled.stream.ended().is_some());
    assert_eq!(rig.streams.active(), 2);
    drop(stalled);
    assert_eq!(rig.streams.active(), 2, "it gives back no other's place");
    assert!(!read.is_over);
}

#[tokio::test]
async fn d08_a_stream_with_more_to_send_than_its_reader_takes_ends_in_a_bounded_time() {
    let config = StreamConfig {
        page_size: 1,
        ..Default::default()
    };
    let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
    rig.append(3000).await;
    let mut reader = rig.open(rig.request()).await;
    let mut minutes = 0;
    while reader.stream.ended().is_none() {
        assert!(
            minutes < 38,
            "it is 36 min old at the most, and a minute late"
        );
        reader.stream.next().now_or_never();
        rig.pass(60_000);
        minutes += 1;
    }
    assert_eq!(reader.stream.ended(), Some(Ended::Aged));
    assert!(minutes > 24);
}

#[tokio::test]
async fn d10_a_viewer_that_leaves_frees_all_it_held() {
    let wake = Arc::new(MemoryWake::new());
    let rig = Rig::with(wake.clone(), StreamConfig::default()).await;
    rig.append(300).await;
    for n in 0..10_000 {
        let mut reader = rig.open(rig.request()).await;
        // Gone before the first byte, in the middle of the backlog, or while waiting.
        match n % 100 {
            0 => drop(reader.bytes_now()),
            1 => drop(reader.stream.next().await),
            _ => {}
        }
        assert_eq!((rig.streams.active(), wake.builds()), (1, 1));
    }
    assert_eq!(
        (rig.streams.active(), wake.builds(), rig.sleep.sleepers()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn d11_a_shutdown_wakes_and_ends_every_stream() {
    let rig = Arc::new(Rig::new().await);
    let mut waiting = Vec::new();
    for n in 0..50 {
        let request = rig.request();
        let request = if n % 2 == 0 {
            request.abort_unfinished()
        } else {
            request
        };
        let mut reader = rig.open(request).await;
        reader.now();
        waiting.push(reader);
    }
    let ends = futures_util::future::join_all(waiting.iter_mut().map(|r| r.stream.next()));
    let shutdown = async {
        rig.streams.shutdown();
        // Every second one falls asleep once more before its error.
        while rig.sleep.sleepers() != 25 {
            tokio::task::yield_now().await;
        }
        rig.pass(LINGER);
    };
    let (ends, ()) = futures_util::future::join(ends, shutdown).await;
    for (n, end) in ends.into_iter().enumerate() {
        let abort = (n % 2 == 0).then(|| Err(Abort::new(Ended::ShuttingDown)));
        assert_eq!(end, abort);
    }
    assert_eq!(rig.streams.active(), 0);
    let late = rig.streams.open(rig.request()).await.unwrap();
    assert!(matches!(late, OpenOutcome::ShuttingDown), "{late:?}");
}

#[tokio::test]
async fn d11_a_shutdown_keeps_nothing_back_that_is_in_the_log() {
    let rig = Rig::new().await;
    rig.append(1).await;
    let mut reader = rig.open(rig.request().abort_unfinished()).await;
    assert_eq!(reader.names(), ["connection", "1", "caught_up"]);
    rig.finish().await;
    rig.streams.shutdown();
    assert_eq!(reader.names(), ["2", "closed"]);
    assert_eq!(
        (reader.abort, reader.stream.ended()),
        (None, Some(Ended::Closed))
    );
    assert_eq!(rig.streams.active(), 0);
}

#[tokio::test]
async fn d11_a_shutdown_sends_the_pages_up_to_the_head_and_ends_as_unfinished() {
    let config = StreamConfig {
        page_size: 4,
        ..Default::default()
    };
    let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
    let mut reader = rig.open(rig.request().abort_unfinished()).await;
    reader.now();
    rig.append(10).await;
    rig.streams.shutdown();
    assert!(numbers(&reader.names()).into_iter().eq(1..=10));
    rig.pass(LINGER);
    reader.now();
    assert_eq!(reader.abort, Some(Abort::new(Ended::ShuttingDown)));
    assert!(reader.is_over);
}

#[tokio::test]
async fn d11_a_read_from_before_a_shutdown_is_not_its_last() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    rig.log.stuck.store(true, SeqCst);
    rig.append(1).await;
    assert_eq!(reader.names(), [] as [&str; 0]);
    // Committed while the page of the read is made already.
    rig.finish().await;
    rig.streams.shutdown();
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    assert_eq!(reader.names(), ["1", "2", "closed"]);
}

#[tokio::test]
async fn d11_a_shutdown_waits_two_seconds_for_a_log_and_for_a_failing_one_not_at_all() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    let mut slow = rig.open(rig.request()).await;
    reader.now();
    slow.now();
    rig.append(1).await;
    rig.log.failures.store(1, SeqCst);
    rig.streams.shutdown();
    assert_eq!(reader.names(), [] as [&str; 0]);
    assert_eq!(reader.stream.ended(), Some(Ended::ShuttingDown));

    rig.log.stuck.store(true, SeqCst);
    assert_eq!(slow.names(), [] as [&str; 0]);
    rig.pass(1999);
    assert_eq!(slow.names(), [] as [&str; 0]);
    assert!(!slow.is_over);
    rig.pass(1);
    slow.now();
    assert_eq!(slow.stream.ended(), Some(Ended::ShuttingDown));
    assert_eq!(rig.streams.active(), 0);
}

#[tokio::test]
async fn a_log_that_fails_for_a_moment_costs_nothing_and_one_that_stays_away_the_stream() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    rig.log.failures.store(2, SeqCst);
    rig.append(1).await;
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(250);
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(499);
    rig.wake.ring(&rig.build);
    assert_eq!(reader.names(), [] as [&str; 0], "a ring does not hurry it");
    rig.pass(1);
    assert_eq!(reader.names(), ["1"]);

    rig.log.failures.store(6, SeqCst);
    rig.append(1).await;
    for wait in [250, 500, 1000, 2000, 4000] {
        reader.now();
        assert!(!reader.is_over);
        rig.pass(wait);
    }
    reader.now();
    rig.pass(LINGER);
    reader.now();
    assert_eq!(reader.abort, Some(Abort::new(Ended::Interrupted)));
    // It comes back with what it has, and nothing is lost.
    let mut next = rig.resumed(Resume::After(1)).await;
    assert_eq!(next.names(), ["connection", "2", "caught_up"]);
    rig.log.corrupt.store(true, SeqCst);
    rig.append(1).await;
    next.now();
    rig.pass(LINGER);
    next.now();
    assert_eq!(next.stream.ended(), Some(Ended::Interrupted));
    assert!(rig.streams.open(rig.request()).await.is_err());
    assert_eq!(rig.streams.active(), 0);
}

#[tokio::test]
async fn a12_a_hole_torn_under_a_reader_interrupts_and_is_told_as_a_gap() {
    let config = StreamConfig {
        page_size: 4,
        ..Default::default()
    };
    let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
    rig.append(10).await;
    let mut reader = rig.open(rig.request()).await;
    let first = parse(&reader.stream.next().await.unwrap().unwrap());
    assert_eq!(first.last().unwrap().id, Some(4));
    rig.log.floor.store(7, SeqCst);
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(LINGER);
    reader.now();
    assert_eq!(reader.abort, Some(Abort::new(Ended::Interrupted)));
    let frames = rig.resumed(Resume::After(4)).await.now();
    assert_eq!(
        (&frames[0].data["resumed"], frames[1].id),
        (&json!("gap"), Some(8))
    );
}

#[tokio::test]
async fn a08_a_log_made_anew_under_a_reader_interrupts() {
    let rig = Rig::new().await;
    rig.append(2).await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    rig.log.epoch_shift.store(1, SeqCst);
    rig.append(1).await;
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(LINGER);
    reader.now();
    assert_eq!(reader.abort, Some(Abort::new(Ended::Interrupted)));
}
