//! Everything in this process's memory.

use std::sync::Arc;

use sheen::memory::{MemoryConfig, MemoryRooms};
use sheen_auth::limit::MemoryLimitStore;
use sheen_auth::replay::MemoryReplayStore;
use sheen_auth::token::revocation::MemoryRevocationStore;
use sheen_billing::estimate::MemorySampleStore;
use sheen_core::build::MemoryBuildStore;
use sheen_events::message::{MemoryMessageConfig, MemoryMessageStore};
use sheen_events::recommend::{BuildsFirst, MemoryRecommendStore};

use super::{Door, LIMIT_CAPACITY, Opening, REPLAY_CAPACITY, REVOKED_CAPACITY, Stores};

/// Records of recommendations: the last builds', 64 KiB each at the most.
const RECOMMENDATIONS: usize = 10_000;

/// Builds that are queued go first.
#[derive(Debug)]
struct Queue(Arc<MemoryBuildStore>);

impl BuildsFirst for Queue {
    fn builds_wait(&self) -> bool {
        self.0.lock().queued() > 0
    }
}

pub(super) fn open(opening: &Opening<'_>, door: Option<Door>) -> Stores {
    let (settings, clock) = (opening.settings, opening.clock);
    let mut rules = MemoryConfig::default();
    rules.credits.daily_gift = settings.daily_gift;
    rules.credits.welcome_bonus = settings.welcome_bonus;
    rules.leave_streams_open = true;
    let rooms = MemoryRooms::new(rules, Arc::clone(clock), Arc::clone(opening.entropy));
    let messages = MemoryMessageStore::new(Arc::clone(clock), MemoryMessageConfig::default());
    let recommendations = Arc::new(MemoryRecommendStore::new(
        Arc::clone(clock),
        opening.queue,
        RECOMMENDATIONS,
    ));
    let capacity = usize::try_from(REPLAY_CAPACITY).unwrap_or(usize::MAX);
    let door = door.unwrap_or_else(|| Door {
        replay: Arc::new(MemoryReplayStore::new(Arc::clone(clock), capacity)),
        limits: Arc::new(MemoryLimitStore::new(Arc::clone(clock), LIMIT_CAPACITY)),
        revoked: Arc::new(MemoryRevocationStore::new(
            Arc::clone(clock),
            REVOKED_CAPACITY,
        )),
        wake: rooms.wake.clone(),
    });
    Stores {
        admission: rooms.admission.clone(),
        builds: rooms.builds.clone(),
        idempotency: rooms.idempotency.clone(),
        credits: rooms.credits.clone(),
        grants: rooms.credits.clone(),
        accounts: rooms.credits.clone(),
        lapsed: rooms.credits.clone(),
        samples: Arc::new(MemorySampleStore::new()),
        log: rooms.log.clone(),
        messages: Arc::new(messages),
        recommendations: recommendations.clone(),
        queue: recommendations,
        builds_first: Arc::new(Queue(rooms.builds)),
        // Whoever settles a build outlives its stream.
        outbox: None,
        door,
    }
}
