//! The rules of the wire's table.

use super::texts;
use super::types::{Analysis, Suggestion, Suggestions};
use super::words::{begins_with, for_each_word};
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
    let mut chosen = ALWAYS;
    for text in analysis.missing_information {
        chosen |= missing(text.as_ref());
    }
    let mut offered = 0;
    for text in analysis.services {
        offered |= offers(text.as_ref());
    }
    chosen |= BOOKING & !offered;
    if offered & PAYMENT == 0
        && analysis
            .functional_requirements
            .iter()
            .any(|text| sells(text.as_ref()))
    {
        chosen |= PAYMENT;
    }
    Suggestions::pick(table(locale), chosen)
}

/// The rules that a text of `missingInformation` fires.
fn missing(text: &str) -> u8 {
    let mut found = 0;
    for_each_word(text, |word| found |= mark(word, MISSING));
    found
}

/// The rules that a text of `services` keeps from firing.
fn offers(text: &str) -> u8 {
    let mut found = 0;
    for_each_word(text, |word| found |= mark(word, OFFERED));
    found
}

fn sells(text: &str) -> bool {
    let mut found = 0;
    for_each_word(text, |word| found |= mark(word, SELLS));
    found != 0
}

type Keywords = &'static [(&'static str, u8)];

const MISSING: Keywords = &[
    ("pricing", PRICING),
    ("cost", PRICING),
    ("contact", CONTACT),
    ("location", CONTACT),
    ("hours", HOURS),
    ("schedule", HOURS),
];
const OFFERED: Keywords = &[
    ("booking", BOOKING),
    ("appointment", BOOKING),
    ("reservation", BOOKING),
    ("payment", PAYMENT),
    ("checkout", PAYMENT),
    ("cart", PAYMENT),
];
const SELLS: Keywords = &[("sell", PAYMENT), ("product", PAYMENT)];

/// The bits of the keywords that `word` begins with.
fn mark(word: &str, keywords: Keywords) -> u8 {
    keywords
        .iter()
        .filter(|(keyword, _)| begins_with(word, keyword))
        .fold(0, |found, (_, bit)| found | bit)
}
