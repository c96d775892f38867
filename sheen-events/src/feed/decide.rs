//! What a poll gets. Pure.

use std::fmt::Write;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use sheen_core::id::{BuildId, UserId};

use super::cursor::{Cursor, CursorError, Position};
use super::etag::{if_none_match, tag};
use super::types::{PollOutcome, PollPage, PollRequest, Shape};
use crate::log::{Event, Page, StreamHead, encode_event, encode_row};

/// The rule of poll intervals: 4 s after news; ×1.5 after an empty answer, at least 3 s, at most
/// 15 s. `waited` is how long the caller waited before this poll.
#[must_use]
pub fn next_interval(waited: Option<Duration>, news: bool) -> Duration {
    const BASE: Duration = Duration::from_secs(4);
    const LEAST: Duration = Duration::from_secs(3);
    const MOST: Duration = Duration::from_secs(15);
    if news {
        return BASE;
    }
    let waited = waited.unwrap_or(BASE).clamp(LEAST, MOST);
    (waited * 3 / 2).min(MOST)
}

fn next_poll_ms(request: &PollRequest<'_>, news: bool) -> u64 {
    let interval = next_interval(request.interval, news);
    u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)
}

/// Whether `viewer` may see a stream and, after that, whether the position is one in it.
///
/// A cursor of another epoch, or past the head, is said to be invalid rather than read as if
/// nothing had happened: what it stood for is not in this log.
pub(super) fn refusal(
    viewer: &UserId,
    position: Result<Position, CursorError>,
    stream: &StreamHead,
) -> Option<PollOutcome> {
    if *viewer != stream.user {
        return Some(PollOutcome::NotFound);
    }
    let fits = match position {
        Ok(Position::Cursor(at)) => at.epoch == stream.epoch && at.seq <= stream.head,
        Ok(Position::Start | Position::Instant(_)) => true,
        Err(CursorError) => false,
    };
    (!fits).then_some(PollOutcome::CursorInvalid)
}

/// The answer that follows from how the stream was found standing, without its events; `None` when
/// the log must be asked.
///
/// Whoever has another page, a position that does not fit or no right to see it is judged by the
/// log as it is now.
pub(super) fn unchanged(
    viewer: &UserId,
    build: &BuildId,
    request: &PollRequest<'_>,
    position: Result<Position, CursorError>,
    stream: &StreamHead,
) -> Option<PollOutcome> {
    if refusal(viewer, position, stream).is_some() {
        return None;
    }
    let after = match position {
        Ok(Position::Cursor(cursor)) => cursor.seq,
        Ok(Position::Start) => 0,
        _ => return None,
    };
    if after == stream.head {
        let page = Page::new(Vec::new(), stream.clone());
        return Some(answer(viewer, build, request, after, page));
    }
    let etag = tag(viewer, build, stream, after, request.limit, request.shape);
    let header = request.if_none_match?;
    if_none_match(header, &etag).then(|| PollOutcome::NotModified {
        etag,
        next_poll_ms: next_poll_ms(request, false),
    })
}

/// The answer to a poll that may see `page`, read after seq `after`.
pub(super) fn answer(
    viewer: &UserId,
    build: &BuildId,
    request: &PollRequest<'_>,
    after: u64,
    page: Page,
) -> PollOutcome {
    let Page { events, stream } = page;
    let etag = tag(viewer, build, &stream, after, request.limit, request.shape);
    if request
        .if_none_match
        .is_some_and(|header| if_none_match(header, &etag))
    {
        let next_poll_ms = next_poll_ms(request, false);
        return PollOutcome::NotModified { etag, next_poll_ms };
    }
    let last = events.last().map_or(after.max(stream.floor), |e| e.seq);
    let gap = (after < stream.floor).then_some(stream.floor);
    let cursor = Cursor::new(stream.epoch, last).encode(build);
    let has_next = last < stream.head;
    let next_poll_ms = next_poll_ms(request, !events.is_empty());
    let body = encode(
        viewer,
        request.shape,
        &events,
        &cursor,
        has_next,
        next_poll_ms,
        gap,
    );
    PollOutcome::Page(PollPage {
        events,
        cursor,
        has_next,
        next_poll_ms,
        gap,
        etag,
        body: body.freeze(),
    })
}

fn encode(
    viewer: &UserId,
    shape: Shape,
    events: &[Event],
    cursor: &str,
    has_next: bool,
    next_poll_ms: u64,
    gap: Option<u64>,
) -> BytesMut {
    let mut body = BytesMut::with_capacity(256);
    body.put_slice(b"{\"events\":[");
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        match shape {
            Shape::Event => encode_event(event, &mut body),
            Shape::Row => encode_row(event, viewer, &mut body),
        }
    }
    let _ = write!(
        body,
        r#"],"cursor":"{cursor}","hasNext":{has_next},"nextPollMs":{next_poll_ms}"#
    );
    if let Some(floor) = gap {
        let _ = write!(body, r#","gap":{{"floor":{floor}}}"#);
    }
    body.put_u8(b'}');
    body
}
