//! The conversation about a project.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LANGUAGE};
use http::{HeaderValue, StatusCode};
use sheen_core::error::{Code, Fields};
use sheen_core::wire::{MessageItem, MessagesAnswer};
use sheen_events::message::{ConversationPage, Message, PageRequest, ReadOutcome};

use super::answer::json_headers;
use super::app::App;
use super::builds::user_and_project;
use super::refusals::unknown_outcome;
use crate::call::Call;
use crate::problem::Problem;

pub(super) async fn page(State(app): State<Arc<App>>, call: Call) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let request = PageRequest::from_query(&mut fields, call.query.pairs());
    let (user, project) = user_and_project(&app, &call, fields).await?;
    let reading = app.conversations.page(&user, &project, request);
    match call.timing.store(reading).await? {
        ReadOutcome::NotFound => Err(Problem::not_found()),
        ReadOutcome::CursorInvalid => Err(Problem::new(Code::CursorInvalid)),
        ReadOutcome::Page(page) => answer(page),
        _ => Err(unknown_outcome("a page of messages")),
    }
}

/// Fifty long messages are more than an answer that is kept under a key may be: it is read anew
/// each time.
fn answer(page: ConversationPage) -> Result<Response, Problem> {
    let answer = MessagesAnswer {
        has_more: page.next_cursor.is_some(),
        next_cursor: page.next_cursor,
        messages: page.messages.into_iter().map(item).collect(),
    };
    let body = serde_json::to_vec(&answer)
        .map_err(|error| Problem::new(Code::Internal).caused_by(error))?;
    let mut headers = json_headers();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    Ok((StatusCode::OK, headers, body).into_response())
}

fn item(message: Message) -> MessageItem {
    MessageItem {
        id: message.id,
        role: message.role.as_str().into(),
        content: message.content.to_string(),
        created_at: message.created_at,
    }
}
