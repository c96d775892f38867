//! Callers that vanish at any await: 10,000 random operations, each dropped after a random number
//! of polls, and no second is ever lost, doubled or stuck.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sheen::admission::{Admitted, KeyedCall};
use sheen::worker::{Start, Worker};
use sheen_billing::account::{
    Commit, CreditReader, CreditStore, CreditSweep, GrantStore, LedgerTotals, Purchase, Release,
    Reserve,
};
use sheen_core::build::{BuildInput, BuildKind, BuildReader, Ending, FailureReason};
use sheen_core::files::FileSet;
use sheen_core::id::{
    BuildId, BuildSessionId, OperationId, PaymentId, PrincipalId, ProjectId, ReservationId, UserId,
    WorkerId,
};
use sheen_core::idempotency::{Fingerprint, IdempotencyKey, Scope, StoredAnswer};
use sheen_core::mode::permit;
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::EventLog;

use crate::support::{Rooms, Slow};

/// Polls `future` at most `polls` times, then drops it; the tasks it began run on.
async fn vanish_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(value) = futures_util::poll!(future.as_mut()) {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Lets the tasks that were begun come to their end.
async fn settle_down() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

struct World {
    rooms: Rooms,
    worker: Arc<Worker>,
    dice: fastrand::Rng,
    builds: Vec<(UserId, BuildId)>,
    holds: Vec<ReservationId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let rooms = Rooms::new();
        let mut parts = rooms.parts(Vec::new());
        parts.admission = Arc::new(Slow(rooms.admission.clone()));
        let worker = Arc::new(Worker::new(parts));
        Self {
            rooms,
            worker,
            dice: fastrand::Rng::with_seed(seed),
            builds: Vec::new(),
            holds: Vec::new(),
        }
    }

    fn user(&mut self) -> UserId {
        UserId::parse(&format!("u{}", self.dice.u8(..3))).unwrap()
    }

    fn operation(&mut self) -> OperationId {
        OperationId::parse(&format!("o{}", self.dice.u16(..400))).unwrap()
    }

    fn polls(&mut self) -> u32 {
        if self.dice.u8(..3) == 0 {
            self.dice.u32(..4)
        } else {
            100
        }
    }

    async fn start(&mut self) {
        let user = self.user();
        let project = ProjectId::parse(&format!("p{}", self.dice.u8(..4))).unwrap();
        let kind = if self.dice.bool() {
            BuildKind::Create
        } else {
            BuildKind::Update
        };
        let input = BuildInput::new(kind, "a site", FileSet::default());
        let render = |admitted: &Admitted| {
            let id = admitted.queued.build.id.as_str().as_bytes();
            StoredAnswer::new(202, Vec::new(), id, "req_1")
        };
        let mut start = Start::new(user.clone(), project, input, Arc::new(render));
        start.allow_concurrent = self.dice.u8(..4) == 0;
        if self.dice.bool() {
            let text = format!("s{}", self.dice.u16(..500));
            start.session = Some(BuildSessionId::parse(&text).unwrap());
        }
        if self.dice.bool() {
            let key = format!("k{}", self.dice.u16(..500));
            let scope = Scope::new(PrincipalId::parse("front").unwrap(), user);
            let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
            start.call = Some(KeyedCall::new(
                scope,
                key,
                Fingerprint::of("POST", "/", "", &[0; 32]),
            ));
        }
        let polls = self.polls();
        let worker = Arc::clone(&self.worker);
        vanish_after(polls, worker.start(permit(None, None).unwrap(), start)).await;
    }

    async fn some_build(&mut self) -> Option<(UserId, BuildId, FencingToken)> {
        if self.builds.is_empty() {
            return None;
        }
        let index = self.dice.usize(..self.builds.len());
        let (user, id) = self.builds[index].clone();
        let found = vanish_after(10, self.rooms.builds.get(&id))
            .await
            .unwrap()
            .unwrap();
        let token = found.map_or(FencingToken::ZERO, |queued| queued.build.token);
        let token = if self.dice.u8(..8) == 0 {
            token.next()
        } else {
            token
        };
        Some((user, id, token))
    }

    async fn finish(&mut self) {
        let Some((user, id, token)) = self.some_build().await else {
            return;
        };
        let polls = self.polls();
        let worker = Arc::clone(&self.worker);
        let ending = match self.dice.u8(..4) {
            0 => Ending::Failed {
                reason: FailureReason::BuildFailed,
                error: "broke".into(),
            },
            1 => {
                vanish_after(polls, worker.cancel(&user, &id)).await;
                return;
            }
            2 => {
                vanish_after(polls, worker.heartbeat(&id, token)).await;
                return;
            }
            _ => Ending::Deployed {
                preview_url: "https://preview.test/".into(),
                seconds: Seconds::from_u32(self.dice.u32(..1000)),
            },
        };
        vanish_after(polls, worker.finish(&id, token, ending)).await;
    }

    async fn credits(&mut self) {
        let user = self.user();
        let operation = self.operation();
        let seconds = Seconds::from_u32(self.dice.u32(1..400));
        let polls = self.polls();
        let credits = Arc::clone(&self.rooms.credits);
        let hold = (!self.holds.is_empty())
            .then(|| self.holds[self.dice.usize(..self.holds.len())].clone());
        match (self.dice.u8(..4), hold) {
            (0, Some(hold)) => {
                vanish_after(polls, credits.commit(Commit::new(hold, operation, seconds))).await;
            }
            (1, Some(hold)) => {
                vanish_after(polls, credits.release(Release::new(hold, operation))).await;
            }
            (2, _) => {
                let payment = PaymentId::parse(&format!("pay{}", self.dice.u16(..200))).unwrap();
                vanish_after(polls, credits.credit(Purchase::new(user, payment, seconds))).await;
            }
            _ => {
                let mut reserve = Reserve::new(user, operation, seconds);
                reserve.ttl = Duration::from_secs(self.dice.u64(60..7200));
                self.holds.push(reserve.reservation_id());
                vanish_after(polls, credits.reserve(reserve)).await;
            }
        }
    }

    async fn step(&mut self) {
        match self.dice.u8(..12) {
            0..=3 => self.start().await,
            4 | 5 => {
                let polls = self.polls();
                let worker = Arc::clone(&self.worker);
                vanish_after(polls, worker.claim(&WorkerId::parse("w1").unwrap())).await;
            }
            6 | 7 => self.finish().await,
            8 | 9 => self.credits().await,
            10 => {
                let polls = self.polls();
                let worker = Arc::clone(&self.worker);
                vanish_after(polls, worker.sweep(10)).await;
                vanish_after(polls, self.rooms.credits.expire(10)).await;
            }
            _ => {
                let longest = if self.dice.u8(..10) == 0 { 90_000 } else { 120 };
                let seconds = self.dice.u64(..longest);
                self.rooms.clock.advance(Duration::from_secs(seconds));
            }
        }
        settle_down().await;
        // A vanished caller knows no ids; the test reads them where an operator would.
        let state = self.rooms.builds.lock();
        self.builds = state
            .builds()
            .map(|build| (build.user.clone(), build.id.clone()))
            .collect();
        self.builds.sort();
        let holds = state.builds().filter_map(|build| build.hold.clone());
        let mut holds: Vec<_> = holds.map(|hold| hold.id).collect();
        holds.sort();
        drop(state);
        let known = self.dice.usize(..4);
        self.holds.extend(holds.into_iter().rev().take(known));
        if self.holds.len() > 64 {
            self.holds.drain(..32);
        }
    }

    async fn conserved(&self) {
        let mut sums = LedgerTotals::default();
        for user in ["u0", "u1", "u2"] {
            let user = UserId::parse(user).unwrap();
            let totals = vanish_after(10, self.rooms.credits.totals(&user))
                .await
                .unwrap()
                .unwrap();
            assert!(totals.is_conserved(), "{user}: {totals:?}");
            sums += &totals;
        }
        let all = vanish_after(10, self.rooms.credits.ledger_totals())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(all, sums);
    }

    /// Once every deadline has passed and the sweeps have run, no build is active and no second is
    /// held.
    async fn nothing_is_stuck(&self) {
        self.rooms.clock.advance(Duration::from_secs(2 * 24 * 3600));
        while self.worker.sweep(100).await.unwrap() > 0 {}
        while self.rooms.credits.expire(100).await.unwrap() > 0 {}
        let totals = self.rooms.credits.ledger_totals().await.unwrap();
        assert_eq!(totals.held, 0);
        assert_eq!(self.rooms.builds.lock().queued(), 0);
        assert_eq!(self.rooms.builds.lock().building(), 0);
    }

    async fn builds_are_sound(&self) {
        let mut active: BTreeMap<ProjectId, u32> = BTreeMap::new();
        for (_, id) in &self.builds {
            let build = vanish_after(10, self.rooms.builds.get(id))
                .await
                .unwrap()
                .unwrap()
                .unwrap()
                .build;
            if build.status.is_active() && !build.allow_concurrent {
                *active.entry(build.project.clone()).or_default() += 1;
            }
            let page = vanish_after(10, self.rooms.log.read(id, 0, 500))
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            let ends = page
                .events
                .iter()
                .filter(|event| matches!(event.kind.as_str(), "deploy_completed" | "deploy_failed"))
                .count();
            assert_eq!(ends, usize::from(!build.status.is_active()), "{build:?}");
            assert_eq!(page.stream.closed, !build.status.is_active());
        }
        assert!(
            active.values().all(|count| *count <= 1),
            "one active build a project"
        );
    }
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_stuck_when_callers_vanish() {
    for seed in [1, 2] {
        let mut world = World::new(seed);
        for step in 0..5_000 {
            world.step().await;
            world.conserved().await;
            if step % 250 == 0 {
                world.builds_are_sound().await;
            }
        }
        world.builds_are_sound().await;
        assert!(
            world.builds.len() > 100,
            "the run admitted builds: {}",
            world.builds.len()
        );
        world.nothing_is_stuck().await;
    }
}
