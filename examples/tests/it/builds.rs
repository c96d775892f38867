//! What the example's builder does: real files, real links, a real command.

use serde_json::{Value, json};

use crate::support::{WorkerProcess, start_body};

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_whole_site_is_built_charged_and_shown_in_a_sandbox() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let before = front.total("u1").await;
    let started = front.start("u1", "p1").await.expect(202);
    assert_eq!(started["status"], "queued");
    assert_eq!(started["queuePosition"], 1);
    assert!(!started["quickSuggestions"].as_array().unwrap().is_empty());
    let build = front
        .ended("u1", started["buildId"].as_str().unwrap())
        .await;
    assert_eq!(build["status"], "deployed", "{build}");
    let used = build["seconds"].as_u64().unwrap();
    assert!(used >= 1);
    assert_eq!(front.total("u1").await, before - used);

    let preview = build["previewUrl"].as_str().unwrap();
    let page = reqwest::get(preview).await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("sandbox allow-scripts allow-forms;"),
        "{policy}"
    );
    assert!(!policy.contains("allow-same-origin"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert!(page.text().await.unwrap().contains("<title>Salon</title>"));
}

#[tokio::test]
async fn a_missing_page_fails_the_build_by_name_and_charges_nothing() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let before = front.total("u1").await;
    let mut body = start_body("u1", "p1");
    body["templateFiles"]["index.html"] = "<a href=\"prices.html\">Prices</a>".into();
    let started = front
        .post("/v1/create-preview-for-new-project", body)
        .await
        .expect(202);
    let id = started["buildId"].as_str().unwrap();
    let build = front.ended("u1", id).await;
    assert_eq!(
        (&build["status"], &build["reason"]),
        (&json!("failed"), &json!("BUILD_FAILED"))
    );
    let events = front.events("u1", id).await;
    let is_end = |event: &&serde_json::Value| event["type"] == "deploy_failed";
    let last = events.iter().find(is_end).unwrap();
    assert!(
        last["error"].as_str().unwrap().contains("prices.html"),
        "{last}"
    );
    assert_eq!(front.total("u1").await, before);
}

#[tokio::test]
async fn a_command_is_logged_line_by_line_and_its_exit_code_decides() {
    let command = "echo one; echo two >&2; ls; exit $(grep -c BROKEN index.html)";
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", command)]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    assert_eq!(front.ended("u1", id).await["status"], "deployed");
    let events = front.events("u1", id).await;
    let lines: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "build_log")
        .map(|event| event["data"]["message"].as_str().unwrap())
        .collect();
    for line in ["one", "two", "index.html"] {
        assert!(lines.contains(&line), "{lines:?}");
    }
    let mut body = start_body("u1", "p2");
    body["templateFiles"]["index.html"] = "<p>BROKEN</p>".into();
    let started = front
        .post("/v1/create-preview-for-new-project", body)
        .await
        .expect(202);
    let build = front
        .ended("u1", started["buildId"].as_str().unwrap())
        .await;
    assert_eq!(build["reason"], "BUILD_FAILED");
}

#[tokio::test]
async fn a_cancel_stops_the_command_frees_the_project_and_gives_the_seconds_back() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "echo begun; sleep 600")]);
    let front = worker.front();
    let before = front.total("u1").await;
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    while !kinds(&front.events("u1", id).await).contains(&"build_log") {}
    let cancel = format!("/v1/builds/{id}/cancel");
    let build = front
        .post(&cancel, json!({"userId": "u1"}))
        .await
        .expect(200);
    assert_eq!(
        (&build["status"], &build["reason"]),
        (&json!("failed"), &json!("CANCELLED"))
    );
    let again = front
        .post(&cancel, json!({"userId": "u1"}))
        .await
        .expect(409);
    assert_eq!(again["error"], "TRANSITION_NOT_ALLOWED");
    assert_eq!(front.total("u1").await, before);
    front.start("u1", "p1").await.expect(202);
}

#[tokio::test]
async fn an_update_is_laid_over_the_files_that_are_there() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    front
        .ended("u1", started["buildId"].as_str().unwrap())
        .await;
    let update = json!({
        "userId": "u1",
        "projectId": "p1",
        "prompt": "Say hello on the about page",
        "templateFiles": [{"path": "about.html", "content": "<a href=index.html>Hello</a>"}],
    });
    let started = front.post("/v1/update-project", update).await.expect(202);
    let build = front
        .ended("u1", started["buildId"].as_str().unwrap())
        .await;
    assert_eq!(build["status"], "deployed", "{build}");
    let preview = build["previewUrl"].as_str().unwrap();
    let about = reqwest::get(format!("{preview}about.html"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(about.contains("Hello"));
    let index = reqwest::get(preview).await.unwrap().text().await.unwrap();
    assert!(index.contains("<title>Salon</title>"));
}

#[tokio::test]
async fn what_belongs_to_another_user_is_not_found() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "sleep 30")]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let id = started["buildId"].as_str().unwrap();
    front
        .get(&format!("/v1/builds/{id}?userId=u2"))
        .await
        .expect(404);
    front
        .get(&format!("/v1/builds/{id}/events?userId=u2"))
        .await
        .expect(404);
    front
        .post(&format!("/v1/builds/{id}/cancel"), json!({"userId": "u2"}))
        .await
        .expect(404);
    let token = format!("/v1/builds/{id}/viewer-token");
    front
        .post(&token, json!({"userId": "u2"}))
        .await
        .expect(404);
    front.start("u2", "p1").await.expect(404);
    assert_ne!(front.build("u1", id).await["status"], "failed");
}
