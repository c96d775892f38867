//! Several starts in one call, each with an outcome of its own.
//!
//! They are done one after the other. Where the caller goes away, those done are done and the rest is
//! not begun, unless the call came with a key: then all are. Either way the call may be repeated.
//! The answer is kept under the call's key only when every start was a success: the operations of
//! the starts keep what each of them was told.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use sha2::{Digest, Sha256};
use sheen::admission::KeyedCall;
use sheen_core::error::{Code, FieldError, Fields};
use sheen_core::id::{OperationId, UserId};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, Scope, StoredAnswer};
use sheen_core::wire::{BatchMember, BatchStartRequest, StartRequest};
use tracing::{Instrument, field, info_span};

use super::answer::json_headers;
use super::app::App;
use super::start::{Asked, answer};
use crate::call::Call;
use crate::idempotency::{Patience, Whole};
use crate::problem::Problem;
use crate::request_id::RequestIds;
use crate::signature::{BufferedBody, original_uri};

/// How many wrong fields of one member are told, and in how many bytes: fifty members must fit into
/// an answer whatever they say.
const MOST_FIELDS: usize = 10;
const MOST_BYTES: usize = 3 * 1024;

pub(super) async fn start(
    State(app): State<Arc<App>>,
    mut call: Call,
    mut parts: Parts,
) -> Result<Whole, Problem> {
    let (user, batch) = call.read::<BatchStartRequest>()?;
    // The body is in the members now.
    parts.extensions.remove::<BufferedBody>();
    let mut results = Results::new();
    let mut down: Option<Problem> = None;
    for member in batch.builds {
        let outcome = match &down {
            // What follows a store that failed is not tried: its caller repeats the call.
            Some(problem) => Err(problem.clone()),
            None => {
                let span = info_span!("start", project_id = field::Empty, build_id = field::Empty);
                let starting = start_one(&app, &call, &user, member, &parts);
                starting.instrument(span).await
            }
        };
        if let Err(problem) = &outcome
            && problem.status() == StatusCode::SERVICE_UNAVAILABLE
        {
            down = Some(problem.clone());
        }
        results.push(&app, &parts, outcome.into_response()).await?;
    }
    results.into_answer()
}

async fn start_one(
    app: &App,
    call: &Call,
    user: &UserId,
    member: BatchMember,
    parts: &Parts,
) -> Result<Response, Problem> {
    let scope = call.scope().ok_or_else(|| Problem::new(Code::Internal))?;
    let keyed = match &member.operation {
        Some(operation) => Some(keyed_call(scope, operation, member.sha256, parts)?),
        None => None,
    };
    let asked = Asked {
        kind: member.kind,
        keyed,
        wish: wish_of(user, member.wrong, member.start),
        patience: Patience::NONE,
    };
    answer(app, call, asked, parts).await
}

/// The operation is the key. Hashed, it meets no key that calls bring along.
fn keyed_call(
    scope: Scope,
    operation: &OperationId,
    sha256: [u8; 32],
    parts: &Parts,
) -> Result<KeyedCall, Problem> {
    let hash: [u8; 32] = Sha256::digest(format!("an operation of a batch: {operation}")).into();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = IdempotencyKey::parse(format!("batch:{hash}").as_bytes())
        .map_err(|error| Problem::new(Code::Internal).caused_by(error))?;
    let path = original_uri(&parts.extensions, &parts.uri).path();
    let fingerprint = Fingerprint::of(parts.method.as_str(), path, "", &sha256);
    Ok(KeyedCall::new(scope, key, fingerprint))
}

fn wish_of(
    user: &UserId,
    wrong: Fields,
    start: Option<StartRequest>,
) -> Result<(UserId, StartRequest), Problem> {
    if let Err(mut error) = wrong.finish() {
        error.0.truncate(MOST_FIELDS);
        while error.0.len() > 1 && length_of(&error.0) > MOST_BYTES {
            error.0.pop();
        }
        return Err(Problem::fields(&error.0));
    }
    let start = start.ok_or_else(|| Problem::new(Code::Internal))?;
    Ok((user.clone(), start))
}

fn length_of(fields: &[FieldError]) -> usize {
    serde_json::to_vec(fields).map_or(usize::MAX, |text| text.len())
}

/// `{"results": [{"status": …, "body": …}]}`, put together from answers that are JSON already.
struct Results {
    text: Vec<u8>,
    all_succeeded: bool,
}

impl Results {
    fn new() -> Self {
        Self {
            text: br#"{"results":["#.to_vec(),
            all_succeeded: true,
        }
    }

    async fn push(&mut self, app: &App, parts: &Parts, answer: Response) -> Result<(), Problem> {
        let status = answer.status();
        self.all_succeeded &= status.is_success();
        let refusal = answer.extensions().get::<Arc<Problem>>().cloned();
        let body = match refusal {
            Some(problem) => {
                let cause = problem.cause_chain();
                if status.is_server_error() {
                    tracing::error!(code = problem.code().as_str(), cause, "a start failed");
                }
                let ids = parts.extensions.get::<RequestIds>();
                let id = ids.map(|ids| &*ids.request);
                problem.body(id, Some(app.clock.now())).into()
            }
            None => to_bytes(answer.into_body(), StoredAnswer::MAX_BODY)
                .await
                .map_err(|error| Problem::new(Code::Internal).caused_by(error))?,
        };
        let text = &mut self.text;
        if text.ends_with(b"}") {
            text.push(b',');
        }
        let status = status.as_u16();
        text.extend_from_slice(format!(r#"{{"status":{status},"body":"#).as_bytes());
        text.extend_from_slice(&body);
        text.push(b'}');
        Ok(())
    }

    fn into_answer(mut self) -> Result<Whole, Problem> {
        self.text.extend_from_slice(b"]}");
        let answer = Whole::new(StatusCode::OK, json_headers(), self.text)?;
        Ok(match self.all_succeeded {
            true => answer,
            false => answer.unkept(),
        })
    }
}
