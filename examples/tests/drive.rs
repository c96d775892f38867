//! The drive program against the worker: both sites are built and their previews open.

use std::process::Command;

use crate::support::{SECRET, WorkerProcess, program};

async fn drive(site: &str, marker: &str) {
    let worker = WorkerProcess::start(&[]);
    let url = worker.url.clone();
    let folder = format!("{}/sites/{site}", env!("CARGO_MANIFEST_DIR"));
    let run = tokio::task::spawn_blocking(move || {
        Command::new(program("drive"))
            .args(["--dir", &folder, "--prompt", "Create a website", "--url", &url])
            .env("WORKER_SHARED_SECRET", SECRET)
            .output()
    });
    let output = run.await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{errors}");
    let preview = text.split_whitespace().find(|word| word.contains("/preview/")).unwrap();
    let page = reqwest::get(preview).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains(marker));
    assert!(text.to_lowercase().contains("balance"), "{text}");
}

#[tokio::test]
async fn drive_builds_the_salon() {
    drive("salon", "<!doctype html>").await;
}

#[tokio::test]
async fn drive_builds_the_bakery() {
    drive("bakery", "dir=\"rtl\"").await;
}

#[tokio::test]
async fn sign_prints_headers_that_the_worker_accepts() {
    let worker = WorkerProcess::start(&[]);
    let body = r#"{"operationType":"main_build","projectSize":"small","userId":"u1"}"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body.json");
    std::fs::write(&file, body).unwrap();
    let output = Command::new(program("sign"))
        .args(["POST", "/v1/estimate", "--body", &format!("@{}", file.display())])
        .env("WORKER_SHARED_SECRET", SECRET)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut request = reqwest::Client::new()
        .post(format!("{}/v1/estimate", worker.url))
        .header("content-type", "application/json")
        .body(body);
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(": ")
            && name.starts_with("x-sheen-")
        {
            request = request.header(name, value);
        }
    }
    assert!(text.contains("curl "), "{text}");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}
