//! The schema holds the rules against whoever writes, sheen's own code included.

use sheen_core::error::StoreErrorKind;
use sheen_core::idempotency::{BeginOutcome, Fingerprint, IdempotencyStore};
use sheen_core::postgres::step_error;
use sqlx::AssertSqlSafe;

use super::{Keys, answer, key, print, scope};

/// What PostgreSQL says to a statement written by hand.
async fn state(keys: &Keys, statement: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&keys.pool)
        .await
        .err()?;
    let state = refused.as_database_error()?.code()?.into_owned();
    assert_eq!(step_error(refused).kind, StoreErrorKind::Rejected);
    Some(state)
}

const NULL: &str = "23502";
const UNIQUE: &str = "23505";
const CHECK: &str = "23514";

fn insertion(key: &str, ends: &str, answer: &str) -> String {
    format!(
        "INSERT INTO sheen.idempotency (principal_id, user_id, key, fingerprint, token, ends_ms,
            status, headers, body, request_id)
         VALUES ('web', 'ada', {key}, decode(repeat('00', 32), 'hex'),
            nextval('sheen.idempotency_token'), {ends}, {answer})"
    )
}

const RUNNING: &str = "NULL, NULL, NULL, NULL";
const DONE: &str = "200, '[]', '', ''";

/// I8, I13, I14: no record without an end, no half answer, no key the wire does not know.
#[tokio::test]
async fn i08_rows_that_cannot_be_are_refused() {
    let keys = Keys::new().await;
    keys.started("k").await;
    for (statement, expected) in [
        (insertion("'x'", "NULL", RUNNING), NULL),
        (insertion("'k'", "1", RUNNING), UNIQUE),
        (insertion("''", "1", RUNNING), CHECK),
        (insertion("'a b'", "1", RUNNING), CHECK),
        (insertion("E'a\\n'", "1", RUNNING), CHECK),
        (insertion("repeat('k', 256)", "1", RUNNING), CHECK),
        (insertion("'x'", "1", "200, NULL, NULL, NULL"), CHECK),
        (insertion("'x'", "1", "200, '[]', NULL, ''"), CHECK),
        (insertion("'x'", "1", "NULL, '[]', '', ''"), CHECK),
        (insertion("'x'", "1", "404, '[]', '', ''"), CHECK),
        (
            insertion(
                "'x'",
                "1",
                "200, '[]', convert_to(repeat('b', 262145), 'UTF8'), ''",
            ),
            CHECK,
        ),
    ] {
        let refused = state(&keys, &statement).await;
        assert_eq!(refused.as_deref(), Some(expected), "{statement}");
    }
    for name in ["'x'", "repeat('k', 255)"] {
        assert_eq!(state(&keys, &insertion(name, "1", DONE)).await, None);
    }
}

/// I5, I6: the fence rises or stays, and what it guards is written once.
#[tokio::test]
async fn i05_a_record_keeps_its_call_its_fence_and_its_answer() {
    let keys = Keys::new().await;
    keys.done("k").await;
    for set in [
        "token = token - 1",
        "fingerprint = decode(repeat('00', 32), 'hex')",
        "status = NULL, headers = NULL, body = NULL, request_id = NULL",
        "body = 'other'",
        "status = 201",
        "user_id = 'eve'",
        "key = 'other'",
    ] {
        let statement = format!("UPDATE sheen.idempotency SET {set}");
        let refused = state(&keys, &statement).await;
        assert_eq!(refused.as_deref(), Some(CHECK), "{set}");
    }
    assert_eq!(keys.begin("k", 1).await, BeginOutcome::Replay(answer("k")));
}

/// Every part of what a decision relied on is compared by the apply.
#[tokio::test]
async fn a_write_over_another_row_is_a_miss() {
    let keys = Keys::new().await;
    // The call that the writes below name.
    let zero = Fingerprint::from_bytes([0; 32]);
    let begun = keys.store.begin(&scope(), &key("k"), zero).await;
    let Ok(BeginOutcome::Started(lease)) = begun else {
        panic!("not started");
    };
    let (token, ends) = (
        lease.token.get().cast_signed(),
        lease.expires_at.as_millis(),
    );
    let late = keys.now().await.as_millis() + 1;
    let cases = [
        (None, false, None, None),
        (Some(token + 1), false, None, None),
        (Some(token), true, None, None),
        (Some(token), false, Some(ends + 1), None),
        (Some(token), false, Some(ends), Some(late)),
        (Some(token), false, Some(ends), Some(late - 1)),
    ];
    for (n, (token, done, ends, not_before)) in cases.into_iter().enumerate() {
        let hit: bool = sqlx::query_scalar(
            "SELECT hit FROM sheen.idempotency_put_v1('web', 'ada', 'k', $1, $2, $3, $4, false,
                decode(repeat('00', 32), 'hex'), 1000, NULL, NULL, NULL, NULL)",
        )
        .bind(token)
        .bind(done)
        .bind(ends)
        .bind(not_before)
        .fetch_one(&keys.pool)
        .await
        .unwrap();
        assert_eq!(hit, n == cases.len() - 1, "{token:?} {done} {ends:?}");
    }
}

#[tokio::test]
async fn a_row_this_code_cannot_read_is_corrupt() {
    let keys = Keys::new().await;
    let spoiled = insertion("'k'", "sheen.now_ms() + 1000", "200, 'not json', '', ''");
    assert_eq!(state(&keys, &spoiled).await, None);
    let error = keys.store.begin(&scope(), &key("k"), print(0)).await;
    assert_eq!(error.unwrap_err().kind, StoreErrorKind::Corrupt);
}
