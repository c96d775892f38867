//! An event as JSON, in one place for stream and poll alike.
//!
//! Ids are of `A-Za-z0-9_.:-` and types of `a-z0-9_`, so they stand in a JSON text as they are; an
//! event's data is JSON already and is copied, not parsed.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use sheen_core::id::UserId;

use super::types::Event;

/// Appends `event` to `out` as one line of JSON (wire.md §7):
/// `{"id", "seq", "buildId", "buildSessionId", "type", "data", "createdAt"}`, and `error` when it
/// is a failure whose data has one. `id` is `seq` as a string.
pub fn encode_event(event: &Event, out: &mut BytesMut) {
    out.reserve(event.data.len() + 512);
    let _ = write!(
        out,
        r#"{{"id":"{seq}","seq":{seq},"buildId":"{build}","buildSessionId":"{session}","type":"{kind}","data":"#,
        seq = event.seq,
        build = event.build,
        session = event.session,
        kind = event.kind,
    );
    put_line(&event.data, out);
    let _ = write!(out, r#","createdAt":"{}""#, event.created_at);
    if let Some(error) = error_of(event) {
        out.put_slice(br#","error":"#);
        put_line(&error, out);
    }
    out.put_u8(b'}');
}

/// Appends `event` to `out` as a row of the old table, for callers from before this worker:
/// `{"id", "build_id", "event_type", "event_data", "user_id", "created_at"}`.
pub fn encode_row(event: &Event, user: &UserId, out: &mut BytesMut) {
    out.reserve(event.data.len() + 512);
    let _ = write!(
        out,
        r#"{{"id":"{}","build_id":"{}","event_type":"{}","event_data":"#,
        event.seq, event.build, event.kind,
    );
    put_line(&event.data, out);
    let _ = write!(
        out,
        r#","user_id":"{user}","created_at":"{}"}}"#,
        event.created_at
    );
}

/// Copies a JSON text as one line. A line break is legal JSON between tokens only, where a space
/// says the same; a NUL is never legal. So no data ends a line of a stream (D1).
fn put_line(json: &str, out: &mut BytesMut) {
    let breaks = |b: u8| matches!(b, b'\n' | b'\r' | 0);
    let mut rest = json.as_bytes();
    while let Some(at) = rest.iter().position(|&b| breaks(b)) {
        out.put_slice(&rest[..at]);
        out.put_u8(b' ');
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// The `error` that stands at the top level too: that of a type that ends in `_failed`.
fn error_of(event: &Event) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Failure {
        error: Option<serde_json::Value>,
    }
    if !event.kind.as_str().ends_with("_failed") {
        return None;
    }
    let failure: Failure = serde_json::from_str(&event.data).ok()?;
    failure.error.map(|error| error.to_string())
}
