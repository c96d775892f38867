//! What one principal spent, by the instant at which it may be forgotten.

use sheen_core::time::Timestamp;

use super::digest::Digest;
use super::generation::{Marked, Spent, Tag, number_of, start_of};
use super::pages::Pages;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    spent: Pages<Spent>,
    marks: Pages<Marked>,
    /// The generations alive, in no order, and how many entries each has; few.
    alive: Vec<(i64, usize)>,
    /// The first generation of which nothing was forgotten.
    floor: i64,
    len: usize,
}

impl Ledger {
    /// How many entries are held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Forgets whole generations, so that no claim walks entries.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let present = number_of(now.as_millis());
        let gone = |(number, _): &(i64, usize)| *number < present;
        while let Some(at) = self.alive.iter().position(gone) {
            let (number, entries) = self.alive.swap_remove(at);
            self.len -= entries;
            self.floor = self.floor.max(number + 1);
        }
        let floor = Tag::of(self.floor);
        self.spent.forget_before(floor);
        self.marks.forget_before(floor);
    }

    /// A claim to be kept until before this may have been made and forgotten.
    pub(super) const fn floor(&self) -> Timestamp {
        Timestamp::from_millis(start_of(self.floor))
    }

    pub(super) fn is_spent(&self, digest: Digest) -> bool {
        self.spent.get(digest).is_some()
    }

    pub(super) fn is_marked(&self, digest: Digest, now: Timestamp) -> bool {
        let mark = self.marks.get(digest);
        mark.is_some_and(|mark| now <= mark.until())
    }

    /// Spends what is not spent yet.
    pub(super) fn spend(&mut self, digest: Digest, until: Timestamp) {
        let generation = self.enter(until);
        self.spent.put(Spent::new(digest, generation));
    }

    /// Marks, for as long as the longest mark of the same signature says.
    pub(super) fn mark(&mut self, digest: Digest, until: Timestamp) {
        let known = self.marks.get(digest).map(|mark| mark.until());
        if known.is_some_and(|known| known >= until) {
            return;
        }
        if let Some(known) = known {
            self.leave(known);
        }
        let generation = self.enter(until);
        self.marks.put(Marked::new(digest, generation, until));
    }

    fn generation_of(&self, until: Timestamp) -> i64 {
        number_of(until.as_millis()).max(self.floor)
    }

    /// Counts an entry in the generation that it will be forgotten with.
    fn enter(&mut self, until: Timestamp) -> Tag {
        let number = self.generation_of(until);
        match self.alive.iter_mut().find(|(known, _)| *known == number) {
            Some((_, entries)) => *entries += 1,
            None => self.alive.push((number, 1)),
        }
        self.len += 1;
        Tag::of(number)
    }

    /// Takes a mark out of the count that is about to get a longer life.
    fn leave(&mut self, until: Timestamp) {
        let number = self.generation_of(until);
        if let Some((_, entries)) = self.alive.iter_mut().find(|(known, _)| *known == number) {
            *entries = entries.saturating_sub(1);
            self.len = self.len.saturating_sub(1);
        }
    }
}
