//! The order of callers in the field: JavaScript's `localeCompare`, ICU's root collation.

use std::cmp::Ordering;
use std::fmt;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed};

/// Comparing costs far more than bytes do, and a stranger can ask for it: longer queries are tried
/// in byte order alone.
pub(super) const MAX_QUERY: usize = 8192;
/// The same for the number of pairs.
pub(super) const MAX_PAIRS: usize = 128;

/// The data are compiled in, so two processes never differ by their machine's locale.
pub(super) struct LocaleOrder(CollatorBorrowed<'static>);

impl LocaleOrder {
    /// Nothing when the compiled data lack the root collation.
    pub(super) fn new() -> Option<Self> {
        let collator = Collator::try_new(Default::default(), CollatorOptions::default());
        collator.ok().map(Self)
    }

    pub(super) fn compare(&self, a: &str, b: &str) -> Ordering {
        self.0.compare(a, b)
    }
}

impl fmt::Debug for LocaleOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocaleOrder")
    }
}
