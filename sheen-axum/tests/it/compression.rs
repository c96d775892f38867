//! Signatures beside compression: what is signed is what is on the line (B4).

use std::sync::Arc;

use axum::body::Body;
use axum::routing::post;
use axum::{Router, body::Bytes};
use http::Request;
use sheen_auth::replay::MemoryReplayStore;
use sheen_auth::signature::{Gate, KeyRing, Mode, Verifier};
use sheen_axum::request_id::RequestIdLayer;
use sheen_axum::signature::SignatureLayer;
use sheen_axum::timing::ServerTimingLayer;
use sheen_core::entropy::SeededEntropy;
use sheen_core::time::{Clock, ManualClock, Timestamp};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::support::{Answer, key, send};

const PLAIN: &[u8] = b"{\"userId\":\"ann\"}";
/// [`PLAIN`] as gzip makes it.
const CODED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x2d\x4e\x2d\xf2\x4c\x51\xb2\x52\x4a\xcc\xcb\x53\xaa\x05\x00\x38\xd5\xe8\x1c\x10\x00\x00\x00";

struct Bare {
    clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    signature: SignatureLayer,
}

impl Bare {
    fn new() -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-20T10:30:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let verifier = Verifier::new(KeyRing::new(vec![key()]).unwrap(), Mode::EnforceV2);
        let replay = Arc::new(MemoryReplayStore::new(clock.clone(), 1000));
        let gate = Arc::new(Gate::new(verifier, replay, clock.clone()));
        Self {
            clock,
            entropy: Arc::new(SeededEntropy::new(1)),
            signature: SignatureLayer::new(gate),
        }
    }

    /// A router that says what body its handler was given.
    fn echo() -> Router {
        Router::new().route("/echo", post(async |body: Bytes| body))
    }

    fn finished(&self, router: Router) -> Router {
        let ids = RequestIdLayer::new(self.entropy.clone(), self.clock.clone());
        let timed = router.layer(ServerTimingLayer::new(self.clock.clone()));
        timed.layer(ids)
    }

    /// A call that sends `sent`, signed over `signed`.
    fn call(&self, signed: &[u8], sent: &[u8], is_coded: bool) -> Request<Body> {
        let signer = sheen_auth::signature::Signer::new(key());
        let now = self.clock.now();
        let headers = signer.sign("POST", "/echo", None, signed, now, &*self.entropy);
        let mut call = Request::post("/echo");
        for (name, value) in headers.unwrap().iter() {
            call = call.header(name, value);
        }
        if is_coded {
            call = call.header("content-encoding", "gzip");
        }
        call.body(Body::from(sent.to_vec())).unwrap()
    }
}

#[tokio::test]
async fn b04_the_bytes_of_the_line_are_signed_whatever_is_decoded_behind() {
    let bare = Bare::new();
    let router = Bare::echo()
        .layer(RequestDecompressionLayer::new())
        .layer(bare.signature.clone());
    let app = bare.finished(router);
    let answer = send(&app, bare.call(CODED, CODED, true)).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, PLAIN));
    // Signed over what is inside, as some callers elsewhere do: not here.
    let inside = send(&app, bare.call(PLAIN, CODED, true)).await;
    inside.refused(401, "SIGNATURE_INVALID");
}

/// The other way round the line's bytes are gone, so nothing that was coded fits: it fails closed.
#[tokio::test]
async fn b04_behind_a_decoder_a_coded_body_never_fits() {
    let bare = Bare::new();
    let router = Bare::echo()
        .layer(bare.signature.clone())
        .layer(RequestDecompressionLayer::new());
    let app = bare.finished(router);
    let answer = send(&app, bare.call(CODED, CODED, true)).await;
    answer.refused(401, "SIGNATURE_INVALID");
    let plain = send(&app, bare.call(PLAIN, PLAIN, false)).await;
    assert_eq!((plain.status.as_u16(), &*plain.body), (200, PLAIN));
}

/// Answers may be coded on either side of the door; what was verified is what was served.
#[tokio::test]
async fn answers_are_coded_above_and_below_the_door() {
    let bare = Bare::new();
    let long = vec![b'x'; 4096];
    let outside = Bare::echo()
        .layer(bare.signature.clone())
        .layer(CompressionLayer::new());
    let inside = Bare::echo()
        .layer(CompressionLayer::new())
        .layer(bare.signature.clone());
    for router in [outside, inside] {
        let app = bare.finished(router);
        let mut call = bare.call(&long, &long, false);
        call.headers_mut()
            .insert("accept-encoding", "gzip".parse().unwrap());
        let answer: Answer = send(&app, call).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert!(answer.body.len() < 200, "{} bytes", answer.body.len());
        let mut changed = bare.call(&long, &long[1..], false);
        changed
            .headers_mut()
            .insert("accept-encoding", "gzip".parse().unwrap());
        assert_eq!(send(&app, changed).await.status, 401);
    }
}
