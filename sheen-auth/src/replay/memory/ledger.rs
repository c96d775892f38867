//! What one principal spent, in generations by the instant at which it may be forgotten.

use sheen_core::time::Timestamp;

use super::digest::Digest;
use super::pages::{Entry, Pages};

/// The width of a generation, in milliseconds: at most five are alive, and one is dropped whole.
const GENERATION_MILLIS: i64 = 300_000;

/// How many pages of dropped generations a claim frees: many more than it can fill.
const FREED_A_CLAIM: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// In no order; few.
    generations: Vec<Generation>,
    /// Dropped, and being freed.
    dropped: Vec<Generation>,
    /// Everything due before this instant (in milliseconds) may have been forgotten.
    floor: i64,
    len: usize,
}

/// What may be forgotten in one stretch of time.
#[derive(Debug)]
struct Generation {
    /// Which width since the epoch it is.
    number: i64,
    spent: Pages<Digest>,
    marks: Pages<Mark>,
}

/// A mark, with the exact end of its life: a v1 caller waits for it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    digest: Digest,
    until: Timestamp,
}

impl Entry for Mark {
    fn digest(&self) -> Digest {
        self.digest
    }
}

impl Generation {
    /// The first instant after it, in milliseconds.
    const fn end(&self) -> i64 {
        self.number
            .saturating_add(1)
            .saturating_mul(GENERATION_MILLIS)
    }
}

impl Ledger {
    /// How many entries are held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops whole generations, so that no claim walks entries.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let gone = |generation: &Generation| generation.end() <= now.as_millis();
        while let Some(at) = self.generations.iter().position(gone) {
            let gone = self.generations.swap_remove(at);
            self.len -= gone.spent.len() + gone.marks.len();
            self.floor = self.floor.max(gone.end());
            self.dropped.push(gone);
        }
        for _ in 0..FREED_A_CLAIM {
            let Some(last) = self.dropped.last_mut() else {
                return;
            };
            if !last.spent.free_a_page() && !last.marks.free_a_page() {
                self.dropped.pop();
            }
        }
    }

    /// Whether a claim to be kept until then may have been made and forgotten.
    pub(super) const fn may_have_forgotten(&self, until: Timestamp) -> bool {
        until.as_millis() < self.floor
    }

    pub(super) fn is_spent(&self, digest: Digest) -> bool {
        let mut generations = self.generations.iter();
        generations.any(|generation| generation.spent.get(digest).is_some())
    }

    pub(super) fn is_marked(&self, digest: Digest, now: Timestamp) -> bool {
        self.generations.iter().any(|generation| {
            let mark = generation.marks.get(digest);
            mark.is_some_and(|mark| now <= mark.until)
        })
    }

    /// Spends what is not spent yet.
    pub(super) fn spend(&mut self, digest: Digest, until: Timestamp) {
        self.generation(until).spent.insert(digest);
        self.len += 1;
    }

    pub(super) fn mark(&mut self, digest: Digest, until: Timestamp) {
        let marks = &mut self.generation(until).marks;
        if let Some(mark) = marks.get_mut(digest) {
            mark.until = until.max(mark.until);
            return;
        }
        marks.insert(Mark { digest, until });
        self.len += 1;
    }

    fn generation(&mut self, until: Timestamp) -> &mut Generation {
        let number = until
            .as_millis()
            .max(self.floor)
            .div_euclid(GENERATION_MILLIS);
        let known = self.generations.iter().position(|g| g.number == number);
        let at = known.unwrap_or_else(|| {
            self.generations.push(Generation {
                number,
                spent: Pages::default(),
                marks: Pages::default(),
            });
            self.generations.len() - 1
        });
        &mut self.generations[at]
    }
}
