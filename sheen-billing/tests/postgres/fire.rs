//! Conservation under fire: callers over several pools while their sessions are killed, lines are
//! cut between a commit and its answer, and callers go away midway; for seconds, or for two minutes
//! in full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sheen_billing::account::{
    Commit, CommitOutcome, Committed, CreditAudit, CreditPolicy, CreditReader, CreditStore,
    EntryKind, GrantStore, GroupCommit, GroupSettings, LedgerTotals, PgCreditStore, Purchase,
    PurchaseOutcome, Refund, RefundOutcome, Refunded, Release, ReleaseOutcome, Released, Reserve,
    ReserveOutcome, Reserved,
};
use sheen_billing::postgres::migrate;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, PaymentId, ReservationId, UserId};
use sheen_core::runtime::{Sleep, TokioRuntime};
use sheen_core::seconds::Seconds;
use testkit::{Place, Proof, Proxy, TestDatabase, To};
use tokio::task::JoinSet;

const POOLS: usize = 8;
const CALLERS: usize = 32;
const ACCOUNTS: usize = 5;
/// How many answers must have been lost after their commits.
const LOST: usize = 4;

#[derive(Debug, Clone)]
enum Ask {
    Credit(Purchase),
    Reserve(Reserve),
    Commit(Commit),
    Release(Release),
    Refund(Refund),
}

/// What the first answer says and every repeat says again.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Credited,
    Reserved(Reserved),
    Committed(Committed),
    Released(Released),
    Refunded(Refunded),
}

/// An operation, and its answer where somebody heard it.
#[derive(Debug, Clone)]
struct Asked {
    ask: Ask,
    answer: Option<Answer>,
}

/// A purchase, a reserve, the end of its hold and a refund of that, as far as it came; one after
/// another.
#[derive(Debug, Clone)]
struct Job {
    name: String,
    asked: Vec<Asked>,
}

struct Process {
    store: Arc<PgCreditStore>,
    steps: Arc<dyn CreditStore>,
}

impl Process {
    /// The answer, and whether it is that of a repeat.
    async fn ask(&self, ask: &Ask) -> Result<(Answer, bool), StoreError> {
        Ok(match ask.clone() {
            Ask::Credit(it) => match self.store.credit(it).await? {
                PurchaseOutcome::Credited(_) => (Answer::Credited, false),
                PurchaseOutcome::AlreadyCredited(_) => (Answer::Credited, true),
                other => panic!("{other:?}"),
            },
            Ask::Reserve(it) => match self.steps.reserve(it).await? {
                ReserveOutcome::Reserved(it) => (Answer::Reserved(it), false),
                ReserveOutcome::AlreadyReserved(it) => (Answer::Reserved(it), true),
                other => panic!("{other:?}"),
            },
            Ask::Commit(it) => match self.steps.commit(it).await? {
                CommitOutcome::Committed(it) => (Answer::Committed(it), false),
                CommitOutcome::AlreadyCommitted(it) => (Answer::Committed(it), true),
                other => panic!("{other:?}"),
            },
            Ask::Release(it) => match self.steps.release(it).await? {
                ReleaseOutcome::Released(it) => (Answer::Released(it), false),
                ReleaseOutcome::AlreadyReleased(it) => (Answer::Released(it), true),
                other => panic!("{other:?}"),
            },
            Ask::Refund(it) => match self.store.refund(it).await? {
                RefundOutcome::Refunded(it) => (Answer::Refunded(it), false),
                RefundOutcome::AlreadyRefunded(it) => (Answer::Refunded(it), true),
                other => panic!("{other:?}"),
            },
        })
    }
}

/// What happened to the callers.
#[derive(Debug, Default)]
struct Fire {
    grouped: bool,
    over: AtomicBool,
    /// Calls that failed.
    failed: AtomicUsize,
    /// Calls that were done, and their answer was lost: a repeat found them done.
    lost: AtomicUsize,
    /// Calls that were dropped with their answer to come.
    dropped: AtomicUsize,
}

impl Fire {
    /// Asks until there is an answer; what fails did not reach the store, or its outcome is open.
    async fn insist(&self, process: &Process, ask: &Ask) -> Answer {
        let mut failed = false;
        loop {
            match process.ask(ask).await {
                Ok((answer, repeat)) => {
                    // A group asks again itself when the answer of its batch is lost.
                    let asked_before = failed || self.grouped;
                    assert!(asked_before || !repeat, "done before: {ask:?}");
                    self.lost.fetch_add(usize::from(repeat), SeqCst);
                    return answer;
                }
                Err(error) => {
                    use StoreErrorKind::{Contended, OutcomeUnknown, Unavailable};
                    let known = matches!(error.kind, Contended | OutcomeUnknown | Unavailable);
                    assert!(known, "{error:?}");
                    self.failed.fetch_add(1, SeqCst);
                    failed = true;
                }
            }
        }
    }

    /// Asks until there is an answer, or goes away between two polls, the statement maybe under
    /// way.
    async fn call(&self, process: &Process, ask: Ask, stays: bool) -> Asked {
        let answer = if stays {
            Some(self.insist(process, &ask).await)
        } else {
            self.dropped.fetch_add(1, SeqCst);
            let told = a_few_polls(process.ask(&ask)).await;
            told.and_then(Result::ok).map(|(answer, _)| answer)
        };
        Asked { ask, answer }
    }

    async fn job(&self, process: &Process, caller: usize, n: usize) -> Job {
        let user = UserId::parse(&format!("u{}", (caller + n) % ACCOUNTS)).unwrap();
        let name = format!("job{caller}-{n}");
        let seconds = Seconds::from_u32(u32::try_from(1 + n % 40).unwrap());
        let operation = OperationId::parse(&name).unwrap();
        let payment = PaymentId::parse(&name).unwrap();
        let mut asked = Vec::new();
        let purchase = Purchase::new(user.clone(), payment, seconds);
        asked.push(
            self.call(process, Ask::Credit(purchase), !n.is_multiple_of(13))
                .await,
        );
        let reserve = Reserve::new(user.clone(), operation.clone(), seconds);
        let hold = reserve.reservation_id();
        asked.push(
            self.call(process, Ask::Reserve(reserve), !n.is_multiple_of(7))
                .await,
        );
        // A hold that nobody knows of is left open, and some others are.
        if !n.is_multiple_of(7) && !n.is_multiple_of(17) {
            let stays = !n.is_multiple_of(11);
            let used = Seconds::new(seconds.get() * 2 / 3).unwrap();
            if n.is_multiple_of(3) {
                let release = Release::new(hold, operation);
                asked.push(self.call(process, Ask::Release(release), stays).await);
            } else {
                let commit = Commit::new(hold.clone(), operation.clone(), used);
                asked.push(self.call(process, Ask::Commit(commit), stays).await);
                if stays && n % 4 == 1 && !used.is_zero() {
                    let one = Seconds::from_u32(1);
                    let refund = Refund::of_charge(user.clone(), operation, hold, one);
                    asked.push(
                        self.call(process, Ask::Refund(refund), !n.is_multiple_of(5))
                            .await,
                    );
                }
            }
        }
        Job { name, asked }
    }
}

/// Polls a step a few times and drops it.
async fn a_few_polls<T>(step: impl Future<Output = T>) -> Option<T> {
    let mut step = std::pin::pin!(step);
    for _ in 0..3 {
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(step.as_mut().poll(context)))
                .await;
        if let std::task::Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Eight processes, every other one behind a line that can be cut.
async fn processes(
    database: &TestDatabase,
    policy: CreditPolicy,
    grouped: bool,
) -> (Vec<Arc<Process>>, Vec<Proxy>) {
    let (mut processes, mut lines) = (Vec::new(), Vec::new());
    for n in 0..POOLS {
        let pool = if n % 2 == 0 {
            database.pool(3).await
        } else {
            let line = Proxy::postgres(database);
            let pool = database.pool_with(3, line.options()).await;
            lines.push(line);
            pool
        };
        let store = Arc::new(PgCreditStore::new(pool, policy));
        let mut settings = GroupSettings::default();
        settings.enabled = grouped;
        let spawn = Arc::new(TokioRuntime);
        let steps = Arc::new(GroupCommit::new(store.clone(), spawn, settings));
        processes.push(Arc::new(Process { store, steps }));
    }
    (processes, lines)
}

/// Kills half of the sessions every second, and cuts a line ten times a second where an answer
/// would pass, so that what was committed is not acknowledged; until some answers were lost so.
async fn burn(database: &TestDatabase, lines: &[Proxy], fire: &Fire) {
    let mut killer = database.connection().await;
    let least = 10 * Proof::size().pick(3, 120);
    for tick in 0..10 * least {
        if tick >= least && fire.lost.load(SeqCst) >= LOST {
            break;
        }
        TokioRuntime.sleep(Duration::from_millis(100)).await;
        // Any of the next answers, those of a new connection's first steps among them.
        let nth = 1 + u64::try_from(tick).unwrap() % 5;
        lines[tick % lines.len()].cut(To::Client, nth, Place::Before);
        if tick % 10 == 0 {
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND backend_type = 'client backend' AND random() < 0.5",
            )
            .execute(&mut killer)
            .await
            .unwrap();
        }
    }
}

/// Tells what it was.
async fn under_fire(grouped: bool) -> String {
    let database = testkit::postgres().await;
    migrate(&database.pool(1).await).await.unwrap();
    let mut policy = CreditPolicy::default();
    policy.daily_gift = Seconds::from_u32(1_000_000_000);
    policy.max_open_holds = 10_000;
    let (processes, lines) = processes(&database, policy, grouped).await;
    let fire = Arc::new(Fire {
        grouped,
        ..Fire::default()
    });
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (process, fire) = (processes[caller % POOLS].clone(), fire.clone());
        callers.spawn(async move {
            let mut jobs = Vec::new();
            while !fire.over.load(SeqCst) {
                jobs.push(fire.job(&process, caller, jobs.len()).await);
            }
            jobs
        });
    }
    burn(&database, &lines, &fire).await;
    fire.over.store(true, SeqCst);
    let jobs: Vec<Job> = callers.join_all().await.into_iter().flatten().collect();
    drop((processes, lines));
    let [failed, lost, dropped] =
        [&fire.failed, &fire.lost, &fire.dropped].map(|count| count.load(SeqCst));
    let told = format!(
        "{} jobs; {failed} calls failed, {lost} answers lost, {dropped} calls dropped",
        jobs.len()
    );
    assert!(jobs.len() > 100, "{} jobs", jobs.len());
    assert!(lost >= LOST, "{lost} answers were lost after their commits");
    assert!(failed > 0 && dropped > 0, "{fire:?}");
    check(&database, policy, jobs).await;
    told
}

/// By a process that saw nothing of it: no second is lost, what was acknowledged is in the ledger
/// once, and a repeat of everything changes nothing.
async fn check(database: &TestDatabase, policy: CreditPolicy, mut jobs: Vec<Job>) {
    let store = Arc::new(PgCreditStore::new(database.pool(8).await, policy));
    conserved(&store).await;
    compare(&moved(&store).await, &jobs);

    // What nobody heard of may be done by its repeat; all else was, and is answered the same.
    jobs = repeat(&store, jobs).await;
    conserved(&store).await;
    let moves = moved(&store).await;
    compare(&moves, &jobs);
    let all = store.ledger_totals().await.unwrap();
    assert_eq!(all, expected(&moves, &jobs));

    let before = rows(database).await;
    repeat(&store, jobs).await;
    assert_eq!(rows(database).await, before, "a repeat writes nothing");
    assert_eq!(store.ledger_totals().await.unwrap(), all);
}

fn users() -> impl Iterator<Item = UserId> {
    (0..ACCOUNTS).map(|n| UserId::parse(&format!("u{n}")).unwrap())
}

/// To the second, per account and in total.
async fn conserved(store: &PgCreditStore) {
    let mut sum = LedgerTotals::default();
    for user in users() {
        let totals = store.totals(&user).await.unwrap();
        assert!(totals.is_conserved(), "{user}: {totals:?}");
        sum += &totals;
    }
    let all = store.ledger_totals().await.unwrap();
    assert!(all.is_conserved(), "{all:?}");
    assert_eq!(all, sum);
    assert_eq!(store.verify_all(None, 100).await.unwrap().drifts, []);
}

/// How many seconds the entries of a kind moved for an operation.
type Moves = BTreeMap<(Option<String>, &'static str), u64>;

const fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Purchase => "purchase",
        EntryKind::Reserve => "reserve",
        EntryKind::Commit => "commit",
        EntryKind::Release => "release",
        EntryKind::Refund => "refund",
        EntryKind::DailyGift | EntryKind::WelcomeBonus => "gift",
        _ => "other",
    }
}

async fn moved(store: &PgCreditStore) -> Moves {
    let mut moves = Moves::new();
    for user in users() {
        for entry in store.entries(&user, 0, u32::MAX).await.unwrap() {
            let key = (entry.operation, word(entry.kind));
            *moves.entry(key).or_default() += entry.seconds.get();
        }
    }
    moves
}

/// What an operation moves when it is done once.
fn once(ask: &Ask) -> (&'static str, u64) {
    match ask {
        Ask::Credit(it) => ("purchase", it.seconds.get()),
        Ask::Reserve(it) => ("reserve", it.seconds.get()),
        Ask::Commit(it) => ("commit", it.seconds.get()),
        Ask::Release(_) => ("release", 0),
        Ask::Refund(it) => ("refund", it.seconds.get()),
    }
}

/// What was acknowledged was done once, all else once or not at all.
fn compare(moves: &Moves, jobs: &[Job]) {
    for job in jobs {
        let of = |kind| {
            let key = (Some(job.name.clone()), kind);
            moves.get(&key).copied().unwrap_or_default()
        };
        for Asked { ask, answer } in &job.asked {
            let (kind, seconds) = once(ask);
            let found = of(kind);
            match answer {
                // Midnight may have passed, so the answer says how much of it came back.
                Some(Answer::Committed(it)) => {
                    assert_eq!((it.charged.get(), it.shortfall.get()), (seconds, 0));
                    assert_eq!((found, of("release")), (seconds, it.returned.get()));
                }
                Some(Answer::Released(it)) => assert_eq!(found, it.returned.get(), "{ask:?}"),
                Some(Answer::Refunded(it)) => assert_eq!(found, it.returned.get(), "{ask:?}"),
                Some(_) => assert_eq!(found, seconds, "{ask:?}"),
                None if matches!(ask, Ask::Release(_)) => {}
                None => assert!(found == 0 || found == seconds, "{found}: {ask:?}"),
            }
        }
    }
}

/// The sums that the operations make, each done once, beside the gifts. Midnight's breakage is the
/// rest.
fn expected(moves: &Moves, jobs: &[Job]) -> LedgerTotals {
    let mut all = LedgerTotals::default();
    let of = |kind| {
        let of = |((_, of), _): &(&(Option<String>, &str), &u64)| *of == kind;
        moves
            .iter()
            .filter(of)
            .map(|(_, it)| u128::from(*it))
            .sum::<u128>()
    };
    all.granted = of("gift");
    let mut held: BTreeMap<ReservationId, u128> = BTreeMap::new();
    for asked in jobs.iter().flat_map(|job| &job.asked) {
        match (&asked.ask, asked.answer.as_ref().unwrap()) {
            (Ask::Reserve(it), _) => {
                held.insert(it.reservation_id(), u128::from(it.seconds.get()));
            }
            (Ask::Commit(it), Answer::Committed(answer)) => {
                held.remove(&it.reservation);
                all.charged += u128::from(answer.charged.get());
            }
            (Ask::Release(it), _) => {
                held.remove(&it.reservation);
            }
            (Ask::Credit(it), _) => all.granted += u128::from(it.seconds.get()),
            (_, Answer::Refunded(it)) => all.granted += u128::from(it.returned.get()),
            other => panic!("{other:?}"),
        }
    }
    all.held = held.values().sum();
    all.breakage = of("other");
    all.available = all.granted - all.held - all.charged - all.breakage;
    all
}

/// Asks everything again and gives the jobs with all their answers.
async fn repeat(store: &Arc<PgCreditStore>, jobs: Vec<Job>) -> Vec<Job> {
    let mut tasks = JoinSet::new();
    for share in jobs.chunks(jobs.len().div_ceil(8)) {
        let (store, mut share) = (store.clone(), share.to_vec());
        tasks.spawn(async move {
            let steps = store.clone();
            let process = Process { store, steps };
            for Asked { ask, answer } in share.iter_mut().flat_map(|job| &mut job.asked) {
                let (again, repeat) = process.ask(ask).await.unwrap();
                if let Some(answer) = answer {
                    assert!(repeat, "done twice: {ask:?}");
                    assert_eq!(again, *answer, "{ask:?}");
                }
                *answer = Some(again);
            }
            share
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// How many rows each table has, and how often accounts were changed.
async fn rows(database: &TestDatabase) -> (i64, i64, i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM sheen.credit_entries),
            (SELECT count(*) FROM sheen.credit_holds),
            (SELECT count(*) FROM sheen.credit_operations),
            (SELECT count(*) FROM sheen.credit_payments),
            (SELECT sum(version)::bigint FROM sheen.credit_accounts)",
    )
    .fetch_one(&mut database.connection().await)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_while_sessions_are_killed() {
    println!("{}", under_fire(false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_in_groups_while_sessions_are_killed() {
    println!("{}", under_fire(true).await);
}
