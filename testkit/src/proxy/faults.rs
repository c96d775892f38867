//! What is to happen to which message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a line has two ends")]
pub enum To {
    /// A request.
    Server,
    /// An answer.
    Client,
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is before, within and after a message"
)]
pub enum Place {
    /// The message does not get there. Before a request: nothing was done. Before an answer: it
    /// was done, and nobody was told.
    Before,
    /// Half of its bytes get there.
    Within,
    /// It gets there whole, and nothing after it. After a request the server does it, while its
    /// client is gone already.
    After,
}

/// What becomes of a message.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Cut(Place),
    Hold(Arc<Gate>),
    Delay(Duration),
}

/// Of a message that is held.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) reached: watch::Sender<bool>,
    pub(super) open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            reached: watch::Sender::new(false),
            open: watch::Sender::new(false),
        }
    }

    /// Says that the message is here, and waits until it may go on.
    pub(super) async fn pass(&self) {
        self.reached.send_replace(true);
        // The sender is in `self`, so it is not gone.
        let mut open = self.open.subscribe();
        let _open = open.wait_for(|open| *open).await;
    }
}

#[derive(Debug)]
struct Armed {
    to: To,
    /// How many messages are still to come, the one it is for among them.
    left: u64,
    act: Act,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    to_server: u64,
    to_client: u64,
    refuses: bool,
}

/// What a proxy's connections share.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<State>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arm(&self, to: To, nth: u64, act: Act) {
        assert!(nth > 0, "messages are counted from 1");
        self.lock().armed.push(Armed { to, left: nth, act });
    }

    /// Counts a message, and says what is to become of it.
    pub(super) fn next(&self, to: To) -> Option<Act> {
        let mut state = self.lock();
        match to {
            To::Server => state.to_server += 1,
            To::Client => state.to_client += 1,
        }
        for armed in state.armed.iter_mut().filter(|armed| armed.to == to) {
            armed.left = armed.left.saturating_sub(1);
        }
        let due = state.armed.iter().position(|armed| armed.left == 0)?;
        Some(state.armed.remove(due).act)
    }

    pub(super) fn passed(&self, to: To) -> u64 {
        let state = self.lock();
        match to {
            To::Server => state.to_server,
            To::Client => state.to_client,
        }
    }

    pub(super) fn refuse(&self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    pub(super) fn refuses(&self) -> bool {
        self.lock().refuses
    }
}
