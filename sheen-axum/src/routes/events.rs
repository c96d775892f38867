//! Polling and following a build's events.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sheen_core::error::{Code, Fields};
use sheen_core::id::{BuildId, UserId};
use sheen_events::feed::{PollOutcome, PollRequest};
use sheen_events::stream::{OpenOutcome, Resume, StreamRequest, retry_frame};

use super::app::App;
use super::builds::user_and_build;
use super::refusals::unknown_outcome;
use crate::call::Call;
use crate::problem::Problem;
use crate::query::Query;
use crate::revocation::Watched;
use crate::signature::{Caller, TokenPlace, original_uri};
use crate::vary::vary_by;

const X_NEXT_POLL_MS: HeaderName = HeaderName::from_static("x-next-poll-ms");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_LAST_EVENT_SEQ: HeaderName = HeaderName::from_static("x-last-event-seq");

/// How the path of a stream ends.
const STREAM: &str = "/events/stream";

/// When a reader that found the server full comes back.
const COME_BACK: Duration = Duration::from_secs(10);

/// The reader and the build. A token is for one build, whoever owns it.
fn reader_and_build(call: &Call) -> Result<(UserId, BuildId), Problem> {
    let (user, build) = user_and_build(call)?;
    if let Some(viewer) = call.caller.viewer() {
        viewer.may_watch(&build)?;
    }
    Ok((user, build))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A list that may stand in several lines, as one (RFC 9110 §5.3).
fn all_lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let lines = headers.get_all(name).iter();
    let mut lines = lines.filter_map(|value| value.to_str().ok());
    let mut whole = Cow::Borrowed(lines.next()?);
    for line in lines {
        let whole = whole.to_mut();
        whole.push_str(", ");
        whole.push_str(line);
    }
    Some(whole)
}

pub(super) async fn poll(
    State(app): State<Arc<App>>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (user, build) = reader_and_build(&call)?;
    let mut fields = Fields::new();
    let mut request = PollRequest::from_query(&mut fields, call.query.pairs());
    fields.finish()?;
    let tags = all_lines(&headers, &IF_NONE_MATCH);
    request.if_none_match = tags.as_deref();
    let polling = app.feed.poll(&user, &build, request);
    match call.timing.store(polling).await? {
        PollOutcome::NotFound => Err(Problem::not_found()),
        PollOutcome::CursorInvalid => Err(Problem::new(Code::CursorInvalid)),
        PollOutcome::NotModified { etag, next_poll_ms } => Ok(page(
            StatusCode::NOT_MODIFIED,
            &etag,
            next_poll_ms,
            Body::empty(),
        )),
        PollOutcome::Page(found) => {
            let body = Body::from(found.body);
            let mut answer = page(StatusCode::OK, &found.etag, found.next_poll_ms, body);
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
            Ok(answer)
        }
        _ => Err(unknown_outcome("a poll")),
    }
}

fn page(status: StatusCode, etag: &str, next_poll_ms: u64, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(X_NEXT_POLL_MS, next_poll_ms.into());
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=0"),
    );
    answer
}

/// A token may have come in the address: it goes no further, whatever the answer is, and no cache
/// mixes readers or keeps a refusal.
pub(super) async fn of_a_reader(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    vary_by(headers, "authorization");
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-store"));
    answer
}

/// A native `EventSource` gives up for good on any answer but 200, so a refusal that waiting mends
/// brings it back later instead (wire.md §7). It is one if its token is in the address.
pub(super) async fn bring_browsers_back(request: Request, next: Next) -> Response {
    let uri = original_uri(request.extensions(), request.uri());
    let is_native = request.method() == Method::GET
        && uri.path().ends_with(STREAM)
        && Query::parse(uri.query()).is_ok_and(|it| matches!(it.one("access_token"), Ok(Some(_))));
    let answer = next.run(request).await;
    let mends = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if !is_native || !mends.contains(&answer.status()) {
        return answer;
    }
    let mut headers = answer.into_parts().0.headers;
    let seconds = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let wait = seconds.and_then(|it| it.parse().ok());
    let wait = wait.map_or(COME_BACK, Duration::from_secs);
    let mut later = event_stream(Body::from(retry_frame(wait)));
    headers.remove(CONTENT_LENGTH);
    headers.extend(later.headers_mut().drain());
    *later.headers_mut() = headers;
    later
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (user, build) = reader_and_build(&call)?;
    let cursor = call.query.one("cursor")?;
    let resume = Resume::from_request(
        text(&headers, &LAST_EVENT_ID),
        text(&headers, &X_LAST_EVENT_SEQ),
        cursor,
    );
    let mut request = StreamRequest::new(user, build).resume(resume);
    if let Some(viewer) = call.caller.viewer() {
        request = request.until(viewer.expires_at);
    }
    let native = matches!(call.caller, Caller::Viewer(_, TokenPlace::Query));
    if !native {
        // Readers that are not a native EventSource come back only after an error.
        request = request.abort_unfinished();
    }
    match call.timing.store(app.streams.open(request)).await? {
        OpenOutcome::Open(stream) => Ok(event_stream(match (&app.revocations, &call.caller) {
            (Some(revocations), Caller::Viewer(viewer, _)) => Body::from_stream(Watched::new(
                stream,
                Arc::clone(revocations),
                viewer.clone(),
                Arc::clone(&app.clock),
                !native,
            )),
            _ => Body::from_stream(stream),
        })),
        OpenOutcome::NotFound => Err(Problem::not_found()),
        OpenOutcome::CursorInvalid => Err(Problem::new(Code::CursorInvalid)),
        OpenOutcome::Full | OpenOutcome::ShuttingDown => {
            let seconds = u32::try_from(COME_BACK.as_secs()).unwrap_or(u32::MAX);
            Err(Problem::new(Code::StoreUnavailable).retry_after(seconds))
        }
        _ => Err(unknown_outcome("a stream")),
    }
}

fn event_stream(body: Body) -> Response {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CONTENT_LANGUAGE, "en"),
        (CACHE_CONTROL, "private, no-store, no-transform"),
        (X_ACCEL_BUFFERING, "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
