//! Looking a key id up in a time that does not tell whether it is there.

use sheen_core::id::KeyId;

const WORD: usize = size_of::<u128>();
const WORDS: usize = KeyId::MAX_LEN.div_ceil(WORD);

/// An id as numbers, filled up with zeros. Comparing them takes no branch on what they say; only
/// their length, which who asks knows, decides how many are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Numbers {
    length: usize,
    words: [u128; WORDS],
}

impl Numbers {
    /// Of an id too long for a key, what fits and its length: no key has it.
    fn of(id: &str) -> Self {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(id.as_bytes().chunks(WORD)) {
            let mut filled = [0; WORD];
            filled[..bytes.len()].copy_from_slice(bytes);
            *word = u128::from_be_bytes(filled);
        }
        let length = id.len();
        Self { length, words }
    }

    /// Whether this comes before the other, and whether they are the same.
    #[inline]
    fn compare(&self, other: &Self) -> (bool, bool) {
        let (mut less, mut same) = (self.length < other.length, self.length == other.length);
        for place in 0..self.length.div_ceil(WORD).min(WORDS) {
            less |= same & (self.words[place] < other.words[place]);
            same &= self.words[place] == other.words[place];
        }
        (less, same)
    }
}

/// The places of a ring's keys, by id.
#[derive(Debug)]
pub(super) struct Ids(Vec<(Numbers, usize)>);

impl Ids {
    /// Of the ids, each of which has its place in the order given. At least one, each once.
    pub(super) fn new<'a>(ids: impl Iterator<Item = &'a KeyId>) -> Self {
        let numbered = ids.enumerate();
        let mut by_id: Vec<_> = numbered
            .map(|(place, id)| (Numbers::of(id.as_str()), place))
            .collect();
        by_id.sort_unstable();
        Self(by_id)
    }

    /// The place of the id, or of another where nobody has it, and which of the two: as data, so
    /// that no branch of a caller need tell.
    #[inline]
    pub(super) fn nearest(&self, id: &str) -> (usize, bool) {
        let wanted = Numbers::of(id);
        let (mut at, mut rest) = (0, self.0.len());
        while rest > 1 {
            let half = rest / 2;
            let (is_before, _) = wanted.compare(&self.0[at + half].0);
            at += half * usize::from(!is_before);
            rest -= half;
        }
        let (numbers, place) = &self.0[at];
        (*place, wanted.compare(numbers).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn k03_an_id_is_found_where_it_stands_and_no_other_is(
            ids in proptest::collection::btree_set("[a-c]{1,3}|[ab]{15,18}|[ab]{127,128}", 1..40),
            others in proptest::collection::vec("[a-c]{0,4}|[ab]{15,19}|[ab]{126,130}", 0..40),
        ) {
            let keys: Vec<KeyId> = ids.iter().map(|id| KeyId::parse(id).expect("an id")).collect();
            let looked_up = Ids::new(keys.iter());
            for id in ids.iter().chain(&others) {
                let (place, is_its) = looked_up.nearest(id);
                let expected = keys.iter().position(|key| key.as_str() == id);
                proptest::prop_assert_eq!(is_its.then_some(place), expected);
            }
        }
    }
}
