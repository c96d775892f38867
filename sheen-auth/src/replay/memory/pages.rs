//! A set of digests that grows and shrinks page by page (linear hashing, Litwin 1980).

use super::digest::Digest;
use super::generation::Tag;

/// Entries a page holds on average; a claim looks through one page.
const PER_PAGE: usize = 16;
/// By how many entries a page grows: what stays empty is half of it on average.
const STEP: usize = 4;
/// Pages under one place of the directory, which so stays small enough to grow at once.
const PER_CHUNK: usize = 256;
/// How many pages an insertion tidies while there is something to tidy.
const TIDIED: usize = 4;

/// Something that is found by its digest and forgotten with its generation.
pub(super) trait Entry: Copy {
    fn digest(&self) -> Digest;
    fn generation(&self) -> Tag;
}

/// Entries in pages by the low bits of their digests.
///
/// One entry more than [`PER_PAGE`] a page splits the one page whose turn it is. A generation is
/// forgotten by raising the floor; its entries are then out at once, and the insertions that follow
/// tidy their memory away, a few pages each. So nothing here takes longer the more is held.
#[derive(Debug)]
pub(super) struct Pages<E> {
    chunks: Vec<Vec<Vec<E>>>,
    /// How many pages there are.
    count: usize,
    /// Entries in them, those that are out and not yet tidied away included.
    held: usize,
    /// The first generation that is not forgotten.
    floor: Tag,
    /// The next page to tidy; all are when it is `count`.
    tidy_next: usize,
}

impl<E> Default for Pages<E> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            count: 0,
            held: 0,
            floor: Tag::default(),
            tidy_next: 0,
        }
    }
}

impl<E: Entry> Pages<E> {
    pub(super) fn get(&self, digest: Digest) -> Option<&E> {
        if self.count == 0 {
            return None;
        }
        let place = self.place(digest);
        let page = &self.chunks[place / PER_CHUNK][place % PER_CHUNK];
        let found = page.iter().find(|entry| entry.digest() == digest);
        found.filter(|entry| entry.generation().is_from(self.floor))
    }

    /// Takes `entry`, in the place of one with its digest.
    pub(super) fn put(&mut self, entry: E) {
        if self.count == 0 {
            self.push_page(Vec::new());
        }
        self.tidy();
        let floor = self.floor;
        let place = self.place(entry.digest());
        let page = self.page_mut(place);
        if let Some(known) = page.iter_mut().find(|e| e.digest() == entry.digest()) {
            *known = entry;
            return;
        }
        let before = page.len();
        if before == page.capacity() {
            page.retain(|entry| entry.generation().is_from(floor));
        }
        if page.len() == page.capacity() {
            page.reserve_exact(STEP);
        }
        let out = before - page.len();
        page.push(entry);
        self.held = self.held + 1 - out;
        if self.held > self.count * PER_PAGE {
            self.split();
        }
    }

    /// Forgets every generation before `floor`.
    pub(super) fn forget_before(&mut self, floor: Tag) {
        if self.floor != floor {
            self.floor = floor;
            self.tidy_next = 0;
        }
    }

    /// Frees what is forgotten, and joins pages when they have become thin.
    fn tidy(&mut self) {
        for _ in 0..TIDIED {
            if self.tidy_next < self.count {
                let (place, floor) = (self.tidy_next, self.floor);
                self.tidy_next += 1;
                let page = self.page_mut(place);
                let before = page.len();
                page.retain(|entry| entry.generation().is_from(floor));
                let out = before - page.len();
                shrink(page);
                self.held -= out;
            } else if self.count > 1 && self.held < self.count * PER_PAGE * 3 / 4 {
                self.join();
            } else {
                return;
            }
        }
    }

    /// Where entries with this digest are: by as many low bits as there are pages for.
    fn place(&self, digest: Digest) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to what is counted")]
        let low = digest.low() as usize;
        let mask = self.count.next_power_of_two() - 1;
        let place = low & mask;
        if place < self.count {
            place
        } else {
            place & (mask >> 1)
        }
    }

    /// The page whose turn it is gives the entries with one bit more to a new page.
    fn split(&mut self) {
        let new = self.count;
        let bit = 1_usize << new.ilog2();
        let mut moved = Vec::new();
        let page = self.page_mut(new - bit);
        page.retain(|entry| {
            let stays = entry.digest().low() & (bit as u64) == 0;
            if !stays {
                if moved.len() == moved.capacity() {
                    moved.reserve_exact(PER_PAGE);
                }
                moved.push(*entry);
            }
            stays
        });
        shrink(page);
        shrink(&mut moved);
        self.push_page(moved);
    }

    /// The last page goes back to the one that it was split from.
    fn join(&mut self) {
        let last = self.count - 1;
        let Some(page) = self.chunks[last / PER_CHUNK].pop() else {
            return;
        };
        if self.chunks[last / PER_CHUNK].is_empty() {
            self.chunks.pop();
        }
        self.count = last;
        self.tidy_next = self.tidy_next.min(last);
        let bit = 1_usize << last.ilog2();
        let into = self.page_mut(last - bit);
        into.reserve_exact(page.len().next_multiple_of(STEP));
        into.extend(page);
        shrink(into);
    }

    fn push_page(&mut self, page: Vec<E>) {
        if self.count.is_multiple_of(PER_CHUNK) {
            self.chunks.push(Vec::new());
        }
        self.chunks[self.count / PER_CHUNK].push(page);
        // What is split off while all is tidy is tidy.
        if self.tidy_next == self.count {
            self.tidy_next += 1;
        }
        self.count += 1;
    }

    fn page_mut(&mut self, place: usize) -> &mut Vec<E> {
        &mut self.chunks[place / PER_CHUNK][place % PER_CHUNK]
    }
}

/// Gives back what a page will not need soon.
fn shrink<E>(page: &mut Vec<E>) {
    if page.capacity() > page.len() + STEP {
        page.shrink_to(page.len().next_multiple_of(STEP));
    }
}

#[cfg(test)]
mod tests {
    use super::super::generation::Spent;
    use super::*;

    fn digest(number: u64) -> Digest {
        // Odd multipliers: every number has a digest of its own, spread over all bits.
        let mut bytes = [0; 16];
        let low = number.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32);
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        bytes[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Digest::from_bytes(bytes)
    }

    fn spent(number: u64, generation: i64) -> Spent {
        Spent::new(digest(number), Tag::of(generation))
    }

    fn has(pages: &Pages<Spent>, number: u64) -> bool {
        pages.get(digest(number)).is_some()
    }

    #[test]
    fn what_was_put_in_is_found_at_every_size_and_nothing_else_is() {
        let mut pages = Pages::default();
        for number in 0..5000 {
            assert!(!has(&pages, number));
            pages.put(spent(number, 0));
            assert_eq!(pages.held as u64, number + 1);
            let step = if number < 300 { 1 } else { 97 };
            assert!(
                (0..=number)
                    .rev()
                    .step_by(step)
                    .all(|known| has(&pages, known))
            );
        }
        assert!((0..5000).all(|number| has(&pages, number)));
        pages.put(spent(7, 0));
        assert_eq!(pages.held, 5000, "put again, it is still one");
        for place in 0..16 {
            let mut bytes = *digest(7).as_bytes();
            bytes[place] ^= 1;
            assert!(
                pages.get(Digest::from_bytes(bytes)).is_none(),
                "every byte counts"
            );
        }
    }

    #[test]
    fn n11_no_insertion_works_on_more_than_a_few_pages() {
        let mut pages = Pages::default();
        for number in 0..200_000 {
            let before = pages.count;
            pages.put(spent(number, 0));
            assert!(pages.count - before <= 1, "at most one split");
        }
        let longest = pages.chunks.iter().flatten().map(Vec::len).max();
        assert!(longest <= Some(8 * PER_PAGE), "a page of {longest:?}");
        assert!(pages.count.abs_diff(200_000 / PER_PAGE) <= 1);
        // Nor does forgetting: the floor moves, and four pages a time are tidied.
        pages.forget_before(Tag::of(1));
        assert!((0..200_000).step_by(997).all(|number| !has(&pages, number)));
        let (held, count) = (pages.held, pages.count);
        pages.put(spent(0, 1));
        assert!(held - pages.held <= TIDIED * 8 * PER_PAGE);
        assert!(count - pages.count <= TIDIED);
    }

    #[test]
    fn generations_come_and_go_and_the_pages_with_them() {
        let mut pages = Pages::default();
        let each = 20_000;
        for generation in 0..12_i64 {
            // A third as many from the sixth on: pages are joined again.
            let coming = if generation < 6 { each } else { each / 3 };
            let first = u64::try_from(generation).unwrap() * 1_000_000;
            pages.forget_before(Tag::of(generation - 3));
            for number in first..first + coming {
                assert!(!has(&pages, number));
                pages.put(spent(number, generation));
            }
            for known in generation.saturating_sub(4).max(0)..=generation {
                let coming = if known < 6 { each } else { each / 3 };
                let first = u64::try_from(known).unwrap() * 1_000_000;
                let alive = known >= generation - 3;
                assert!((first..first + coming).all(|number| has(&pages, number) == alive));
            }
        }
        let live = usize::try_from(each / 3 * 4).unwrap();
        assert_eq!(pages.held, live, "all that is out was tidied away");
        assert!(
            pages.count <= live / (PER_PAGE / 2),
            "{} pages",
            pages.count
        );
        let room: usize = pages.chunks.iter().flatten().map(Vec::capacity).sum();
        assert!(room <= live * 3 / 2, "room for {room}");
    }

    #[test]
    fn a_forgotten_digest_may_be_put_in_again() {
        let mut pages = Pages::default();
        for generation in 0..5 {
            pages.forget_before(Tag::of(generation));
            assert!(!has(&pages, 1));
            pages.put(spent(1, generation));
            assert!(has(&pages, 1));
        }
        assert_eq!(pages.held, 1);
    }
}
