//! What the scripts answer: a word, then its parts, all of them bytes.

use std::sync::Arc;

use crate::error::{StoreError, StoreErrorKind};
use crate::idempotency::types::{BeginOutcome, LeaseOutcome, StoredAnswer};
use crate::time::Timestamp;
use crate::token::FencingToken;

/// What the server holds cannot be read.
pub(super) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

pub(super) struct Reply(pub(super) Vec<Vec<u8>>);

impl Reply {
    pub(super) fn word(&self) -> &[u8] {
        self.0.first().map_or(b"", Vec::as_slice)
    }

    fn part(&self, place: usize) -> Result<&[u8], StoreError> {
        let part = self.0.get(place).map(Vec::as_slice);
        part.ok_or_else(|| corrupt("a part is missing"))
    }

    fn text(&self, place: usize) -> Result<&str, StoreError> {
        std::str::from_utf8(self.part(place)?).map_err(corrupt)
    }

    pub(super) fn token(&self, place: usize) -> Result<FencingToken, StoreError> {
        let number = self.text(place)?.parse().map_err(corrupt)?;
        Ok(FencingToken::from_u64(number))
    }

    pub(super) fn instant(&self, place: usize) -> Result<Timestamp, StoreError> {
        let millis = self.text(place)?.parse().map_err(corrupt)?;
        Ok(Timestamp::from_millis(millis))
    }

    pub(super) fn lease_outcome(&self) -> Result<LeaseOutcome, StoreError> {
        match self.word() {
            b"lost" => Ok(LeaseOutcome::Lost),
            b"done" => Ok(LeaseOutcome::Done),
            _ => Err(corrupt("a lease's answer")),
        }
    }
}

/// What a beginning was refused with.
pub(super) fn begun(reply: &Reply) -> Result<BeginOutcome, StoreError> {
    match reply.word() {
        b"reused" => Ok(BeginOutcome::Reused),
        b"running" => Ok(BeginOutcome::InProgress),
        b"replay" => {
            let status = reply.text(1)?.parse().map_err(corrupt)?;
            let headers: Vec<(String, String)> =
                serde_json::from_slice(reply.part(2)?).map_err(corrupt)?;
            let headers = headers
                .into_iter()
                .map(|(name, value)| (Arc::from(name), Arc::from(value)))
                .collect();
            let answer = StoredAnswer::new(status, headers, reply.part(3)?, reply.text(4)?);
            answer.map(BeginOutcome::Replay).map_err(corrupt)
        }
        _ => Err(corrupt("a beginning's answer")),
    }
}

pub(super) fn headers_text(answer: &StoredAnswer) -> Result<String, StoreError> {
    let headers: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    serde_json::to_string(&headers)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))
}
