//! Random operations, the same ones on PostgreSQL and on the store in memory, under one clock.

use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{
    Commit, CreditAudit, CreditCommand, CreditOutcome, CreditPolicy, CreditReader, CreditStore,
    CreditSweep, Extend, GrantStore, MemoryCreditStore, Purchase, Release, Reserve,
};
use sheen_core::id::{OperationId, PaymentId, ProjectId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};

use super::World;

const USERS: [&str; 4] = ["u0", "u1", "u2", "u3"];

/// A sequence of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn user(&mut self) -> UserId {
        let user = USERS[usize::try_from(self.below(4)).unwrap()];
        UserId::parse(user).unwrap()
    }

    fn operation(&mut self) -> OperationId {
        OperationId::parse(&format!("op{}", self.below(60))).unwrap()
    }

    /// Over few ids, so that repeats, conflicts and closed holds are common.
    fn command(&mut self) -> CreditCommand {
        let seconds = Seconds::new(1 + self.below(120)).unwrap();
        let mut reserve = Reserve::new(self.user(), self.operation(), seconds);
        let ttls = [0, 60, 600, 7200, 200_000];
        reserve.ttl = Duration::from_secs(ttls[usize::try_from(self.below(5)).unwrap()]);
        if self.below(2) == 0 {
            let project = format!("p{}", self.below(3));
            reserve.project = Some(ProjectId::parse(&project).unwrap());
        }
        let hold = Reserve::new(self.user(), self.operation(), seconds).reservation_id();
        match self.below(8) {
            0..4 => CreditCommand::Reserve(reserve),
            4 | 5 => CreditCommand::Commit(Commit::new(hold, self.operation(), seconds)),
            6 => CreditCommand::Release(Release::new(hold, self.operation())),
            _ => CreditCommand::Extend(Extend::new(hold, reserve.ttl)),
        }
    }
}

fn policy() -> CreditPolicy {
    let mut policy = CreditPolicy::default();
    policy.daily_gift = Seconds::from_u32(600);
    policy.welcome_bonus = Seconds::from_u32(300);
    policy.user_daily_cap = Some(Seconds::from_u32(1500));
    policy.project_daily_cap = Some(Seconds::from_u32(700));
    policy
}

async fn run(store: &dyn CreditStore, command: CreditCommand) -> CreditOutcome {
    match command {
        CreditCommand::Reserve(it) => CreditOutcome::Reserve(store.reserve(it).await.unwrap()),
        CreditCommand::Commit(it) => CreditOutcome::Commit(store.commit(it).await.unwrap()),
        CreditCommand::Release(it) => CreditOutcome::Release(store.release(it).await.unwrap()),
        CreditCommand::Extend(it) => CreditOutcome::Extend(store.extend(it).await.unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Every outcome, instants included, every view and every entry is the same.
async fn agree(seed: u64, steps: u32, strangers: bool) {
    let world = World::new(policy()).await;
    let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let memory = MemoryCreditStore::new(clock.clone(), policy(), 1_000);
    let mut dice = Dice(seed);
    for step in 0..steps {
        let here = format!("seed {seed}, step {step}");
        // A process of its own now and then, so that what the other remembers is stale.
        let other;
        let store = if strangers && dice.below(3) == 0 {
            other = sheen_billing::account::PgCreditStore::new(world.pool.clone(), policy());
            &other
        } else {
            &*world.store
        };
        match dice.below(20) {
            0..12 => {
                let command = dice.command();
                let wanted = run(&memory, command.clone()).await;
                assert_eq!(
                    run(store, command.clone()).await,
                    wanted,
                    "{here}: {command:?}"
                );
            }
            12..14 => {
                let commands: Vec<_> = (0..dice.below(30)).map(|_| dice.command()).collect();
                let wanted = memory.batch(commands.clone()).await.unwrap();
                let got = store.batch(commands).await.unwrap();
                assert_eq!(got, wanted, "{here}");
            }
            14 | 15 => {
                let payment = PaymentId::parse(&format!("pay{}", dice.below(40))).unwrap();
                let seconds = Seconds::new(1 + dice.below(3) * 50).unwrap();
                let purchase = Purchase::new(dice.user(), payment, seconds);
                let wanted = memory.credit(purchase.clone()).await.unwrap();
                assert_eq!(store.credit(purchase).await.unwrap(), wanted, "{here}");
            }
            16 => {
                let limit = u32::try_from(dice.below(6)).unwrap();
                let wanted = memory.expire(limit).await.unwrap();
                assert_eq!(store.expire(limit).await.unwrap(), wanted, "{here}");
            }
            _ => {
                let pace = [1, 60, 600, 7200, 43_200][usize::try_from(dice.below(5)).unwrap()];
                let pace = Duration::from_secs(pace);
                clock.advance(pace);
                world.advance(pace).await;
            }
        }
    }
    for name in USERS {
        let user = UserId::parse(name).unwrap();
        let wanted = memory.entries(&user, 0, u32::MAX).await.unwrap();
        assert!(wanted.len() > 50);
        let got = world.store.entries(&user, 0, u32::MAX).await.unwrap();
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(got, wanted, "seed {seed}");
        }
        assert_eq!(got.len(), wanted.len());
        let users = [user];
        let wanted = memory.views(&users).await.unwrap();
        assert_eq!(world.store.views(&users).await.unwrap(), wanted);
    }
    assert_eq!(world.store.verify_all(None, 10).await.unwrap().drifts, []);
}

#[tokio::test]
async fn random_operations_equal_those_of_the_memory_store() {
    agree(0x5EED, 1_500, false).await;
}

#[tokio::test]
async fn random_operations_of_two_processes_equal_those_of_the_memory_store() {
    agree(0xFEED, 1_500, true).await;
}
