//! Wake-ups within a process.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use event_listener::{Event, EventListener};
use sheen_core::id::BuildId;

use super::{Listener, Wake};

/// Wakes the readers of this process. It holds one entry per build that someone listens to, freed
/// with the last listener; a ring that nobody hears leaves nothing behind.
#[derive(Debug, Clone)]
pub struct MemoryWake {
    bells: Arc<Bells>,
    poll_interval: Duration,
}

#[derive(Debug, Default)]
struct Bells(Mutex<HashMap<BuildId, Bell>>);

#[derive(Debug)]
struct Bell {
    sound: Arc<Sound>,
    listeners: usize,
}

/// Rings are counted, so that one which comes before the wait is seen by it.
#[derive(Debug, Default)]
struct Sound {
    rings: AtomicU64,
    event: Event,
}

impl Sound {
    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<BuildId, Bell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryWake {
    /// Readers look by themselves every 5 s.
    #[must_use]
    pub fn new() -> Self {
        Self::with_poll_interval(Duration::from_secs(5))
    }

    /// Readers look by themselves every `poll_interval`.
    #[must_use]
    pub fn with_poll_interval(poll_interval: Duration) -> Self {
        Self {
            bells: Arc::default(),
            poll_interval,
        }
    }

    /// Wakes every listener: anything may have moved.
    pub fn ring_all(&self) {
        let mut sounds: Vec<_> = Vec::new();
        sounds.extend(
            self.bells
                .lock()
                .values()
                .map(|bell| Arc::clone(&bell.sound)),
        );
        for sound in sounds {
            sound.ring();
        }
    }

    /// How many builds are listened to.
    #[must_use]
    pub fn builds(&self) -> usize {
        self.bells.lock().len()
    }
}

impl Default for MemoryWake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake for MemoryWake {
    fn ring(&self, build: &BuildId) {
        let sound = self
            .bells
            .lock()
            .get(build)
            .map(|bell| Arc::clone(&bell.sound));
        if let Some(sound) = sound {
            sound.ring();
        }
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        let sound = {
            let mut bells = self.bells.lock();
            let bell = bells.entry(build.clone()).or_insert_with(|| Bell {
                sound: Arc::default(),
                listeners: 0,
            });
            bell.listeners += 1;
            Arc::clone(&bell.sound)
        };
        Box::new(MemoryListener {
            heard: sound.rings.load(Ordering::SeqCst),
            ring: None,
            sound,
            bells: Arc::clone(&self.bells),
            build: build.clone(),
        })
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    fn is_healthy(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct MemoryListener {
    heard: u64,
    /// Kept from wait to wait.
    ring: Option<EventListener>,
    sound: Arc<Sound>,
    bells: Arc<Bells>,
    build: BuildId,
}

impl Listener for MemoryListener {
    fn poll_rung(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Listen before looking: a ring after the look finds the listener there.
            let event = &self.sound.event;
            let ring = self.ring.get_or_insert_with(|| event.listen());
            let rings = self.sound.rings.load(Ordering::SeqCst);
            if rings != self.heard {
                self.heard = rings;
                return Poll::Ready(());
            }
            ready!(Pin::new(ring).poll(cx));
            self.ring = None;
        }
    }

    fn rings(&self) -> u64 {
        self.sound.rings.load(Ordering::SeqCst)
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        if let Slot::Occupied(mut bell) = bells.entry(self.build.clone()) {
            bell.get_mut().listeners -= 1;
            if bell.get().listeners == 0 {
                bell.remove();
            }
        }
    }
}
