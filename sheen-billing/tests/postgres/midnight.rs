//! The day changes at every instant of a hold's life, and processes whose time is ten minutes off.

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{
    Commit, CommitOutcome, CreditAudit, CreditPolicy, CreditReader, CreditStore, EntryKind, Extend,
    ExtendOutcome, GrantStore, MemoryCreditStore, PgCreditStore, Refund, RefundOutcome, Reserve,
    ReserveOutcome, Totals,
};
use sheen_core::id::{OperationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};

use super::World;

const NOON_TO_MIDNIGHT: Duration = Duration::from_secs(12 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn user() -> UserId {
    UserId::parse("ada").unwrap()
}

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

const fn secs(seconds: u32) -> Seconds {
    Seconds::from_u32(seconds)
}

fn policy() -> CreditPolicy {
    let mut policy = CreditPolicy::default();
    policy.daily_gift = secs(100);
    policy.welcome_bonus = secs(200);
    policy
}

fn wish(operation: &str, seconds: u32) -> Reserve {
    let mut wish = Reserve::new(user(), op(operation), secs(seconds));
    wish.ttl = Reserve::MAX_TTL;
    wish
}

/// What a hold's life left behind.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    totals: Totals,
    gifts: usize,
    returned: Seconds,
    refunded: Seconds,
    daily_gift: Seconds,
    used_today: Seconds,
    kinds: Vec<EntryKind>,
}

/// Both kinds of store, and the hand on their clocks.
struct Place {
    world: World,
    memory: MemoryCreditStore,
    clock: Arc<ManualClock>,
}

impl Place {
    async fn new() -> Self {
        let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(noon));
        Self {
            world: World::new(policy()).await,
            memory: MemoryCreditStore::new(clock.clone(), policy(), 10),
            clock,
        }
    }

    async fn forward(&self, by: Duration) {
        self.clock.advance(by);
        self.world.advance(by).await;
    }
}

/// A step of the life; what came back of it where something did.
async fn step<S: CreditStore + GrantStore>(store: &S, step: usize) -> Option<Seconds> {
    let hold = wish("op", 150).reservation_id();
    match step {
        0 => {
            let held = store.reserve(wish("op", 150)).await.unwrap();
            assert!(matches!(held, ReserveOutcome::Reserved(_)), "{held:?}");
            None
        }
        1 => {
            let kept = store.extend(Extend::new(hold, DAY)).await.unwrap();
            assert!(matches!(kept, ExtendOutcome::Extended { .. }), "{kept:?}");
            None
        }
        2 => {
            let paid = store.commit(Commit::new(hold, op("c"), secs(60))).await;
            let CommitOutcome::Committed(paid) = paid.unwrap() else {
                panic!("not committed");
            };
            assert_eq!((paid.charged, paid.shortfall), (secs(60), secs(0)));
            Some(paid.returned)
        }
        3 => {
            let refund = Refund::of_charge(user(), op("f"), hold, secs(10));
            let RefundOutcome::Refunded(done) = store.refund(refund).await.unwrap() else {
                panic!("not refunded");
            };
            Some(done.returned)
        }
        _ => {
            let touched = store.reserve(wish("touch", 1)).await.unwrap();
            assert!(
                matches!(touched, ReserveOutcome::Reserved(_)),
                "{touched:?}"
            );
            None
        }
    }
}

async fn left<S: CreditReader>(store: &S, came_back: &[Option<Seconds>]) -> Left {
    let kinds: Vec<EntryKind> = store
        .entries(&user(), 0, u32::MAX)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.kind)
        .collect();
    let view = store.views(&[user()]).await.unwrap()[0];
    Left {
        totals: store.totals(&user()).await.unwrap(),
        gifts: kinds
            .iter()
            .filter(|it| **it == EntryKind::DailyGift)
            .count(),
        returned: came_back[2].unwrap(),
        refunded: came_back[3].unwrap(),
        daily_gift: view.balance.daily_gift,
        used_today: view.usage.today_used,
        kinds,
    }
}

/// Lives a hold's life with a wait before step `cut`.
async fn live(cut: usize, wait: Duration) -> Left {
    let place = Place::new().await;
    let (mut on_memory, mut on_postgres) = (Vec::new(), Vec::new());
    for n in 0..5 {
        if n == cut {
            place.forward(wait).await;
        }
        on_memory.push(step(&place.memory, n).await);
        on_postgres.push(step(&*place.world.store, n).await);
    }
    let here = left(&*place.world.store, &on_postgres).await;
    assert_eq!(left(&place.memory, &on_memory).await, here, "before {cut}");
    assert!(here.totals.is_conserved(), "{here:?}");
    assert_eq!(place.world.store.verify(&user()).await.unwrap(), []);
    here
}

/// D2, D3: a day that ends a millisecond later changes nothing; one that ends at the instant of a
/// step gives the gift once more, and what was left of yesterday's is breakage wherever it is.
#[tokio::test]
async fn d3_the_day_changes_at_every_instant_of_a_holds_life() {
    let same_day = NOON_TO_MIDNIGHT
        .checked_sub(Duration::from_millis(1))
        .unwrap();
    for cut in 0..5 {
        let last = live(cut, same_day).await;
        // 150 of gift and bonus were held, 60 of the gift charged, 10 of them given back.
        assert_eq!((last.returned, last.refunded), (secs(90), secs(10)));
        assert_eq!((last.gifts, last.daily_gift), (1, secs(49)));
        assert_eq!((last.used_today, last.totals.breakage), (secs(60), secs(0)));

        let next = live(cut, NOON_TO_MIDNIGHT).await;
        let charged_before = cut > 2;
        let expected = match cut {
            // The whole life is of the second day.
            0 => (1, secs(90), secs(10), secs(0), secs(49)),
            // The hold is of the first day: 40 of its gift do not come back, and what was charged of
            // it is not given back to be spent.
            1 | 2 => (2, secs(50), secs(0), secs(40), secs(99)),
            // Between commit and refund: the 40 that came back in time became void at midnight.
            3 => (2, secs(90), secs(0), secs(40), secs(99)),
            // All came back in time, with the 10 refunded, and became void.
            _ => (2, secs(90), secs(10), secs(50), secs(99)),
        };
        let breakage = next.totals.breakage;
        let told = (
            next.gifts,
            next.returned,
            next.refunded,
            breakage,
            next.daily_gift,
        );
        assert_eq!(told, expected, "midnight before step {cut}: {next:?}");
        assert_eq!(next.used_today.is_zero(), charged_before, "{next:?}");
    }
}

/// D5: a process that believes it is ten minutes earlier or later than the store decides by the
/// store's time all the same: gifts, expiries and days come out as those of one that knows it.
#[tokio::test]
async fn d5_processes_ten_minutes_apart_change_nothing() {
    let ten = 10 * 60 * 1000;
    let midnight = Timestamp::parse_rfc3339("2026-11-21T00:00:00Z")
        .unwrap()
        .as_millis();
    for (believed, real, gifts) in [
        // The slow one still takes it for yesterday, the fast one already for today.
        (midnight - ten / 2, midnight + ten / 2, 2),
        (midnight + ten / 2, midnight - ten / 2, 1),
    ] {
        let world = World::new(policy()).await;
        let set = async |now: i64| {
            sqlx::query("UPDATE sheen.test_clock SET now_ms = $1")
                .bind(now)
                .execute(&world.pool)
                .await
                .unwrap();
        };
        set(midnight - ten).await;
        world.store.reserve(wish("first", 30)).await.unwrap();
        let (off, right) = (
            PgCreditStore::new(world.pool.clone(), policy()),
            &world.store,
        );
        // It reads the clock on another account, and from then on counts from there.
        set(believed).await;
        let other = Reserve::new(UserId::parse("bob").unwrap(), op("b"), secs(1));
        off.reserve(other).await.unwrap();
        set(real).await;
        let ReserveOutcome::Reserved(held) = off.reserve(wish("second", 10)).await.unwrap() else {
            panic!("not reserved");
        };
        let ttl = i64::try_from(Reserve::MAX_TTL.as_millis()).unwrap();
        assert_eq!(held.expires_at.as_millis(), real + ttl);
        right.reserve(wish("third", 10)).await.unwrap();
        let entries = right.entries(&user(), 0, u32::MAX).await.unwrap();
        let given = entries.iter().filter(|it| it.kind == EntryKind::DailyGift);
        assert_eq!(given.count(), gifts, "{entries:?}");
        assert_eq!(right.verify(&user()).await.unwrap(), []);
        let asked = [user()];
        let seen = off.views(&asked).await.unwrap();
        assert_eq!(seen, right.views(&asked).await.unwrap());
    }
}
