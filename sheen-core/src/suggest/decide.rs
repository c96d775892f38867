//! The rules of the wire's table.

use super::texts;
use super::types::{Analysis, Suggestion, Suggestions};
use super::words::{Keyword, for_each_word, mentioned_at};
use crate::locale::Locale;

/// The language that suggestions for `locale` are really in, for `Content-Language`: texts exist
/// in Arabic and English, every other chain ends in English (wire.md §9).
#[must_use]
pub const fn content_language(locale: Locale) -> Locale {
    match locale {
        Locale::Ar => Locale::Ar,
        _ => Locale::En,
    }
}

const fn table(locale: Locale) -> &'static [Suggestion; 8] {
    match content_language(locale) {
        Locale::Ar => &texts::AR,
        _ => &texts::EN,
    }
}

const PRICING: u8 = 1 << 0;
const CONTACT: u8 = 1 << 1;
const HOURS: u8 = 1 << 2;
const BOOKING: u8 = 1 << 3;
const PAYMENT: u8 = 1 << 4;
/// Search engines, analytics and accessibility are always worth a thought.
const ALWAYS: u8 = 0b1110_0000;

/// What to suggest for `analysis`, in the language nearest to `locale`.
///
/// Allocates nothing and reads each text once: linear in their length.
#[must_use]
pub fn suggest<T: AsRef<str>>(analysis: &Analysis<'_, T>, locale: Locale) -> Suggestions {
    let missing = mentioned(analysis.missing_information, MISSING);
    let offered = mentioned(analysis.services, OFFERED);
    let mut chosen = ALWAYS | missing | (BOOKING & !offered);
    if offered & PAYMENT == 0 {
        chosen |= mentioned(analysis.functional_requirements, SELLS);
    }
    Suggestions::pick(table(locale), chosen)
}

/// The bits of all keywords that one of `texts` mentions.
fn mentioned<T: AsRef<str>>(texts: &[T], keywords: &[Keyword]) -> u8 {
    let mut found = 0;
    for text in texts {
        for_each_word(text.as_ref(), |word| found |= mentioned_at(word, keywords));
    }
    found
}

/// In `missingInformation`, what fires a rule.
static MISSING: &[Keyword] = &[
    Keyword::new("pricing", PRICING),
    Keyword::new("cost", PRICING),
    Keyword::new("contact", CONTACT),
    Keyword::new("location", CONTACT),
    Keyword::new("hours", HOURS),
    Keyword::new("schedule", HOURS),
];
/// In `services`, what keeps a rule from firing.
static OFFERED: &[Keyword] = &[
    Keyword::new("booking", BOOKING),
    Keyword::new("appointment", BOOKING),
    Keyword::new("reservation", BOOKING),
    Keyword::new("payment", PAYMENT),
    Keyword::new("checkout", PAYMENT),
    Keyword::new("cart", PAYMENT),
];
/// In `functionalRequirements`, what makes a way to pay worth suggesting.
static SELLS: &[Keyword] = &[
    Keyword::new("sell", PAYMENT),
    Keyword::new("product", PAYMENT),
];
