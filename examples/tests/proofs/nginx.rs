//! Behind nginx as Debian ships it: buffering and gzip on.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value;

use crate::guarded::Guarded;
use crate::steps::Steps;
use crate::support::{Front, WorkerProcess};

/// Longer than anything that is not held back takes; nginx holds back until the end.
const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 200;

struct Nginx {
    url: String,
    _process: Guarded,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// In front of the worker at `url`, with `more` lines of configuration.
    async fn start(url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
            .concat();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\n\
             http {{\n    access_log off;\n{temporary}    gzip on;\n{more}\n    \
             server {{\n        listen 127.0.0.1:{port};\n        \
             location / {{ proxy_pass {url}; }}\n    }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let errors = folder.path().join("errors");
        let arguments = ["-e", errors.to_str().unwrap(), "-c", file.to_str().unwrap()];
        let process = Guarded::start("nginx", arguments);
        let address = format!("127.0.0.1:{port}");
        testkit::until_async("nginx listens", async || {
            tokio::net::TcpStream::connect(&address).await.is_ok()
        })
        .await;
        Self {
            url: format!("http://{address}"),
            _process: process,
            _folder: folder,
        }
    }
}

/// nginx does not say which port it took, so it gets one that was free just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A stream's events as they arrive.
struct Reading {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
    seqs: Vec<u64>,
}

impl Reading {
    async fn open(front: &Front, target: &str, last: Option<u64>) -> Self {
        let mut request = front
            .signed("GET", target, None)
            .header("accept-encoding", "gzip");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["server"].to_str().unwrap()[..5], *"nginx");
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "private, no-store, no-transform");
        assert_eq!(headers.get("content-encoding"), None);
        // nginx obeys it and passes it to nobody.
        assert_eq!(headers.get("x-accel-buffering"), None);
        Self {
            chunks: response.bytes_stream().boxed(),
            text: String::new(),
            seqs: Vec::new(),
        }
    }

    /// The next event's type and data; `None` at the good end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                let parsed = field("data: ").map(|data| {
                    let kind = field("event: ").unwrap().to_owned();
                    (kind, serde_json::from_str(data).unwrap())
                });
                self.seqs
                    .extend(field("id: ").map(|id| id.parse::<u64>().unwrap()));
                self.text = rest.to_owned();
                if parsed.is_some() {
                    return parsed;
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.chunks.next()).await;
            let chunk = chunk.expect("nothing is held back")?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads on until the build's log says `line`.
    async fn hear(&mut self, line: &str) {
        while let Some((_, data)) = self.next().await {
            if data["data"]["message"] == line {
                return;
            }
        }
        panic!("the stream ended before {line}");
    }
}

/// D6. Each event is received before the next one is made.
async fn nothing_is_held_back(more: &str) {
    let mut steps = Steps::new();
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", &steps.command())]);
    let nginx = Nginx::start(&worker.url, more).await;
    let front = Front::new(&nginx.url);
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());

    let mut first = Reading::open(&front, &target, None).await;
    for step in 0..EVENTS / 2 {
        steps.say(&format!("step {step}"));
        first.hear(&format!("step {step}")).await;
    }
    let last = *first.seqs.last().unwrap();
    let mut seqs = std::mem::take(&mut first.seqs);
    drop(first);
    steps.say("unheard");

    let mut second = Reading::open(&front, &target, Some(last)).await;
    let (kind, connection) = second.next().await.unwrap();
    assert_eq!(kind, "connection");
    assert_eq!(connection["from"], last + 1);
    assert_eq!(connection["resumed"], "exact");
    second.hear("unheard").await;
    for step in EVENTS / 2..EVENTS {
        steps.say(&format!("step {step}"));
        second.hear(&format!("step {step}")).await;
    }
    steps.end();
    let mut kinds = Vec::new();
    while let Some((kind, _)) = second.next().await {
        kinds.push(kind);
    }
    assert_eq!(kinds.last().unwrap(), "closed");
    seqs.append(&mut second.seqs);
    let head = seqs.len() as u64;
    assert_eq!(seqs, (1..=head).collect::<Vec<_>>());
    assert_eq!(front.events("u1", id).await.len() as u64, head);
}

#[tokio::test]
async fn nothing_is_held_back_by_its_defaults() {
    nothing_is_held_back("").await;
}

#[tokio::test]
async fn nothing_is_held_back_over_http_1_1_with_keep_alive() {
    let more = "proxy_http_version 1.1; proxy_set_header Connection '';";
    nothing_is_held_back(more).await;
}

/// E9. gzip makes a strong tag weak; it is still the same page.
#[tokio::test]
async fn a_tag_that_gzip_weakened_still_matches() {
    let worker = WorkerProcess::start(&[]);
    let nginx = Nginx::start(&worker.url, "gzip_types application/json;").await;
    let front = Front::new(&nginx.url);
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    front.ended("u1", id).await;
    let target = format!("/v1/builds/{id}/events?userId=u1");
    let poll = || {
        front
            .signed("GET", &target, None)
            .header("accept-encoding", "gzip")
    };
    let page = Front::send(poll()).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    let tag = page.header("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = Front::send(poll().header("if-none-match", tag)).await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
}
