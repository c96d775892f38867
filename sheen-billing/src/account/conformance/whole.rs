//! C11 and C13: laws over whole sequences.

use super::super::{CreditCommand, CreditOutcome, Extend, ExtendOutcome, Overage};
use super::*;
use sheen_core::time::Timestamp;

/// A sequence of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        // The high half of Knuth's MMIX generator.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

const NAMES: [&str; 3] = ["u0", "u1", "u2"];

/// Commands over few ids, so that repeats, conflicts and closed holds are common.
fn commands(dice: &mut Dice, count: usize) -> Vec<CreditCommand> {
    let mut one = || {
        let name = NAMES[dice.below(3) as usize];
        let operation = op(&format!("op{}", dice.below(40)));
        let seconds = secs(1 + dice.below(120));
        let reserve = Reserve {
            ttl: Duration::from_secs(60 + u64::from(dice.below(2)) * 7200),
            project: (dice.below(2) == 0).then(|| project("p")),
            overage: [Overage::TopUp, Overage::Reject][dice.below(2) as usize],
            ..Reserve::new(user(name), operation.clone(), seconds)
        };
        let target = Reserve::new(user(name), op(&format!("op{}", dice.below(40))), seconds);
        let hold = target.reservation_id();
        match dice.below(8) {
            0..4 => CreditCommand::Reserve(reserve),
            4 | 5 => CreditCommand::Commit(Commit::new(hold, operation, seconds)),
            6 => CreditCommand::Release(Release::new(hold, operation)),
            _ => CreditCommand::Extend(Extend::new(hold, Duration::from_secs(300))),
        }
    };
    (0..count).map(|_| one()).collect()
}

async fn run(store: &dyn CreditStore, command: CreditCommand) -> CreditOutcome {
    match command {
        CreditCommand::Reserve(it) => CreditOutcome::Reserve(store.reserve(it).await.unwrap()),
        CreditCommand::Commit(it) => CreditOutcome::Commit(store.commit(it).await.unwrap()),
        CreditCommand::Release(it) => CreditOutcome::Release(store.release(it).await.unwrap()),
        CreditCommand::Extend(it) => CreditOutcome::Extend(store.extend(it).await.unwrap()),
    }
}

/// An outcome without its instants, in which two stores may differ.
fn timeless(mut outcome: CreditOutcome) -> CreditOutcome {
    match &mut outcome {
        CreditOutcome::Reserve(
            ReserveOutcome::Reserved(it) | ReserveOutcome::AlreadyReserved(it),
        ) => it.expires_at = Timestamp::EPOCH,
        CreditOutcome::Reserve(ReserveOutcome::CapReached { reset_at, .. }) => {
            *reset_at = Timestamp::EPOCH;
        }
        CreditOutcome::Extend(ExtendOutcome::Extended { expires_at }) => {
            *expires_at = Timestamp::EPOCH;
        }
        _ => {}
    }
    outcome
}

fn capped() -> CreditPolicy {
    CreditPolicy {
        user_daily_cap: Some(secs(1500)),
        project_daily_cap: Some(secs(900)),
        ..gifts(600, 300)
    }
}

/// C11.
pub async fn c11_a_batch_is_its_commands_in_order(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let (batched, single) = (new(capped()).await, new(capped()).await);
    let mut dice = Dice(11);
    for round in 0..8 {
        let commands = commands(&mut dice, 40);
        let outcomes = batched.store.batch(commands.clone()).await.unwrap();
        let outcomes: Vec<_> = outcomes.into_iter().map(timeless).collect();
        let mut wanted = Vec::new();
        for command in commands {
            wanted.push(timeless(run(&*single.store, command).await));
        }
        assert_eq!(outcomes, wanted, "round {round}");
        let paces = [600, 43_200, 90_000];
        let pace = paces[dice.below(3) as usize];
        batched.forward(pace).await;
        single.forward(pace).await;
    }
    for name in NAMES {
        let views = (batched.view(name).await, single.view(name).await);
        assert_eq!(views.0.balance, views.1.balance);
        assert_eq!(views.0.usage, views.1.usage);
        assert_eq!(batched.totals(name).await, single.totals(name).await);
    }
    batched.check_books(&NAMES).await;
    assert_eq!(batched.store.batch(Vec::new()).await.unwrap(), []);
}

/// Reserves of two holds, and the ends of the two that the round before made.
fn steps_of(name: &str, round: u32) -> Vec<CreditCommand> {
    let of = |kind: &str, round: u32| {
        let operation = op(&format!("{kind}{round}"));
        Reserve::new(user(name), operation, secs(3 + round))
    };
    let mut steps = vec![
        CreditCommand::Reserve(of("paid", round)),
        CreditCommand::Reserve(of("back", round)),
    ];
    if let Some(before) = round.checked_sub(1) {
        let (paid, back) = (of("paid", before), of("back", before));
        let used = Commit::new(paid.reservation_id(), op(&format!("c{round}")), secs(round));
        let given = Release::new(back.reservation_id(), op(&format!("r{round}")));
        let longer = Extend::new(
            of("paid", round).reservation_id(),
            Duration::from_secs(9000),
        );
        steps.push(CreditCommand::Commit(used));
        steps.push(CreditCommand::Release(given));
        steps.push(CreditCommand::Extend(longer));
    }
    steps
}

/// C16.
pub async fn c16_each_of_several_batches_is_done_whole_or_left(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let (together, single) = (new(capped()).await, new(capped()).await);
    for round in 0..8 {
        // Each twice: the second time it is a repeat, which writes nothing.
        for repeat in [false, true] {
            let batches: Vec<_> = NAMES.iter().map(|name| steps_of(name, round)).collect();
            let told = together.store.several(batches.clone()).await.unwrap();
            assert_eq!(told.len(), batches.len());
            for (told, batch) in told.into_iter().zip(batches) {
                // A repeat may need to be looked up.
                let must = together.remembers && round > 0 && !repeat;
                assert!(told.is_some() || !must, "round {round}: {batch:?}");
                let outcomes = match told {
                    Some(outcomes) => outcomes,
                    // Left whole: done by itself, as if it had not been tried.
                    None => together.store.batch(batch.clone()).await.unwrap(),
                };
                let outcomes: Vec<_> = outcomes.into_iter().map(timeless).collect();
                let mut wanted = Vec::new();
                for command in batch {
                    wanted.push(timeless(run(&*single.store, command).await));
                }
                assert_eq!(outcomes, wanted, "round {round}");
            }
        }
        together.forward(600).await;
        single.forward(600).await;
    }
    for name in NAMES {
        assert_eq!(together.totals(name).await, single.totals(name).await);
    }
    together.check_books(&NAMES).await;
    assert_eq!(together.store.several(Vec::new()).await.unwrap(), []);
}

/// C13.
pub async fn c13_nothing_is_lost_and_nothing_made(
    new: impl AsyncFn(CreditPolicy) -> CreditHarness,
) {
    let harness = new(capped()).await;
    let mut dice = Dice(13);
    for (n, command) in commands(&mut dice, 400).into_iter().enumerate() {
        run(&*harness.store, command).await;
        match dice.below(10) {
            0 => {
                let payment = format!("pay{}", dice.below(60));
                harness.credit(NAMES[n % 3], &payment, 50).await;
            }
            1 => harness.forward(u64::from(dice.below(7200))).await,
            2 => {
                harness.sweep.expire(dice.below(4)).await.unwrap();
            }
            _ => {}
        }
        if n % 10 == 0 {
            harness.check_books(&NAMES).await;
        }
    }
    harness.check_books(&NAMES).await;
    let all = harness.reader.ledger_totals().await.unwrap();
    assert!(all.charged > 0 && all.breakage > 0, "{all:?}");
}
