//! What a prompt says of a business, by keyword.

use super::types::Analysis;
use super::words::{Keyword, fold, for_each_word, mentioned_at};

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
const MAX_READ: usize = 16 * 1024;

/// Reads a prompt in English or Arabic by keyword: which services and requirements it speaks of,
/// and which of pricing, contact and hours it leaves out.
///
/// The same prompt always gives the same analysis. Only the first 16 KiB are read.
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

static ENGLISH: &[Keyword] = &[
    Keyword::new("booking", BOOKING),
    Keyword::new("appointment", BOOKING),
    Keyword::new("reserv", BOOKING),
    Keyword::new("payment", PAYMENT),
    Keyword::new("checkout", PAYMENT),
    Keyword::new("cart", PAYMENT),
    Keyword::new("sell", SELLING),
    Keyword::new("product", SELLING),
    Keyword::new("ecommerce", SELLING),
    Keyword::new("pric", PRICING),
    Keyword::new("cost", PRICING),
    Keyword::new("tariff", PRICING),
    Keyword::new("contact", CONTACT),
    Keyword::new("location", CONTACT),
    Keyword::new("address", CONTACT),
    Keyword::new("phone", CONTACT),
    Keyword::new("email", CONTACT),
    Keyword::new("hours", HOURS),
    Keyword::new("schedule", HOURS),
    Keyword::new("timetable", HOURS),
];

/// «موقع» is both a location and a website, so it says nothing; nor does «مواعيد», which is both
/// appointments and opening hours, say more than booking.
static ARABIC: &[Keyword] = &[
    Keyword::new("حجز", BOOKING),
    Keyword::new("حجوز", BOOKING),
    Keyword::new("موعد", BOOKING),
    Keyword::new("مواعيد", BOOKING),
    Keyword::new("دفع", PAYMENT),
    Keyword::new("مدفوع", PAYMENT),
    Keyword::new("سله", PAYMENT),
    Keyword::new("بيع", SELLING),
    Keyword::new("ابيع", SELLING),
    Keyword::new("نبيع", SELLING),
    Keyword::new("يبيع", SELLING),
    Keyword::new("تبيع", SELLING),
    Keyword::new("مبيع", SELLING),
    Keyword::new("منتج", SELLING),
    Keyword::new("متجر", SELLING),
    Keyword::new("سعر", PRICING),
    Keyword::new("اسعار", PRICING),
    Keyword::new("تسعير", PRICING),
    Keyword::new("تكلف", PRICING),
    Keyword::new("تكاليف", PRICING),
    Keyword::new("تواصل", CONTACT),
    Keyword::new("اتصال", CONTACT),
    Keyword::new("اتصل", CONTACT),
    Keyword::new("عنوان", CONTACT),
    Keyword::new("هاتف", CONTACT),
    Keyword::new("خريطه", CONTACT),
    Keyword::new("ساعات", HOURS),
    Keyword::new("دوام", HOURS),
];

fn topics(word: &str) -> u8 {
    match word.chars().find_map(fold) {
        Some('a'..='z') => mentioned_at(word, ENGLISH),
        Some('\u{600}'..='\u{6ff}') => {
            let mut found = 0;
            for_each_stem(word, |stem| found |= mentioned_at(stem, ARABIC));
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
