//! What viewers of a build share: reads, frames, and nothing that is another's.

use sheen_core::runtime::{Sleep, TokioRuntime};
use sheen_core::time::SystemClock;
use tokio::task::JoinSet;

use super::*;
use crate::log::Visibility;
use crate::stream::tail::{Means, Need, Tails};

async fn readers(rig: &Rig, count: usize) -> Vec<Reader> {
    let mut readers = Vec::new();
    for _ in 0..count {
        let mut reader = rig.open(rig.request()).await;
        reader.now();
        readers.push(reader);
    }
    readers
}

#[tokio::test]
async fn c08_a_wake_up_is_one_read_however_many_viewers_there_are() {
    const WAKES: usize = 20;
    for viewers in [1, 10, 300] {
        let rig = Rig::new().await;
        let mut readers = readers(&rig, viewers).await;
        assert_eq!(rig.log.reads.load(SeqCst), 1, "the first opening reads");
        for n in 1..=WAKES {
            rig.append(2).await;
            for reader in &mut readers {
                let expected = [2 * n - 1, 2 * n].map(|seq| seq.to_string());
                assert_eq!(reader.names(), expected);
            }
        }
        assert_eq!(rig.log.reads.load(SeqCst), 1 + WAKES, "{viewers} viewers");
        // Nor does looking without a ring grow with them.
        rig.pass(5000);
        for reader in &mut readers {
            assert_eq!(reader.names(), [] as [&str; 0]);
        }
        assert_eq!(rig.log.reads.load(SeqCst), 2 + WAKES, "{viewers} viewers");
        drop(readers);
        assert_eq!((rig.streams.active(), rig.streams.tails()), (0, 0));
    }
}

#[tokio::test]
async fn c08_viewers_who_come_back_together_share_the_pages_they_missed() {
    let rig = Rig::new().await;
    rig.append(2000).await;
    // From the beginning, from the middle of pages, and from the end.
    let mut readers = Vec::new();
    for n in 0..200 {
        readers.push(rig.resumed(Resume::After(n * 10)).await);
    }
    let mut left = readers.len();
    let mut seen = vec![Vec::new(); left];
    while left > 0 {
        left = 0;
        // A chunk each, as slow connections take them.
        for (reader, seen) in readers.iter_mut().zip(&mut seen) {
            if let Some(Some(Ok(chunk))) = reader.stream.next().now_or_never() {
                seen.extend(parse(&chunk).iter().filter_map(|frame| frame.id));
                left += 1;
            }
        }
    }
    for (n, seen) in (0..).zip(seen) {
        assert!(seen.into_iter().eq(n * 10 + 1..=2000), "after {}", n * 10);
    }
    let reads = rig.log.reads.load(SeqCst);
    assert!(reads <= 2 * 2000 / 256 + 2, "{reads}");
}

#[tokio::test]
async fn a_frame_is_encoded_once_and_shared() {
    let rig = Rig::new().await;
    let mut readers = readers(&rig, 3).await;
    rig.append(3).await;
    let chunks: Vec<_> = readers.iter_mut().map(Reader::bytes_now).collect();
    for chunk in &chunks {
        assert_eq!(chunk.len(), 1, "all that is ready is one piece");
        assert_eq!(chunk[0].as_ptr(), chunks[0][0].as_ptr());
    }
}

#[tokio::test]
async fn c09_rings_that_come_faster_than_the_gap_share_a_read_and_a_piece() {
    let config = StreamConfig::default();
    let rig = Rig::paced(Arc::new(MemoryWake::new()), config).await;
    let mut readers = readers(&rig, 2).await;
    rig.pass(50);
    rig.append(1).await;
    // After a pause a ring is looked at at once.
    for reader in &mut readers {
        assert_eq!(reader.names(), ["1"]);
    }
    let reads = rig.log.reads.load(SeqCst);
    for _ in 0..20 {
        rig.append(1).await;
        for reader in &mut readers {
            assert_eq!(reader.names(), [] as [&str; 0]);
        }
    }
    rig.pass(6);
    for reader in &mut readers {
        let chunks = reader.bytes_now();
        assert_eq!(chunks.len(), 1);
        assert_eq!(parse(&chunks[0]).len(), 20);
    }
    assert_eq!(rig.log.reads.load(SeqCst), reads + 1);
    // Nor does a shutdown wait for it.
    rig.append(1).await;
    assert_eq!(readers[0].names(), [] as [&str; 0]);
    rig.finish().await;
    rig.streams.shutdown();
    for reader in &mut readers {
        assert_eq!(reader.names(), ["22", "23", "closed"]);
    }
}

/// What others have read before a shutdown is not all that the log has by then.
#[tokio::test]
async fn d11_shared_frames_from_before_a_shutdown_are_not_the_last() {
    let down = Arc::new(crate::wake::NoWake::new(Duration::from_secs(5)));
    let rig = Rig::paced(down, StreamConfig::default()).await;
    let mut readers = readers(&rig, 2).await;
    rig.append(1).await;
    rig.pass(5000);
    assert_eq!(readers[0].names(), ["1"]);
    // The second has not taken it yet.
    rig.finish().await;
    rig.streams.shutdown();
    assert_eq!(readers[1].names(), ["1", "2", "closed"]);
    assert_eq!(readers[0].names(), ["2", "closed"]);
}

#[tokio::test]
async fn a_viewer_who_leaves_in_mid_read_leaves_the_reading_to_the_next() {
    let rig = Rig::new().await;
    let mut readers = readers(&rig, 3).await;
    rig.log.stuck.store(true, SeqCst);
    rig.append(1).await;
    for reader in &mut readers {
        assert_eq!(reader.names(), [] as [&str; 0]);
    }
    let reads = rig.log.reads.load(SeqCst);
    assert_eq!(reads, 2, "one reads for all");
    drop(readers.remove(0));
    assert_eq!(readers[0].names(), [] as [&str; 0]);
    assert_eq!(readers[1].names(), [] as [&str; 0]);
    assert_eq!(rig.log.reads.load(SeqCst), 3, "and now another does");
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    assert_eq!(readers[0].names(), ["1"]);
    assert_eq!(readers[1].names(), ["1"]);
    assert_eq!(rig.log.reads.load(SeqCst), 3);
}

/// A reader that holds its viewer and does not ask it for anything, in mid-read, holds up nobody
/// for long.
#[tokio::test]
async fn a_viewer_who_reads_for_all_and_stops_is_not_waited_for() {
    let rig = Rig::new().await;
    let mut readers = readers(&rig, 3).await;
    rig.log.stuck.store(true, SeqCst);
    rig.append(1).await;
    for reader in &mut readers {
        assert_eq!(reader.names(), [] as [&str; 0]);
    }
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    // The first one, whose read it is, is not polled again.
    assert_eq!(readers[1].names(), [] as [&str; 0]);
    rig.pass(2000);
    assert_eq!(readers[1].names(), ["1"]);
    assert_eq!(readers[2].names(), ["1"]);
    assert_eq!(rig.log.reads.load(SeqCst), 3);
    assert_eq!(readers[0].names(), ["1"]);
}

#[tokio::test]
async fn a_read_that_fails_fails_for_all_who_waited_for_it_and_costs_nobody_an_event() {
    let rig = Rig::new().await;
    let mut readers = readers(&rig, 5).await;
    rig.log.failures.store(1, SeqCst);
    rig.append(1).await;
    let mut seen = vec![Vec::new(); readers.len()];
    for _ in 0..2 {
        for (reader, seen) in readers.iter_mut().zip(&mut seen) {
            seen.extend(reader.names());
        }
        rig.pass(5000);
    }
    assert_eq!(seen, vec![["1"]; 5]);
}

#[tokio::test]
async fn what_is_kept_of_a_build_is_bounded_and_the_rest_is_read() {
    let rig = Rig::new().await;
    let means = |log: Arc<dyn EventLog>| Means {
        log,
        clock: rig.clock.clone(),
        sleep: rig.sleep.clone(),
        page_size: 256,
        gap: Duration::ZERO,
    };
    let tails = Arc::new(Tails::new(means(rig.log.clone())));
    let tail = tails.of(&rig.build);
    let need = Need {
        rings: 0,
        after: None,
        closing: false,
        opens: false,
    };
    let big = json!({"message": "x".repeat(60_000)});
    let big = NewEvent::new(EventType::BUILD_LOG, big.as_object().unwrap()).unwrap();
    for n in 0..6000 {
        match n {
            4000..4100 => rig.append_event(big.clone()).await,
            _ => rig.append(1).await,
        }
        if n % 100 == 99 {
            let need = Need { rings: n, ..need };
            let batch = tail.opening(n - 99, need).await.unwrap().unwrap();
            assert_eq!(batch.frames.next(), Some(n - 98));
            let (frames, bytes) = tail.size();
            // The latest page may be a large one.
            assert!(frames <= 1024 + 4096, "{frames} frames at {n}");
            assert!(bytes <= (2 << 20) + 101 * 61_000, "{bytes} B at {n}");
        }
    }
    assert!(tail.size().1 < 2 << 20, "a large page does not stay");
    let reads = rig.log.reads.load(SeqCst);
    let old = tail.opening(10, need).await.unwrap().unwrap();
    assert_eq!(old.frames.next(), Some(11));
    assert_eq!(rig.log.reads.load(SeqCst), reads + 1);
    drop(tail);
    assert_eq!(tails.len(), 0);
}

#[tokio::test]
async fn nobody_shares_frames_that_are_not_for_him() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    let hidden = event(EventType::BUILD_LOG).hidden();
    assert_eq!(hidden.visibility, Visibility::Operator);
    rig.append_event(hidden).await;
    rig.append(1).await;
    let bytes = reader.bytes_now().concat();
    assert_eq!(parse(&bytes)[0].id, Some(1));
    assert_eq!(parse(&bytes).len(), 1);
    // What is shared already is not shown to another user, nor does asking leave anything behind.
    let bob = UserId::parse("bob").unwrap();
    let request = StreamRequest::new(bob.clone(), rig.build.clone());
    for resume in [Resume::Start, Resume::After(1)] {
        let request = request.clone().resume(resume);
        let outcome = rig.streams.open(request).await.unwrap();
        assert!(matches!(outcome, OpenOutcome::NotFound), "{outcome:?}");
    }
    let none = StreamRequest::new(bob, BuildId::parse("none").unwrap());
    let outcome = rig.streams.open(none).await.unwrap();
    assert!(matches!(outcome, OpenOutcome::NotFound), "{outcome:?}");
    assert_eq!((rig.streams.active(), rig.streams.tails()), (1, 1));
}

/// Viewers of one build come, go in mid-read and come back on several threads beside its writer:
/// each has each seq once, and nothing of the build is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn b02_viewers_who_share_reads_and_break_off_have_each_seq_once() {
    const EVENTS: u64 = 600;
    let rig = Rig::new().await;
    let streams = StreamService::new(
        rig.log.clone(),
        rig.wake.clone(),
        Arc::new(TokioRuntime),
        Arc::new(SystemClock::new()),
        StreamConfig {
            page_size: 16,
            gap: Duration::from_millis(1),
            ..Default::default()
        },
    );
    let rig = Arc::new(rig);
    let watch = |viewer: u64| {
        let (streams, rig) = (streams.clone(), Arc::clone(&rig));
        async move {
            let (mut seen, mut round) = (Vec::<u64>::new(), viewer);
            loop {
                let resume = seen.last().map_or(Resume::Start, |&seq| Resume::After(seq));
                let opened = streams.open(rig.request().resume(resume)).await.unwrap();
                let OpenOutcome::Open(mut stream) = opened else {
                    panic!("it is her build");
                };
                round += 1;
                for _ in 0..=round % 7 {
                    let leaving = TokioRuntime.sleep(Duration::from_millis(1 + round % 3));
                    let chunk = tokio::select! {
                        chunk = stream.next() => chunk,
                        () = leaving => break,
                    };
                    let frames = parse(&chunk.unwrap().unwrap());
                    seen.extend(frames.iter().filter_map(|frame| frame.id));
                    if frames.iter().any(|frame| frame.event == "closed") {
                        return seen;
                    }
                }
            }
        }
    };
    let mut viewers = JoinSet::new();
    for viewer in 0..40 {
        viewers.spawn(watch(viewer));
    }
    for _ in 0..EVENTS / 3 {
        rig.append(3).await;
        tokio::task::yield_now().await;
    }
    rig.log.close(&rig.build).await.unwrap();
    rig.wake.ring(&rig.build);
    for seen in viewers.join_all().await {
        assert!(seen.into_iter().eq(1..=EVENTS));
    }
    assert_eq!((streams.active(), streams.tails()), (0, 0));
}
