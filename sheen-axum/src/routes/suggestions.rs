//! Quick suggestions.

use sheen_core::locale::Locale;
use sheen_core::wire::SuggestionItem;

/// Suggestions from a prompt, and the language they are in.
pub(super) fn from_prompt(_prompt: &str, locale: Locale) -> (Locale, Vec<SuggestionItem>) {
    (locale, Vec::new())
}
