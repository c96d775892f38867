//! Plans over 200,000 keys, or over ten million: every step goes by an index, however it is
//! planned.

use sqlx::{AssertSqlSafe, Row};
use testkit::Proof;

use super::Keys;

/// `$1` keys, of which those with a low number end first.
const FILL: &str = "
    INSERT INTO sheen.idempotency (principal_id, user_id, key, fingerprint, token, ends_ms)
    SELECT 'web', 'u' || n % 1000, 'k' || n, decode(repeat('00', 32), 'hex'),
        nextval('sheen.idempotency_token'), sheen.now_ms() + n
    FROM generate_series(1, $1::int) AS n";

const STEPS: [&str; 5] = [
    "SELECT hit FROM sheen.idempotency_put_v1('web', 'u1', 'new', NULL, NULL, NULL, NULL, true,
        decode(repeat('00', 32), 'hex'), 1000, NULL, NULL, NULL, NULL)",
    "SELECT hit FROM sheen.idempotency_put_v1('web', 'u1', 'k1', NULL, NULL, NULL, NULL, true,
        decode(repeat('00', 32), 'hex'), 1000, NULL, NULL, NULL, NULL)",
    "SELECT hit FROM sheen.idempotency_put_v1('web', 'u1', 'k1', 1, false, NULL, NULL, false,
        NULL, 1000, NULL, NULL, NULL, NULL)",
    "SELECT held FROM sheen.idempotency_claim_v1('web', 'u1', 'k1')",
    "SELECT sheen.idempotency_reap_v1(1000)",
];

#[tokio::test]
async fn s3_steps_go_by_the_indexes_however_many_keys_there_are() {
    let keys = Keys::new().await;
    let many = Proof::size().pick(200_000, 10_000_000);
    let filled = sqlx::query(FILL).bind(many).execute(&keys.pool).await;
    filled.unwrap();
    let analyzed = sqlx::raw_sql("ANALYZE sheen.idempotency").execute(&keys.pool);
    analyzed.await.unwrap();
    no_step_reads_the_whole_table(&keys).await;
    plans_name_the_indexes(&keys).await;
}

/// What runs inside the functions is counted by the server: no pass over the table, in the plans
/// made for the values and in those made without looking at them.
async fn no_step_reads_the_whole_table(keys: &Keys) {
    for mode in ["force_custom_plan", "force_generic_plan"] {
        for nested in ["on", "off"] {
            let mut connection = keys.database.connection().await;
            let settings = format!(
                "SET plan_cache_mode = {mode}; SET enable_nestloop = {nested}; SET jit = off;
                 UPDATE sheen.test_clock SET now_ms = now_ms + 5000; BEGIN"
            );
            sqlx::raw_sql(AssertSqlSafe(settings))
                .execute(&mut connection)
                .await
                .unwrap();
            for step in STEPS {
                sqlx::query(step).fetch_one(&mut connection).await.unwrap();
            }
            let counted = sqlx::query(
                "SELECT pg_stat_get_xact_numscans('sheen.idempotency'::regclass) AS passes,
                    pg_stat_get_xact_numscans('sheen.idempotency_pkey'::regclass) AS by_key,
                    pg_stat_get_xact_numscans('sheen.idempotency_ends'::regclass) AS by_end",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            let number = |name| counted.get::<i64, _>(name);
            assert_eq!(number("passes"), 0, "{mode}, nested loops {nested}");
            assert!(number("by_key") >= 4, "{}", number("by_key"));
            // Planning may look up the index's ends too.
            assert!(number("by_end") >= 1);
            sqlx::raw_sql("ROLLBACK")
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
}

async fn plans_name_the_indexes(keys: &Keys) {
    for (statement, index) in [
        (
            include_str!("../../../src/idempotency/postgres/sql/look.sql"),
            "idempotency_pkey",
        ),
        (
            include_str!("../../../src/idempotency/postgres/sql/abandon.sql"),
            "idempotency_pkey",
        ),
        (
            "SELECT ctid FROM sheen.idempotency WHERE ends_ms <= $1::text::bigint
             ORDER BY ends_ms LIMIT 1000 FOR UPDATE SKIP LOCKED",
            "idempotency_ends",
        ),
    ] {
        let statement = statement
            .replace("$1::text::bigint", "1000")
            .replace("$1", "'web'")
            .replace("$2", "'u1'")
            .replace("$3", "'k1'")
            .replace("$4", "1");
        let explain = AssertSqlSafe(format!("EXPLAIN {statement}"));
        let plan: Vec<String> = sqlx::query_scalar(explain)
            .fetch_all(&keys.pool)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan on idempotency"), "{plan}");
    }
}
