//! A set of digests that grows page by page (linear hashing, Litwin 1980).

use super::digest::Digest;

/// Entries a page holds on average; a claim looks through one page.
const PER_PAGE: usize = 16;
/// By how many entries a page grows: what stays empty is half of it on average.
const STEP: usize = 4;
/// Pages under one place of the directory, which so stays small enough to grow at once.
const PER_CHUNK: usize = 256;

/// Something that is found by its digest.
pub(super) trait Entry: Copy {
    fn digest(&self) -> Digest;
}

impl Entry for Digest {
    fn digest(&self) -> Digest {
        *self
    }
}

/// Entries in pages by the low bits of their digests. An entry more than [`PER_PAGE`] a page splits
/// the one page whose turn it is, so that no insertion moves more than a page.
#[derive(Debug)]
pub(super) struct Pages<E> {
    chunks: Vec<Vec<Vec<E>>>,
    /// How many pages there are.
    count: usize,
    len: usize,
}

impl<E> Default for Pages<E> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            count: 0,
            len: 0,
        }
    }
}

impl<E: Entry> Pages<E> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, digest: Digest) -> Option<&E> {
        if self.count == 0 {
            return None;
        }
        let place = self.place(digest);
        let page = &self.chunks[place / PER_CHUNK][place % PER_CHUNK];
        page.iter().find(|entry| entry.digest() == digest)
    }

    pub(super) fn get_mut(&mut self, digest: Digest) -> Option<&mut E> {
        if self.count == 0 {
            return None;
        }
        let page = self.page_mut(self.place(digest));
        page.iter_mut().find(|entry| entry.digest() == digest)
    }

    /// Takes one more, whose digest is not there yet.
    pub(super) fn insert(&mut self, entry: E) {
        if self.count == 0 {
            self.push_page(Vec::new());
        }
        let page = self.page_mut(self.place(entry.digest()));
        if page.len() == page.capacity() {
            page.reserve_exact(STEP);
        }
        page.push(entry);
        self.len += 1;
        if self.len > self.count * PER_PAGE {
            self.split();
        }
    }

    /// Frees one page and says whether there was one; the rest can be read no more.
    pub(super) fn free_a_page(&mut self) -> bool {
        while let Some(chunk) = self.chunks.last_mut() {
            if chunk.pop().is_some() {
                return true;
            }
            self.chunks.pop();
        }
        false
    }

    /// Where entries with this digest are: by as many low bits as there are pages for.
    fn place(&self, digest: Digest) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to what is counted")]
        let low = digest.low as usize;
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
        let old = new - bit;
        let mut moved = Vec::new();
        let page = self.page_mut(old);
        page.retain(|entry| {
            let stays = entry.digest().low & (bit as u64) == 0;
            if !stays {
                if moved.len() == moved.capacity() {
                    moved.reserve_exact(PER_PAGE);
                }
                moved.push(*entry);
            }
            stays
        });
        page.shrink_to(page.len().next_multiple_of(STEP));
        moved.shrink_to(moved.len().next_multiple_of(STEP));
        self.push_page(moved);
    }

    fn push_page(&mut self, page: Vec<E>) {
        if self.count.is_multiple_of(PER_CHUNK) {
            self.chunks.push(Vec::new());
        }
        self.chunks[self.count / PER_CHUNK].push(page);
        self.count += 1;
    }

    fn page_mut(&mut self, place: usize) -> &mut Vec<E> {
        &mut self.chunks[place / PER_CHUNK][place % PER_CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        // Odd multipliers: every number has a digest of its own, spread over all bits.
        Digest {
            high: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            low: number.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32),
        }
    }

    #[test]
    fn what_was_put_in_is_found_at_every_size_and_nothing_else_is() {
        let mut pages = Pages::default();
        for number in 0..5000 {
            assert_eq!(pages.get(digest(number)), None);
            pages.insert(digest(number));
            assert_eq!(pages.len() as u64, number + 1);
            // All of it while small, and where the number of pages turns over; else a sample.
            let step = if number < 300 { 1 } else { 97 };
            for known in (0..=number).rev().step_by(step) {
                assert_eq!(pages.get(digest(known)), Some(&digest(known)));
            }
        }
        for number in 0..5000 {
            assert!(pages.get_mut(digest(number)).is_some());
        }
        let half = Digest {
            high: 0,
            ..digest(7)
        };
        assert_eq!(pages.get(half), None, "both halves count");
    }

    #[test]
    fn n11_no_insertion_moves_more_than_a_few_pages() {
        let mut pages = Pages::default();
        let mut longest = 0;
        for number in 0..200_000 {
            let before = pages.count;
            pages.insert(digest(number));
            assert!(pages.count - before <= 1, "at most one split");
            let turned = pages.page_mut(pages.count - 1).len();
            longest = longest.max(turned);
        }
        assert!(longest <= 8 * PER_PAGE, "a page of {longest}");
        assert!(pages.count.abs_diff(200_000 / PER_PAGE) <= 1);
    }

    #[test]
    fn pages_are_freed_one_by_one() {
        let mut pages = Pages::default();
        assert!(!pages.free_a_page());
        for number in 0..10_000 {
            pages.insert(digest(number));
        }
        let mut freed = 0;
        while pages.free_a_page() {
            freed += 1;
        }
        assert_eq!(freed, 10_000 / PER_PAGE);
        assert!(!pages.free_a_page());
    }
}
