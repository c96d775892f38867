//! Over a real connection: what only the bytes on the line can show.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use sheen_core::id::{BuildId, UserId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::World;

/// Runs `client` against the world's routes.
async fn served<T>(world: &World, client: impl AsyncFnOnce(TcpStream) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = axum::serve(listener, world.app.clone());
    tokio::select! {
        _ = serving.into_future() => unreachable!("a server does not end by itself"),
        told = async { client(TcpStream::connect(address).await.unwrap()).await } => told,
    }
}

/// The request as bytes on the line.
async fn bytes_of(request: Request<Body>) -> Vec<u8> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut line = format!(
        "{} {} HTTP/1.1\r\nhost: worker\r\n",
        parts.method, parts.uri
    );
    for (name, value) in &parts.headers {
        line.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    line.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [line.into_bytes(), body.to_vec()].concat()
}

async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let read = socket.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn the_refusal_of_a_large_body_arrives_and_the_connection_goes_on() {
    let world = World::new();
    let large = vec![b'x'; 20 * 1024 * 1024];
    let large = bytes_of(world.call("POST", "/v1/estimate").body(large).request()).await;
    let next = bytes_of(world.get("/health").unsigned().request()).await;
    let told = served(&world, async |mut socket| {
        socket.write_all(&large).await.unwrap();
        let refusal = read_until(&mut socket, "PAYLOAD_TOO_LARGE").await;
        socket.write_all(&next).await.unwrap();
        (refusal, read_until(&mut socket, r#"{"status":"ok"}"#).await)
    })
    .await;
    assert!(told.0.starts_with("HTTP/1.1 413 "), "{}", told.0);
    assert!(told.1.contains("HTTP/1.1 200 "), "{}", told.1);
}

#[tokio::test]
async fn a_bearers_stream_ends_without_its_final_chunk_and_a_native_readers_with_it() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, Duration::from_secs(600));
    let target = format!("/v1/builds/{build}/events/stream");
    let bearer = world
        .get(&target)
        .unsigned()
        .header("authorization", format!("Bearer {token}"));
    let native = world
        .get(&format!("{target}?access_token={token}"))
        .unsigned();
    let (bearer, native) = (
        bytes_of(bearer.request()).await,
        bytes_of(native.request()).await,
    );
    let streams = world.streams.clone();
    let (cut, ended) = served(&world, async |mut socket| {
        let mut second = TcpStream::connect(socket.peer_addr().unwrap())
            .await
            .unwrap();
        socket.write_all(&bearer).await.unwrap();
        second.write_all(&native).await.unwrap();
        read_until(&mut socket, "caught_up").await;
        read_until(&mut second, "caught_up").await;
        streams.shutdown();
        let mut rest = Vec::new();
        // A reset is as good an end as any, here.
        let _ = socket.read_to_end(&mut rest).await;
        (rest, read_until(&mut second, "0\r\n\r\n").await)
    })
    .await;
    assert!(!String::from_utf8_lossy(&cut).contains("0\r\n\r\n"));
    assert!(ended.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn e01_a_bearer_is_told_of_its_tokens_end_before_the_connection_breaks() {
    let world = World::new();
    let build = world.started("ann", "p1").await;
    let token = world.token("ann", &build, Duration::from_secs(600));
    let bearer = world
        .get(&format!("/v1/builds/{build}/events/stream"))
        .unsigned()
        .header("authorization", format!("Bearer {token}"));
    let bearer = bytes_of(bearer.request()).await;
    let (user, build) = (
        UserId::parse("ann").unwrap(),
        BuildId::parse(&build).unwrap(),
    );
    let rest = served(&world, async |mut socket| {
        socket.write_all(&bearer).await.unwrap();
        read_until(&mut socket, "caught_up").await;
        world.advance(600);
        // An event rings for the reader, which then sees what time it is.
        world.worker.cancel(&user, &build).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as any, here.
        let _ = socket.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    })
    .await;
    let (_, data) = rest
        .split_once("event: token_expired\ndata: ")
        .expect(&rest);
    assert!(data.contains("\"cursor\":\""), "{rest}");
    assert!(!rest.contains("deploy_failed"), "{rest}");
    assert!(!rest.contains("0\r\n\r\n"), "{rest}");
}

/// What a reader on the line sees of a replay that breaks off: no final chunk.
#[tokio::test]
async fn a_replay_that_breaks_off_ends_without_its_final_chunk() {
    let world = World::new();
    // More than any socket holds.
    let build = crate::replay::filled(&world, 700, 30_000).await;
    let body = serde_json::json!({"userId": "ann", "fromSeq": 1});
    let target = format!("/v1/builds/{build}/replay");
    let whole = bytes_of(world.post(&target, body.clone()).request()).await;
    let cut = bytes_of(world.post(&target, body).request()).await;
    let (whole, cut) = served(&world, async |mut socket| {
        let mut second = TcpStream::connect(socket.peer_addr().unwrap())
            .await
            .unwrap();
        second.write_all(&whole).await.unwrap();
        let mut whole = Vec::new();
        while !whole.ends_with(b"\r\n0\r\n\r\n") {
            assert!(second.read_buf(&mut whole).await.unwrap() > 0);
        }
        socket.write_all(&cut).await.unwrap();
        read_until(&mut socket, "\"seq\":1,").await;
        world.advance(3600);
        let now = sheen_core::time::Clock::now(&*world.clock);
        world.log.lock().remove_before(now, 699);
        let mut rest = Vec::new();
        // A reset is as good an end as any, here.
        let _ = socket.read_to_end(&mut rest).await;
        (
            String::from_utf8(whole).unwrap(),
            String::from_utf8(rest).unwrap(),
        )
    })
    .await;
    assert!(whole.contains("\"seq\":700,"));
    assert!(!cut.contains("\"seq\":700,") && !cut.ends_with("0\r\n\r\n"));
}
