//! Words and how they are compared: case and accents folded, nothing allocated.

/// Base letters of U+00C0–U+024F; `.` where a letter has none.
const LATIN: &[u8; 400] = b"\
aaaaaa.ceeeeiiii.nooooo..uuuuy..aaaaaa.ceeeeiiii.nooooo..uuuuy.y\
aaaaaaccccccccdd..eeeeeeeeeegggggggghh..iiiiiiiii...jjkk.llllll.\
...nnnnnn...oooooo..rrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzz.\
................................oo.............uu...............\
.............aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa....\
aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy............\
................";
/// Base letters of U+1E00–U+1EFF.
const LATIN_ADDITIONAL: &[u8; 256] = b"\
aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm\
mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv\
wwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee\
eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

/// The letter that `c` is compared as, or `None` for a mark upon the letter before it.
///
/// Latin letters lose case and accents, Arabic ones their vowel signs, hamza seats and the
/// stretching tatweel. Other letters stay as they are: no keyword has any.
pub(super) const fn fold(c: char) -> Option<char> {
    match c {
        '\0'..='\x7f' => Some(c.to_ascii_lowercase()),
        '\u{c0}'..='\u{24f}' => Some(base(c, '\u{c0}', LATIN)),
        '\u{1e00}'..='\u{1eff}' => Some(base(c, '\u{1e00}', LATIN_ADDITIONAL)),
        // The signs kelvin and ångström.
        '\u{212a}' => Some('k'),
        '\u{212b}' => Some('a'),
        'آ' | 'أ' | 'إ' | 'ٱ' => Some('ا'),
        'ؤ' => Some('و'),
        'ئ' | 'ى' => Some('ي'),
        'ة' => Some('ه'),
        _ if is_mark(c) => None,
        _ => Some(c),
    }
}

const fn base(c: char, first: char, table: &[u8]) -> char {
    match table[c as usize - first as usize] {
        b'.' => c,
        letter => letter as char,
    }
}

/// Combining marks of Latin and Arabic script, and the tatweel.
const fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}'
        | '\u{6ea}'..='\u{6ed}' | '\u{640}')
}

/// Calls `each` with what follows every beginning of a word, the word's first letter included.
#[inline]
pub(super) fn for_each_word<'t>(text: &'t str, each: impl FnMut(&'t str)) {
    if text.is_ascii() {
        for_each_ascii_word(text, each);
    } else {
        for_each_word_of_any_script(text, each);
    }
}

/// Whether a byte of ASCII text is of a word.
static OF_A_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// Without a branch for each byte: 64 bytes at a time become a mask of those inside of words,
/// and a word begins where such a bit follows none.
#[inline]
fn for_each_ascii_word<'t>(text: &'t str, mut each: impl FnMut(&'t str)) {
    let mut carried = 0;
    for (chunk, bytes) in text.as_bytes().chunks(64).enumerate() {
        let inside = bytes.iter().enumerate().fold(0, |inside, (at, &byte)| {
            inside | (u64::from(OF_A_WORD[usize::from(byte)]) << at)
        });
        let mut beginnings = inside & !(inside << 1 | carried);
        carried = inside >> 63;
        while beginnings != 0 {
            each(&text[chunk * 64 + beginnings.trailing_zeros() as usize..]);
            beginnings &= beginnings - 1;
        }
    }
}

fn for_each_word_of_any_script<'t>(text: &'t str, mut each: impl FnMut(&'t str)) {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        // A mark belongs to what it stands upon: it neither ends nor begins a word.
        if is_mark(c) {
            continue;
        }
        let alphanumeric = c.is_alphanumeric();
        if alphanumeric && !inside {
            each(&text[at..]);
        }
        inside = alphanumeric;
    }
}

/// A keyword as it stands once folded, and the bits that it sets.
pub(super) struct Keyword {
    text: &'static str,
    bits: u8,
    /// Its first eight bytes as one number, and which bits of it count.
    head: u64,
    counts: u64,
}

impl Keyword {
    pub(super) const fn new(text: &'static str, bits: u8) -> Self {
        let bytes = text.as_bytes();
        let (mut head, mut counts) = ([0; 8], [0; 8]);
        let mut at = 0;
        while at < bytes.len() && at < 8 {
            head[at] = bytes[at];
            counts[at] = 0xff;
            at += 1;
        }
        Self {
            text,
            bits,
            head: u64::from_le_bytes(head),
            counts: u64::from_le_bytes(counts),
        }
    }
}

/// The bits of the keywords that the word at the start of `rest` begins with.
#[inline]
pub(super) fn mentioned_at(rest: &str, keywords: &[Keyword]) -> u8 {
    // This bit makes ASCII letters lower-case, and no letter of what is none.
    const LOWER: u64 = u64::from_le_bytes([0x20; 8]);
    const NOT_ASCII: u64 = u64::from_le_bytes([0x80; 8]);
    let bytes = rest.as_bytes();
    let head = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut head = [0; 8];
        head[..bytes.len()].copy_from_slice(bytes);
        head
    });
    let head = u64::from_le_bytes(head) | LOWER;
    let mut found = 0;
    if head & NOT_ASCII == 0 {
        for keyword in keywords {
            if (head ^ keyword.head) & keyword.counts == 0
                && (keyword.text.len() <= 8 || begins_with(rest, keyword.text))
            {
                found |= keyword.bits;
            }
        }
    } else {
        let first = rest.chars().find_map(fold);
        for keyword in keywords {
            if keyword.text.chars().next() == first && begins_with(rest, keyword.text) {
                found |= keyword.bits;
            }
        }
    }
    found
}

/// Whether the word at the start of `rest` begins with `keyword`, which is folded already.
fn begins_with(rest: &str, keyword: &str) -> bool {
    let mut letters = rest.chars().filter_map(fold);
    keyword.chars().all(|wanted| letters.next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;
    use unicode_normalization::char::is_combining_mark;

    use super::*;

    /// The word itself, by Unicode's own tables.
    fn by_unicode(text: &str) -> String {
        text.nfd()
            .filter(|&c| !is_combining_mark(c))
            .flat_map(char::to_lowercase)
            .nfd()
            .filter(|&c| !is_combining_mark(c))
            .collect()
    }

    fn folded(text: &str) -> String {
        text.chars().filter_map(fold).collect()
    }

    #[test]
    fn every_letter_with_a_latin_base_folds_as_unicode_says() {
        let mut seen = 0;
        for c in ('\0'..=char::MAX).filter(|c| c.is_alphabetic()) {
            let unicode = by_unicode(&c.to_string());
            if unicode.len() == 1 {
                assert_eq!(folded(&c.to_string()), unicode, "{c}");
                seen += 1;
            }
        }
        assert!(seen > 500, "{seen}");
    }

    #[test]
    fn nothing_else_folds_to_a_latin_letter() {
        for c in ('\u{80}'..=char::MAX).filter(|&c| fold(c).is_some_and(|to| to.is_ascii())) {
            assert_eq!(folded(&c.to_string()), by_unicode(&c.to_string()), "{c}");
        }
    }

    #[test]
    fn arabic_loses_vowel_signs_hamza_seats_and_stretching() {
        for (text, plain) in [
            ("أَسْعَار", "اسعار"),
            ("إلى", "الي"),
            ("تكلفة", "تكلفه"),
            ("حجـــز", "حجز"),
            ("مسؤول", "مسوول"),
        ] {
            assert_eq!(folded(text), plain);
            assert_eq!(folded(&text.nfd().collect::<String>()), plain, "decomposed");
        }
    }

    #[test]
    fn a_word_is_a_run_of_letters_and_digits() {
        let words = |text| {
            let mut found = Vec::new();
            for_each_word(text, |rest| {
                found.push(
                    rest.chars()
                        .take_while(|c| c.is_alphanumeric())
                        .collect::<String>(),
                );
            });
            found
        };
        assert_eq!(
            words("re-booking,a_b 2x"),
            ["re", "booking", "a", "b", "2x"]
        );
        assert_eq!(words("  "), [""; 0]);
        assert_eq!(words("حجز، موعد"), ["حجز", "موعد"]);
        assert_eq!(words("a¡é"), ["a", "é"]);
    }

    proptest! {
        #[test]
        fn words_are_those_of_a_plain_split(text in r"[a-zA-Z0-9 _\-.éßأ،حج½\u{1F600}]{0,40}") {
            let mut found = Vec::new();
            for_each_word(&text, |rest| found.push(rest.as_ptr()));
            let plain = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
            prop_assert_eq!(found, plain.map(str::as_ptr).collect::<Vec<_>>());
        }

        #[test]
        fn fast_and_plain_scans_of_ascii_agree(text in "[a-c1_ -]{0,200}") {
            let (mut fast, mut plain) = (Vec::new(), Vec::new());
            for_each_ascii_word(&text, |rest| fast.push(rest.len()));
            for_each_word_of_any_script(&text, |rest| plain.push(rest.len()));
            prop_assert_eq!(fast, plain);
        }

        #[test]
        fn the_fast_comparison_is_the_plain_one(text in r"[bB][oóO\u{301}]{0,4}[kKx]{0,2}", extra in ".{0,5}") {
            let text = text + &extra;
            let plain = by_unicode(&text).starts_with("book");
            prop_assert_eq!(begins_with(&text, "book"), plain);
            let keywords = [
                Keyword::new("xylophone", 2),
                Keyword::new("book", 1),
                Keyword::new("حجز", 4),
            ];
            prop_assert_eq!(mentioned_at(&text, &keywords), u8::from(plain));
        }
    }
}
