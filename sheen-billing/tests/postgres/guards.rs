//! The schema holds the ledger's laws against whoever writes, sheen's own code included.

use std::time::Duration;

use sheen_billing::account::{
    Bucket, Commit, CreditAudit, CreditPolicy, CreditStore, CreditSweep, Figure, GrantStore, Place,
    Purchase, Reserve,
};
use sheen_core::error::StoreErrorKind;
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::postgres::step_error;
use sheen_core::seconds::Seconds;
use sqlx::AssertSqlSafe;

use super::World;

const UNIQUE: &str = "23505";
const CHECK: &str = "23514";

/// What PostgreSQL says to a statement written by hand.
async fn state(world: &World, statement: &str) -> Option<String> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&world.pool)
        .await;
    match done {
        Ok(done) => {
            assert!(done.rows_affected() > 0, "{statement} met no row");
            None
        }
        Err(refused) => {
            let state = refused.as_database_error()?.code()?.into_owned();
            assert_eq!(step_error(refused).kind, StoreErrorKind::Rejected);
            Some(state)
        }
    }
}

/// An account with an open hold and an ended one.
async fn used() -> World {
    let world = World::new(CreditPolicy::default()).await;
    let user = UserId::parse("ada").unwrap();
    let wish = |operation: &str| {
        let operation = OperationId::parse(operation).unwrap();
        Reserve::new(user.clone(), operation, Seconds::from_u32(100))
    };
    for operation in ["open", "ended"] {
        world.store.reserve(wish(operation)).await.unwrap();
    }
    let operation = OperationId::parse("c").unwrap();
    let ended = wish("ended").reservation_id();
    let commit = Commit::new(ended, operation, Seconds::from_u32(40));
    world.store.commit(commit).await.unwrap();
    let payment = PaymentId::parse("pay").unwrap();
    let purchase = Purchase::new(user.clone(), payment, Seconds::from_u32(50));
    world.store.credit(purchase).await.unwrap();
    assert_eq!(world.store.verify(&user).await.unwrap(), []);
    world
}

#[tokio::test]
async fn r1_figures_that_lose_or_make_seconds_are_refused() {
    let world = used().await;
    for set in [
        "gift_available = gift_available + 1",
        "gift_held = gift_held - 1",
        "welcome_available = -1, welcome_held = 1801",
        "paid_granted = paid_granted + 1",
        "paid_available = paid_available - 1, paid_held = paid_held + 2",
        "gift_charged = 0, gift_available = gift_available + 40",
        "gift_granted = gift_granted - 1, gift_available = gift_available - 1",
        "paid_granted = 9007199254740000, paid_available = 9007199254740000",
        "used_today = -1",
        "used_today = 41",
        "reserved_today = 141",
        "open_holds = 0",
        "open_holds = -1",
        "open_holds = 10001",
        "open_holds = 101",
        "last_entry = last_entry - 1",
        "day = day - 1",
        "gift_day = gift_day - 1",
        "gift_day = NULL",
        "welcomed = false",
        "version = version - 1",
        "user_id = 'eve'",
    ] {
        let moved = if set.starts_with("version") {
            ""
        } else {
            ", version = version + 1"
        };
        let statement = format!("UPDATE sheen.credit_accounts SET {set}{moved}");
        assert_eq!(
            state(&world, &statement).await.as_deref(),
            Some(CHECK),
            "{set}"
        );
    }
    let still = "UPDATE sheen.credit_accounts SET version = version";
    assert_eq!(state(&world, still).await.as_deref(), Some(CHECK));
    let moved = "UPDATE sheen.credit_accounts SET version = version + 1,
        paid_available = paid_available - 1, paid_held = paid_held + 1";
    assert_eq!(
        state(&world, moved).await,
        None,
        "what is lawful goes through"
    );
}

#[tokio::test]
async fn entries_answers_payments_and_accounts_are_never_changed_or_removed() {
    let world = used().await;
    for table in ["entries", "operations", "payments"] {
        let change = format!("UPDATE sheen.credit_{table} SET seconds = seconds + 1");
        assert_eq!(
            state(&world, &change).await.as_deref(),
            Some(CHECK),
            "{table}"
        );
    }
    for table in ["entries", "operations", "payments", "accounts", "holds"] {
        let removal = format!("DELETE FROM sheen.credit_{table}");
        assert_eq!(
            state(&world, &removal).await.as_deref(),
            Some(CHECK),
            "{table}"
        );
        let removal = format!("TRUNCATE sheen.credit_{table}");
        assert_eq!(
            state(&world, &removal).await.as_deref(),
            Some(CHECK),
            "{table}"
        );
    }
}

#[tokio::test]
async fn r4_r23_a_hold_ends_once_and_keeps_nothing() {
    let world = used().await;
    let set = |set: &str, which: &str| {
        format!("UPDATE sheen.credit_holds SET {set} WHERE operation_id = '{which}'")
    };
    let nothing = "gift = 0, welcome = 0, paid = 0, expires_ms = NULL";
    for (change, which) in [
        ("state = 'released'", "ended"),
        ("state = 'open', gift = 100, expires_ms = 1", "ended"),
        ("seconds = 1", "ended"),
        ("state = 'released'", "open"),
        (
            "state = 'released', gift = 0, welcome = 0, paid = 0",
            "open",
        ),
        ("state = 'gone', gift = 0, expires_ms = NULL", "open"),
        ("expires_ms = NULL", "open"),
        ("expires_ms = expires_ms - 1", "open"),
        ("gift = gift - 1", "open"),
        ("gift = gift - 1, paid = paid + 1", "open"),
        ("gift = gift - 1, seconds = seconds - 1", "open"),
        ("gift = -1, paid = 101", "open"),
        ("user_id = 'eve'", "open"),
        ("operation_id = 'another'", "open"),
        ("created_ms = 0", "open"),
    ] {
        let refused = state(&world, &set(change, which)).await;
        assert_eq!(refused.as_deref(), Some(CHECK), "{change} of {which}");
    }
    let longer = set("expires_ms = expires_ms + 1", "open");
    assert_eq!(state(&world, &longer).await, None);
    let ending = set(&format!("state = 'released', {nothing}"), "open");
    assert_eq!(state(&world, &ending).await, None);
    let again = set(&format!("state = 'committed', {nothing}"), "open");
    assert_eq!(state(&world, &again).await.as_deref(), Some(CHECK));
}

/// R21: more than what it is of is refused whoever writes, and a refund is not taken back.
#[tokio::test]
async fn r21_refunds_stay_within_what_they_are_of() {
    let world = used().await;
    let hold = |set: &str, which: &str| {
        format!("UPDATE sheen.credit_holds SET {set} WHERE operation_id = '{which}'")
    };
    let refund = |gift: i64, welcome: i64| {
        format!("refunded_gift = {gift}, refunded_welcome = {welcome}, refunded_paid = 0")
    };
    for (set, which) in [
        (refund(41, 0), "ended"),
        (refund(1, 1), "ended"),
        (refund(-1, 0), "ended"),
        ("refunded_gift = 1".to_owned(), "ended"),
        ("charged_gift = 41".to_owned(), "ended"),
        (refund(1, 0), "open"),
        (
            "charged_gift = 1, charged_welcome = 0, charged_paid = 0".to_owned(),
            "open",
        ),
        ("overage = 'reject'".to_owned(), "open"),
        ("tier = 'premium', price_version = 1".to_owned(), "open"),
    ] {
        let refused = state(&world, &hold(&set, which)).await;
        assert_eq!(refused.as_deref(), Some(CHECK), "{set} of {which}");
    }
    assert_eq!(state(&world, &hold(&refund(30, 0), "ended")).await, None);
    let less = state(&world, &hold(&refund(29, 0), "ended")).await;
    assert_eq!(less.as_deref(), Some(CHECK));

    let payment = |refunded: i64| format!("UPDATE sheen.credit_payments SET refunded = {refunded}");
    for refunded in [-1, 0, 51] {
        let refused = state(&world, &payment(refunded)).await;
        assert_eq!(refused.as_deref(), Some(CHECK), "{refunded}");
    }
    assert_eq!(state(&world, &payment(50)).await, None);
    assert_eq!(state(&world, &payment(49)).await.as_deref(), Some(CHECK));
    for (kind, of, seconds) in [
        ("refund", "NULL, NULL", 1),
        ("refund", "'res_1', 'pay'", 1),
        ("release", "NULL, 'pay'", 0),
        ("refund", "NULL, 'pay'", 0),
    ] {
        let insert = format!(
            "INSERT INTO sheen.credit_operations (user_id, kind, operation_id, reservation_id,
                payment_id, seconds, charged, returned, shortfall, answer_gift, answer_welcome,
                answer_paid) VALUES ('ada', '{kind}', 'x', {of}, {seconds}, 0, 0, 0, 0, 0, 0)"
        );
        assert_eq!(
            state(&world, &insert).await.as_deref(),
            Some(CHECK),
            "{kind} {of}"
        );
    }
}

fn entry(number: u32, kind: &str, bucket: &str, from: &str, to: &str, ms: i64) -> String {
    format!(
        "INSERT INTO sheen.credit_entries VALUES ('ada', {number}, '{kind}', '{bucket}', '{from}',
            '{to}', 5, 'res_1', 'op', {ms})"
    )
}

#[tokio::test]
async fn d1_d7_a_second_gift_of_a_day_and_a_second_bonus_are_refused() {
    let world = used().await;
    let noon = 1_795_176_000_000;
    let gift = |number, ms| entry(number, "daily_gift", "gift", "granted", "available", ms);
    assert_eq!(
        state(&world, &gift(90, noon)).await.as_deref(),
        Some(UNIQUE)
    );
    let end = noon + 12 * 3_600_000;
    assert_eq!(
        state(&world, &gift(91, end - 1)).await.as_deref(),
        Some(UNIQUE)
    );
    assert_eq!(state(&world, &gift(92, end)).await, None, "the next day's");
    let bonus = entry(93, "welcome_bonus", "welcome", "granted", "available", end);
    assert_eq!(state(&world, &bonus).await.as_deref(), Some(UNIQUE));
}

#[tokio::test]
async fn entries_that_move_what_cannot_move_are_refused() {
    let world = used().await;
    for (kind, bucket, from, to) in [
        ("reserve", "paid", "held", "available"),
        ("reserve", "gold", "available", "held"),
        ("commit", "paid", "granted", "charged"),
        ("release", "paid", "charged", "available"),
        ("expire", "paid", "available", "held"),
        ("purchase", "gift", "granted", "available"),
        ("purchase", "paid", "available", "granted"),
        ("daily_gift", "paid", "granted", "available"),
        ("breakage", "paid", "available", "breakage"),
        ("refund", "paid", "charged", "available"),
        ("reversal", "gift", "available", "breakage"),
        ("reversal", "paid", "held", "breakage"),
        ("mistake", "paid", "granted", "available"),
    ] {
        let refused = state(&world, &entry(90, kind, bucket, from, to, 1)).await;
        assert_eq!(
            refused.as_deref(),
            Some(CHECK),
            "{kind} {bucket} {from} {to}"
        );
    }
    let lawful = entry(90, "purchase", "paid", "granted", "available", 1);
    let nothing = lawful.replace(", 5, ", ", 0, ");
    assert_eq!(state(&world, &nothing).await.as_deref(), Some(CHECK));
    let same_number = lawful.replace(", 90, ", ", 1, ");
    assert_eq!(state(&world, &same_number).await.as_deref(), Some(UNIQUE));
    assert_eq!(state(&world, &lawful).await, None);
}

/// What the schema cannot hold row by row, verify names.
#[tokio::test]
async fn verify_names_what_was_written_past_the_rules() {
    let world = used().await;
    let user = UserId::parse("ada").unwrap();
    let named = async || -> Vec<(Figure, u64, u64)> {
        let found = world.store.verify(&user).await.unwrap();
        let all = world.store.verify_all(None, 10).await.unwrap();
        assert_eq!(all.drifts, found);
        found
            .iter()
            .map(|it| (it.figure, it.stored, it.found))
            .collect()
    };
    let orphan = entry(1, "purchase", "paid", "granted", "available", 1).replace("'ada'", "'eve'");
    assert_eq!(state(&world, &orphan).await, None);
    let all = world.store.verify_all(None, 10).await.unwrap();
    assert_eq!(all.accounts, 1);
    let figures: Vec<_> = all
        .drifts
        .iter()
        .map(|it| (it.user.as_str(), it.figure))
        .collect();
    let wanted = [
        ("eve", Figure::Sum(Bucket::Paid, Place::Granted)),
        ("eve", Figure::Sum(Bucket::Paid, Place::Available)),
        ("eve", Figure::LastEntry),
    ];
    assert_eq!(figures, wanted);
    world
        .run("ALTER TABLE sheen.credit_entries DISABLE TRIGGER ALL")
        .await;
    world
        .run("DELETE FROM sheen.credit_entries WHERE user_id = 'eve'")
        .await;

    world
        .run(
            "UPDATE sheen.credit_accounts SET version = version + 1,
                paid_available = paid_available - 7, paid_held = paid_held + 7",
        )
        .await;
    let moved = [
        (Figure::Sum(Bucket::Paid, Place::Available), 43, 50),
        (Figure::Sum(Bucket::Paid, Place::Held), 7, 0),
        (Figure::Held(Bucket::Paid), 7, 0),
    ];
    assert_eq!(named().await, moved);
    world
        .run("DELETE FROM sheen.credit_entries WHERE kind = 'purchase'")
        .await;
    let found = named().await;
    assert!(found.contains(&(Figure::LastEntry, 7, 6)), "{found:?}");
    assert!(found.contains(&(Figure::Sum(Bucket::Paid, Place::Granted), 50, 0)));
}

/// One account whose rows were changed by hand holds up the sweep of no other.
#[tokio::test]
async fn an_account_that_cannot_be_read_stops_no_sweep_of_others() {
    let world = World::new(CreditPolicy::default()).await;
    for user in ["ada", "bob"] {
        for operation in ["1", "2"] {
            let user = UserId::parse(user).unwrap();
            let operation = OperationId::parse(operation).unwrap();
            let mut wish = Reserve::new(user, operation, Seconds::from_u32(5));
            wish.ttl = Duration::from_secs(60);
            world.store.reserve(wish).await.unwrap();
        }
    }
    let drift = "UPDATE sheen.credit_accounts SET version = version + 1, open_holds = 1
        WHERE user_id = 'ada'";
    assert_eq!(state(&world, drift).await, None);
    world.advance(Duration::from_secs(61)).await;
    let told = world.store.expire(10).await.unwrap_err();
    assert_eq!(told.kind, StoreErrorKind::Corrupt);
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sheen.credit_holds WHERE state = 'open' AND user_id = 'bob'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(open, 0);
    let ada = UserId::parse("ada").unwrap();
    let drifts = world.store.verify(&ada).await.unwrap();
    assert!(
        drifts.iter().any(|drift| drift.figure == Figure::OpenHolds),
        "{drifts:?}"
    );
}
