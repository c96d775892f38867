use std::sync::Barrier;

use sheen_core::entropy::OsEntropy;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::SystemClock;

use super::*;
use crate::wake::{LossyWake, NoWake};

#[tokio::test]
async fn b09_caught_up_comes_once_between_history_and_news() {
    let rig = Rig::new().await;
    rig.append(3).await;
    let mut reader = rig.open(rig.request()).await;
    // Appended after the opening, so news, though it was there before the first byte was asked for.
    rig.append(2).await;
    assert_eq!(
        reader.names(),
        ["connection", "1", "2", "3", "caught_up", "4", "5"]
    );
    rig.append(1).await;
    rig.finish().await;
    assert_eq!(reader.names(), ["6", "7", "closed"]);
}

#[tokio::test]
async fn b01_an_event_between_the_first_read_and_the_wait_needs_no_poll() {
    let rig = Rig::new().await;
    rig.append(1).await;
    rig.log.stuck.store(true, SeqCst);
    let mut opening = Box::pin(rig.streams.open(rig.request()));
    assert!((&mut opening).now_or_never().is_none());
    // The page is read, the stream not yet open.
    rig.append(1).await;
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    let OpenOutcome::Open(stream) = opening.await.unwrap() else {
        panic!("it is her build")
    };
    let mut reader = Reader {
        stream,
        is_over: false,
        abort: None,
    };
    assert_eq!(reader.names(), ["connection", "1", "caught_up", "2"]);

    // The same within the stream: rung while a read is under way.
    rig.log.stuck.store(true, SeqCst);
    rig.append(1).await;
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.append(1).await;
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    assert_eq!(reader.names(), ["3", "4"]);
}

#[tokio::test]
async fn b03_viewers_do_not_share_a_position() {
    let rig = Rig::new().await;
    rig.append(3).await;
    let mut early = rig.open(rig.request()).await;
    early.now();
    let mut late = rig.open(rig.request()).await;
    assert_eq!(numbers(&late.names()), [1, 2, 3]);
    rig.append(1).await;
    assert_eq!(
        (early.names(), late.names()),
        (vec!["4".into()], vec!["4".into()])
    );
}

#[tokio::test]
async fn b04_a_long_backlog_comes_in_bounded_pages_and_chunks() {
    let rig = Rig::new().await;
    rig.append(50_000).await;
    let mut reader = rig.open(rig.request()).await;
    let chunks = reader.bytes_now();
    let largest = chunks.iter().map(bytes::Bytes::len).max().unwrap();
    assert!(largest < 33 * 1024, "{largest}");
    let names: Vec<_> = parse(&chunks.concat()).iter().map(Frame::name).collect();
    assert!(numbers(&names).into_iter().eq(1..=50_000));
    assert_eq!(rig.log.largest_limit.load(SeqCst), 256);
    // Each page once, and at most one more look at the end.
    assert!(rig.log.reads.load(SeqCst) <= 50_000 / 256 + 2);
}

#[tokio::test]
async fn b08_the_end_arrives_within_the_poll_interval_without_any_wake_up() {
    // A wake-up channel that asks for more patience than is safe gets 5 s.
    for asked in [1, 5, 3600] {
        let wake = Arc::new(NoWake::new(Duration::from_secs(asked)));
        let rig = Rig::with(wake, StreamConfig::default()).await;
        let mut reader = rig.open(rig.request()).await;
        reader.now();
        rig.finish().await;
        assert_eq!(reader.names(), [] as [&str; 0]);
        rig.pass(asked.min(5) * 1000);
        assert_eq!(reader.names(), ["1", "closed"]);
        assert!(reader.is_over);
    }
}

#[tokio::test]
async fn c01_dropped_doubled_and_foreign_wake_ups_harm_nothing() {
    for seed in 0..20 {
        let entropy = Arc::new(SeededEntropy::new(seed));
        let wake = Arc::new(LossyWake::new(Arc::new(MemoryWake::new()), entropy));
        let rig = Rig::with(wake.clone(), StreamConfig::default()).await;
        let foreign = BuildId::parse("other").unwrap();
        let mut reader = rig.open(rig.request()).await;
        let mut names = Vec::new();
        for n in 0..100 {
            wake.ring(&foreign);
            rig.append(1).await;
            names.extend(reader.names());
            if n % 10 == 0 {
                // Whatever was lost, it is there within the interval.
                rig.pass(5000);
                names.extend(reader.names());
                assert_eq!(numbers(&names).last(), Some(&(n + 1)));
            }
        }
        rig.pass(5000);
        names.extend(reader.names());
        assert!(numbers(&names).into_iter().eq(1..=100), "seed {seed}");
    }
}

#[tokio::test]
async fn c09_a_thousand_appends_are_a_few_reads() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    let before = rig.log.reads.load(SeqCst);
    rig.append(1000).await;
    assert_eq!(numbers(&reader.names()).len(), 1000);
    assert!(rig.log.reads.load(SeqCst) - before <= 1000 / 256 + 2);
}

/// Kill the reader wherever it is and resume with the last id it saw, again and again.
#[tokio::test]
async fn b02_a_reader_killed_at_any_event_resumes_with_each_seq_once() {
    for cut in 1..40 {
        let config = StreamConfig {
            page_size: 7,
            ..Default::default()
        };
        let rig = Rig::with(Arc::new(MemoryWake::new()), config).await;
        let mut seen: Vec<u64> = Vec::new();
        let mut is_over = false;
        while !is_over {
            let last = seen.last().map(u64::to_string);
            let resume = Resume::from_request(last.as_deref(), None, None);
            let mut reader = rig.resumed(resume).await;
            if seen.len() < 120 {
                rig.append(5).await;
            } else if !rig
                .log
                .inner
                .lock()
                .read(&rig.build, 0, 0)
                .unwrap()
                .stream
                .closed
            {
                rig.finish().await;
            }
            // The connection breaks after `cut` events, whatever was under way.
            for frame in reader.now() {
                is_over |= frame.event == "closed";
                seen.extend(frame.id);
                if frame.id.is_some() && seen.len().is_multiple_of(cut) {
                    is_over = false;
                    break;
                }
            }
        }
        let head = rig
            .log
            .inner
            .lock()
            .read(&rig.build, 0, 0)
            .unwrap()
            .stream
            .head;
        assert!(seen.into_iter().eq(1..=head), "cut {cut}");
    }
}

/// B1 and B2 with real threads: writers and viewers meet at every moment of the handoff from the
/// backlog to what is live, with wake-ups whole, lossy and missing.
#[test]
fn b01_no_event_falls_between_history_and_live_and_none_comes_twice() {
    const WRITERS: usize = 3;
    const EACH: usize = 150;
    let interval = Duration::from_millis(3);
    let whole = Arc::new(MemoryWake::with_poll_interval(Duration::from_secs(5)));
    let inner = Arc::new(MemoryWake::with_poll_interval(interval));
    let lossy = LossyWake::new(inner, Arc::new(SeededEntropy::new(5)));
    let wakes: [Arc<dyn Wake>; 3] = [whole, Arc::new(lossy), Arc::new(NoWake::new(interval))];
    for wake in wakes {
        let clock = Arc::new(SystemClock::new());
        let entropy = Arc::new(OsEntropy);
        let log = Arc::new(MemoryEventLog::new(
            clock.clone(),
            entropy,
            Default::default(),
        ));
        let sleep = Arc::new(TokioRuntime);
        let config = StreamConfig {
            page_size: 16,
            ..Default::default()
        };
        let streams = StreamService::new(log.clone(), wake.clone(), sleep, clock, config);
        let (ann, build) = (UserId::parse("ann").unwrap(), BuildId::parse("b").unwrap());
        let session = BuildSessionId::parse("bs_1").unwrap();
        log.lock()
            .open(NewStream::new(build.clone(), ann.clone(), session))
            .unwrap();
        let barrier = Barrier::new(WRITERS + 4);
        let write = || {
            barrier.wait();
            for _ in 0..EACH {
                let events = vec![event(EventType::BUILD_LOG)];
                let append = Append::new(build.clone(), FencingToken::ZERO, events);
                futures_ok(log.append(append));
                wake.ring(&build);
                std::thread::yield_now();
            }
        };
        // Each viewer comes, reads a little, breaks off and comes back until the end.
        let view = |patience: usize| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            barrier.wait();
            runtime.block_on(view_all(&streams, &ann, &build, patience))
        };
        let seen: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
            let viewers: Vec<_> = [1, 2, 5, usize::MAX]
                .map(|n| scope.spawn(move || view(n)))
                .into();
            for writer in writers {
                writer.join().unwrap();
            }
            log.lock().close(&build);
            wake.ring(&build);
            viewers
                .into_iter()
                .map(|viewer| viewer.join().unwrap())
                .collect()
        });
        for seqs in seen {
            assert!(seqs.into_iter().eq(1..=(WRITERS * EACH) as u64), "{wake:?}");
        }
        assert_eq!(streams.active(), 0);
    }
}

fn futures_ok<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    future.now_or_never().unwrap().unwrap()
}

async fn view_all(
    streams: &StreamService,
    ann: &UserId,
    build: &BuildId,
    patience: usize,
) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    loop {
        let resume = seen.last().map_or(Resume::Start, |&seq| Resume::After(seq));
        let request = StreamRequest::new(ann.clone(), build.clone()).resume(resume);
        let OpenOutcome::Open(mut stream) = streams.open(request).await.unwrap() else {
            panic!("it is her build");
        };
        for _ in 0..patience {
            let Some(chunk) = stream.next().await else {
                assert_eq!(stream.ended(), Some(Ended::Closed));
                return seen;
            };
            let frames = parse(&chunk.unwrap());
            seen.extend(frames.iter().filter_map(|frame| frame.id));
            if frames.iter().any(|frame| frame.event == "closed") {
                return seen;
            }
        }
    }
}
