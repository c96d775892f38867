//! What a prompt says of a business, by keyword.

use super::types::Analysis;
use super::words::{fold, folded_begins_with, for_each_word};

/// What a prompt mentions and what it leaves out, as an [`Analysis`] that owns its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptAnalysis {
    services: Few,
    functional_requirements: Few,
    missing_information: Few,
}

impl PromptAnalysis {
    /// The analysis, to ask [`suggest`](super::suggest) with.
    #[must_use]
    pub fn as_analysis(&self) -> Analysis<'_> {
        Analysis {
            business_type: None,
            services: self.services.as_slice(),
            functional_requirements: self.functional_requirements.as_slice(),
            missing_information: self.missing_information.as_slice(),
        }
    }
}

/// As many texts as there are topics of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Few {
    items: [&'static str; 3],
    len: usize,
}

impl Few {
    fn push_if(mut self, holds: bool, text: &'static str) -> Self {
        if holds {
            self.items[self.len] = text;
            self.len += 1;
        }
        self
    }

    fn as_slice(&self) -> &[&'static str] {
        &self.items[..self.len]
    }
}

const BOOKING: u8 = 1 << 0;
const PAYMENT: u8 = 1 << 1;
const SELLING: u8 = 1 << 2;
const PRICING: u8 = 1 << 3;
const CONTACT: u8 = 1 << 4;
const HOURS: u8 = 1 << 5;

/// How much of a prompt is read, in bytes; what a site is about is said long before.
const MAX_READ: usize = 64 * 1024;

/// Reads a prompt in English or Arabic by keyword: which services and requirements it speaks of,
/// and which of pricing, contact and hours it leaves out.
///
/// The same prompt always gives the same analysis. Only the first 64 KiB are read.
#[must_use]
pub fn analyse_prompt(prompt: &str) -> PromptAnalysis {
    let prompt = &prompt[..prompt.floor_char_boundary(MAX_READ)];
    let mut said = 0;
    for_each_word(prompt, |word| said |= topics(word));
    let says = |topic: u8| said & topic != 0;
    PromptAnalysis {
        services: Few::default()
            .push_if(says(BOOKING), "booking")
            .push_if(says(PAYMENT), "payment"),
        functional_requirements: Few::default().push_if(says(SELLING), "sell products"),
        missing_information: Few::default()
            .push_if(!says(PRICING), "pricing")
            .push_if(!says(CONTACT), "contact")
            .push_if(!says(HOURS), "hours"),
    }
}

/// Keywords as they stand once folded.
const ENGLISH: &[(&str, u8)] = &[
    ("booking", BOOKING),
    ("appointment", BOOKING),
    ("reserv", BOOKING),
    ("payment", PAYMENT),
    ("checkout", PAYMENT),
    ("cart", PAYMENT),
    ("sell", SELLING),
    ("product", SELLING),
    ("ecommerce", SELLING),
    ("pric", PRICING),
    ("cost", PRICING),
    ("tariff", PRICING),
    ("contact", CONTACT),
    ("location", CONTACT),
    ("address", CONTACT),
    ("phone", CONTACT),
    ("email", CONTACT),
    ("hours", HOURS),
    ("schedule", HOURS),
    ("timetable", HOURS),
];

/// «موقع» is both a location and a website, so it says nothing; nor does «مواعيد», which is both
/// appointments and opening hours, say more than booking.
const ARABIC: &[(&str, u8)] = &[
    ("حجز", BOOKING),
    ("حجوز", BOOKING),
    ("موعد", BOOKING),
    ("مواعيد", BOOKING),
    ("دفع", PAYMENT),
    ("مدفوع", PAYMENT),
    ("سله", PAYMENT),
    ("بيع", SELLING),
    ("ابيع", SELLING),
    ("نبيع", SELLING),
    ("يبيع", SELLING),
    ("تبيع", SELLING),
    ("مبيع", SELLING),
    ("منتج", SELLING),
    ("متجر", SELLING),
    ("سعر", PRICING),
    ("اسعار", PRICING),
    ("تسعير", PRICING),
    ("تكلف", PRICING),
    ("تكاليف", PRICING),
    ("تواصل", CONTACT),
    ("اتصال", CONTACT),
    ("اتصل", CONTACT),
    ("عنوان", CONTACT),
    ("هاتف", CONTACT),
    ("خريطه", CONTACT),
    ("ساعات", HOURS),
    ("دوام", HOURS),
];

fn topics(word: &str) -> u8 {
    let begins = |at: &str, keywords: &[(&str, u8)]| {
        keywords
            .iter()
            .filter(|(keyword, _)| folded_begins_with(at, keyword))
            .fold(0, |found, (_, topic)| found | topic)
    };
    match word.chars().find_map(fold) {
        Some('a'..='z') => begins(word, ENGLISH),
        Some('\u{600}'..='\u{6ff}') => {
            let mut found = 0;
            for_each_stem(word, |stem| found |= begins(stem, ARABIC));
            found
        }
        _ => 0,
    }
}

/// Calls `each` with an Arabic word as it is and without what is written onto its front:
/// and (و ف), with, for, like (ب ل ك), the (ال, after ل written لل).
fn for_each_stem<'t>(word: &'t str, mut each: impl FnMut(&'t str)) {
    let strip = |word: &'t str, prefixes: &[char]| {
        let mut letters = word.chars();
        while let Some(c) = letters.next() {
            match fold(c) {
                None => {}
                Some(c) if prefixes.contains(&c) => return letters.as_str(),
                Some(_) => break,
            }
        }
        word
    };
    each(word);
    let word = strip(word, &['و', 'ف']);
    each(word);
    let word = strip(word, &['ب', 'ل', 'ك']);
    each(word);
    // Of «ال» the ا is gone after ل, and either letter alone is harmless to take.
    each(strip(strip(word, &['ا']), &['ل']));
}
