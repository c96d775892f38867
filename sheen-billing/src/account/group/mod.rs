//! Group commit: what came for an account while its last batch was in flight goes as the next.
//!
//! # Rules
//!
//! 1. Steps of different callers on one account travel together and each gets its own outcome, the
//!    one that it would have had in the order in which they came.
//! 2. A lone step waits for nobody. It lets the tasks run first that can run, so that callers
//!    whose last steps were just answered travel together again.
//! 3. Accounts take turns. A turn is of at most [`GroupSettings::accounts`] accounts, a batch each,
//!    which go to the store [together](CreditStore::several); one that is busy there is not waited
//!    for and has its next turn by itself. At most [`GroupSettings::in_flight`] turns are in
//!    flight, and one of an account.
//! 4. A batch that fails is done again member by member, so that a bad one fails alone; not when
//!    the store cannot be reached.
//! 5. A caller that goes away takes its step with it while that is queued. Once in flight the step
//!    is done: a hold that nobody waits for lapses, or is found by a repeat of its operation.
//! 6. An account's queue is bounded: whoever comes when it is full waits for room. All queues
//!    together are bounded too: whoever comes then is refused as
//!    [`Full`](StoreErrorKind::Full).
//! 7. A batch whose task ends early, by a panic say, answers its callers with
//!    [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown); the next call starts a new one.
//!
//! ```
//! use std::sync::Arc;
//! use sheen_billing::account::*;
//! use sheen_core::id::{OperationId, UserId};
//! use sheen_core::runtime::TokioRuntime;
//! use sheen_core::seconds::Seconds;
//! use sheen_core::time::{ManualClock, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
//! let store = Arc::new(MemoryCreditStore::new(clock, CreditPolicy::default(), 1_000));
//! let credits = GroupCommit::new(store, Arc::new(TokioRuntime), GroupSettings::default());
//!
//! let wish = Reserve::new(UserId::parse("ada")?, OperationId::parse("op")?, Seconds::from_u32(60));
//! assert!(matches!(credits.reserve(wish).await?, ReserveOutcome::Reserved(_)));
//! # Ok(())
//! # }
//! ```

mod lanes;
mod promise;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{ReservationId, UserId};
use sheen_core::runtime::Spawn;

use self::lanes::{Lane, Lanes, Offer};
use self::promise::promise;
use self::turn::Turn;
use super::store::CreditStore;
use super::types::{
    Commit, CommitOutcome, CreditCommand, CreditOutcome, Extend, ExtendOutcome, Release,
    ReleaseOutcome, Reserve, ReserveOutcome,
};

/// How many holds' accounts are remembered. A step on one forgotten travels alone.
const HOLDERS: usize = 65_536;

/// How steps are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSettings {
    /// Off: every step goes by itself, as if there were no group commit.
    pub enabled: bool,
    /// The most steps of one turn, at least one; no more than the store takes.
    pub max_batch: usize,
    /// The most accounts of one turn, at least one.
    pub accounts: usize,
    /// The most steps queued for one account, at least one.
    pub depth: usize,
    /// The most steps queued in all, at least one.
    pub capacity: usize,
    /// The most turns in flight, at least one: no more than the store has connections.
    pub in_flight: usize,
}

impl Default for GroupSettings {
    /// On; 256 steps of 32 accounts in a turn, 1,024 queued for an account and 65,536 in all, 8
    /// turns in flight.
    fn default() -> Self {
        Self {
            enabled: true,
            max_batch: 256,
            accounts: 32,
            depth: 1_024,
            capacity: 65_536,
            in_flight: 8,
        }
    }
}

/// A credit store that groups the steps of independent callers.
#[derive(Debug)]
pub struct GroupCommit(Arc<Group>);

#[derive(Debug)]
struct Group {
    store: Arc<dyn CreditStore>,
    spawn: Arc<dyn Spawn>,
    settings: GroupSettings,
    lanes: Mutex<Lanes>,
    holders: Mutex<Holders>,
}

#[derive(Debug, Default)]
struct Holders {
    users: BTreeMap<ReservationId, UserId>,
    order: VecDeque<ReservationId>,
}

impl GroupCommit {
    /// Groups the steps on `store`; batches run as tasks of `spawn`.
    #[must_use]
    pub fn new(
        store: Arc<dyn CreditStore>,
        spawn: Arc<dyn Spawn>,
        settings: GroupSettings,
    ) -> Self {
        Self(Arc::new(Group {
            store,
            spawn,
            settings,
            lanes: Mutex::default(),
            holders: Mutex::default(),
        }))
    }

    async fn submit(&self, command: CreditCommand) -> Result<CreditOutcome, StoreError> {
        let group = &self.0;
        let lane = group.lane_of(&command);
        let mut command = Some(command);
        // Comes back as soon as the step is queued, or cannot be.
        let answer = poll_fn(|context| {
            let Some(wanted) = command.take() else {
                return Poll::Ready(Err(StoreError::new(StoreErrorKind::Rejected)));
            };
            let offer = group
                .lanes()
                .offer(&lane, wanted, &group.settings, context.waker());
            match offer {
                Offer::Queued(answer) => Poll::Ready(Ok(answer)),
                Offer::Refused => Poll::Ready(Err(StoreError::new(StoreErrorKind::Full))),
                Offer::Wait(back) => {
                    command = Some(back);
                    Poll::Pending
                }
            }
        })
        .await?;
        group.start_turns();
        answer.await
    }
}

impl Group {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a turn, if accounts wait for one and one more may be in flight.
    fn start_turns(self: &Arc<Self>) {
        if self.lanes().give_turn(self.settings.in_flight.max(1)) {
            let turn = Turn::new(self.clone());
            self.spawn.spawn(Box::pin(turn.run()));
        }
    }

    /// The account a step is on; a hold whose account is not known here is a lane of its own.
    fn lane_of(&self, command: &CreditCommand) -> Lane {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = match command {
            CreditCommand::Reserve(wish) => {
                holders.learn(wish.reservation_id(), &wish.user);
                return Lane::Account(wish.user.clone());
            }
            CreditCommand::Commit(wish) => &wish.reservation,
            CreditCommand::Release(wish) => &wish.reservation,
            CreditCommand::Extend(wish) => &wish.reservation,
        };
        match holders.users.get(hold) {
            Some(user) => Lane::Account(user.clone()),
            None => Lane::Hold(hold.clone()),
        }
    }
}

impl Holders {
    fn learn(&mut self, hold: ReservationId, user: &UserId) {
        if self.users.insert(hold.clone(), user.clone()).is_none() {
            self.order.push_back(hold);
        }
        if self.order.len() > HOLDERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.users.remove(&oldest);
        }
    }
}

/// An outcome of another kind than its command: a fault of the store.
fn mixed_up() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}

#[async_trait]
impl CreditStore for GroupCommit {
    async fn reserve(&self, reserve: Reserve) -> Result<ReserveOutcome, StoreError> {
        if !self.0.settings.enabled {
            return self.0.store.reserve(reserve).await;
        }
        match self.submit(CreditCommand::Reserve(reserve)).await? {
            CreditOutcome::Reserve(outcome) => Ok(outcome),
            _ => Err(mixed_up()),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome, StoreError> {
        if !self.0.settings.enabled {
            return self.0.store.commit(commit).await;
        }
        match self.submit(CreditCommand::Commit(commit)).await? {
            CreditOutcome::Commit(outcome) => Ok(outcome),
            _ => Err(mixed_up()),
        }
    }

    async fn release(&self, release: Release) -> Result<ReleaseOutcome, StoreError> {
        if !self.0.settings.enabled {
            return self.0.store.release(release).await;
        }
        match self.submit(CreditCommand::Release(release)).await? {
            CreditOutcome::Release(outcome) => Ok(outcome),
            _ => Err(mixed_up()),
        }
    }

    async fn extend(&self, extend: Extend) -> Result<ExtendOutcome, StoreError> {
        if !self.0.settings.enabled {
            return self.0.store.extend(extend).await;
        }
        match self.submit(CreditCommand::Extend(extend)).await? {
            CreditOutcome::Extend(outcome) => Ok(outcome),
            _ => Err(mixed_up()),
        }
    }

    /// Goes to the store as it is: it is a group already.
    async fn batch(&self, commands: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError> {
        self.0.store.batch(commands).await
    }

    /// Goes to the store as it is: they are groups already.
    async fn several(
        &self,
        batches: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError> {
        self.0.store.several(batches).await
    }
}
