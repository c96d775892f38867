//! What every Redis adapter shares: what a failure means, and that the server forgets nothing.
//!
//! 1. A step is one call of a script on keys of one cluster slot, by the server's `TIME`.
//! 2. Deadlines are in the values; a key's time to live is garbage collection and nothing else.
//! 3. A server that evicts keys is refused at the start ([`refuse_eviction`]).
//! 4. A call that was sent and not answered has an unknown outcome; every step can be repeated.

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use crate::error::{StoreError, StoreErrorKind};

/// Why a server is not fit to keep what must not be lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvictionError {
    /// It may evict keys before their time.
    #[error("the server's maxmemory-policy is {policy}, it must be noeviction")]
    Evicts {
        /// What it says; `unknown` when it does not.
        policy: String,
    },
    /// It could not be asked.
    #[error("the server could not be asked for its maxmemory-policy")]
    Store(#[from] StoreError),
}

/// Asks every node that `connection` reaches whether it evicts keys.
///
/// # Errors
/// When one does, or does not say, or cannot be asked.
pub async fn refuse_eviction(connection: &mut impl ConnectionLike) -> Result<(), EvictionError> {
    let told: Value = redis::cmd("INFO")
        .arg("memory")
        .query_async(connection)
        .await
        .map_err(step_error)?;
    let mut texts = Vec::new();
    gather(&told, &mut texts);
    let policies = texts.iter().map(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            .map_or("unknown", str::trim)
    });
    let mut policies = policies.peekable();
    if policies.peek().is_none() {
        let policy = "unknown".to_owned();
        return Err(EvictionError::Evicts { policy });
    }
    match policies.find(|policy| *policy != "noeviction") {
        None => Ok(()),
        Some(policy) => Err(EvictionError::Evicts {
            policy: policy.to_owned(),
        }),
    }
}

/// A single server answers with a text, a cluster with one for each node.
fn gather(told: &Value, texts: &mut Vec<String>) {
    match told {
        Value::BulkString(text) => texts.push(String::from_utf8_lossy(text).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => texts.push(text.clone()),
        Value::Map(nodes) => nodes.iter().for_each(|(_, node)| gather(node, texts)),
        Value::Array(nodes) => nodes.iter().for_each(|node| gather(node, texts)),
        _ => {}
    }
}

/// A failure of a step that was sent.
#[must_use]
pub fn step_error(error: RedisError) -> StoreError {
    use StoreErrorKind::{Corrupt, Full, OutcomeUnknown, Rejected, Unavailable};
    let kind = match error.kind() {
        // Nobody listened, so nothing was sent.
        ErrorKind::Io if error.is_connection_refusal() => Unavailable,
        // Sent and not answered, or the answer was cut: it may have been done.
        ErrorKind::Io | ErrorKind::Parse => OutcomeUnknown,
        ErrorKind::UnexpectedReturnType => Corrupt,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => Unavailable,
        ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
            Some("OOM") => Full,
            Some("WRONGTYPE") => Corrupt,
            // A script runs too long, the disk cannot be written, replicas are missing: each is
            // said before the step began.
            Some("BUSY" | "MISCONF" | "NOREPLICAS") => Unavailable,
            _ => Rejected,
        },
        _ => Unavailable,
    };
    StoreError::with_source(kind, error)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn x5_a_line_that_broke_leaves_the_outcome_open_and_one_that_never_was_does_not() {
        for (broken, kind) in [
            (io::ErrorKind::TimedOut, StoreErrorKind::OutcomeUnknown),
            (io::ErrorKind::BrokenPipe, StoreErrorKind::OutcomeUnknown),
            (io::ErrorKind::UnexpectedEof, StoreErrorKind::OutcomeUnknown),
            (
                io::ErrorKind::ConnectionRefused,
                StoreErrorKind::Unavailable,
            ),
            (io::ErrorKind::NotFound, StoreErrorKind::Unavailable),
        ] {
            let error = RedisError::from(io::Error::from(broken));
            assert_eq!(step_error(error).kind, kind, "{broken}");
        }
    }
}
