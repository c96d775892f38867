//! A build's log, whole (wire.md §7).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use sheen_core::error::{Code, Fields};
use sheen_core::id::BuildId;
use sheen_core::wire::ReplayRequest as Wanted;
use sheen_events::replay::{ReplayFormat, ReplayHead, ReplayOutcome, ReplayRequest};
use tracing::Span;

use super::app::App;
use super::refusals::unknown_outcome;
use crate::call::Call;
use crate::problem::Problem;
use crate::vary::vary_by;

const LINES: &str = "application/x-ndjson";
const ARRAY: &str = "application/json";

const X_REPLAY_FROM: HeaderName = HeaderName::from_static("x-replay-from");
const X_REPLAY_TO: HeaderName = HeaderName::from_static("x-replay-to");
const X_REPLAY_FLOOR: HeaderName = HeaderName::from_static("x-replay-floor");
const X_REPLAY_EPOCH: HeaderName = HeaderName::from_static("x-replay-epoch");
const X_REPLAY_CLOSED: HeaderName = HeaderName::from_static("x-replay-closed");

/// What fails before the first event is a refusal. After it the answer is cut off: over HTTP/1.1
/// without its final chunk, over HTTP/2 by a reset; and `x-replay-to` says what would have come last.
///
/// A key on the call means nothing: it reads, and an answer of any length is not kept.
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    mut call: Call,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let wanted = call.read_into::<Wanted>(&mut fields);
    let (user, build) = call.user_and_path_beside::<BuildId>(fields, "buildId", "buildId")?;
    Span::current().record("build_id", build.as_str());
    let wanted = wanted.ok_or_else(|| Problem::new(Code::Internal))?;
    let mut request = ReplayRequest::from(wanted.from_seq).written_as(format_of(&headers));
    request.to = wanted.to_seq;
    let opening = app.replay.open(&user, &build, request);
    match call.timing.store(opening).await? {
        ReplayOutcome::NotFound => Err(Problem::not_found()),
        ReplayOutcome::Replay(head, body) => {
            Ok(answer(&head, request.format, Body::from_stream(body)))
        }
        _ => Err(unknown_outcome("a replay")),
    }
}

fn answer(head: &ReplayHead, format: ReplayFormat, body: Body) -> Response {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    let media = match format {
        ReplayFormat::Array => ARRAY,
        _ => LINES,
    };
    for (name, value) in [
        (CONTENT_TYPE, media),
        (CONTENT_LANGUAGE, "en"),
        (CACHE_CONTROL, "private, no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_REPLAY_CLOSED, if head.closed { "true" } else { "false" }),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    vary_by(headers, "accept");
    for (name, number) in [
        (X_REPLAY_FROM, head.from),
        (X_REPLAY_TO, head.to),
        (X_REPLAY_FLOOR, head.floor),
        (X_REPLAY_EPOCH, head.epoch),
    ] {
        headers.insert(name, number.into());
    }
    answer
}

/// An array for who asks for `application/json` and does not like lines at least as well. Lines for
/// all others, `*/*` too (RFC 9110 §12.5.1).
fn format_of(headers: &HeaderMap) -> ReplayFormat {
    let lines = headers.get_all(ACCEPT).iter();
    let (mut array, mut lines_of_json) = (0.0, 0.0);
    for range in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0_f32));
        if media.eq_ignore_ascii_case(ARRAY) {
            array = quality;
        } else if [LINES, "application/ndjson", "application/jsonl"]
            .iter()
            .any(|name| media.eq_ignore_ascii_case(name))
        {
            lines_of_json = quality;
        }
    }
    if array > lines_of_json {
        ReplayFormat::Array
    } else {
        ReplayFormat::Lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_for_who_asks_for_it() {
        let asked = |accept: &str| {
            let value = HeaderValue::from_str(accept).unwrap();
            format_of(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        for accept in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/html, application/json;q=0.9, */*;q=0.8",
            "application/x-ndjson;q=0.5, application/json",
        ] {
            assert_eq!(asked(accept), ReplayFormat::Array, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/*",
            "application/x-ndjson",
            "application/json;q=0",
            "application/json;q=none",
            "application/json;q=0.5, application/x-ndjson;q=0.5",
            "application/json, application/x-ndjson",
            "application/jsonp",
        ] {
            assert_eq!(asked(accept), ReplayFormat::Lines, "{accept}");
        }
        assert_eq!(format_of(&HeaderMap::new()), ReplayFormat::Lines);
    }
}
