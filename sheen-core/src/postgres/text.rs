//! Texts that PostgreSQL can keep.

use std::borrow::Cow;

/// `text` as PostgreSQL can keep it: its `text` cannot hold NUL, so a NUL becomes `\0` and a
/// backslash `\\`. [`unescape`] turns it back; other texts stay as they are.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('\0', "\\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What [`escape`] was given.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next() {
                Some('0') => '\0',
                other => other.unwrap_or('\\'),
            },
            other => other,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_keeps_a_nul(text in "[\\\\\0a0é]{0,12}") {
            let kept = escape(&text);
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(unescape(&kept), &*text);
        }
    }
}
