//! Conversations in this process's memory, bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{MessageId, ProjectId, UserId};
use sheen_core::time::Clock;

use super::decide::{AppendDecision, ConversationHead, decide_append};
use super::store::MessageStore;
use super::types::{Message, MessageOutcome, MessagePage, NewMessage};

/// How much a [`MemoryMessageStore`] holds. At a bound it refuses with
/// [`StoreErrorKind::Full`] and forgets nothing.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MemoryMessageConfig {
    /// The most messages of all conversations together, 1,000,000.
    pub max_messages: usize,
    /// The most bytes of all contents together, 256 MiB.
    pub max_bytes: usize,
}

impl Default for MemoryMessageConfig {
    fn default() -> Self {
        Self {
            max_messages: 1_000_000,
            max_bytes: 256 << 20,
        }
    }
}

/// Conversations in memory: what it holds is gone with the process.
#[derive(Debug)]
pub struct MemoryMessageStore {
    clock: Arc<dyn Clock>,
    config: MemoryMessageConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    conversations: HashMap<ProjectId, Conversation>,
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Conversation {
    head: ConversationHead,
    /// That of seq n at n - 1.
    messages: Vec<Message>,
    by_id: HashMap<MessageId, usize>,
}

impl MemoryMessageStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, config: MemoryMessageConfig) -> Self {
        Self {
            clock,
            config,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, project: ProjectId, owner: UserId, message: Message) {
        self.messages += 1;
        self.bytes += message.content.as_str().len();
        let conversation = self
            .conversations
            .entry(project)
            .or_insert_with(|| Conversation {
                head: ConversationHead::new(owner, 0, message.created_at),
                messages: Vec::new(),
                by_id: HashMap::new(),
            });
        conversation.head.head = message.seq;
        conversation.head.last_at = message.created_at;
        let at = conversation.messages.len();
        conversation.by_id.insert(message.id.clone(), at);
        conversation.messages.push(message);
    }
}

#[async_trait]
impl MessageStore for MemoryMessageStore {
    async fn append(&self, new: NewMessage) -> Result<MessageOutcome, StoreError> {
        // Inside the lock, so that instants are taken in commit order.
        let mut state = self.lock();
        let now = self.clock.now();
        let conversation = state.conversations.get(&new.project);
        let known = conversation.and_then(|it| Some(&it.messages[*it.by_id.get(&new.id)?]));
        let head = conversation.map(|it| &it.head);
        let message = match decide_append(head, known, now, &new) {
            AppendDecision::Refuse(outcome) => return Ok(outcome),
            AppendDecision::Append(message) => message,
        };
        let bytes = state.bytes + message.content.as_str().len();
        if state.messages >= self.config.max_messages || bytes > self.config.max_bytes {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        state.write(new.project, new.user, message.clone());
        Ok(MessageOutcome::Appended(message))
    }

    async fn page(
        &self,
        user: &UserId,
        project: &ProjectId,
        after: u64,
        limit: u32,
    ) -> Result<Option<MessagePage>, StoreError> {
        let state = self.lock();
        let Some(conversation) = state.conversations.get(project) else {
            return Ok(Some(MessagePage::new(Vec::new(), 0)));
        };
        if conversation.head.owner != *user {
            return Ok(None);
        }
        let from = usize::try_from(after).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let messages = conversation.messages.iter().skip(from).take(limit);
        let messages = messages.cloned().collect();
        Ok(Some(MessagePage::new(messages, conversation.head.head)))
    }
}
