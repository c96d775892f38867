//! Languages: which one a person gets, and what is tried when a text is missing (wire.md §9).

use serde::{Deserialize, Serialize};

/// A language that texts exist in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Locale {
    /// English, the end of every chain.
    #[default]
    En,
    /// Arabic; `ar-eg`, `ar-sa` and `ar-ae` lead here.
    Ar,
    /// French; `fr-ma` leads here.
    Fr,
    /// Spanish.
    Es,
    /// German.
    De,
}

impl Locale {
    /// The tag for `Content-Language`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ar => "ar",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::De => "de",
        }
    }

    /// The language of a tag: case and `_`/`-` do not matter, an unknown tag tries its prefixes.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let language = tag.trim().split(['-', '_']).next()?;
        [Self::En, Self::Ar, Self::Fr, Self::Es, Self::De]
            .into_iter()
            .find(|locale| language.eq_ignore_ascii_case(locale.as_str()))
    }

    /// The language for a call: the body's `locale`, then `Accept-Language` with its weights,
    /// then English.
    #[must_use]
    pub fn negotiate(body: Option<&str>, accept_language: Option<&str>) -> Self {
        body.and_then(Self::from_tag)
            .or_else(|| accept_language.and_then(Self::from_accept_language))
            .unwrap_or_default()
    }

    /// The first known language by falling weight; equal weights keep their order. A weight of 0
    /// refuses a language, an unreadable one counts as 0 (RFC 9110 §12.4.2).
    fn from_accept_language(header: &str) -> Option<Self> {
        const MOST_RANGES: usize = 32;
        let mut best: Option<(u16, Self)> = None;
        for range in header.split(',').take(MOST_RANGES) {
            let mut parts = range.split(';');
            let Some(locale) = parts.next().and_then(Self::from_tag) else {
                continue;
            };
            let weight = parts.next().map_or(1000, weight_in_thousandths);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, locale));
            }
        }
        best.map(|(_, locale)| locale)
    }
}

fn weight_in_thousandths(parameter: &str) -> u16 {
    let Some(("q" | "Q", value)) = parameter.trim().split_once('=') else {
        return 0;
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    let thousandths = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_fall_to_their_language() {
        for tag in ["ar", "AR-eg", "ar_SA", "ar-ae-x-y"] {
            assert_eq!(Locale::from_tag(tag), Some(Locale::Ar), "{tag}");
        }
        assert_eq!(Locale::from_tag("fr-MA"), Some(Locale::Fr));
        assert_eq!(Locale::from_tag("tlh"), None);
    }

    #[test]
    fn the_body_wins_then_weights_then_english() {
        assert_eq!(Locale::negotiate(Some("de"), Some("fr")), Locale::De);
        assert_eq!(
            Locale::negotiate(Some("tlh"), Some("fr;q=0.5, es;q=0.9")),
            Locale::Es
        );
        assert_eq!(
            Locale::negotiate(None, Some("tlh, de;q=0, ar;q=0.001")),
            Locale::Ar
        );
        assert_eq!(Locale::negotiate(None, Some("fr;q=2, *;q=1")), Locale::En);
        assert_eq!(Locale::negotiate(None, None), Locale::En);
    }
}
