//! SIGTERM: running builds end as cancelled, streams end, all within 5 s.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::support::WorkerProcess;

#[tokio::test]
async fn a_terminated_worker_cancels_ends_its_streams_and_exits() {
    let command = "echo begun; sleep 600";
    let mut worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", command)]);
    let front = worker.front();
    let started = front.start("u1", "p1").await.expect(202);
    let target = format!("{}?userId=u1", started["streamUrl"].as_str().unwrap());
    let response = front.signed("GET", &target, None).send().await.unwrap();
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    while !text.contains("begun") {
        let chunk = chunks.next().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    worker.terminate();
    let limit = Duration::from_secs(5);
    let rest = tokio::time::timeout(limit, async {
        let mut rest = String::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        rest
    });
    let rest = rest.await.expect("the stream ends within 5 s");
    assert!(rest.contains("\"reason\":\"CANCELLED\""), "{rest}");
    let status = tokio::task::spawn_blocking(move || worker.child.wait().map(|s| (s, worker)));
    let (status, _worker) =
        tokio::time::timeout(limit, status).await.expect("exits within 5 s").unwrap().unwrap();
    assert!(status.success(), "{status}");
}
