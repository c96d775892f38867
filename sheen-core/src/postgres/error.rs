//! What a driver's failure means for a store's caller (failures S6).

use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;

use crate::entropy::{Entropy, OsEntropy};
use crate::error::{StoreError, StoreErrorKind};
use crate::runtime::{Sleep, TokioRuntime};

/// How often a step that lost to others is tried in all.
const TRIES: u32 = 4;
/// The longest first pause between two tries; each further one may be twice as long.
const FIRST_PAUSE_MS: u64 = 4;

/// A failure to get a connection: nothing was sent, so nothing was done.
#[must_use]
pub fn connect_error(error: sqlx::Error) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, error)
}

/// A failure of a statement that was sent.
#[must_use]
pub fn step_error(error: sqlx::Error) -> StoreError {
    use sqlx::Error as E;
    let kind = match &error {
        E::Database(refusal) => match refusal.code() {
            Some(state) => kind_of_state(&state),
            None => StoreErrorKind::Rejected,
        },
        E::PoolTimedOut | E::PoolClosed | E::Configuration(_) | E::Tls(_) => {
            StoreErrorKind::Unavailable
        }
        E::Io(_) | E::Protocol(_) | E::WorkerCrashed => StoreErrorKind::OutcomeUnknown,
        E::RowNotFound
        | E::ColumnDecode { .. }
        | E::ColumnNotFound(_)
        | E::ColumnIndexOutOfBounds { .. }
        | E::Decode(_)
        | E::TypeNotFound { .. } => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Rejected,
    };
    StoreError::with_source(kind, error)
}

/// What an SQLSTATE means (PostgreSQL manual, appendix A).
fn kind_of_state(state: &str) -> StoreErrorKind {
    match state {
        // Lost to others, or was cancelled while waiting for them: rolled back.
        "40001" | "40P01" | "55P03" | "57014" => StoreErrorKind::Contended,
        // The connection or the server went away: a commit may have come before it.
        "57P01" | "57P02" | "57P05" | "25P03" | "40003" => StoreErrorKind::OutcomeUnknown,
        "53100" => StoreErrorKind::Full,
        // Starting up, out of connections or memory, or a standby that cannot write.
        "57P03" | "25006" => StoreErrorKind::Unavailable,
        // An index or a table that cannot be read.
        "XX001" | "XX002" => StoreErrorKind::Corrupt,
        _ if state.starts_with("08") => StoreErrorKind::OutcomeUnknown,
        _ if state.starts_with("53") => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Rejected,
    }
}

/// Whether the statement was rolled back because others were in its way, so that it may be sent
/// again at once: SQLSTATE 40001, 40P01 and 55P03, no other.
fn is_retryable(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|refusal| refusal.code())
        .is_some_and(|state| matches!(&*state, "40001" | "40P01" | "55P03"))
}

/// Runs a step of one statement and gives its rows; again after a random pause where others were
/// in its way, at most four times in all.
///
/// # Errors
/// What the last try failed with.
pub async fn rows<'q>(
    pool: &PgPool,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, StoreError> {
    let mut tried = 0;
    loop {
        tried += 1;
        // Apart from the step, since a step that was never sent has a known outcome.
        let mut connection = pool.acquire().await.map_err(connect_error)?;
        let done = statement().fetch_all(&mut *connection).await;
        drop(connection);
        match done {
            Ok(rows) => return Ok(rows),
            Err(error) if tried < TRIES && is_retryable(&error) => pause(tried).await,
            Err(error) => return Err(step_error(error)),
        }
    }
}

/// As [`rows`], for a step that answers with one row at most.
///
/// # Errors
/// As [`rows`].
pub async fn row<'q>(
    pool: &PgPool,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<Option<PgRow>, StoreError> {
    Ok(rows(pool, statement).await?.into_iter().next())
}

/// What a failure before the commit of a transaction means: whatever broke, nothing was done.
#[must_use]
pub fn uncommitted(error: StoreError) -> StoreError {
    match error.kind {
        StoreErrorKind::OutcomeUnknown => StoreError {
            kind: StoreErrorKind::Unavailable,
            ..error
        },
        _ => error,
    }
}

/// For a step that is a transaction, which failed with `error` when it was tried for the
/// `tried`-th time: returns after a random pause where others were in its way and it may be tried
/// again, four times in all.
///
/// # Errors
/// `error` itself, where it may not.
pub async fn repeat_after(error: StoreError, tried: u32) -> Result<(), StoreError> {
    // What a time limit of the session ended is not tried again; what a room gave up on its own is.
    let lost = error.source.as_deref().is_none_or(|source| {
        source
            .downcast_ref::<sqlx::Error>()
            .is_none_or(is_retryable)
    });
    if error.kind == StoreErrorKind::Contended && lost && tried < TRIES {
        pause(tried.max(1)).await;
        return Ok(());
    }
    Err(error)
}

/// Up to 4, 8, 16 ms, so that two steps that met do not meet again.
async fn pause(tried: u32) {
    let mut random = [0u8; 8];
    OsEntropy.fill(&mut random);
    let longest = FIRST_PAUSE_MS << (tried - 1);
    let millis = u64::from_le_bytes(random) % (longest + 1);
    TokioRuntime.sleep(Duration::from_millis(millis)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_states_mean_what_the_manual_says() {
        use StoreErrorKind::{Contended, Corrupt, Full, OutcomeUnknown, Rejected, Unavailable};
        for (state, kind) in [
            ("40001", Contended),
            ("40P01", Contended),
            ("55P03", Contended),
            ("08006", OutcomeUnknown),
            ("08P01", OutcomeUnknown),
            ("57P01", OutcomeUnknown),
            ("25P03", OutcomeUnknown),
            ("57P03", Unavailable),
            ("53300", Unavailable),
            ("53100", Full),
            ("XX001", Corrupt),
            ("23505", Rejected),
            ("42883", Rejected),
        ] {
            assert_eq!(kind_of_state(state), kind, "{state}");
        }
    }

    #[test]
    fn s6_a_broken_line_leaves_the_outcome_open_and_a_full_pool_does_not() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(!is_retryable(&broken));
        assert_eq!(step_error(broken).kind, StoreErrorKind::OutcomeUnknown);
        let waited = step_error(sqlx::Error::PoolTimedOut);
        assert_eq!(waited.kind, StoreErrorKind::Unavailable);
        let refused = connect_error(sqlx::Error::Io(
            std::io::ErrorKind::ConnectionRefused.into(),
        ));
        assert_eq!(refused.kind, StoreErrorKind::Unavailable);
    }
}
