//! What is asked and what is answered.

use serde::{Serialize, Serializer};

/// What is known of a business, borrowed from wherever it stands (wire.md §8).
///
/// `T` is any text, so that a request's `Vec<String>` is read where it lies.
///
/// ```
/// use sheen_core::suggest::Analysis;
/// let asked = vec!["online booking".to_owned()];
/// let analysis = Analysis { services: &asked, ..Analysis::default() };
/// assert_eq!(analysis.services.len(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the wire's four lists, made by literals with ..default()"
)]
pub struct Analysis<'a, T = &'a str> {
    /// What kind of business it is. No rule reads it.
    pub business_type: Option<&'a str>,
    /// What the business offers, or the site is to do.
    pub services: &'a [T],
    /// What the site has to be able to do.
    pub functional_requirements: &'a [T],
    /// What nobody has said yet.
    pub missing_information: &'a [T],
}

impl<T> Default for Analysis<'_, T> {
    fn default() -> Self {
        Self {
            business_type: None,
            services: &[],
            functional_requirements: &[],
            missing_information: &[],
        }
    }
}

/// What a suggestion is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Category {
    /// Something visitors can do.
    Feature,
    /// Something visitors see.
    Ui,
    /// Being found.
    Seo,
    /// Measuring and speed.
    Performance,
    /// Being usable by everyone.
    Accessibility,
}

/// One suggestion; every text is static.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Suggestion {
    /// The rule it comes from, `qs-…`; the same in every language.
    pub id: &'static str,
    /// A few words for a button.
    pub title: &'static str,
    /// One sentence on what it brings.
    pub description: &'static str,
    /// What it is about.
    pub category: Category,
    /// What to ask the builder for when the person takes it.
    pub prompt: &'static str,
    /// How sure the rule is, 0 to 1; the wire's own figure.
    pub confidence: f64,
}

/// At most [`Suggestions::MAX`] suggestions, by falling confidence; serialises as a JSON array.
#[derive(Clone, Copy, PartialEq)]
pub struct Suggestions {
    items: [&'static Suggestion; Self::MAX],
    len: usize,
}

impl Suggestions {
    /// The most suggestions of one answer.
    pub const MAX: usize = 4;

    /// The first [`Self::MAX`] of `table` whose bit stands in `chosen`.
    pub(super) fn pick(table: &'static [Suggestion; 8], mut chosen: u8) -> Self {
        let mut picked = Self {
            items: [&table[0]; Self::MAX],
            len: 0,
        };
        while chosen != 0 && picked.len < Self::MAX {
            picked.items[picked.len] = &table[chosen.trailing_zeros() as usize];
            picked.len += 1;
            chosen &= chosen - 1;
        }
        picked
    }

    /// The suggestions, the surest first.
    #[must_use]
    pub fn as_slice(&self) -> &[&'static Suggestion] {
        &self.items[..self.len]
    }

    /// The suggestions, the surest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Suggestion> {
        self.as_slice().iter().copied()
    }
}

impl std::fmt::Debug for Suggestions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|s| s.id)).finish()
    }
}

impl Serialize for Suggestions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}
