//! Laws of the ledger over random operations: conservation per account, per bucket and in all;
//! entries that recompute the balances; checks that agree with steps; batches that equal
//! sequences; callers that vanish at any await.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail by panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sheen_billing::account::{
    AccountView, Bucket, Commit, CommitOutcome, CreditCommand, CreditOutcome, CreditPolicy,
    CreditState, Entry, Extend, LedgerTotals, Overage, Place, Purchase, PurchaseOutcome, Refund,
    RefundOf, RefundOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome, Totals,
    decide::Account, decide::HoldState,
};
use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{Day, Timestamp};

const USERS: u8 = 3;

#[derive(Debug, Clone)]
enum Op {
    Do(CreditCommand),
    Credit(Purchase),
    Refund(Refund),
    Sweep(u32),
    Time(i64),
    ToMidnight(i64),
}

fn user(n: u8) -> UserId {
    UserId::parse(&format!("u{n}")).unwrap()
}

fn op(n: u8) -> OperationId {
    OperationId::parse(&format!("op{n}")).unwrap()
}

fn seconds(n: u32) -> Seconds {
    Seconds::from_u32(n)
}

/// The hold that a reserve of this user and operation makes; now and then one that none makes.
fn hold(n: u8, operation: u8) -> ReservationId {
    if operation == 63 {
        return ReservationId::parse("res_foreign").unwrap();
    }
    Reserve::new(user(n), op(operation), seconds(1)).reservation_id()
}

fn command() -> impl Strategy<Value = CreditCommand> {
    let ttl = prop_oneof![
        Just(0u64),
        Just(60),
        Just(3600),
        Just(86_400),
        Just(172_800)
    ];
    let ids = || (0..USERS, 0..64u8, 0..64u8);
    prop_oneof![
        6 => (0..USERS, 0..64u8, 1..300u32, 0..3u8, ttl.clone()).prop_map(
            |(who, operation, n, project, ttl)| {
                let mut reserve = Reserve::new(user(who), op(operation), seconds(n));
                reserve.ttl = Duration::from_secs(ttl);
                if n % 3 == 0 {
                    reserve.overage = Overage::Reject;
                }
                reserve.project = ["p0", "p1"]
                    .get(usize::from(project))
                    .map(|id| ProjectId::parse(id).unwrap());
                CreditCommand::Reserve(reserve)
            }
        ),
        3 => (ids(), 0..400u32).prop_map(|((who, target, operation), n)| {
            CreditCommand::Commit(Commit::new(hold(who, target), op(operation), seconds(n)))
        }),
        2 => ids().prop_map(|(who, target, operation)| {
            CreditCommand::Release(Release::new(hold(who, target), op(operation)))
        }),
        1 => (ids(), ttl).prop_map(|((who, target, _), ttl)| {
            CreditCommand::Extend(Extend::new(hold(who, target), Duration::from_secs(ttl)))
        }),
    ]
}

fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => command().prop_map(Op::Do),
        1 => (0..USERS, 0..200u8, 1..500u32).prop_map(|(who, payment, n)| {
            let payment = PaymentId::parse(&format!("pay{payment}")).unwrap();
            Op::Credit(Purchase::new(user(who), payment, seconds(n)))
        }),
        1 => (0..USERS, 0..64u8, 0..64u8, 1..200u32).prop_map(|(who, target, operation, n)| {
            let hold = hold(who, target);
            Op::Refund(Refund::of_charge(user(who), op(operation), hold, seconds(n)))
        }),
        1 => (0..USERS, 0..200u8, 0..64u8, 1..400u32).prop_map(|(who, payment, operation, n)| {
            let payment = PaymentId::parse(&format!("pay{payment}")).unwrap();
            Op::Refund(Refund::of_purchase(user(who), op(operation), payment, seconds(n)))
        }),
        1 => (0..5u32).prop_map(Op::Sweep),
        2 => (0..1_800_000i64).prop_map(Op::Time),
        1 => (-600_000..0i64).prop_map(Op::Time),
        1 => (-2..3i64).prop_map(Op::ToMidnight),
    ]
}

fn policy(capped: bool) -> CreditPolicy {
    let mut policy = CreditPolicy::default();
    policy.daily_gift = seconds(400);
    policy.welcome_bonus = seconds(700);
    if capped {
        policy.user_daily_cap = Some(seconds(900));
        policy.project_daily_cap = Some(seconds(500));
    }
    policy
}

fn moved(now: Timestamp, op: &Op) -> Timestamp {
    match op {
        Op::Time(by) => Timestamp::from_millis(now.as_millis() + by),
        // One or two milliseconds around the end of the day.
        Op::ToMidnight(by) => Timestamp::from_millis(now.day().end().as_millis() + by),
        Op::Do(_) | Op::Credit(_) | Op::Refund(_) | Op::Sweep(_) => now,
    }
}

fn run(state: &mut CreditState, now: Timestamp, command: &CreditCommand) -> CreditOutcome {
    match command {
        CreditCommand::Reserve(it) => CreditOutcome::Reserve(state.reserve(now, it).unwrap()),
        CreditCommand::Commit(it) => CreditOutcome::Commit(state.commit(now, it).unwrap()),
        CreditCommand::Release(it) => CreditOutcome::Release(state.release(now, it).unwrap()),
        CreditCommand::Extend(it) => CreditOutcome::Extend(state.extend(now, it).unwrap()),
        _ => unreachable!("these are all"),
    }
}

/// What `check_…` says of a command; `None` where it would go through, or has no check.
fn check(state: &CreditState, now: Timestamp, command: &CreditCommand) -> Option<CreditOutcome> {
    match command {
        CreditCommand::Reserve(it) => {
            let outcome = state.check_reserve(now, it).unwrap();
            outcome.map(CreditOutcome::Reserve)
        }
        CreditCommand::Commit(it) => {
            let outcome = state.check_commit(now, it).unwrap();
            outcome.map(CreditOutcome::Commit)
        }
        CreditCommand::Release(it) => {
            let outcome = state.check_release(now, it).unwrap();
            outcome.map(CreditOutcome::Release)
        }
        _ => None,
    }
}

const fn goes_through(outcome: &CreditOutcome) -> bool {
    matches!(
        outcome,
        CreditOutcome::Reserve(ReserveOutcome::Reserved(_))
            | CreditOutcome::Commit(CommitOutcome::Committed(_))
            | CreditOutcome::Release(ReleaseOutcome::Released(_))
    )
}

/// The books, kept from entries alone, in numbers that may go negative so that they can be seen
/// not to.
#[derive(Debug, Default)]
struct Books {
    sums: BTreeMap<(UserId, Bucket), BTreeMap<u8, i128>>,
    read: BTreeMap<UserId, u64>,
    charged: BTreeMap<ReservationId, i128>,
}

const fn place(place: Place) -> u8 {
    match place {
        Place::Granted => 0,
        Place::Available => 1,
        Place::Held => 2,
        Place::Charged => 3,
        Place::Breakage => 4,
    }
}

impl Books {
    fn enter(&mut self, user: &UserId, entry: &Entry) {
        let n = i128::from(entry.seconds.get());
        assert!(n > 0);
        let sums = self.sums.entry((user.clone(), entry.bucket)).or_default();
        // Granted counts what ever came in, so it is the one place that leaving raises.
        let from = if entry.from == Place::Granted { n } else { -n };
        *sums.entry(place(entry.from)).or_default() += from;
        *sums.entry(place(entry.to)).or_default() += n;
        assert!(sums.values().all(|sum| *sum >= 0), "{entry:?} {sums:?}");
        if entry.to == Place::Charged {
            let hold = entry.reservation.clone().unwrap();
            *self.charged.entry(hold).or_default() += n;
        }
    }

    fn compare(&self, user: &UserId, bucket: Bucket, totals: &Totals) {
        let none = BTreeMap::new();
        let sums = self.sums.get(&(user.clone(), bucket)).unwrap_or(&none);
        let figures = [
            totals.granted,
            totals.available,
            totals.held,
            totals.charged,
            totals.breakage,
        ];
        for (place, figure) in (0u8..).zip(figures) {
            let sum = sums.get(&place).copied().unwrap_or_default();
            assert_eq!(sum, i128::from(figure.get()), "{user} {bucket:?} {place}");
        }
        assert!(totals.is_conserved(), "{totals:?}");
    }

    /// Reads the new entries of every account and compares all there is to compare.
    fn check(&mut self, state: &CreditState) {
        let mut all = LedgerTotals::default();
        for account in state.accounts() {
            let user = account.user();
            let read = self.read.get(user).copied().unwrap_or_default();
            for (number, entry) in (read + 1..).zip(state.entries(user, read)) {
                assert_eq!(entry.number, number);
                self.enter(user, entry);
            }
            self.read.insert(user.clone(), account.head().last_entry);
            for bucket in Bucket::ALL {
                let totals = account.head().buckets.of(bucket);
                self.compare(user, bucket, totals);
                all += totals;
            }
            self.check_holds(account);
        }
        assert_eq!(state.ledger_totals().unwrap(), all);
        assert!(all.is_conserved());
    }

    /// Slices of open holds are what is held; holds of the day are what the caps count.
    fn check_holds(&self, account: &Account) {
        let mut held = BTreeMap::new();
        let mut counted = 0i128;
        for hold in account.holds() {
            let mut of_hold = 0i128;
            match hold.state {
                HoldState::Open { slices, .. } => {
                    for bucket in Bucket::ALL {
                        let n = i128::from(slices.of(bucket).get());
                        *held.entry(bucket).or_default() += n;
                        of_hold += n;
                    }
                }
                HoldState::Committed { charged, refunded } => {
                    let entered = self.charged.get(&hold.reservation);
                    of_hold = entered.copied().unwrap_or_default();
                    assert_eq!(i128::from(charged.sum().unwrap().get()), of_hold);
                    assert!(charged.checked_sub(&refunded).is_some(), "{hold:?}");
                }
                _ => {}
            }
            if Some(hold.day) == account.head().day {
                counted += of_hold;
            }
        }
        for bucket in Bucket::ALL {
            let sum: i128 = held.get(&bucket).copied().unwrap_or_default();
            let figure = account.head().buckets.of(bucket).held;
            assert_eq!(sum, i128::from(figure.get()));
        }
        let figure = account.head().reserved_today;
        assert_eq!(counted, i128::from(figure.get()));
    }
}

fn views(state: &CreditState, now: Timestamp) -> Vec<AccountView> {
    let view = |n| state.view(now, &user(n)).unwrap();
    (0..USERS).map(view).collect()
}

fn gifts_by_day(state: &CreditState) -> BTreeMap<(UserId, Day), usize> {
    use sheen_billing::account::EntryKind::{DailyGift, WelcomeBonus};
    let mut gifts = BTreeMap::new();
    for account in state.accounts() {
        let entries = state.entries(account.user(), 0);
        let welcome = entries.iter().filter(|it| it.kind == WelcomeBonus);
        assert_eq!(welcome.count(), 1, "the first touch welcomes, no other");
        for gift in entries.iter().filter(|it| it.kind == DailyGift) {
            let key = (account.user().clone(), gift.created_at.day());
            *gifts.entry(key).or_default() += 1;
        }
    }
    gifts
}

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap()
}

/// One step, with everything that must hold around it.
fn step(state: &mut CreditState, now: Timestamp, op: &Op) {
    match op {
        Op::Do(command) => {
            let told = check(state, now, command);
            let before: Vec<u64> = state.accounts().map(Account::version).collect();
            let outcome = run(state, now, command);
            let after: Vec<u64> = state.accounts().map(Account::version).collect();
            if goes_through(&outcome) {
                assert_eq!(told, None);
                assert_ne!(before, after);
            } else if !matches!(command, CreditCommand::Extend(_)) {
                assert_eq!(told, Some(outcome), "{command:?}");
                assert_eq!(before, after, "a refusal or repeat writes nothing");
            }
        }
        Op::Credit(purchase) => {
            let shown = state.view(now, &purchase.user).unwrap().balance;
            match state.credit(now, purchase).unwrap() {
                PurchaseOutcome::Credited(balance) => {
                    let sum = shown.total.checked_add(purchase.seconds);
                    assert_eq!(Some(balance.total), sum);
                }
                PurchaseOutcome::AlreadyCredited(balance) => assert_eq!(balance, shown),
                refused => assert_eq!(refused, PurchaseOutcome::OperationConflict),
            }
        }
        Op::Refund(refund) => {
            let shown = state.view(now, &refund.user).unwrap().balance;
            let written = state.ledger_totals().unwrap();
            match state.refund(now, refund).unwrap() {
                RefundOutcome::Refunded(done) => {
                    let sum = shown.total.checked_add(done.returned);
                    let less = shown.total.checked_sub(refund.seconds);
                    let total = Some(done.balance.total);
                    assert!(total == sum || done.returned.is_zero() && total == less);
                }
                _ => assert_eq!(
                    state.ledger_totals().unwrap(),
                    written,
                    "nothing is written"
                ),
            }
        }
        Op::Sweep(limit) => {
            let shown = views(state, now);
            assert!(state.expire(now, *limit).unwrap() <= *limit);
            assert_eq!(views(state, now), shown, "D8: a sweep shows in no view");
        }
        Op::Time(_) | Op::ToMidnight(_) => {}
    }
}

/// D8: what is shown can be reserved, and not a second more.
fn check_views(state: &CreditState, now: Timestamp) {
    for n in 0..USERS {
        let shown = state.view(now, &user(n)).unwrap().balance.total;
        let probe = |seconds| {
            let fresh = OperationId::parse("never-used").unwrap();
            let reserve = Reserve::new(user(n), fresh, seconds);
            state.check_reserve(now, &reserve).unwrap()
        };
        if !shown.is_zero() {
            assert_eq!(probe(shown), None);
        }
        let required = shown.checked_add(seconds(1)).unwrap();
        let available = shown;
        let refused = ReserveOutcome::Insufficient {
            required,
            available,
        };
        assert_eq!(probe(required), Some(refused));
    }
}

fn laws_hold(ops: &[Op], capped: bool) {
    let mut state = CreditState::new(policy(capped), 10);
    let (mut books, mut now) = (Books::default(), start());
    for op in ops {
        now = moved(now, op);
        step(&mut state, now, op);
        books.check(&state);
        if !capped {
            check_views(&state, now);
        }
    }
    for ((user, day), gifts) in gifts_by_day(&state) {
        assert_eq!(gifts, 1, "one gift a day: {user} {day:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    /// 10,000 operations and more: 12 runs of 1,000 each way.
    #[test]
    fn conservation_after_every_step(ops in prop::collection::vec(operation(), 1_000)) {
        laws_hold(&ops, false);
        laws_hold(&ops, true);
    }

    #[test]
    fn a_batch_equals_its_sequence(
        batches in prop::collection::vec(prop::collection::vec(command(), 0..60), 10),
        capped: bool,
    ) {
        let mut batched = CreditState::new(policy(capped), 10);
        let mut single = CreditState::new(policy(capped), 10);
        let mut now = start();
        for commands in batches {
            let outcomes = batched.batch(now, &commands).unwrap();
            let wanted: Vec<_> = commands.iter().map(|it| run(&mut single, now, it)).collect();
            prop_assert_eq!(outcomes, wanted);
            now = now.plus(Duration::from_secs(2 * 3600));
        }
        for n in 0..USERS {
            prop_assert_eq!(batched.entries(&user(n), 0), single.entries(&user(n), 0));
        }
        prop_assert!(batched.accounts().eq(single.accounts()));
    }
}

/// One long life: 10,000 operations on the same accounts, from a fixed seed.
#[test]
fn ten_thousand_operations_conserve() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut state = CreditState::new(policy(false), 10);
    let (mut books, mut now) = (Books::default(), start());
    let strategy = operation();
    let mut through = 0;
    for life in 0..10u32 {
        for _ in 0..1_000 {
            let op = strategy.new_tree(&mut runner).unwrap().current();
            let op = renamed(op, life);
            now = moved(now, &op);
            let before = state.ledger_totals().unwrap();
            step(&mut state, now, &op);
            books.check(&state);
            through += u32::from(state.ledger_totals().unwrap() != before);
        }
    }
    assert!(through > 1_000, "{through} of 10,000 moved seconds");
}

/// The same operation with ids of its own per thousand, or soon all would be repeats.
fn renamed(op: Op, life: u32) -> Op {
    let rename = |id: &OperationId| OperationId::parse(&format!("{life}.{id}")).unwrap();
    match op {
        Op::Do(CreditCommand::Reserve(mut it)) => {
            it.operation = rename(&it.operation);
            Op::Do(CreditCommand::Reserve(it))
        }
        Op::Do(CreditCommand::Commit(mut it)) => {
            it.reservation = in_life(&it.reservation, life);
            it.operation = rename(&it.operation);
            Op::Do(CreditCommand::Commit(it))
        }
        Op::Do(CreditCommand::Release(mut it)) => {
            it.reservation = in_life(&it.reservation, life);
            it.operation = rename(&it.operation);
            Op::Do(CreditCommand::Release(it))
        }
        Op::Do(CreditCommand::Extend(mut it)) => {
            it.reservation = in_life(&it.reservation, life);
            Op::Do(CreditCommand::Extend(it))
        }
        Op::Refund(mut it) => {
            it.operation = rename(&it.operation);
            if let RefundOf::Charge(reservation) = &it.of {
                it.of = RefundOf::Charge(in_life(reservation, life));
            }
            Op::Refund(it)
        }
        other => other,
    }
}

fn in_life(reservation: &ReservationId, life: u32) -> ReservationId {
    for who in 0..USERS {
        for operation in 0..63 {
            if hold(who, operation) == *reservation {
                let id = OperationId::parse(&format!("{life}.op{operation}")).unwrap();
                return Reserve::new(user(who), id, seconds(1)).reservation_id();
            }
        }
    }
    reservation.clone()
}
