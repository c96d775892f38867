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

/// What an ASCII byte is to a scan; one table look-up in place of four comparisons.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Separator,
    Word,
    NotAscii,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::NotAscii; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        classes[byte as usize] = if byte.is_ascii_alphanumeric() {
            Class::Word
        } else {
            Class::Separator
        };
        byte += 1;
    }
    classes
};

/// Calls `each` with what follows every beginning of a word, the word's first letter included.
pub(super) fn for_each_word<'t>(text: &'t str, mut each: impl FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let class = |at: usize| bytes.get(at).map(|&byte| CLASSES[usize::from(byte)]);
    let mut at = 0;
    let mut inside = false;
    while let Some(here) = class(at) {
        match here {
            Class::Separator => inside = false,
            Class::Word => {
                if !inside {
                    each(&text[at..]);
                }
                inside = true;
                while class(at + 1) == Some(Class::Word) {
                    at += 1;
                }
            }
            Class::NotAscii => {
                let rest = &text[at..];
                let Some(c) = rest.chars().next() else { return };
                // A mark belongs to what it stands upon: it neither ends nor begins a word.
                if !is_mark(c) {
                    if !inside && c.is_alphanumeric() {
                        each(rest);
                    }
                    inside = c.is_alphanumeric();
                }
                at += c.len_utf8() - 1;
            }
        }
        at += 1;
    }
}

/// Whether the word at the start of `rest` begins with `keyword`, which is lower-case ASCII.
pub(super) fn begins_with(rest: &str, keyword: &str) -> bool {
    for (at, (&byte, &wanted)) in rest.as_bytes().iter().zip(keyword.as_bytes()).enumerate() {
        if !byte.is_ascii() {
            return folded_begins_with(&rest[at..], &keyword[at..]);
        }
        if byte.to_ascii_lowercase() != wanted {
            return false;
        }
    }
    rest.len() >= keyword.len()
}

/// As [`begins_with`], for any script; `keyword` is folded already.
pub(super) fn folded_begins_with(rest: &str, keyword: &str) -> bool {
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
        fn both_comparisons_agree(text in r"[bB][oóO\u{301}]{0,4}[kKx]{0,2}", extra in ".{0,5}") {
            let text = text + &extra;
            let plain = by_unicode(&text).starts_with("book");
            prop_assert_eq!(begins_with(&text, "book"), plain);
            prop_assert_eq!(folded_begins_with(&text, "book"), plain);
        }
    }
}
