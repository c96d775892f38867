//! Random operations, the same ones on PostgreSQL and on the store in memory, under one clock:
//! every outcome, view and entry is the same. G1: what goes in batches on PostgreSQL goes one by
//! one in memory, 100,000 operations of it in full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sheen_billing::account::{
    Commit, CreditAudit, CreditCommand, CreditOutcome, CreditPolicy, CreditReader, CreditStore,
    CreditSweep, Extend, GrantStore, MemoryCreditStore, Overage, PgCreditStore, Purchase, Refund,
    Release, Reserve, Terms,
};
use sheen_billing::price::{TableVersion, Tier};
use sheen_core::id::{OperationId, PaymentId, ProjectId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{ManualClock, Timestamp};

use testkit::Proof;

use super::World;

const USERS: [&str; 4] = ["u0", "u1", "u2", "u3"];

/// A sequence of numbers that is the same in every run, and how many operations were made of it.
struct Dice(u64, u64);

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
        // Names of their own per thousand, or soon all would be repeats.
        let life = self.1 / 1_000;
        OperationId::parse(&format!("op{life}.{}", self.below(60))).unwrap()
    }

    fn payment(&mut self) -> PaymentId {
        let life = self.1 / 1_000;
        PaymentId::parse(&format!("pay{life}.{}", self.below(40))).unwrap()
    }

    fn refund(&mut self) -> Refund {
        let (user, operation) = (self.user(), self.operation());
        let seconds = Seconds::new(1 + self.below(90)).unwrap();
        if self.below(2) == 0 {
            return Refund::of_purchase(user, operation, self.payment(), seconds);
        }
        let hold = Reserve::new(user.clone(), self.operation(), seconds).reservation_id();
        Refund::of_charge(user, operation, hold, seconds)
    }

    /// Over few ids, so that repeats, conflicts and closed holds are common.
    fn command(&mut self) -> CreditCommand {
        let user = self.user();
        self.command_of(user)
    }

    /// Holds of a few seconds, most of them ended at once: refused only once the day's seconds are
    /// used up.
    fn sound_commands_of(&mut self, user: &UserId) -> Vec<CreditCommand> {
        let mut commands = Vec::new();
        for _ in 0..1 + self.below(6) {
            self.1 += 1;
            let operation = OperationId::parse(&format!("sound{}", self.1)).unwrap();
            let seconds = Seconds::new(1 + self.below(5)).unwrap();
            let mut reserve = Reserve::new(user.clone(), operation.clone(), seconds);
            reserve.ttl = Duration::from_secs([60, 7200][usize::from(self.below(2) == 0)]);
            let hold = reserve.reservation_id();
            commands.push(CreditCommand::Reserve(reserve));
            match self.below(4) {
                0 | 1 => {
                    let used = Seconds::new(self.below(8)).unwrap();
                    commands.push(CreditCommand::Commit(Commit::new(hold, operation, used)));
                }
                2 => commands.push(CreditCommand::Release(Release::new(hold, operation))),
                _ => {}
            }
        }
        commands
    }

    fn command_of(&mut self, user: UserId) -> CreditCommand {
        self.1 += 1;
        let seconds = Seconds::new(1 + self.below(120)).unwrap();
        let mut reserve = Reserve::new(user.clone(), self.operation(), seconds);
        if self.below(4) == 0 {
            reserve.overage = Overage::Reject;
            let mut terms = Terms::new(Tier::Premium, TableVersion::new(3));
            terms.packages = (self.below(2) == 0).then(|| TableVersion::new(4));
            reserve.terms = Some(terms);
        }
        let ttls = [0, 60, 600, 7200, 200_000];
        reserve.ttl = Duration::from_secs(ttls[usize::try_from(self.below(5)).unwrap()]);
        if self.below(2) == 0 {
            let project = format!("p{}", self.below(3));
            reserve.project = Some(ProjectId::parse(&project).unwrap());
        }
        let hold = Reserve::new(user, self.operation(), seconds).reservation_id();
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

/// Both stores and the hand on both clocks.
struct Pair {
    world: World,
    memory: MemoryCreditStore,
    clock: Arc<ManualClock>,
    /// How many batches were done together with others.
    together: AtomicU64,
}

impl Pair {
    async fn new() -> Self {
        let noon = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::at(noon));
        Self {
            world: World::new(policy()).await,
            memory: MemoryCreditStore::new(clock.clone(), policy(), 1_000),
            clock,
            together: AtomicU64::new(0),
        }
    }

    async fn forward(&self, dice: &mut Dice) {
        let pace = [1, 60, 600, 7200, 43_200][usize::try_from(dice.below(5)).unwrap()];
        let pace = Duration::from_secs(pace);
        self.clock.advance(pace);
        self.world.advance(pace).await;
    }

    async fn one_by_one(&self, commands: Vec<CreditCommand>) -> Vec<CreditOutcome> {
        let mut outcomes = Vec::new();
        for command in commands {
            outcomes.push(run(&self.memory, command).await);
        }
        outcomes
    }

    /// One random step on both; `store` is the one on PostgreSQL.
    async fn step(&self, store: &PgCreditStore, dice: &mut Dice, here: &str) {
        let memory = &self.memory;
        match dice.below(20) {
            0..9 => {
                let command = dice.command();
                let wanted = run(memory, command.clone()).await;
                let got = run(store, command.clone()).await;
                assert_eq!(got, wanted, "{here}: {command:?}");
            }
            9..12 => self.batches(store, dice, here).await,
            12 | 13 => {
                let seconds = Seconds::new(1 + dice.below(3) * 50).unwrap();
                let purchase = Purchase::new(dice.user(), dice.payment(), seconds);
                let wanted = memory.credit(purchase.clone()).await.unwrap();
                assert_eq!(store.credit(purchase).await.unwrap(), wanted, "{here}");
            }
            14 | 15 => {
                let refund = dice.refund();
                let wanted = memory.refund(refund.clone()).await.unwrap();
                let got = store.refund(refund.clone()).await.unwrap();
                assert_eq!(got, wanted, "{here}: {refund:?}");
            }
            16 => {
                let limit = u32::try_from(dice.below(6)).unwrap();
                let wanted = memory.expire(limit).await.unwrap();
                assert_eq!(store.expire(limit).await.unwrap(), wanted, "{here}");
            }
            17 => {
                let reserve = Reserve::new(dice.user(), dice.operation(), Seconds::MAX);
                let hold = reserve.reservation_id();
                let wanted = memory.hold(&hold).await.unwrap();
                assert_eq!(store.hold(&hold).await.unwrap(), wanted, "{here}");
            }
            _ => self.forward(dice).await,
        }
    }

    /// A batch, or one of each account together, against one by one.
    async fn batches(&self, store: &PgCreditStore, dice: &mut Dice, here: &str) {
        if dice.below(2) == 0 {
            let commands: Vec<_> = (0..dice.below(30)).map(|_| dice.command()).collect();
            let got = store.batch(commands.clone()).await.unwrap();
            assert_eq!(got, self.one_by_one(commands).await, "{here}");
            return;
        }
        let mut batches: Vec<Vec<CreditCommand>> = Vec::new();
        for name in USERS {
            let user = UserId::parse(name).unwrap();
            // One bad command leaves its batch to be done alone, so most have none.
            if dice.below(4) > 0 {
                batches.push(dice.sound_commands_of(&user));
                continue;
            }
            let of_user = (0..1 + dice.below(12)).map(|_| dice.command_of(user.clone()));
            batches.push(of_user.collect());
        }
        let told = store.several(batches.clone()).await.unwrap();
        assert_eq!(told.len(), batches.len());
        for (told, batch) in told.into_iter().zip(batches) {
            let got = match told {
                Some(outcomes) => {
                    self.together.fetch_add(1, Relaxed);
                    outcomes
                }
                None => store.batch(batch.clone()).await.unwrap(),
            };
            assert_eq!(got, self.one_by_one(batch).await, "{here}");
        }
    }

    async fn agree_in_the_end(&self, seed: u64) {
        for name in USERS {
            let user = UserId::parse(name).unwrap();
            let wanted = self.memory.entries(&user, 0, u32::MAX).await.unwrap();
            assert!(wanted.len() > 50);
            let got = self.world.store.entries(&user, 0, u32::MAX).await.unwrap();
            for (got, wanted) in got.iter().zip(&wanted) {
                assert_eq!(got, wanted, "seed {seed}");
            }
            assert_eq!(got.len(), wanted.len());
            let users = [user];
            let wanted = self.memory.views(&users).await.unwrap();
            assert_eq!(self.world.store.views(&users).await.unwrap(), wanted);
        }
        let audit = self.world.store.verify_all(None, 10).await.unwrap();
        assert_eq!(audit.drifts, []);
    }
}

async fn agree(seed: u64, operations: u64, strangers: bool) {
    let pair = Pair::new().await;
    let mut dice = Dice(seed, 0);
    while dice.1 < operations {
        let here = format!("seed {seed}, operation {}", dice.1);
        // A process of its own now and then, so that what the other remembers is stale.
        if strangers && dice.below(3) == 0 {
            let other = PgCreditStore::new(pair.world.pool.clone(), policy());
            pair.step(&other, &mut dice, &here).await;
        } else {
            pair.step(&pair.world.store, &mut dice, &here).await;
        }
    }
    let together = pair.together.load(Relaxed);
    assert!(together > operations / 300, "{together} in groups");
    pair.agree_in_the_end(seed).await;
}

#[tokio::test]
async fn g1_random_operations_equal_those_of_the_memory_store() {
    agree(0x5EED, Proof::size().pick(3_000, 100_000), false).await;
}

#[tokio::test]
async fn g1_random_operations_of_two_processes_equal_those_of_the_memory_store() {
    agree(0xFEED, Proof::size().pick(3_000, 100_000), true).await;
}
