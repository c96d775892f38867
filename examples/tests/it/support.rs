//! A worker process of the test's own, and a front end's server that calls it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use sheen_auth::signature::{Signer, SigningKey};
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::{Clock as _, SystemClock};

pub(crate) const SECRET: &str = "a-secret-for-tests-of-thirty-two-bytes-and-more";

/// The program that cargo built beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        path.exists(),
        "{} is built by `cargo test -p examples`",
        path.display()
    );
    path
}

/// A worker process, killed when dropped.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) child: Child,
    pub(crate) url: String,
    _previews: tempfile::TempDir,
}

impl WorkerProcess {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let previews = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("worker"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("WORKER_SHARED_SECRET", SECRET)
            .env("SHEEN_ADDR", "127.0.0.1:0")
            .env("SHEEN_LIMITS", "off")
            .env("SHEEN_PREVIEW_DIR", previews.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.envs(settings.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines
                .next()
                .expect("the worker says where it listens")
                .unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.trim().to_owned();
            }
        };
        // What it says later must not fill its pipe.
        #[expect(clippy::disallowed_methods, reason = "a test may have a thread")]
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url,
            _previews: previews,
        }
    }

    pub(crate) fn front(&self) -> Front {
        Front::new(&self.url)
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A front end's server.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    signer: Arc<Signer>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, after the status was as expected.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self.json()
    }
}

impl Front {
    pub(crate) fn new(url: &str) -> Self {
        let secret = Secret::new(SECRET).unwrap();
        let key = SigningKey::new(
            KeyId::parse("default").unwrap(),
            PrincipalId::parse("default").unwrap(),
            secret,
        );
        Self {
            url: url.to_owned(),
            http: reqwest::Client::new(),
            signer: Arc::new(Signer::new(key)),
        }
    }

    /// A signed request, not yet sent.
    pub(crate) fn signed(
        &self,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> reqwest::RequestBuilder {
        let body = body
            .map(|body| serde_json::to_vec(body).unwrap())
            .unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let now = SystemClock::new().now();
        let signed = self
            .signer
            .sign(method, path, query, &body, now, &OsEntropy)
            .unwrap();
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{target}", self.url));
        for (name, value) in signed.iter() {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        request
    }

    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            bytes: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        Self::send(self.signed("GET", target, None)).await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        Self::send(self.signed("POST", target, Some(&body))).await
    }

    pub(crate) async fn start(&self, user: &str, project: &str) -> Answer {
        self.post(
            "/v1/create-preview-for-new-project",
            start_body(user, project),
        )
        .await
    }

    pub(crate) async fn build(&self, user: &str, id: &str) -> Value {
        self.get(&format!("/v1/builds/{id}?userId={user}"))
            .await
            .expect(200)
    }

    /// The build, once it has ended.
    pub(crate) async fn ended(&self, user: &str, id: &str) -> Value {
        loop {
            let build = self.build(user, id).await;
            if build["status"] == "deployed" || build["status"] == "failed" {
                return build;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn total(&self, user: &str) -> u64 {
        let answer = self
            .get(&format!("/v1/billing/balance/{user}"))
            .await
            .expect(200);
        answer["balance"]["total"].as_u64().unwrap()
    }

    /// All visible events of a build, by polling.
    pub(crate) async fn events(&self, user: &str, id: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut cursor = String::new();
        loop {
            let target = format!("/v1/builds/{id}/events?userId={user}{cursor}");
            let page = self.get(&target).await.expect(200);
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            if page["hasNext"] != true {
                return events;
            }
            cursor = format!("&cursor={}", page["cursor"].as_str().unwrap());
        }
    }
}

/// A start of a small site that is whole.
pub(crate) fn start_body(user: &str, project: &str) -> Value {
    json!({
        "userId": user,
        "projectId": project,
        "prompt": "Create a salon website with online booking",
        "templateFiles": {
            "index.html": "<!doctype html><title>Salon</title><link rel=stylesheet href=site.css><a href=about.html>About</a>",
            "about.html": "<!doctype html><title>About</title><a href=./>Home</a>",
            "site.css": "body { color: #333 }",
        },
    })
}
