//! Conservation under fire: callers over several pools while their sessions are killed and answers
//! are thrown away; for seconds, or for two minutes in full.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sheen_billing::account::{
    Commit, CommitOutcome, CreditAudit, CreditPolicy, CreditReader, CreditStore, EntryKind,
    GrantStore, GroupCommit, GroupSettings, PgCreditStore, Purchase, PurchaseOutcome, Release,
    ReleaseOutcome, Reserve, ReserveOutcome,
};
use sheen_billing::postgres::migrate;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::runtime::{Sleep, TokioRuntime};
use sheen_core::seconds::Seconds;
use testkit::{Proof, TestDatabase};
use tokio::task::JoinSet;

const POOLS: usize = 8;
const CALLERS: usize = 32;
const ACCOUNTS: usize = 5;

/// One job's operations: a purchase, a reserve, and the end of its hold.
#[derive(Debug, Clone)]
struct Job {
    purchase: Purchase,
    reserve: Reserve,
    commits: bool,
}

/// What its caller was told; none where it did not ask, or went away.
#[derive(Debug, Clone, Default)]
struct Told {
    reserved: Option<ReserveOutcome>,
    committed: Option<CommitOutcome>,
    released: Option<ReleaseOutcome>,
}

impl Job {
    fn new(caller: usize, n: usize) -> Self {
        let user = UserId::parse(&format!("u{}", (caller + n) % ACCOUNTS)).unwrap();
        let name = format!("job{caller}-{n}");
        let seconds = Seconds::from_u32(u32::try_from(1 + n % 40).unwrap());
        let payment = PaymentId::parse(&name).unwrap();
        Self {
            purchase: Purchase::new(user.clone(), payment, seconds),
            reserve: Reserve::new(user, OperationId::parse(&name).unwrap(), seconds),
            commits: !n.is_multiple_of(3),
        }
    }

    fn commit(&self) -> Commit {
        let used = Seconds::new(self.reserve.seconds.get() * 2 / 3).unwrap();
        Commit::new(
            self.reserve.reservation_id(),
            self.reserve.operation.clone(),
            used,
        )
    }

    fn release(&self) -> Release {
        Release::new(
            self.reserve.reservation_id(),
            self.reserve.operation.clone(),
        )
    }
}

/// Asks until there is an answer; what fails did not reach the store, or its outcome is open.
async fn insist<T, F>(mut ask: impl FnMut() -> F, killed: &AtomicUsize) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match ask().await {
            Ok(told) => return told,
            Err(error) => {
                use StoreErrorKind::{Contended, OutcomeUnknown, Unavailable};
                assert!(
                    matches!(error.kind, Contended | OutcomeUnknown | Unavailable),
                    "{error:?}"
                );
                killed.fetch_add(1, SeqCst);
            }
        }
    }
}

struct Process {
    store: Arc<PgCreditStore>,
    steps: Arc<dyn CreditStore>,
}

/// Works through jobs until it is over. Some answers are lost, so that the same is asked again, and
/// some calls are dropped midway.
async fn caller(
    process: Arc<Process>,
    number: usize,
    over: Arc<AtomicBool>,
    killed: Arc<AtomicUsize>,
) -> Vec<(Job, Told)> {
    let mut done = Vec::new();
    let mut n = 0;
    while !over.load(SeqCst) {
        let job = Job::new(number, n);
        let mut told = Told::default();
        n += 1;
        let times = if n % 4 == 0 { 2 } else { 1 };
        for _ in 0..times {
            let credited = insist(|| process.store.credit(job.purchase.clone()), &killed).await;
            assert!(!matches!(credited, PurchaseOutcome::OperationConflict));
        }
        if n % 7 == 0 {
            // Dropped between two polls, maybe with its statement under way.
            let gone = process.steps.reserve(job.reserve.clone());
            let _ = a_few_polls(gone).await;
        } else {
            for _ in 0..times {
                let held = insist(|| process.steps.reserve(job.reserve.clone()), &killed).await;
                told.reserved = Some(held);
            }
            // A fifth is left open.
            for _ in 0..if n % 5 == 0 { 0 } else { times } {
                if job.commits {
                    let ended = insist(|| process.steps.commit(job.commit()), &killed).await;
                    told.committed = Some(ended);
                } else {
                    let ended = insist(|| process.steps.release(job.release()), &killed).await;
                    told.released = Some(ended);
                }
            }
        }
        done.push((job, told));
    }
    done
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

/// Asks everything again: what was answered is answered the same, nothing is done twice.
async fn repeat(store: &PgCreditStore, job: &Job, told: &Told) {
    let credited = store.credit(job.purchase.clone()).await.unwrap();
    assert!(
        matches!(credited, PurchaseOutcome::AlreadyCredited(_)),
        "{credited:?}"
    );
    if let Some(held) = &told.reserved {
        let again = store.reserve(job.reserve.clone()).await.unwrap();
        match held {
            ReserveOutcome::Reserved(it) | ReserveOutcome::AlreadyReserved(it) => {
                assert_eq!(again, ReserveOutcome::AlreadyReserved(it.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
    match &told.committed {
        Some(CommitOutcome::Committed(it) | CommitOutcome::AlreadyCommitted(it)) => {
            let again = store.commit(job.commit()).await.unwrap();
            assert_eq!(again, CommitOutcome::AlreadyCommitted(it.clone()));
        }
        Some(other) => panic!("{other:?}"),
        None => {}
    }
    match &told.released {
        Some(ReleaseOutcome::Released(it) | ReleaseOutcome::AlreadyReleased(it)) => {
            let again = store.release(job.release()).await.unwrap();
            assert_eq!(again, ReleaseOutcome::AlreadyReleased(it.clone()));
        }
        Some(other) => panic!("{other:?}"),
        None => {}
    }
}

async fn under_fire(grouped: bool) {
    let kills = 4 * Proof::size().pick(3, 120);
    let database = testkit::postgres().await;
    migrate(&database.pool(1).await).await.unwrap();
    let mut killer = database.connection().await;
    let mut policy = CreditPolicy::default();
    policy.daily_gift = Seconds::from_u32(1_000_000_000);
    let mut processes = Vec::new();
    for _ in 0..POOLS {
        let pool = database.pool(3).await;
        let store = Arc::new(PgCreditStore::new(pool, policy));
        let mut settings = GroupSettings::default();
        settings.enabled = grouped;
        let steps = Arc::new(GroupCommit::new(
            store.clone(),
            Arc::new(TokioRuntime),
            settings,
        ));
        processes.push(Arc::new(Process { store, steps }));
    }
    let (over, killed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let process = processes[number % POOLS].clone();
        callers.spawn(caller(process, number, over.clone(), killed.clone()));
    }
    for _ in 0..kills {
        TokioRuntime.sleep(Duration::from_millis(250)).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend' AND random() < 0.5",
        )
        .execute(&mut killer)
        .await
        .unwrap();
    }
    over.store(true, SeqCst);
    let done: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    assert!(done.len() > 100, "{} jobs", done.len());
    assert!(killed.load(SeqCst) > 0, "nobody was hit");

    check(&database, policy, &done).await;
}

/// By a process that saw nothing of it: no second is lost, what was acknowledged is in the ledger
/// once, and a repeat of everything writes nothing.
async fn check(database: &TestDatabase, policy: CreditPolicy, done: &[(Job, Told)]) {
    let store = PgCreditStore::new(database.pool(2).await, policy);
    let all = store.ledger_totals().await.unwrap();
    assert!(all.is_conserved(), "{all:?}");
    assert_eq!(store.verify_all(None, 100).await.unwrap().drifts, []);

    let mut count: HashMap<(String, EntryKind), usize> = HashMap::new();
    let mut entries = 0;
    for n in 0..ACCOUNTS {
        let user = UserId::parse(&format!("u{n}")).unwrap();
        let totals = store.totals(&user).await.unwrap();
        assert!(totals.is_conserved(), "{user}: {totals:?}");
        for entry in store.entries(&user, 0, u32::MAX).await.unwrap() {
            entries += 1;
            if let Some(operation) = entry.operation {
                *count.entry((operation, entry.kind)).or_default() += 1;
            }
        }
    }
    for (job, told) in done {
        let name = job.reserve.operation.as_str().to_owned();
        let times = |kind| *count.get(&(name.clone(), kind)).unwrap_or(&0);
        assert_eq!(times(EntryKind::Purchase), 1, "{name}");
        // All of a hold is out of the gift, so each is one entry; a step that nobody was told of
        // was done once or not at all.
        match told.reserved {
            Some(_) => assert_eq!(times(EntryKind::Reserve), 1, "{name}"),
            None => assert!(times(EntryKind::Reserve) <= 1, "{name}"),
        }
        let used = !job.commit().seconds.is_zero();
        let charged = told.committed.is_some() && used;
        assert_eq!(times(EntryKind::Commit), usize::from(charged), "{name}");
        // What a commit left of its hold goes back, too.
        let back = told.committed.is_some() || told.released.is_some();
        assert_eq!(times(EntryKind::Release), usize::from(back), "{name}");
        repeat(&store, job, told).await;
    }
    let mut after = 0;
    for n in 0..ACCOUNTS {
        let user = UserId::parse(&format!("u{n}")).unwrap();
        after += store.entries(&user, 0, u32::MAX).await.unwrap().len();
    }
    assert_eq!(after, entries, "a repeat writes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_while_sessions_are_killed() {
    under_fire(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_in_groups_while_sessions_are_killed() {
    under_fire(true).await;
}
