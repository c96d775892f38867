//! A headless Chromium, driven over WebDriver.

use serde_json::{Value, json};

use crate::guarded::Guarded;

/// A browser with one page, and a profile of its own.
#[derive(Debug)]
pub(crate) struct Browser {
    http: reqwest::Client,
    session: String,
    _driver: Guarded,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let mut driver = Guarded::start("chromedriver", ["--port=0"]);
        let port: u16 = driver.told(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        // Its sandbox refuses to be root's.
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
        }}});
        let mut browser = Self {
            http: reqwest::Client::new(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
            _profile: profile,
        };
        let made = browser.ask("", &wanted).await;
        browser.session.push('/');
        browser
            .session
            .push_str(made["sessionId"].as_str().unwrap());
        browser
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let bytes = request.send().await.unwrap().bytes().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{path}: {value}");
        value
    }

    pub(crate) async fn go(&self, url: &str) {
        self.ask("/url", &json!({"url": url})).await;
    }

    /// What a script of the page returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.ask("/execute/sync", &body).await
    }

    /// Closes it. A test that fails before leaves that to the process group.
    pub(crate) async fn quit(self) {
        let closed = self.http.delete(&self.session).send().await.unwrap();
        assert!(closed.status().is_success());
    }
}
