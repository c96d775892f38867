//! The door of downloads (wire.md §12).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;
use sheen_auth::signed_url::{Opened, SignedUrls};
use sheen_axum::request_id::RequestIdLayer;
use sheen_axum::signed_url::SignedUrlLayer;
use sheen_axum::timing::ServerTimingLayer;
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::UserId;
use sheen_core::secret::Secret;
use sheen_core::time::{Clock, ManualClock, Timestamp};

use crate::support::{Answer, send};

struct World {
    app: Router,
    urls: Arc<SignedUrls>,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    let start = Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(start));
    let secret = Secret::new("a secret of at least thirty-two bytes").unwrap();
    let urls = Arc::new(SignedUrls::new(&[&secret]).unwrap());
    let whose = async |Extension(opened): Extension<Opened>| opened.user.to_string();
    let door = SignedUrlLayer::new(urls.clone(), clock.clone());
    let downloads = Router::new()
        .route("/{name}", get(whose).post(whose))
        .route_layer(door);
    let app = Router::new()
        .nest("/worker/artifacts", downloads)
        .layer(ServerTimingLayer::new(clock.clone()))
        .layer(RequestIdLayer::new(
            Arc::new(SeededEntropy::new(1)),
            clock.clone(),
        ));
    World { app, urls, clock }
}

impl World {
    fn url(&self, method: &str, path: &str) -> String {
        let ann = UserId::parse("ann").unwrap();
        let day = SignedUrls::DOWNLOAD_LIFE;
        let url = self.urls.sign(method, path, &ann, self.clock.now(), day);
        url.unwrap().expose().to_owned()
    }

    async fn call(&self, method: &str, target: &str) -> Answer {
        let call = Request::builder().method(method).uri(target);
        send(&self.app, call.body(Body::empty()).unwrap()).await
    }
}

const PATH: &str = "/worker/artifacts/v_1.zip";

#[tokio::test]
async fn a_signed_url_opens_its_path_inside_a_nest_for_get_and_head_until_its_end() {
    let world = world();
    let url = world.url("GET", PATH);
    let opened = world.call("GET", &url).await;
    assert_eq!(
        (opened.status.as_u16(), opened.text().as_str()),
        (200, "ann")
    );
    assert_eq!(opened.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(opened.header("cache-control"), Some("private, no-store"));
    assert_eq!(world.call("HEAD", &url).await.status, 200);
    world.clock.advance(Duration::from_secs(86_399));
    assert_eq!(world.call("GET", &url).await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    let late = world.call("GET", &url).await;
    late.refused(401, "TOKEN_EXPIRED");
    assert_eq!(late.header("referrer-policy"), Some("no-referrer"));
}

#[tokio::test]
async fn anything_else_than_the_url_as_it_was_signed_is_refused() {
    let world = world();
    let url = world.url("GET", PATH);
    let of_the_inner_path = world.url("GET", "/v_1.zip");
    let (_, inner_query) = of_the_inner_path.split_once('?').unwrap();
    for target in [
        PATH.to_owned(),
        format!("{PATH}?"),
        format!("{url}&x=1"),
        url.replace("v_1", "v_2"),
        url.replace("v_1", "v%5F1"),
        url.replace("ann", "bob"),
        format!("{PATH}?{inner_query}"),
        world.url("POST", PATH),
    ] {
        world
            .call("GET", &target)
            .await
            .refused(401, "TOKEN_INVALID");
    }
    world.call("POST", &url).await.refused(401, "TOKEN_INVALID");
    assert_eq!(
        world.call("POST", &world.url("POST", PATH)).await.status,
        200
    );
}
