//! Frames of `text/event-stream` (WHATWG HTML §9.2): LF, one space after each colon.

use std::fmt::Write;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use sheen_core::id::BuildSessionId;

use super::resume::Start;
use crate::log::{Event, StreamHead, encode_event};

/// Appends `event` as a frame: `id` is its seq, `event` its type, `data` one line of JSON.
pub fn encode_frame(event: &Event, out: &mut BytesMut) {
    let _ = write!(out, "id: {}\nevent: {}\ndata: ", event.seq, event.kind);
    encode_event(event, out);
    out.put_slice(b"\n\n");
}

/// What a full server sends a browser before it ends: come back after `delay`. A native
/// `EventSource` gives up for good on any answer but 200.
#[must_use]
pub fn retry_frame(delay: Duration) -> Bytes {
    format!("retry: {}\n\n", delay.as_millis()).into()
}

pub(super) fn comment() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// A control frame has no `id`, and the seq the reader has already: one that does not know its
/// type drops it as seen.
pub(super) struct Control<'a> {
    pub(super) session: &'a BuildSessionId,
    pub(super) seq: u64,
}

impl Control<'_> {
    pub(super) fn connection(&self, start: &Start, stream: &StreamHead, out: &mut BytesMut) {
        let Self { session, seq } = self;
        let _ = write!(
            out,
            "event: connection\ndata: {{\"type\":\"connection\",\"buildSessionId\":\"{session}\",\
             \"seq\":{seq},\"epoch\":{},\"from\":{},\"head\":{},\"floor\":{},\"resumed\":\"{}\",\
             \"closed\":{}}}\n\n",
            stream.epoch,
            start.after.saturating_add(1),
            stream.head,
            stream.floor,
            start.resumed.as_str(),
            stream.closed,
        );
    }

    pub(super) fn caught_up(&self, out: &mut BytesMut) {
        self.plain("caught_up", out);
    }

    pub(super) fn closed(&self, out: &mut BytesMut) {
        self.plain("closed", out);
    }

    fn plain(&self, kind: &str, out: &mut BytesMut) {
        let Self { session, seq } = self;
        let _ = write!(
            out,
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"buildSessionId\":\"{session}\",\
             \"seq\":{seq}}}\n\n",
        );
    }

    pub(super) fn token_expired(&self, cursor: &str, out: &mut BytesMut) {
        let Self { session, seq } = self;
        let _ = write!(
            out,
            "event: token_expired\ndata: {{\"type\":\"token_expired\",\
             \"buildSessionId\":\"{session}\",\"seq\":{seq},\"cursor\":\"{cursor}\"}}\n\n",
        );
    }
}
