//! What an operator does to a running worker: take viewer tokens back, bring keys from v1 to v2, look
//! at its figures.

use std::io::Write as _;
use std::process::{Command, Output};

use serde_json::json;
use sheen_auth::signature::{Signer, SigningKey};
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::{Clock as _, SystemClock};
use testkit::{RedisServer, until_async};

use crate::support::{Answer, Front, SECRET, WorkerProcess, program};

/// A token for a build of `user`'s, and where it reads.
async fn token(front: &Front, user: &str, build: &str) -> String {
    let target = format!("/v1/builds/{build}/viewer-token");
    let issued = front.post(&target, json!({"userId": user})).await;
    issued.expect(200)["token"].as_str().unwrap().to_owned()
}

async fn read(front: &Front, build: &str, token: &str) -> Answer {
    let target = format!("{}/v1/builds/{build}/events", front.url);
    Front::send(front.http.get(target).bearer_auth(token)).await
}

async fn revoke(settings: &[(&str, &str)], user: &'static str) -> Output {
    let mut command = Command::new(program("revoke"));
    command.env_clear().envs(settings.iter().copied()).arg(user);
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

/// Takes `u1`'s tokens back with the worker's own environment: `u1` is out, `u2` is not, and what is
/// issued later counts.
async fn taken_back(settings: &[(&str, &str)]) {
    let worker = WorkerProcess::start(settings);
    let front = worker.front();
    let mut readers = Vec::new();
    for user in ["u1", "u2"] {
        let started = front.start(user, &format!("of-{user}")).await.expect(202);
        let build = started["buildId"].as_str().unwrap().to_owned();
        let token = token(&front, user, &build).await;
        assert_eq!(read(&front, &build, &token).await.status, 200);
        readers.push((build, token));
    }
    let done = revoke(settings, "u1").await;
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    assert!(told.contains("u1"), "{told}");
    let (build, old) = &readers[0];
    until_async("the worker hears of it", || async {
        read(&front, build, old).await.status == 401
    })
    .await;
    let refused = read(&front, build, old).await.expect(401);
    assert_eq!(refused["error"], "TOKEN_INVALID");
    assert_eq!(read(&front, &readers[1].0, &readers[1].1).await.status, 200);
    until_async("a token of the next second", || async {
        let new = token(&front, "u1", build).await;
        read(&front, build, &new).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn viewer_tokens_are_taken_back_on_postgresql() {
    let database = testkit::postgres().await;
    taken_back(&[("DATABASE_URL", database.url())]).await;
}

#[tokio::test]
async fn viewer_tokens_are_taken_back_on_redis() {
    let redis = RedisServer::start().unwrap();
    taken_back(&[("REDIS_URL", redis.url().as_str())]).await;
}

#[tokio::test]
async fn taking_back_without_a_store_says_what_to_do() {
    let refused = revoke(&[], "u1").await;
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("REDIS_URL") && told.contains("restart"),
        "{told}"
    );
}

/// A read signed with v1 alone.
async fn with_v1(front: &Front) -> Answer {
    let id = KeyId::parse("default").unwrap();
    let principal = PrincipalId::parse("default").unwrap();
    let key = SigningKey::new(id, principal, Secret::new(SECRET).unwrap());
    let path = "/v1/billing/balance/u1";
    let now = SystemClock::new().now();
    let signed = Signer::new(key).with_v1();
    let signed = signed
        .sign("GET", path, None, b"", now, &OsEntropy)
        .unwrap();
    let mut request = front.http.get(format!("{}{path}", front.url));
    for (name, value) in signed.iter() {
        if ["x-sheen-timestamp", "x-sheen-signature"].contains(&name) {
            request = request.header(name, value);
        }
    }
    Front::send(request).await
}

fn hang_up(worker: &WorkerProcess) {
    let pid = worker.child.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(sent.success());
}

async fn metrics(front: &Front) -> String {
    let answer = Front::send(front.http.get(format!("{}/metrics", front.url))).await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    String::from_utf8(answer.bytes).unwrap()
}

/// A file that is wrong changes nothing, one that is right counts from the next call on, and nobody
/// restarts anything.
#[tokio::test]
async fn a_key_goes_from_dual_to_v2_and_back_while_the_worker_runs() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut write = |text: &str| {
        file.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.path().to_str().unwrap().to_owned()
    };
    let path = write("default=dual");
    let settings = [
        ("SHEEN_SIGNATURE_MODE_FILE", path.as_str()),
        ("SHEEN_V1_SUNSET", "2027-06-01T00:00:00Z"),
    ];
    let worker = WorkerProcess::start(&settings);
    let front = worker.front();
    let answer = with_v1(&front).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("sunset"),
        Some("Tue, 01 Jun 2027 00:00:00 GMT")
    );
    let figures = metrics(&front).await;
    assert!(
        figures.contains("signature_keys{mode=\"dual\"} 1"),
        "{figures}"
    );
    assert!(figures.contains("signature_keys_on_v1 1"), "{figures}");
    assert!(
        figures.contains("signature_verifications_total{"),
        "{figures}"
    );

    // Not ready, and not forced: it stays.
    for stays in ["default=enforce-v2", "default=enforce-v3", "default"] {
        write(stays);
        hang_up(&worker);
    }
    write("default=enforce-v2 forced");
    hang_up(&worker);
    until_async("v1 is refused", || async {
        with_v1(&front).await.status == 401
    })
    .await;
    assert_eq!(front.get("/v1/billing/balance/u1").await.status, 200);
    let figures = metrics(&front).await;
    assert!(
        figures.contains("signature_keys{mode=\"enforce-v2\"} 1"),
        "{figures}"
    );
    write("default=dual");
    hang_up(&worker);
    until_async("v1 is taken again", || async {
        with_v1(&front).await.status == 200
    })
    .await;
    write("default=dual latched");
    hang_up(&worker);
    until_async("v1 is latched out", || async {
        with_v1(&front).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn without_a_file_of_modes_a_hang_up_ends_nothing() {
    let worker = WorkerProcess::start(&[]);
    let front = worker.front();
    hang_up(&worker);
    assert_eq!(with_v1(&front).await.status, 200);
    assert_eq!(front.get("/health").await.status, 200);
}
