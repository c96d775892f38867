//! Ways in which ledgers were seen to fail, each as a test that this one does not.
//!
//! Lines that a clause of the conformance suite shows on any store are named there: R1 and R8 by
//! c01 and r3, R2 and R5 by c04, R3 by c01 and c03, R4 and R17 by c08, R6 by c09, R7 by c15, R9 by
//! c05 and c14, R10 by c07, R12 by c06 and s2, R14 by c02, R15 by c09 and c10, R22 by g2, D7 by
//! c03, D8 by r1, R21 by g4 to g6, M5 by r4 and `price`. Row locks (R19) have no place in a ledger
//! in memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail by panic")]

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::decide::{self, Account, DecideError, HoldState};
use sheen_billing::account::{
    Bucket, Commit, CommitOutcome, CreditCommand, CreditPolicy, CreditReader, CreditState,
    CreditStore, EntryKind, Extend, ExtendOutcome, GrantStore, MemoryCreditStore, Place, Purchase,
    PurchaseOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome, Reserved,
};
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, ManualClock, Timestamp};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn ada() -> UserId {
    UserId::parse("ada").unwrap()
}

fn op(name: &str) -> OperationId {
    OperationId::parse(name).unwrap()
}

const fn secs(seconds: u32) -> Seconds {
    Seconds::from_u32(seconds)
}

fn wish(operation: &str, seconds: u32) -> Reserve {
    Reserve::new(ada(), op(operation), secs(seconds))
}

fn buy(payment: &str, seconds: Seconds) -> Purchase {
    Purchase::new(ada(), PaymentId::parse(payment).unwrap(), seconds)
}

fn gifts(daily_gift: u32, welcome_bonus: u32) -> CreditPolicy {
    let mut policy = CreditPolicy::default();
    policy.daily_gift = secs(daily_gift);
    policy.welcome_bonus = secs(welcome_bonus);
    policy
}

fn state(daily_gift: u32, welcome_bonus: u32) -> CreditState {
    CreditState::new(gifts(daily_gift, welcome_bonus), 10)
}

fn hold(state: &mut CreditState, now: Timestamp, reserve: &Reserve) -> Reserved {
    match state.reserve(now, reserve).unwrap() {
        ReserveOutcome::Reserved(reserved) => reserved,
        other => panic!("{other:?}"),
    }
}

fn gifts_given(state: &CreditState) -> usize {
    let entries = state.entries(&ada(), 0);
    let gifts = entries.iter().filter(|it| it.kind == EntryKind::DailyGift);
    gifts.count()
}

fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind
}

const NOON: &str = "2026-11-20T12:00:00Z";

#[test]
fn r07_the_clock_is_read_while_the_lock_is_held() {
    /// Tells the time only to who holds the lock of the store.
    #[derive(Debug, Default)]
    struct JealousClock(std::sync::OnceLock<std::sync::Weak<MemoryCreditStore>>);

    impl Clock for JealousClock {
        fn now(&self) -> Timestamp {
            let store = self.0.get().and_then(std::sync::Weak::upgrade).unwrap();
            // The lock is not reentrant: another thread gets it only if the caller has it not.
            let free = std::thread::scope(|scope| {
                let (tell, told) = std::sync::mpsc::channel();
                scope.spawn(move || tell.send(store.try_lock().is_some()));
                told.recv().unwrap()
            });
            assert!(!free, "the clock was read without the lock");
            at(NOON)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    let clock = Arc::new(JealousClock::default());
    let store = Arc::new(MemoryCreditStore::new(clock.clone(), gifts(900, 0), 10));
    clock.0.set(Arc::downgrade(&store)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        use sheen_billing::account::CreditSweep;
        let id = wish("op", 1).reservation_id();
        store.reserve(wish("op", 1)).await.unwrap();
        let extend = Extend::new(id.clone(), Duration::from_secs(1));
        store.extend(extend).await.unwrap();
        store.views(&[ada()]).await.unwrap();
        let commit = Commit::new(id.clone(), op("op"), secs(1));
        store.commit(commit).await.unwrap();
        store.release(Release::new(id, op("op"))).await.unwrap();
        store.batch(Vec::new()).await.unwrap();
        store.credit(buy("pay", secs(1))).await.unwrap();
        store.expire(1).await.unwrap();
    });
}

#[test]
fn r11_no_seconds_where_some_are_needed_are_refused_at_the_type_or_whole() {
    for bad in ["-1", "1.5", "1e3", "null", "9007199254740992", "\"5\""] {
        assert!(serde_json::from_str::<Seconds>(bad).is_err(), "{bad}");
    }
    let (mut state, now) = (state(900, 0), at(NOON));
    assert_eq!(
        kind(state.reserve(now, &wish("op", 0))),
        StoreErrorKind::Rejected
    );
    assert_eq!(
        kind(state.check_reserve(now, &wish("op", 0))),
        StoreErrorKind::Rejected
    );
    let none = buy("pay", Seconds::ZERO);
    assert_eq!(kind(state.credit(now, &none)), StoreErrorKind::Rejected);
    // One malformed command refuses its batch before anything is done.
    let batch = [wish("op", 5), wish("op2", 0)].map(CreditCommand::Reserve);
    assert_eq!(kind(state.batch(now, &batch)), StoreErrorKind::Rejected);
    assert_eq!(state.accounts().count(), 0);

    // A build that used nothing is charged nothing.
    let held = hold(&mut state, now, &wish("op", 5));
    let commit = Commit::new(held.reservation, op("c"), Seconds::ZERO);
    let outcome = state.commit(now, &commit).unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(it) if it.returned == secs(5)));
    // And the most there is cannot be held twice, nor overflow.
    let most = Reserve::new(ada(), op("most"), Seconds::MAX);
    let outcome = state.reserve(now, &most).unwrap();
    assert!(matches!(outcome, ReserveOutcome::Insufficient { .. }));
}

#[test]
fn r13_holding_and_charging_beyond_burn_in_the_same_order() {
    let now = at(NOON);
    let burned = |held: u32| {
        let mut state = state(100, 50);
        state.credit(now, &buy("pay", secs(70))).unwrap();
        let reserved = hold(&mut state, now, &wish("op", held));
        let commit = Commit::new(reserved.reservation, op("c"), secs(190));
        state.commit(now, &commit).unwrap();
        let account = state.accounts().next().unwrap();
        Bucket::ALL.map(|bucket| account.head().buckets.of(bucket).charged.get())
    };
    assert_eq!(burned(190), [100, 50, 40]);
    for held in [1, 100, 149, 151, 220] {
        assert_eq!(burned(held), burned(190), "held {held}");
    }
}

#[test]
fn r15_a_holder_whose_hold_lapsed_learns_it_from_its_next_heartbeat() {
    let (mut state, now) = (state(900, 0), at(NOON));
    let held = hold(&mut state, now, &wish("op", 5));
    let beat = Extend::new(held.reservation, Duration::from_secs(90));
    let before = held.expires_at.minus(Duration::from_millis(1));
    let outcome = state.extend(before, &beat).unwrap();
    let until = before.plus(Duration::from_secs(90));
    assert_eq!(outcome, ExtendOutcome::Extended { expires_at: until });
    let alive = state.extend(held.expires_at, &beat).unwrap();
    assert!(
        matches!(alive, ExtendOutcome::Extended { .. }),
        "it lived on"
    );
    let late = held.expires_at.plus(Duration::from_secs(90));
    assert_eq!(state.extend(late, &beat).unwrap(), ExtendOutcome::Expired);
}

#[test]
fn r16_a_retry_under_another_id_leaves_the_first_hold_to_be_closed() {
    let (mut state, now) = (state(900, 0), at(NOON));
    let first = hold(&mut state, now, &wish("try1", 100));
    let second = hold(&mut state, now, &wish("try2", 100));
    assert_ne!(first.reservation, second.reservation);
    let release = Release::new(first.reservation, op("r"));
    let outcome = state.release(now, &release).unwrap();
    assert!(matches!(outcome, ReleaseOutcome::Released(it) if it.returned == secs(100)));
    let account = state.accounts().next().unwrap();
    assert_eq!(account.open_holds(), 1);
}

#[test]
fn r18_ten_thousand_lapsed_holds_are_swept_in_bounded_batches() {
    let mut policy = gifts(900, 0);
    // No policy allows more than the ledger does.
    policy.max_open_holds = u32::MAX;
    let (mut state, now) = (CreditState::new(policy, 10), at(NOON));
    let most = Account::MAX_OPEN_HOLDS;
    state.credit(now, &buy("pay", secs(100_000))).unwrap();
    for n in 0..most {
        hold(&mut state, now, &wish(&format!("op{n}"), 1));
    }
    let one_more = wish("one-more", 1);
    assert_eq!(kind(state.reserve(now, &one_more)), StoreErrorKind::Full);
    assert_eq!(
        kind(state.check_reserve(now, &one_more)),
        StoreErrorKind::Full
    );

    let later = now.plus(Reserve::DEFAULT_TTL);
    assert_eq!(state.check_reserve(later, &one_more).unwrap(), None);
    let version = state.accounts().next().unwrap().version();
    let mut sweeps = 0;
    loop {
        match state.expire(later, 999).unwrap() {
            0 => break,
            n => assert!(n <= 999),
        }
        sweeps += 1;
    }
    assert_eq!(sweeps, most.div_ceil(999) as u64);
    let account = state.accounts().next().unwrap();
    assert_eq!(account.version() - version, sweeps, "one change a batch");
    assert_eq!(account.open_holds(), 0);
    hold(&mut state, later, &one_more);
}

#[test]
fn r23_an_ended_hold_keeps_nothing_alive_and_a_refused_one_is_never_there() {
    let (mut state, now) = (state(100, 0), at(NOON));
    let ids = ["c", "r", "e"].map(|name| hold(&mut state, now, &wish(name, 10)).reservation);
    let [committed, released, _] = &ids;
    let commit = Commit::new(committed.clone(), op("c"), secs(1));
    state.commit(now, &commit).unwrap();
    let release = Release::new(released.clone(), op("r"));
    state.release(now, &release).unwrap();
    state.expire(now.plus(Reserve::DEFAULT_TTL), 10).unwrap();
    let account = state.accounts().next().unwrap();
    let ends = ids.each_ref().map(|id| account.hold(id).unwrap().state);
    assert!(matches!(
        ends,
        [
            HoldState::Committed { .. },
            HoldState::Released,
            HoldState::Expired
        ]
    ));
    assert_eq!(account.open_holds(), 0);

    let refused = wish("refused", 101);
    let outcome = state.reserve(now, &refused).unwrap();
    assert!(matches!(outcome, ReserveOutcome::Insufficient { .. }));
    let commit = Commit::new(refused.reservation_id(), op("x"), secs(1));
    let outcome = state.commit(now, &commit).unwrap();
    assert_eq!(outcome, CommitOutcome::NotFound);
    assert_eq!(state.holder(&refused.reservation_id()), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d01_a_thousand_first_touches_after_midnight_are_one_gift() {
    let clock = Arc::new(ManualClock::at(at("2026-11-20T23:59:59Z")));
    let mut policy = gifts(5000, 0);
    policy.max_open_holds = 1_001;
    let store = Arc::new(MemoryCreditStore::new(clock.clone(), policy, 10));
    store.reserve(wish("yesterday", 1)).await.unwrap();
    clock.advance(Duration::from_secs(1));
    let mut touches = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let store = store.clone();
        touches.spawn(async move { store.reserve(wish(&format!("op{n}"), 1)).await.unwrap() });
    }
    for outcome in touches.join_all().await {
        assert!(matches!(outcome, ReserveOutcome::Reserved(_)));
    }
    assert_eq!(gifts_given(&store.lock()), 2);
    let view = store.views(&[ada()]).await.unwrap()[0];
    assert_eq!(view.balance.daily_gift, secs(4000));
}

#[test]
fn d02_a_gift_is_there_from_the_first_instant_of_its_day_and_gone_at_its_end() {
    let mut state = state(100, 0);
    let (start, last, end) = (
        at("2026-11-20T00:00:00.000Z"),
        at("2026-11-20T23:59:59.999Z"),
        at("2026-11-21T00:00:00.000Z"),
    );
    hold(&mut state, start, &wish("op1", 40));
    let shown = |state: &CreditState, now| state.view(now, &ada()).unwrap();
    assert_eq!(shown(&state, last).daily_reset_at, end);
    // op1 lapsed by then, on the day of its gift.
    assert_eq!(shown(&state, last).balance.daily_gift, secs(100));
    hold(&mut state, last, &wish("op2", 100));
    assert_eq!(shown(&state, end).balance.daily_gift, secs(100));
    hold(&mut state, end, &wish("op3", 100));
    assert_eq!(gifts_given(&state), 2);
}

#[test]
fn d03_a_hold_over_midnight_is_charged_to_yesterday_and_its_rest_is_breakage() {
    let late = at("2026-11-20T23:59:59.900Z");
    let early = at("2026-11-21T00:00:00.100Z");
    let breakage = |state: &CreditState| state.totals(&ada()).unwrap().breakage;
    let mut state = state(100, 0);
    let one = hold(&mut state, late, &wish("op1", 60)).reservation;
    let two = hold(&mut state, late, &wish("op2", 40)).reservation;
    let commit = Commit::new(one, op("c"), secs(50));
    let CommitOutcome::Committed(charged) = state.commit(early, &commit).unwrap() else {
        panic!("the hold was alive");
    };
    assert_eq!((charged.charged, charged.returned), (secs(50), secs(0)));
    assert_eq!(charged.balance.daily_gift, secs(100), "today's is whole");
    assert_eq!(breakage(&state), secs(10));
    let release = Release::new(two, op("r"));
    let ReleaseOutcome::Released(back) = state.release(early, &release).unwrap() else {
        panic!("the hold was alive");
    };
    assert_eq!(back.returned, Seconds::ZERO);
    assert_eq!(back.balance.daily_gift, secs(100));
    assert_eq!(breakage(&state), secs(50));
    assert_eq!(gifts_given(&state), 2);
}

#[test]
fn d05_a_clock_that_steps_back_gives_no_second_gift_and_revives_nothing() {
    let mut state = state(100, 50);
    let evening = at("2026-11-20T23:55:00Z");
    let morning = at("2026-11-21T00:05:00Z");
    hold(&mut state, evening, &wish("op1", 100));
    hold(&mut state, morning, &wish("op2", 30));
    assert_eq!(gifts_given(&state), 2);
    for (n, now) in [evening, morning, evening, morning].into_iter().enumerate() {
        let shown = state.view(now, &ada()).unwrap();
        assert_eq!(shown.daily_reset_at, morning.day().end());
        hold(&mut state, now, &wish(&format!("again{n}"), 1));
        assert_eq!(gifts_given(&state), 2, "step {n}");
    }
    let shown = state.view(morning, &ada()).unwrap().balance;
    assert_eq!(
        (shown.daily_gift, shown.welcome_bonus),
        (secs(66), secs(50))
    );
}

#[test]
fn d05_a_sweep_by_a_clock_that_ran_ahead_is_no_reason_for_a_second_gift() {
    let mut state = state(100, 0);
    let (today, ahead) = (at(NOON), at("2026-11-22T12:00:00Z"));
    hold(&mut state, today, &wish("op1", 10));
    assert_eq!(state.expire(ahead, 10).unwrap(), 1);
    let refused = state.reserve(today, &wish("op2", 1)).unwrap();
    assert!(matches!(refused, ReserveOutcome::Insufficient { .. }));
    state.credit(today, &buy("pay", secs(5))).unwrap();
    assert_eq!(gifts_given(&state), 1);
    hold(&mut state, ahead, &wish("op2", 1));
    assert_eq!(gifts_given(&state), 2);
}

#[test]
fn d06_nothing_else_that_changes_the_account_gives_the_gift_again() {
    let (mut state, now) = (state(100, 50), at(NOON));
    let held = hold(&mut state, now, &wish("op1", 10));
    state.credit(now, &buy("pay", secs(10))).unwrap();
    let extend = Extend::new(held.reservation.clone(), Duration::from_secs(7200));
    state.extend(now, &extend).unwrap();
    let commit = Commit::new(held.reservation, op("c"), secs(3));
    state.commit(now, &commit).unwrap();
    hold(&mut state, now, &wish("op2", 10));
    state
        .expire(now.plus(Duration::from_secs(7200)), 10)
        .unwrap();
    let granted = state.totals(&ada()).unwrap().granted;
    assert_eq!(granted, secs(160));
    assert_eq!(gifts_given(&state), 1);
}

#[test]
fn d06_a_policy_that_changes_gives_nothing_again_and_takes_nothing_back() {
    let (now, before) = (at(NOON), gifts(100, 50));
    let mut account = Account::untouched(ada());
    let decision = decide::reserve(&account, now, &before, &wish("op1", 10)).unwrap();
    account.apply(&decision.change.unwrap()).unwrap();
    for after in [gifts(500, 500), gifts(0, 0)] {
        let shown = decide::view(&account, now, &after).unwrap().balance;
        assert_eq!(
            (shown.daily_gift, shown.welcome_bonus),
            (secs(90), secs(50))
        );
    }
}

#[test]
fn m01_overflow_is_an_outcome_and_a_stale_or_foreign_change_an_error() {
    let (mut state, now) = (state(0, 0), at(NOON));
    let outcome = state.credit(now, &buy("p1", Seconds::MAX)).unwrap();
    assert!(matches!(outcome, PurchaseOutcome::Credited(_)));
    let outcome = state.credit(now, &buy("p2", secs(1))).unwrap();
    assert_eq!(outcome, PurchaseOutcome::OutOfRange);
    // The sums of all accounts are no account's: they have more room.
    let bob = UserId::parse("bob").unwrap();
    let bobs = Purchase::new(bob, PaymentId::parse("p3").unwrap(), secs(1));
    state.credit(now, &bobs).unwrap();
    let all = state.ledger_totals().unwrap();
    assert_eq!(all.granted, u128::from(Seconds::MAX.get()) + 1);
    assert!(all.is_conserved());

    let policy = gifts(100, 0);
    let mut account = Account::untouched(ada());
    let decide = |account: &Account| decide::reserve(account, now, &policy, &wish("op", 5));
    let first = decide(&account).unwrap().change.unwrap();
    account.apply(&first).unwrap();
    let unchanged = account.clone();
    let stale = account.apply(&first).unwrap_err();
    assert_eq!((stale.decided, stale.found), (0, 1));
    assert_eq!(account, unchanged);
    let foreign = decide(&Account::untouched(UserId::parse("bob").unwrap()));
    assert_eq!(foreign.unwrap_err(), DecideError::Malformed);
}

#[test]
fn m02_slices_sum_to_the_whole() {
    let now = at(NOON);
    for used in 0..=230u32 {
        let mut state = state(100, 50);
        state.credit(now, &buy("pay", secs(70))).unwrap();
        let held = hold(&mut state, now, &wish("op", 1 + used * 7 % 220));
        let commit = Commit::new(held.reservation, op("c"), secs(used));
        let CommitOutcome::Committed(answer) = state.commit(now, &commit).unwrap() else {
            panic!("the hold was alive");
        };
        let entries = state.entries(&ada(), 0).iter();
        let charged = entries.filter(|it| it.to == Place::Charged);
        let sum: u64 = charged.map(|it| it.seconds.get()).sum();
        assert_eq!(sum, answer.charged.get());
        assert_eq!(sum + answer.shortfall.get(), u64::from(used));
        assert_eq!(answer.balance.total.get() + sum, 220);
    }
}

#[test]
fn a_full_store_refuses_new_accounts_and_serves_those_it_has() {
    let (mut state, now) = (CreditState::new(gifts(100, 0), 1), at(NOON));
    let held = hold(&mut state, now, &wish("op", 5));
    let bobs = Reserve::new(UserId::parse("bob").unwrap(), op("op"), secs(5));
    assert_eq!(kind(state.reserve(now, &bobs)), StoreErrorKind::Full);
    assert_eq!(kind(state.check_reserve(now, &bobs)), StoreErrorKind::Full);
    let commit = Commit::new(held.reservation, op("c"), secs(5));
    assert!(matches!(
        state.commit(now, &commit).unwrap(),
        CommitOutcome::Committed(_)
    ));
    // The ledger's own bound: no new hold, but what is held can end.
    let held = hold(&mut state, now, &wish("op2", 5));
    state.bound_entries(state.entries(&ada(), 0).len());
    let again = wish("op3", 5);
    assert_eq!(kind(state.reserve(now, &again)), StoreErrorKind::Full);
    let paid = buy("pay", secs(5));
    assert_eq!(kind(state.credit(now, &paid)), StoreErrorKind::Full);
    let known = state.reserve(now, &wish("op2", 5)).unwrap();
    assert_eq!(known, ReserveOutcome::AlreadyReserved(held.clone()));
    let release = Release::new(held.reservation, op("r"));
    assert!(matches!(
        state.release(now, &release).unwrap(),
        ReleaseOutcome::Released(_)
    ));
    state.bound_entries(CreditState::MAX_ENTRIES);
    assert!(matches!(
        state.credit(now, &paid).unwrap(),
        PurchaseOutcome::Credited(_)
    ));
    let many = vec![CreditCommand::Reserve(wish("op", 5)); CreditState::MAX_BATCH + 1];
    assert_eq!(kind(state.batch(now, &many)), StoreErrorKind::Rejected);
}
