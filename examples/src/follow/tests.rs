use super::*;
use sheen_core::entropy::SeededEntropy;
use sheen_core::runtime::{BoxFuture, Spawn, TokioRuntime};
use sheen_core::secret::Secret;
use sheen_core::time::{ManualClock, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with one connection.
enum Answer {
    /// Sends this and breaks the connection.
    Break(String),
    /// Sends this and ends well.
    End(String),
    /// Sends this and falls silent.
    Silence(String),
    Status(u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    target: String,
    last: Option<String>,
    nonce: String,
}

#[derive(Default)]
struct Server {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
}

/// A server by hand: what is sent before a connection breaks must arrive, and an HTTP library may
/// throw it away.
async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut silent = Vec::new();
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let asked = read_request(&mut socket).await;
        server.asked.lock().unwrap().push(asked);
        let answer = server.answers.lock().unwrap().pop_front();
        let (status, text, end) = match answer.unwrap_or(Answer::Status(503)) {
            Answer::Break(text) => (200, text, ""),
            Answer::End(text) => (200, text, "0\r\n\r\n"),
            Answer::Silence(text) => {
                socket
                    .write_all(response(200, &text, "").as_bytes())
                    .await
                    .unwrap();
                silent.push(socket);
                continue;
            }
            Answer::Status(status) => (status, String::new(), "0\r\n\r\n"),
        };
        socket
            .write_all(response(status, &text, end).as_bytes())
            .await
            .unwrap();
    }
}

fn response(status: u16, text: &str, end: &str) -> String {
    if status == 204 {
        return "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned();
    }
    let chunk = if text.is_empty() {
        String::new()
    } else {
        format!("{:x}\r\n{text}\r\n", text.len())
    };
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: text/event-stream\r\nretry-after: 7\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{end}"
    )
}

async fn read_request(socket: &mut TcpStream) -> Asked {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(socket.read_buf(&mut request).await.unwrap() > 0);
    }
    let request = String::from_utf8(request).unwrap();
    let header = |wanted: &str| {
        request.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then(|| value.to_owned())
        })
    };
    Asked {
        target: request.split(' ').nth(1).unwrap().to_owned(),
        last: header("last-event-id"),
        nonce: header("x-sheen-nonce").unwrap(),
    }
}

/// What a call may take, and how long a stream may be silent: the two waits that run beside a call.
const BESIDE_A_CALL: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(37)];

/// Notes how long was to be waited, moves the clock on and does not wait. A call takes no time, and
/// silence lasts for ever, but for once after `silence_after` events.
#[derive(Debug)]
struct NotedSleep {
    clock: Arc<ManualClock>,
    silence_after: Option<usize>,
    silent: Arc<Notify>,
    waited: Mutex<Vec<Duration>>,
}

impl Default for NotedSleep {
    fn default() -> Self {
        Self {
            clock: Arc::new(ManualClock::at(Timestamp::EPOCH)),
            silence_after: None,
            silent: Arc::default(),
            waited: Mutex::default(),
        }
    }
}

impl Sleep for NotedSleep {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = Arc::clone(&self.clock);
        if BESIDE_A_CALL.contains(&duration) {
            let silent = Arc::clone(&self.silent);
            return Box::pin(async move {
                silent.notified().await;
                clock.advance(duration);
            });
        }
        self.waited.lock().unwrap().push(duration);
        // It counts whole milliseconds.
        clock.advance(duration + Duration::from_millis(1));
        Box::pin(std::future::ready(()))
    }
}

struct Followed {
    ended: Result<Outcome, FollowError>,
    seqs: Vec<u64>,
    gone: Vec<u64>,
    resets: usize,
    asked: Vec<Asked>,
    waited: Vec<Duration>,
}

async fn follow_all(answers: Vec<Answer>, sleep: NotedSleep) -> Followed {
    let server = Arc::new(Server {
        answers: Mutex::new(answers.into()),
        ..Server::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    TokioRuntime.spawn(Box::pin(serve(listener, Arc::clone(&server))));
    let secret = Secret::new("a-secret-of-more-than-thirty-two-bytes").unwrap();
    let entropy = Arc::new(SeededEntropy::new(7));
    let clock = sleep.clock.clone();
    let caller = Caller::new(&base, secret, clock.clone(), entropy.clone()).unwrap();
    let sleep = Arc::new(sleep);
    let means = Means {
        sleep: sleep.clone(),
        clock,
        entropy,
    };
    let events = Events {
        stream: "/stream?userId=u",
        pages: "/pages?userId=u",
        session: &BuildSessionId::parse("s").unwrap(),
    };
    let (mut seqs, mut gone, mut resets) = (Vec::new(), Vec::new(), 0);
    let ended = follow(&caller, events, &means, &mut |told| match told {
        Told::Event(seen) => {
            seqs.push(seen.seq);
            if sleep.silence_after == Some(seqs.len()) {
                sleep.silent.notify_one();
            }
        }
        Told::Gone { from } => gone.push(*from),
        Told::Reset => resets += 1,
        _ => {}
    })
    .await;
    let asked = server.asked.lock().unwrap().clone();
    let waited = sleep.waited.lock().unwrap().clone();
    Followed {
        ended,
        seqs,
        gone,
        resets,
        asked,
        waited,
    }
}

fn event(seq: u64, kind: &str, data: &str) -> String {
    format!(
        "id: {seq}\nevent: {kind}\ndata: {{\"seq\":{seq},\"buildSessionId\":\"s\",\"data\":{data}}}\n\n"
    )
}

fn logs(seqs: impl IntoIterator<Item = u64>) -> String {
    seqs.into_iter()
        .map(|seq| event(seq, "build_log", r#"{"message":"m"}"#))
        .collect()
}

fn control(kind: &str, seq: u64, rest: &str) -> String {
    format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"buildSessionId\":\"s\",\"seq\":{seq}{rest}}}\n\n"
    )
}

fn done(seq: u64) -> String {
    let end = event(
        seq,
        "deploy_completed",
        r#"{"previewUrl":"/preview/b/","duration":3}"#,
    );
    end + &control("closed", seq, "")
}

/// A page of log lines, and what follows them.
fn page(seqs: std::ops::RangeInclusive<u64>, rest: &str) -> String {
    let last = *seqs.end();
    let events: Vec<_> = seqs
        .map(|seq| {
            format!(r#"{{"seq":{seq},"buildSessionId":"s","type":"build_log","data":{{}}}}"#)
        })
        .collect();
    format!(
        r#"{{"events":[{}{rest}],"cursor":"c{last}","hasNext":false}}"#,
        events.join(",")
    )
}

fn deployed() -> Outcome {
    Outcome::Deployed {
        preview_url: Some("/preview/b/".to_owned()),
        duration: Some(3),
    }
}

#[tokio::test]
async fn every_seq_once_and_in_order_across_broken_connections() {
    let followed = follow_all(
        vec![
            Answer::Break(
                control("connection", 0, r#","from":1,"resumed":"exact""#) + &logs(1..=3),
            ),
            // Cut within an event: it is not one yet.
            Answer::Break(logs(4..=5) + &logs([6])[..20]),
            // A worker that repeats, one that speaks of another session, one that knows new things.
            Answer::End(
                logs(4..=7)
                    + &logs([8]).replace("\"s\"", "\"t\"")
                    + ": hi\n\nevent: x\ndata: y\n\n",
            ),
            Answer::End(logs([8]) + &done(9)),
        ],
        NotedSleep::default(),
    )
    .await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!(followed.seqs, (1..=9).collect::<Vec<_>>());
    let last: Vec<_> = followed
        .asked
        .iter()
        .map(|asked| asked.last.as_deref())
        .collect();
    assert_eq!(last, [None, Some("3"), Some("5"), Some("7")]);
    let nonces: BTreeSet<_> = followed.asked.iter().map(|asked| &asked.nonce).collect();
    assert_eq!(nonces.len(), 4, "each attempt is signed anew");
}

/// failures/events.md F2: a jump in seq is fetched, not told.
#[tokio::test]
async fn f2_a_gap_is_fetched_from_the_last_contiguous_seq() {
    let followed = follow_all(
        vec![
            Answer::End(logs([1, 2, 5])),
            Answer::End(page(1..=5, "")),
            Answer::End(logs([5]) + &done(6)),
        ],
        NotedSleep::default(),
    )
    .await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!(followed.seqs, (1..=6).collect::<Vec<_>>());
    assert!(followed.asked[1].target.starts_with("/pages?userId=u&"));
    assert_eq!(followed.asked[2].last.as_deref(), Some("5"));
}

#[tokio::test]
async fn what_the_worker_keeps_no_more_is_told_as_gone() {
    let gap = control("connection", 0, r#","from":4,"resumed":"gap""#);
    let followed = follow_all(
        vec![Answer::End(gap + &logs([4]) + &done(5))],
        NotedSleep::default(),
    )
    .await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!((followed.seqs, followed.gone), (vec![4, 5], vec![4]));

    let reset = control("connection", 0, r#","from":1,"resumed":"reset""#);
    let followed = follow_all(
        vec![Answer::Break(logs(1..=2)), Answer::End(reset + &done(1))],
        NotedSleep::default(),
    )
    .await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!((followed.seqs, followed.resets), (vec![1, 2, 1], 1));
}

#[tokio::test]
async fn a_failed_build_says_why() {
    let data = r#"{"reason":"BUILD_FAILED","error":"a.css is missing","message":"m"}"#;
    let text = event(1, "deploy_failed", data) + &control("closed", 1, "");
    let followed = follow_all(vec![Answer::End(text)], NotedSleep::default()).await;
    let wanted = Outcome::Failed {
        reason: "BUILD_FAILED".to_owned(),
        error: "a.css is missing".to_owned(),
    };
    assert_eq!(followed.ended.unwrap(), wanted);
}

/// failures/events.md F7: streams that do not go through are no reason to miss the end.
#[tokio::test]
async fn f7_what_streams_do_not_bring_polls_do() {
    let end = r#",{"seq":3,"buildSessionId":"s","type":"deploy_completed","data":{"previewUrl":"/preview/b/","duration":3}}
        ,{"seq":4,"buildSessionId":"s","type":"recommendations_ready","data":{}}"#;
    let mut answers: Vec<_> = (0..3).map(|_| Answer::Break(String::new())).collect();
    answers.push(Answer::End(page(1..=1, "")));
    answers.push(Answer::End(page(2..=2, end)));
    let followed = follow_all(answers, NotedSleep::default()).await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!(followed.seqs, [1, 2, 3, 4]);
    let targets: Vec<_> = followed
        .asked
        .iter()
        .map(|asked| &asked.target[..6])
        .collect();
    assert_eq!(targets, ["/strea", "/strea", "/strea", "/pages", "/pages"]);
    assert!(followed.asked[4].target.contains("&cursor=c1"));
    let last = followed.waited.last().unwrap();
    assert!((Duration::from_secs(3)..=Duration::from_secs(5)).contains(last));
}

/// A worker that is gone for good is given up, and the waits before grow.
#[tokio::test]
async fn what_never_answers_well_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let sleep = Arc::new(NotedSleep::default());
    let entropy = Arc::new(SeededEntropy::new(7));
    let clock = sleep.clock.clone();
    let secret = Secret::new("a-secret-of-more-than-thirty-two-bytes").unwrap();
    let caller = Caller::new(
        &format!("http://{gone}"),
        secret,
        clock.clone(),
        entropy.clone(),
    )
    .unwrap();
    let means = Means {
        sleep,
        clock,
        entropy,
    };
    let events = Events {
        stream: "/stream",
        pages: "/pages",
        session: &BuildSessionId::parse("s").unwrap(),
    };
    let ended = follow(&caller, events, &means, &mut |_| {}).await;
    assert!(
        matches!(ended, Err(FollowError::Lost(Some(CallError::Http { .. })))),
        "{ended:?}"
    );
}

/// failures/events.md F10: what ends it for good, and what is obeyed as told.
#[tokio::test]
async fn f10_refusals_end_it_and_busy_workers_are_left_alone_as_long_as_they_say() {
    // One new signature is tried after a 401.
    for (status, asked) in [(400, 1), (401, 2), (403, 1), (404, 1), (410, 1)] {
        let followed = follow_all(
            vec![Answer::Status(status), Answer::Status(status)],
            NotedSleep::default(),
        )
        .await;
        assert!(
            matches!(followed.ended, Err(FollowError::Refused(_))),
            "{status}"
        );
        assert_eq!(followed.asked.len(), asked, "{status}");
    }
    let answers = vec![
        Answer::Status(503),
        Answer::Status(429),
        Answer::End(done(1)),
    ];
    let followed = follow_all(answers, NotedSleep::default()).await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!(followed.waited, [Duration::from_secs(7); 2]);

    let followed = follow_all(vec![Answer::Status(204)], NotedSleep::default()).await;
    assert!(matches!(followed.ended, Err(FollowError::NoEnd)));
    let closed = control("closed", 0, "");
    let followed = follow_all(vec![Answer::End(closed)], NotedSleep::default()).await;
    assert!(matches!(followed.ended, Err(FollowError::NoEnd)));
}

/// failures/events.md F5: `retry` is honoured within reason.
#[tokio::test]
async fn f5_the_servers_wish_is_the_first_wait() {
    let answers = vec![Answer::End("retry: 0\n\n".to_owned()), Answer::End(done(1))];
    let followed = follow_all(answers, NotedSleep::default()).await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert!(
        followed.waited[0] <= Duration::from_millis(250),
        "{:?}",
        followed.waited
    );
}

/// failures/events.md F6: a silent connection is a dead one.
#[tokio::test]
async fn f6_a_silent_stream_is_opened_again() {
    let followed = follow_all(
        vec![
            Answer::Silence(logs(1..=2)),
            Answer::End(logs([3]) + &done(4)),
        ],
        NotedSleep {
            silence_after: Some(2),
            ..NotedSleep::default()
        },
    )
    .await;
    assert_eq!(followed.ended.unwrap(), deployed());
    assert_eq!(followed.seqs, [1, 2, 3, 4]);
}
