//! A prepared call, as handlers take it.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Map, Value};
use sheen_core::error::{Code, FieldError, FieldProblem, Fields};
use sheen_core::id::UserId;
use sheen_core::idempotency::Scope;
use sheen_core::wire::{FromFields, ObjectReader};

use crate::problem::Problem;
use crate::query::Query;
use crate::signature::Caller;
use crate::timing::ServerTiming;

/// A verified call: who, for whom, and what it says.
#[derive(Debug)]
pub(crate) struct Call {
    /// The user, or what is wrong with it.
    pub(crate) user: Result<UserId, Vec<FieldError>>,
    pub(crate) caller: Caller,
    pub(crate) timing: ServerTiming,
    pub(crate) query: Query,
    pub(super) path: Vec<(String, String)>,
    pub(super) body: Map<String, Value>,
}

/// The router was put together without a layer that a handler needs.
#[derive(Debug, thiserror::Error)]
#[error("a layer that this handler needs is missing")]
pub(crate) struct MissingLayer;

impl Call {
    /// Whose idempotency keys the call's is among, once principal and user are known.
    pub(crate) fn scope(&self) -> Option<Scope> {
        let principal = self.caller.principal()?;
        let user = self.user.as_ref().ok()?;
        Some(Scope::new(principal.clone(), user.clone()))
    }

    /// The user and the fields of the body.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub(crate) fn read<T: FromFields>(&mut self) -> Result<(UserId, T), Problem> {
        let mut fields = Fields::new();
        let user = self.user_or_note(&mut fields);
        let request = self.read_into(&mut fields);
        fields.finish()?;
        // Neither is missing without a note.
        user.zip(request)
            .ok_or_else(|| Problem::new(Code::Internal))
    }

    /// The fields of the body of a call that concerns nobody.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn read_for_nobody<T: FromFields>(&mut self) -> Result<T, Problem> {
        let mut fields = Fields::new();
        let request = self.read_into(&mut fields);
        fields.finish()?;
        request.ok_or_else(|| Problem::new(Code::Internal))
    }

    /// The fields of the body; `None` only with a note in `fields`.
    pub(crate) fn read_into<T: FromFields>(&mut self, fields: &mut Fields) -> Option<T> {
        T::read(&mut ObjectReader::new(
            std::mem::take(&mut self.body),
            fields,
        ))
    }

    /// The user; `None` only with a note in `fields`, or when other fields will have one.
    pub(crate) fn user_or_note(&self, fields: &mut Fields) -> Option<UserId> {
        match &self.user {
            Ok(user) => Some(user.clone()),
            Err(wrong) => {
                wrong.iter().cloned().for_each(|error| fields.push(error));
                None
            }
        }
    }

    /// The user and the id in the path, told as `field` when it is wrong.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub(crate) fn user_and_path<T>(
        &self,
        param: &str,
        field: &'static str,
    ) -> Result<(UserId, T), Problem>
    where
        T: FromStr<Err: FieldProblem>,
    {
        self.user_and_path_beside(Fields::new(), param, field)
    }

    /// The same, where `fields` has what is wrong with the rest of the call.
    ///
    /// # Errors
    /// All that is wrong with any of it.
    pub(crate) fn user_and_path_beside<T>(
        &self,
        mut fields: Fields,
        param: &str,
        field: &'static str,
    ) -> Result<(UserId, T), Problem>
    where
        T: FromStr<Err: FieldProblem>,
    {
        let user = self.user_or_note(&mut fields);
        let id = fields.take(field, self.param(param).parse::<T>());
        fields.finish()?;
        user.zip(id).ok_or_else(|| Problem::new(Code::Internal))
    }

    fn param(&self, param: &str) -> &str {
        let found = self.path.iter().find(|(name, _)| name == param);
        found.map_or("", |(_, value)| value)
    }
}

/// Why there is no [`Call`] in the request.
#[derive(Debug, Clone)]
pub(super) struct Unprepared(pub(super) Problem);

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(Unprepared(problem)) = parts.extensions.remove::<Unprepared>() {
            return Err(problem);
        }
        parts
            .extensions
            .remove::<Arc<Self>>()
            .and_then(Arc::into_inner)
            .ok_or_else(|| Problem::new(Code::Internal).caused_by(MissingLayer))
    }
}
