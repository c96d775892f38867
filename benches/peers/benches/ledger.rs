//! Reserves on PostgreSQL, fsync on, beside cala-ledger (docs/performance.md, rows 7 and 8): one
//! account, and 10,000 by Zipf's law. For cala a reserve is one transaction of two entries in its
//! pending layer, from a user's account to a second one of theirs. It does less: it checks no
//! balance, no cap, no gift and no repeat. In batches, 64 of them are one call and one caller, which
//! is cala at its best; its caller has to queue for it.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench ledger`; `SHEEN_BENCH_ROUNDS` (3,
//! at most 500) says how many rounds the medians are of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use benches::figures::{Figure, median};
use cala_ledger::account::NewAccount;
use cala_ledger::job::{JobSvcConfig, Jobs};
use cala_ledger::journal::NewJournal;
use cala_ledger::posting::PostingInput;
use cala_ledger::tx_template::{
    NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction, ParamDataType,
    Params,
};
use cala_ledger::{
    AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId, TxTemplateId,
};
use sheen_billing::account::{
    CreditPolicy, CreditStore, GrantStore, GroupCommit, GroupSettings, PgCreditStore, Purchase,
    Reserve, ReserveOutcome,
};
use sheen_billing::postgres::migrate;
use sheen_core::id::{OperationId, PaymentId, UserId};
use sheen_core::runtime::TokioRuntime;
use sheen_core::seconds::Seconds;
use sheen_core::time::{Clock, SystemClock};
use testkit::{Durability, PostgresServer, TestDatabase};
use tokio::task::JoinSet;

const ACCOUNTS: usize = 10_000;
/// With the hot account of each round: one of them cannot hold all rounds' reserves.
const ALL: usize = ACCOUNTS + 500;
const BATCH: usize = 64;
const CODE: &str = "RESERVE";
const ONE_ACCOUNT: &str = "reserves on one account beside cala-ledger, fsync on";
const MANY_ACCOUNTS: &str = "reserves on 10,000 accounts beside cala-ledger, fsync on";

/// One reserve: of which account, and its number among all.
#[derive(Debug, Clone, Copy)]
struct Wish {
    account: usize,
    number: usize,
}

enum Contestant {
    Sheen(&'static str, GroupCommit),
    Cala(Box<Cala>),
    CalaInBatches(Arc<Self>),
}

struct Cala {
    ledger: CalaLedger,
    /// Each user's available and held accounts.
    accounts: Vec<[AccountId; 2]>,
    /// Its listeners live as long as it does.
    _jobs: Jobs,
}

fn user(account: usize) -> UserId {
    UserId::parse(&format!("u{account}")).expect("an id")
}

impl Contestant {
    const fn name(&self) -> &'static str {
        match self {
            Self::Sheen(name, _) => name,
            Self::Cala(_) => "cala-ledger, one by one",
            Self::CalaInBatches(_) => "cala-ledger, 64 a call",
        }
    }

    /// How many wishes one call takes.
    const fn takes(&self) -> usize {
        match self {
            Self::CalaInBatches(_) => BATCH,
            _ => 1,
        }
    }

    async fn reserve(&self, wishes: &[Wish]) {
        match self {
            Self::Sheen(_, store) => {
                for wish in wishes {
                    let operation = OperationId::parse(&format!("op{}", wish.number));
                    let operation = operation.expect("an id");
                    let reserve = Reserve::new(user(wish.account), operation, Seconds::from_u32(2));
                    let outcome = store.reserve(reserve).await.expect("a reserve");
                    assert!(
                        matches!(outcome, ReserveOutcome::Reserved(_)),
                        "{outcome:?}"
                    );
                }
            }
            Self::Cala(cala) => {
                for wish in wishes {
                    let posting = cala.ledger.post_transaction(
                        TransactionId::new(),
                        CODE,
                        cala.params(wish.account),
                    );
                    posting.await.expect("a transaction");
                }
            }
            Self::CalaInBatches(inner) => {
                let Self::Cala(cala) = &**inner else {
                    unreachable!("only cala has batches here")
                };
                let batch = wishes.iter().map(|wish| {
                    PostingInput::new(TransactionId::new(), CODE, cala.params(wish.account))
                });
                let posting = cala.ledger.post_transactions(batch.collect());
                posting.await.expect("a batch");
            }
        }
    }
}

impl Cala {
    fn params(&self, account: usize) -> Params {
        let [available, held] = self.accounts[account];
        let mut params = Params::new();
        params.insert("available", available);
        params.insert("held", held);
        params
    }

    async fn new(database: &TestDatabase) -> Self {
        let config = JobSvcConfig::builder()
            .pg_con(database.url())
            .exec_migrations(false)
            .build();
        let mut jobs = Jobs::init(config.expect("a configuration"))
            .await
            .expect("jobs");
        let config = CalaLedgerConfig::builder()
            .pg_con(database.url())
            .max_connections(64_u32)
            .exec_migrations(true)
            .build();
        let ledger = CalaLedger::init(config.expect("a configuration"), &mut jobs)
            .await
            .expect("a ledger");
        let journal = JournalId::new();
        let new = NewJournal::builder().id(journal).name("seconds").build();
        ledger.journals().create(new).await.expect("a journal");
        let template = template(journal);
        let created = ledger.tx_templates().create(template).await;
        created.expect("a template");
        let mut accounts = Vec::with_capacity(ALL);
        while accounts.len() < ALL {
            let page: Vec<[AccountId; 2]> = (0..500)
                .map(|_| [AccountId::new(), AccountId::new()])
                .collect();
            let new = page.iter().flatten().map(|id| {
                let name = id.to_string();
                NewAccount::builder()
                    .id(*id)
                    .code(name.clone())
                    .name(name)
                    .build()
            });
            let created = ledger.accounts().create_all(new.collect()).await;
            created.expect("accounts");
            accounts.extend(page);
        }
        Self {
            ledger,
            accounts,
            _jobs: jobs,
        }
    }
}

/// Two seconds from a user's account to what is held, both in the pending layer.
fn template(journal: JournalId) -> NewTxTemplate {
    let param = |name: &str| {
        NewParamDefinition::builder()
            .name(name)
            .r#type(ParamDataType::Uuid)
            .build()
            .expect("a parameter")
    };
    let entry = |account: &str, direction: &str| {
        NewTxTemplateEntry::builder()
            .entry_type("'RESERVE'")
            .account_id(format!("params.{account}"))
            .layer("PENDING")
            .direction(direction)
            .units("decimal('2')")
            .currency("'USD'")
            .build()
            .expect("an entry")
    };
    let transaction = NewTxTemplateTransaction::builder()
        .effective("date()")
        .journal_id(format!("uuid('{journal}')"))
        .build();
    NewTxTemplate::builder()
        .id(TxTemplateId::new())
        .code(CODE)
        .params(vec![param("available"), param("held")])
        .transaction(transaction.expect("a transaction"))
        .entries(vec![entry("available", "DEBIT"), entry("held", "CREDIT")])
        .build()
}

async fn sheen(database: &TestDatabase, name: &'static str, enabled: bool) -> Contestant {
    let pool = database.pool(64).await;
    migrate(&pool).await.expect("a schema");
    let mut policy = CreditPolicy::default();
    // Nothing is ended here, so that reserves alone are measured.
    policy.max_open_holds = 10_000;
    let store = Arc::new(PgCreditStore::new(pool, policy));
    let mut fillers = JoinSet::new();
    for part in 0..16 {
        let store = Arc::clone(&store);
        fillers.spawn(async move {
            for account in (part..ALL).step_by(16) {
                let payment = PaymentId::parse(&format!("pay{account}")).expect("an id");
                let seconds = Seconds::from_u32(1_000_000_000);
                let purchase = Purchase::new(user(account), payment, seconds);
                store.credit(purchase).await.expect("a purchase");
            }
        });
    }
    fillers.join_all().await;
    let mut settings = GroupSettings::default();
    settings.enabled = enabled;
    Contestant::Sheen(
        name,
        GroupCommit::new(store, Arc::new(TokioRuntime), settings),
    )
}

/// Reserves a second of `callers` who work through `wishes`.
async fn rate(contestant: &Arc<Contestant>, callers: usize, wishes: Vec<Wish>) -> f64 {
    let clock = SystemClock::new();
    let count = wishes.len();
    let (wishes, next) = (Arc::new(wishes), Arc::new(AtomicUsize::new(0)));
    let begun = clock.monotonic();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (contestant, wishes, next) = (contestant.clone(), wishes.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let from = next.fetch_add(contestant.takes(), Relaxed);
                let to = (from + contestant.takes()).min(wishes.len());
                if from >= to {
                    return;
                }
                contestant.reserve(&wishes[from..to]).await;
            }
        });
    }
    tasks.join_all().await;
    let seconds = (clock.monotonic() - begun).as_secs_f64();
    f64::from(u32::try_from(count).expect("a count")) / seconds
}

/// Accounts, the k-th as often as 1/k.
struct Zipf {
    sums: Vec<f64>,
    dice: u64,
}

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=10_000u32).map(|k| {
            sum += 1.0 / f64::from(k);
            sum
        });
        Self {
            sums: sums.collect(),
            dice: 7,
        }
    }

    fn next(&mut self) -> usize {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = f64::from(u32::try_from(self.dice >> 32).expect("32 bits"));
        let at = random / f64::from(u32::MAX) * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|sum| *sum < at).min(ACCOUNTS - 1)
    }
}

type Rates = BTreeMap<(&'static str, usize, &'static str), Vec<f64>>;

async fn round(
    contestants: &[Arc<Contestant>],
    hot: usize,
    zipf: &mut Zipf,
    number: &mut usize,
    rates: &mut Rates,
) {
    for work in [ONE_ACCOUNT, MANY_ACCOUNTS] {
        for callers in [1, 8, 64] {
            for contestant in contestants {
                // A call of 64 is beside 64 callers.
                let in_batches = matches!(**contestant, Contestant::CalaInBatches(_));
                if in_batches && callers < BATCH {
                    continue;
                }
                let count = if callers == 1 { 500 } else { 1_600 };
                let wishes = (0..count).map(|_| {
                    *number += 1;
                    let account = if work == ONE_ACCOUNT {
                        hot
                    } else {
                        zipf.next()
                    };
                    Wish {
                        account,
                        number: *number,
                    }
                });
                let wishes = wishes.collect();
                let callers_of_it = if in_batches { 1 } else { callers };
                let rate = rate(contestant, callers_of_it, wishes).await;
                let of = (work, callers, contestant.name());
                rates.entry(of).or_default().push(rate);
            }
        }
    }
}

async fn run() {
    let rounds = std::env::var("SHEEN_BENCH_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(3);
    let server = PostgresServer::start(Durability::On).expect("a server");
    let mut databases = Vec::new();
    for _ in 0..3 {
        databases.push(server.database().await.expect("a database"));
    }
    let cala = Arc::new(Contestant::Cala(Box::new(Cala::new(&databases[2]).await)));
    let contestants = [
        Arc::new(sheen(&databases[0], "sheen, group commit", true).await),
        Arc::new(sheen(&databases[1], "sheen, each by itself", false).await),
        Arc::clone(&cala),
        Arc::new(Contestant::CalaInBatches(cala)),
    ];
    let (mut zipf, mut number, mut rates) = (Zipf::new(), 0, Rates::new());
    for hot in ACCOUNTS..ALL.min(ACCOUNTS + rounds) {
        round(&contestants, hot, &mut zipf, &mut number, &mut rates).await;
    }
    for ((work, callers, series), rates) in &rates {
        Figure {
            work,
            unit: "reserves/s",
            by: "callers",
            at: u64::try_from(*callers).expect("a count"),
            series,
            value: median(rates),
        }
        .tell();
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(run());
}
