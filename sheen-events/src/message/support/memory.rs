//! The log in this process's memory, bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{MessageId, UserId};
use sheen_core::time::Clock;

use super::store::ChatLog;
use super::types::{ChatEntry, Lookup, NewChatEntry};

/// A log in memory: what it holds is gone with the process. When it is full it refuses with
/// [`StoreErrorKind::Full`]; [`expire`](ChatLog::expire) makes room. A look-up reads all of it.
#[derive(Debug)]
pub struct MemoryChatLog {
    clock: Arc<dyn Clock>,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    entries: BTreeMap<u64, ChatEntry>,
    by_id: HashMap<(UserId, MessageId), u64>,
}

impl MemoryChatLog {
    /// An empty log of at most `capacity` entries, each about 2 KiB at the most.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self {
            clock,
            capacity,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ChatLog for MemoryChatLog {
    async fn record(&self, entry: NewChatEntry) -> Result<ChatEntry, StoreError> {
        let mut state = self.lock();
        let key = (entry.user.clone(), entry.id.clone());
        let first = state.by_id.get(&key).and_then(|seq| state.entries.get(seq));
        if let Some(first) = first {
            return Ok(first.clone());
        }
        if state.entries.len() >= self.capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        state.last += 1;
        let seq = state.last;
        let kept = ChatEntry::new(seq, self.clock.now(), entry);
        state.by_id.insert(key, seq);
        state.entries.insert(seq, kept.clone());
        Ok(kept)
    }

    async fn find(
        &self,
        lookup: &Lookup,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ChatEntry>, StoreError> {
        let state = self.lock();
        let now = self.clock.now();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let older = state.entries.range(..before.unwrap_or(u64::MAX)).rev();
        let found = older
            .map(|(_, kept)| kept)
            .filter(|kept| kept.is_kept(now) && lookup.covers(&kept.entry));
        Ok(found.take(limit).cloned().collect())
    }

    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        let mut removed = 0;
        while removed < limit {
            let oldest = state.entries.first_entry();
            let Some(oldest) = oldest.filter(|oldest| !oldest.get().is_kept(now)) else {
                break;
            };
            let NewChatEntry { user, id, .. } = oldest.remove().entry;
            state.by_id.remove(&(user, id));
            removed += 1;
        }
        Ok(removed)
    }
}
