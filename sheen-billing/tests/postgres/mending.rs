//! An account that was changed by hand: what it does to whom, and how docs/operations.md mends it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sheen_billing::account::{
    Bucket, Commit, CommitOutcome, CreditAudit, CreditPolicy, CreditReader, CreditStore,
    CreditSweep, Figure, PgCreditStore, Place, Reserve, ReserveOutcome,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, UserId};
use sheen_core::seconds::Seconds;
use sqlx::{AssertSqlSafe, raw_sql};

use super::World;

fn wish(name: &str, operation: &str) -> Reserve {
    let user = UserId::parse(name).unwrap();
    let operation = OperationId::parse(operation).unwrap();
    let mut wish = Reserve::new(user, operation, Seconds::from_u32(5));
    wish.ttl = Duration::from_secs(60);
    wish
}

/// The statements that the guide gives about `what`.
fn statements(what: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```sql").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(what));
    block.expect("a block about it").to_owned()
}

fn corrupt<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Corrupt);
}

/// A wrong count of open holds is told to the callers of that account alone, and named by verify;
/// counted again as the guide says, the account is as it would have been.
#[tokio::test]
async fn a_wrong_count_of_open_holds_is_named_and_mended_as_the_guide_says() {
    let world = World::new(CreditPolicy::default()).await;
    for name in ["ada", "bob"] {
        for operation in ["one", "two", "three"] {
            world.store.reserve(wish(name, operation)).await.unwrap();
        }
    }
    world
        .run(
            "UPDATE sheen.credit_accounts SET version = version + 1, open_holds = 1
             WHERE user_id = 'ada'",
        )
        .await;
    let ada = UserId::parse("ada").unwrap();
    let drifts = world.store.verify(&ada).await.unwrap();
    let named: Vec<_> = drifts
        .iter()
        .map(|it| (it.figure, it.stored, it.found))
        .collect();
    assert_eq!(named, [(Figure::OpenHolds, 1, 3)]);
    let audit = world.store.verify_all(None, 100).await.unwrap();
    assert_eq!(audit.drifts, drifts);

    world.advance(Duration::from_secs(60)).await;
    let fresh = PgCreditStore::new(world.pool.clone(), CreditPolicy::default());
    corrupt(fresh.views(std::slice::from_ref(&ada)).await);
    corrupt(fresh.reserve(wish("ada", "four")).await);
    corrupt(world.store.reserve(wish("ada", "four")).await);
    corrupt(fresh.expire(10).await);
    let bob = UserId::parse("bob").unwrap();
    let held = fresh.totals(&bob).await.unwrap().held;
    assert_eq!(held, Seconds::ZERO, "the sweep went on to the next");
    let others = fresh.reserve(wish("bob", "four")).await.unwrap();
    assert!(matches!(others, ReserveOutcome::Reserved(_)));

    raw_sql(AssertSqlSafe(statements("open_holds")))
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(world.store.verify(&ada).await.unwrap(), []);
    for (store, operation) in [(&*world.store, "five"), (&fresh, "six")] {
        let mended = store.reserve(wish("ada", operation)).await.unwrap();
        assert!(matches!(mended, ReserveOutcome::Reserved(_)), "{operation}");
        let hold = wish("ada", operation).reservation_id();
        let operation = OperationId::parse(operation).unwrap();
        let commit = Commit::new(hold, operation, Seconds::from_u32(5));
        let charged = store.commit(commit).await.unwrap();
        assert!(matches!(charged, CommitOutcome::Committed(_)));
    }
    let totals = world.store.totals(&ada).await.unwrap();
    assert_eq!((totals.held.get(), totals.charged.get()), (0, 10));
    assert_eq!(world.store.verify(&ada).await.unwrap(), []);
}

/// An entry where the account's next one belongs stops that account's steps and no other's, however
/// many of its holds have lapsed; numbered past as the guide says, the account goes on.
#[tokio::test]
async fn an_entry_past_the_last_is_named_and_mended_as_the_guide_says() {
    let world = World::new(CreditPolicy::default()).await;
    for name in ["ada", "bob"] {
        for operation in ["one", "two", "three"] {
            world.store.reserve(wish(name, operation)).await.unwrap();
        }
    }
    world
        .run(
            "INSERT INTO sheen.credit_entries
                 (user_id, number, kind, bucket, from_place, to_place, seconds, created_ms)
             SELECT user_id, last_entry + 1, 'purchase', 'paid', 'granted', 'available', 50, 0
             FROM sheen.credit_accounts WHERE user_id = 'ada'",
        )
        .await;
    let [ada, bob] = ["ada", "bob"].map(|name| UserId::parse(name).unwrap());
    let figures = async || -> Vec<(Figure, u64)> {
        let drifts = world.store.verify(&ada).await.unwrap().into_iter();
        drifts.map(|it| (it.figure, it.found)).collect()
    };
    let paid = |place| (Figure::Sum(Bucket::Paid, place), 50);
    let sums = [paid(Place::Granted), paid(Place::Available)];
    assert_eq!(figures().await, [sums[0], sums[1], (Figure::LastEntry, 6)]);
    let refused = world.store.reserve(wish("ada", "four")).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Rejected);

    world.advance(Duration::from_secs(60)).await;
    let held = async |user| world.store.totals(user).await.unwrap().held.get();
    // Ada's are the oldest, and more than are looked for. A server tells of a failed statement before
    // it lets go of its locks, so that a sweep soon after one may find her account worked on.
    let told = AtomicBool::new(false);
    testkit::until_async("the sweep goes on to the next and tells", async || {
        if let Err(error) = world.store.expire(2).await {
            assert_eq!(error.kind, StoreErrorKind::Rejected);
            told.store(true, Ordering::SeqCst);
        }
        told.load(Ordering::SeqCst) && held(&bob).await == 0
    })
    .await;
    assert_eq!(held(&ada).await, 15);

    raw_sql(AssertSqlSafe(statements("max(e.number)")))
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(figures().await, sums);
    assert_eq!(world.store.expire(10).await.unwrap(), 3);
    let mended = world.store.reserve(wish("ada", "five")).await.unwrap();
    assert!(matches!(mended, ReserveOutcome::Reserved(_)));
    world
        .run(
            "UPDATE sheen.credit_accounts SET version = version + 1,
                 paid_granted = paid_granted + 50, paid_available = paid_available + 50
             WHERE user_id = 'ada'",
        )
        .await;
    assert_eq!(figures().await, []);
}
