//! Stretches of time, and what is forgotten with one.

use sheen_core::time::Timestamp;

use super::digest::Digest;
use super::pages::Entry;

/// The width of a generation, in milliseconds: at most five are alive.
const WIDTH_MILLIS: i64 = 300_000;

/// Which generation an instant (in milliseconds) is in.
pub(super) const fn number_of(millis: i64) -> i64 {
    millis.div_euclid(WIDTH_MILLIS)
}

/// The first instant of a generation, in milliseconds.
pub(super) const fn start_of(number: i64) -> i64 {
    number.saturating_mul(WIDTH_MILLIS)
}

/// A generation's number in three bytes: exact from 1970 to 2129. What is outside counts as in the
/// first or last one and so is remembered longer, not shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tag([u8; 3]);

impl Tag {
    const MOST: i64 = (1 << 24) - 1;

    pub(super) fn of(number: i64) -> Self {
        let [low, middle, high, ..] = number.clamp(0, Self::MOST).to_le_bytes();
        Self([low, middle, high])
    }

    const fn number(self) -> u32 {
        let [low, middle, high] = self.0;
        u32::from_le_bytes([low, middle, high, 0])
    }

    /// Whether it is `floor` or a later one.
    pub(super) const fn is_from(self, floor: Self) -> bool {
        self.number() >= floor.number()
    }
}

/// A claim: 19 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    digest: Digest,
    generation: Tag,
}

impl Spent {
    pub(super) const fn new(digest: Digest, generation: Tag) -> Self {
        Self { digest, generation }
    }
}

impl Entry for Spent {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn generation(&self) -> Tag {
        self.generation
    }
}

/// A mark, with the exact end of its life, since a v1 caller waits for it: 27 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked {
    digest: Digest,
    generation: Tag,
    until: [u8; 8],
}

impl Marked {
    pub(super) const fn new(digest: Digest, generation: Tag, until: Timestamp) -> Self {
        let until = until.as_millis().to_le_bytes();
        Self {
            digest,
            generation,
            until,
        }
    }

    pub(super) const fn until(&self) -> Timestamp {
        Timestamp::from_millis(i64::from_le_bytes(self.until))
    }
}

impl Entry for Marked {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn generation(&self) -> Tag {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_the_order_of_the_numbers() {
        let numbers = [0, 1, 255, 256, 65_535, 65_536, 6_000_000, Tag::MOST];
        for (place, number) in numbers.into_iter().enumerate() {
            for (other_place, other) in numbers.into_iter().enumerate() {
                let is_from = Tag::of(number).is_from(Tag::of(other));
                assert_eq!(is_from, place >= other_place, "{number} from {other}");
            }
        }
        for (outside, ends_at) in [(-1, 0), (i64::MIN, 0), (i64::MAX, Tag::MOST)] {
            assert_eq!(Tag::of(outside), Tag::of(ends_at));
        }
    }

    #[test]
    fn entries_have_no_padding() {
        assert_eq!((size_of::<Spent>(), size_of::<Marked>()), (19, 27));
    }
}
