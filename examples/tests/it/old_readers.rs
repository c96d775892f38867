//! Two readers as they were before this worker, written from docs/wire.md §7: whatever the worker
//! adds to a stream, they follow a whole build and see each event once, through a broken line.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::cutter::Cutter;
use crate::support::{Front, WorkerProcess};

const LINES: usize = 300;

fn noisy() -> WorkerProcess {
    let command = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done");
    WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", &command)])
}

fn ends(event_type: &Value) -> bool {
    event_type == "deploy_completed" || event_type == "deploy_failed"
}

/// What a build may still say after its end, which old readers take as one more event.
fn may_follow(event_type: &Value) -> bool {
    event_type == "recommendations_ready" || event_type == "recommendations_failed"
}

/// Splits on `data: ` lines, looks at no other field, drops what it has and other sessions' events,
/// and takes every `data` for an event. It comes back only after an error.
#[derive(Debug, Default)]
struct StreamReader {
    session: String,
    last: u64,
    kept: Vec<Value>,
    dropped: Vec<Value>,
}

impl StreamReader {
    fn line(&mut self, line: &str) {
        let Some(data) = line.strip_prefix("data: ") else {
            return;
        };
        let event: Value = serde_json::from_str(data).unwrap();
        let seq = event["seq"].as_u64().unwrap();
        if event["buildSessionId"] != self.session.as_str() || seq <= self.last {
            self.dropped.push(event);
            return;
        }
        self.last = seq;
        self.kept.push(event);
    }

    /// One connection, to its good end or its bad one. A line that was cut is forgotten.
    async fn follow(&mut self, request: reqwest::RequestBuilder) -> reqwest::Result<()> {
        let response = request.send().await?;
        assert_eq!(response.status(), 200);
        let mut chunks = response.bytes_stream();
        let mut text = Vec::new();
        while let Some(chunk) = chunks.next().await {
            text.extend_from_slice(&chunk?);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                self.line(std::str::from_utf8(&line[..end]).unwrap());
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_old_stream_reader_sees_each_event_once_through_a_broken_line() {
    let worker = noisy();
    for is_signed in [true, false] {
        let front = worker.front();
        // In the head, between two frames or within one, in the backlog and live.
        let cutter = Cutter::start(&worker.url, &[1_500, 9_001, 1, 1_700, 17_003]).await;
        let broken = Front::new(&cutter.url);
        let project = format!("p-{is_signed}");
        let started = front.start("u1", &project).await.expect(202);
        let id = started["buildId"].as_str().unwrap();
        let token = front
            .post(
                &format!("/v1/builds/{id}/viewer-token"),
                json!({"userId": "u1"}),
            )
            .await
            .expect(200);
        let mut reader = StreamReader {
            session: started["buildSessionId"].as_str().unwrap().to_owned(),
            ..StreamReader::default()
        };
        let path = started["streamUrl"].as_str().unwrap();
        let mut errors = 0;
        loop {
            let request = if is_signed {
                broken
                    .signed("GET", &format!("{path}?userId=u1"), None)
                    .header("x-last-event-seq", reader.last)
            } else {
                broken
                    .http
                    .get(format!("{}{path}", broken.url))
                    .bearer_auth(token["token"].as_str().unwrap())
                    .header("last-event-id", reader.last)
            };
            match reader.follow(request).await {
                Ok(()) => break,
                Err(_) => errors += 1,
            }
        }
        assert_eq!((errors, cutter.left(), cutter.asked().len()), (5, 0, 6));
        assert!(reader.kept.len() > LINES);
        let types: Vec<&Value> = reader.kept.iter().map(|event| &event["type"]).collect();
        let end = types.iter().position(|kind| ends(kind)).unwrap();
        assert!(types[end + 1..].iter().all(|kind| may_follow(kind)));
        assert_eq!(reader.kept, front.events("u1", id).await);
        let kinds: Vec<&Value> = reader.dropped.iter().map(|event| &event["type"]).collect();
        assert!(kinds.iter().any(|kind| *kind == "connection"), "{kinds:?}");
        assert_eq!(kinds.last().unwrap(), &"closed", "{kinds:?}");
        for event in &reader.dropped {
            assert!(event["id"].is_null(), "sent twice: {event}");
        }
    }
}

/// Asks for what is after the last instant it saw, from 1970 on, and keeps all that comes.
#[derive(Debug)]
struct Poller {
    parameter: &'static str,
    shape: &'static str,
    /// What the shape calls an event's instant and its type.
    names: (&'static str, &'static str),
    after: String,
    kept: Vec<Value>,
}

impl Poller {
    fn target(&self, id: &str) -> String {
        let Self {
            parameter, shape, ..
        } = self;
        let after = self.after.replace(':', "%3A");
        format!("/v1/builds/{id}/events?userId=u1&{parameter}={after}{shape}")
    }

    /// One poll; whether the build has ended.
    async fn poll(&mut self, front: &Front, id: &str) -> reqwest::Result<bool> {
        let request = front.signed("GET", &self.target(id), None);
        // A connection each: a cut is of one answer.
        let response = request.header("connection", "close").send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        let page: Value = serde_json::from_slice(&bytes).unwrap();
        let (instant, kind) = self.names;
        for event in page["events"].as_array().unwrap() {
            event[instant].as_str().unwrap().clone_into(&mut self.after);
            self.kept.push(event.clone());
        }
        Ok(self.kept.iter().any(|event| ends(&event[kind])))
    }
}

#[tokio::test]
async fn an_old_poller_from_1970_sees_each_event_once_through_a_broken_line() {
    let worker = noisy();
    let shapes = [
        ("cursor", "", ("createdAt", "type")),
        ("since", "", ("createdAt", "type")),
        ("since", "&shape=row", ("created_at", "event_type")),
    ];
    for (index, (parameter, shape, names)) in shapes.into_iter().enumerate() {
        let front = worker.front();
        let cutter = Cutter::start(&worker.url, &[1, 900, 5_003, 30, 2_000]).await;
        let broken = Front::new(&cutter.url);
        let started = front.start("u1", &format!("p{index}")).await.expect(202);
        let id = started["buildId"].as_str().unwrap();
        let mut poller = Poller {
            parameter,
            shape,
            names,
            after: "1970-01-01T00:00:00.000Z".to_owned(),
            kept: Vec::new(),
        };
        let mut errors = 0;
        loop {
            match poller.poll(&broken, id).await {
                Ok(true) => break,
                Ok(false) => tokio::task::yield_now().await,
                Err(_) => errors += 1,
            }
        }
        assert!(errors > 0, "{parameter}{shape}");
        let all = front.events("u1", id).await;
        assert!(all.len() > LINES);
        let ids = |events: &[Value]| -> Vec<Value> {
            events.iter().map(|event| event["id"].clone()).collect()
        };
        // It has left by what comes after the end.
        let (seen, later) = all.split_at(poller.kept.len());
        assert_eq!(ids(&poller.kept), ids(seen), "{parameter}{shape}");
        assert!(later.iter().all(|event| may_follow(&event["type"])));
        if shape.is_empty() {
            assert_eq!(poller.kept, seen);
        }
    }
}
