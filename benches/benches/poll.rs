//! A poll with nothing new (docs/performance.md, row 14): the feed that remembers, and the whole
//! handler behind every layer as a browser's request with a viewer token goes through it, up to the
//! answer's headers. Beside the handler its floor: an axum route that answers 304.

#[path = "http/world.rs"]
mod world;

use std::hint::black_box;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::token::FencingToken;
use sheen_events::feed::{PollOutcome, PollRequest};
use sheen_events::log::{Append, EventLog, EventType, NewEvent, NewStream};
use tokio::runtime::Builder;
use tower::ServiceExt as _;

fn polls(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (app, rooms) = world::app();
    let app = sheen_axum::App {
        limits: None,
        ..app
    };
    let user = UserId::parse("u1").expect("an id");
    let build = BuildId::parse("b1").expect("an id");
    let life = Duration::from_secs(3600);
    let (token, _) = app.tokens.issue(&user, &build, app.clock.now(), life);
    runtime.block_on(async {
        let session = BuildSessionId::parse("s1").expect("an id");
        let stream = NewStream::new(build.clone(), user.clone(), session);
        rooms.log.open(stream).await.expect("a log");
        let mut data = serde_json::Map::new();
        data.insert("message".to_owned(), "Writing the pages".into());
        let event = NewEvent::new(EventType::BUILD_LOG, &data).expect("a message");
        let append = Append::new(build.clone(), FencingToken::ZERO, vec![event]);
        rooms.log.append(append).await.expect("a log");
    });
    let feed = app.feed.clone();
    let poll = |request| runtime.block_on(feed.poll(&user, &build, request));
    let Ok(PollOutcome::Page(first)) = poll(PollRequest::new()) else {
        panic!("a page");
    };
    let mut request = PollRequest::new();
    request.cursor = Some(&first.cursor);
    let Ok(PollOutcome::Page(empty)) = poll(request) else {
        panic!("an empty page");
    };
    request.if_none_match = Some(&empty.etag);

    let mut group = c.benchmark_group("a poll with nothing new");
    group.bench_function("feed", |b| {
        b.iter(|| poll(black_box(request)).expect("not modified"));
    });
    let target = format!(
        "/v1/builds/b1/events?cursor={}&access_token={}",
        first.cursor,
        token.expose()
    );
    let answered = |router: &Router, target: &str| {
        let request = Request::get(target)
            .header(IF_NONE_MATCH, &*empty.etag)
            .body(Body::empty())
            .expect("a request");
        let answer = runtime.block_on(router.clone().oneshot(request));
        let answer = answer.expect("never fails");
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        answer
    };
    let whole = sheen_axum::router(app).expect("a worker").with_state(());
    group.bench_function("handler, every layer", |b| {
        b.iter(|| answered(&whole, black_box(&target)));
    });
    let tag = empty.etag.clone();
    let bare = get(async move || (StatusCode::NOT_MODIFIED, [(ETAG, tag)]));
    let bare: Router = Router::new().route("/bare", bare);
    group.bench_function("floor: an axum route", |b| {
        b.iter(|| answered(&bare, black_box("/bare")));
    });
    group.finish();
}

criterion_group!(benches, polls);
criterion_main!(benches);
