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

    pub(super) fn token(&self, place: usize) -> Result<FencingToken, StoreError> {
        Ok(FencingToken::from_u64(number(self.part(place)?)?))
    }

    pub(super) fn instant(&self, place: usize) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(number(self.part(place)?)?))
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
        b"replay" => Ok(BeginOutcome::Replay(answer_of(reply.part(1)?)?)),
        _ => Err(corrupt("a beginning's answer")),
    }
}

/// A token as the records hold it: 20 digits.
pub(super) fn token_text(token: FencingToken) -> String {
    format!("{:020}", token.get())
}

/// An answer as a record holds it: the status, three digits; the length of a JSON text, eight
/// digits; that text, `[request id, [[name, value], …]]`; the body. The scripts do not look inside,
/// and equal answers are equal bytes.
pub(super) fn answer_bytes(answer: &StoredAnswer) -> Result<Vec<u8>, StoreError> {
    let headers: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let head = serde_json::to_string(&(&*answer.request_id, headers))
        .map_err(|error| StoreError::with_source(StoreErrorKind::Rejected, error))?;
    let mut bytes = Vec::with_capacity(11 + head.len() + answer.body.len());
    bytes.extend_from_slice(format!("{:03}{:08}", answer.status, head.len()).as_bytes());
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(&answer.body);
    Ok(bytes)
}

fn answer_of(bytes: &[u8]) -> Result<StoredAnswer, StoreError> {
    let cut = || corrupt("an answer that is cut off");
    let (status, rest) = bytes.split_at_checked(3).ok_or_else(cut)?;
    let (length, rest) = rest.split_at_checked(8).ok_or_else(cut)?;
    let length: usize = number(length)?;
    let (head, body) = rest.split_at_checked(length).ok_or_else(cut)?;
    let (request_id, headers): (String, Vec<(String, String)>) =
        serde_json::from_slice(head).map_err(corrupt)?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| (Arc::from(name), Arc::from(value)))
        .collect();
    StoredAnswer::new(number(status)?, headers, body, request_id).map_err(corrupt)
}

fn number<T>(digits: &[u8]) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err = std::num::ParseIntError>,
{
    let digits = std::str::from_utf8(digits).map_err(corrupt)?;
    digits.parse().map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_answer_comes_back_and_none_does_when_cut(
            status in 200_u16..300,
            link in "\\PC{0,8}",
            id in "[\\x00a\"é]{0,6}",
            body: Vec<u8>,
            cut in 0_usize..40,
        ) {
            let headers = vec![("link".into(), link.into())];
            let answer = StoredAnswer::new(status, headers, body, id).unwrap();
            let bytes = answer_bytes(&answer).unwrap();
            let head = bytes.len() - answer.body.len();
            prop_assert_eq!(answer_of(&bytes).unwrap(), answer);
            prop_assert!(answer_of(&bytes[..cut.min(head - 1)]).is_err());
        }
    }
}
