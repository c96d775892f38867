//! Every accepted way of saying who one is, with each part that it covers changed, over HTTP.

use axum::body::Body;
use http::{HeaderValue, Request};
use sheen_auth::signature::{Mode, Signer};
use sheen_core::time::Clock;

use crate::support::{Setup, World, key, request_id_signature, send};

const TARGET: &str = "/v1/estimate?size=1";
const BODY: &str = r#"{"operationType":"update"}"#;
const OTHER_HEX: &str = "00000000000000000000000000000000";

/// What is changed, how, and the code it is refused with.
type Change = (&'static str, fn(&mut Signed), &'static str);

/// How a call is signed, what it covers, and the modes that take it.
type Way = (fn(&World) -> Signed, &'static [Change], &'static [Mode]);

/// A call that can be taken apart.
#[derive(Clone)]
struct Signed {
    method: &'static str,
    target: String,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Signed {
    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.retain(|(of, _)| *of != name);
        self.headers.push((name, value.to_owned()));
    }

    fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(of, _)| *of == name);
        &found.unwrap().1
    }

    /// The same with its last character another one of its alphabet.
    fn bend(&mut self, name: &'static str) {
        let mut value = self.get(name).to_owned();
        let last = value.pop().unwrap();
        value.push(if last == '0' { '1' } else { '0' });
        self.set(name, &value);
    }

    fn later(&mut self) {
        let stamp: u64 = self.get("x-sheen-timestamp").parse().unwrap();
        self.set("x-sheen-timestamp", &(stamp + 1).to_string());
    }

    fn long_ago(&mut self) {
        let stamp: u64 = self.get("x-sheen-timestamp").parse().unwrap();
        self.set("x-sheen-timestamp", &(stamp - 301_000).to_string());
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(*name, HeaderValue::from_str(value).unwrap());
        }
        let request = request.header("content-type", "application/json");
        request.body(Body::from(self.body.clone())).unwrap()
    }
}

fn by_signer(world: &World, with_v1: bool) -> Signed {
    let mut signer = Signer::new(key()).naming_key();
    if with_v1 {
        signer = signer.with_v1();
    }
    let (path, query) = TARGET.split_once('?').unwrap();
    let (now, entropy) = (world.clock.now(), &*world.entropy);
    let made = signer.sign("POST", path, Some(query), BODY.as_bytes(), now, entropy);
    let made = made.unwrap();
    Signed {
        method: "POST",
        target: TARGET.to_owned(),
        body: BODY.to_owned(),
        headers: made
            .iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
    }
}

fn v2(world: &World) -> Signed {
    by_signer(world, false)
}

fn v1(world: &World) -> Signed {
    let mut signed = by_signer(world, true);
    let kept = ["x-sheen-signature", "x-sheen-timestamp", "x-sheen-key-id"];
    signed.headers.retain(|(name, _)| kept.contains(name));
    signed
}

fn v1_request_id(world: &World) -> Signed {
    let now = world.clock.now().as_millis().to_string();
    let signature = request_id_signature(&now, "call-1", BODY);
    let headers = vec![
        ("x-sheen-signature", signature),
        ("x-sheen-timestamp", now),
        ("x-sheen-request-id", "call-1".to_owned()),
    ];
    Signed {
        method: "POST",
        target: TARGET.to_owned(),
        body: BODY.to_owned(),
        headers,
    }
}

const BODY_CHANGED: Change = ("body", |it| it.body.push(' '), "SIGNATURE_INVALID");
const PATH: Change = (
    "path",
    |it| it.target = it.target.replace("estimate", "timings"),
    "SIGNATURE_INVALID",
);
const QUERY: Change = ("query", |it| it.target.push('0'), "SIGNATURE_INVALID");
const QUERY_GONE: Change = (
    "query gone",
    |it| it.target.truncate("/v1/estimate".len()),
    "SIGNATURE_INVALID",
);
const SIGNATURE: Change = (
    "signature",
    |it| it.bend("x-sheen-signature"),
    "SIGNATURE_INVALID",
);
const KEY: Change = (
    "key",
    |it| it.set("x-sheen-key-id", "another"),
    "KEY_UNKNOWN",
);
// Who cannot sign learns nothing of clocks.
const LONG_AGO: Change = ("a time long ago", Signed::long_ago, "SIGNATURE_INVALID");

const OF_V2: &[Change] = &[
    BODY_CHANGED,
    PATH,
    QUERY,
    QUERY_GONE,
    KEY,
    (
        "signature",
        |it| it.bend("x-sheen-sig-v2"),
        "SIGNATURE_INVALID",
    ),
    (
        "nonce",
        |it| it.set("x-sheen-nonce", OTHER_HEX),
        "SIGNATURE_INVALID",
    ),
    ("time", Signed::later, "SIGNATURE_INVALID"),
    LONG_AGO,
];
const OF_V1: &[Change] = &[BODY_CHANGED, PATH, QUERY, QUERY_GONE, KEY, SIGNATURE];
const OF_V1_REQUEST_ID: &[Change] = &[
    BODY_CHANGED,
    SIGNATURE,
    (
        "request id",
        |it| it.set("x-sheen-request-id", "call-2"),
        "SIGNATURE_INVALID",
    ),
    ("time", Signed::later, "SIGNATURE_INVALID"),
    LONG_AGO,
];

/// In each mode that takes it: whole it is let in, changed in one part it is not, and the code says
/// no more than the contract has.
#[tokio::test]
async fn each_part_that_is_covered_is_checked_over_http() {
    let (v2_modes, v1_modes) = (
        &[Mode::Dual, Mode::EnforceV2][..],
        &[Mode::V1Only, Mode::Shadow, Mode::Dual][..],
    );
    let ways: [Way; 3] = [
        (v2, OF_V2, v2_modes),
        (v1, OF_V1, v1_modes),
        (v1_request_id, OF_V1_REQUEST_ID, v1_modes),
    ];
    for (number, (sign, changes, modes)) in ways.into_iter().enumerate() {
        for mode in modes {
            let world = World::with(Setup {
                mode: *mode,
                ..Setup::default()
            });
            for (what, change, code) in changes {
                let mut changed = sign(&world);
                change(&mut changed);
                let answer = send(&world.app, changed.request()).await;
                assert_eq!(
                    answer.status,
                    401,
                    "way {number} in {mode}: {what}: {}",
                    answer.text()
                );
                answer.refused(401, code);
            }
            // What was refused spent nothing.
            let whole = sign(&world);
            let answer = send(&world.app, whole.request()).await;
            assert_eq!(
                answer.status,
                200,
                "way {number} in {mode}: {}",
                answer.text()
            );
        }
    }
}

/// A path that takes one method more refuses it by the signature, one that does not by the method.
#[tokio::test]
async fn the_method_is_covered_over_http() {
    let world = World::new();
    let read = world.get("/v1/billing/balance/ann");
    let mut request = read.request();
    *request.method_mut() = http::Method::HEAD;
    assert_eq!(send(&world.app, request).await.status, 401);
    assert_eq!(read.send().await.status, 200);
    let mut put = v2(&world);
    put.method = "PUT";
    send(&world.app, put.request())
        .await
        .refused(405, "METHOD_NOT_ALLOWED");
}
