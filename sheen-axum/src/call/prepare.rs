//! The middleware that makes a [`Call`] of a verified request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Request;
use http::request::Parts;
use sheen_billing::account::CreditReader;
use sheen_core::error::{Code, FieldError};
use sheen_core::id::{ReservationId, UserId};
use tracing::Span;

use super::body::object_of;
use super::extract::{Call, MissingLayer, Unprepared};
use super::user::{Named, named_user};
use crate::idempotency::Owner;
use crate::limit::LimitedBy;
use crate::problem::Problem;
use crate::query::Query;
use crate::signature::{BufferedBody, Caller, original_uri};
use crate::timing::ServerTiming;

/// How a route learns its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserRule {
    /// It must be named.
    Named,
    /// It is the user whose reservation the call names.
    Reservation,
    /// The call concerns nobody.
    Nobody,
}

/// How a route's calls are prepared.
#[derive(Debug, Clone)]
pub(crate) struct Preparing {
    pub(crate) rule: UserRule,
    pub(crate) credits: Arc<dyn CreditReader>,
}

/// Makes a [`Call`] of the request and hands it on.
pub(crate) async fn prepare(
    State(preparing): State<Preparing>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>();
    let principal = caller.and_then(Caller::principal).cloned();
    match preparing.call(&mut parts).await {
        Ok(call) => {
            let user = call.user.as_ref().ok().cloned();
            parts.extensions.insert(LimitedBy::new(user, principal));
            if let Ok(user) = &call.user {
                Span::current().record("user_id", user.as_str());
            }
            if let Some(scope) = call.scope() {
                parts.extensions.insert(Owner::Scope(scope));
            } else if preparing.rule == UserRule::Nobody {
                parts.extensions.insert(Owner::Nobody);
            }
            parts.extensions.insert(Arc::new(call));
        }
        // It is counted before it is refused, like any call.
        Err(problem) => {
            parts.extensions.insert(LimitedBy::new(None, principal));
            parts.extensions.insert(Unprepared(problem));
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

impl Preparing {
    async fn call(&self, parts: &mut Parts) -> Result<Call, Problem> {
        let path: Vec<(String, String)> = RawPathParams::from_request_parts(parts, &())
            .await
            .map_err(|_| Problem::field("path", "invalid_utf8", "must be UTF-8 once decoded"))?
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let extensions = &parts.extensions;
        let missing = || Problem::new(Code::Internal).caused_by(MissingLayer);
        let caller = extensions.get::<Caller>().ok_or_else(missing)?.clone();
        let timing = extensions
            .get::<ServerTiming>()
            .ok_or_else(missing)?
            .clone();
        let uri = original_uri(extensions, &parts.uri);
        let query = Query::parse(uri.query())?;
        let body = extensions.get::<BufferedBody>();
        let mut body = match body {
            Some(body) => object_of(&parts.headers, &body.0)?,
            None => serde_json::Map::new(),
        };
        let named_in_body = body.remove("userId");
        let named = Named {
            query: if caller.covers_query() {
                query.all("userId").collect()
            } else {
                Vec::new()
            },
            path: path
                .iter()
                .find(|(name, _)| name == "userId" && caller.covers_query())
                .map(|(_, value)| value.as_str()),
            body: named_in_body.as_ref(),
            token: caller.viewer_user(),
        };
        let user = named_user(&named);
        let user = match self.rule {
            UserRule::Named | UserRule::Nobody => required(user),
            UserRule::Reservation => {
                let reservation = body.get("reservationId").and_then(|id| id.as_str());
                let reservation = reservation.and_then(|id| ReservationId::parse(id).ok());
                timing.store(self.holder(reservation, user)).await?
            }
        };
        Ok(Call {
            user,
            caller,
            timing,
            query,
            path,
            body,
        })
    }

    /// The user of the reservation. Without a readable one the fields are wrong anyway, and the
    /// refusal will name them.
    async fn holder(
        &self,
        reservation: Option<ReservationId>,
        named: Result<Option<UserId>, Vec<FieldError>>,
    ) -> Result<Result<UserId, Vec<FieldError>>, Problem> {
        let named = match named {
            Ok(named) => named,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let Some(reservation) = reservation else {
            return Ok(Err(Vec::new()));
        };
        match self.credits.holder(&reservation).await? {
            Some(holder) if named.as_ref().is_none_or(|named| *named == holder) => Ok(Ok(holder)),
            // Another user's reservation is the same as none.
            _ => Err(Problem::not_found()),
        }
    }
}

fn required(user: Result<Option<UserId>, Vec<FieldError>>) -> Result<UserId, Vec<FieldError>> {
    user?.ok_or_else(|| vec![FieldError::new("userId", "required", "is required")])
}
