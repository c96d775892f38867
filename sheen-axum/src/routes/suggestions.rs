//! Quick suggestions.

use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sheen_core::locale::Locale;
use sheen_core::suggest::{self, Analysis, Suggestions, analyse_prompt, content_language};
use sheen_core::wire::{SuggestRequest, SuggestionItem, SuggestionsAnswer};

use super::answer::json;
use crate::call::Call;
use crate::idempotency::Whole;
use crate::problem::Problem;

/// The language of a call: what its body says, else `Accept-Language`, whose lines are one list
/// (RFC 9110 §5.3).
pub(super) fn locale_of(stated: Option<&str>, headers: &HeaderMap) -> Locale {
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    Locale::negotiate(stated, Some(&lines.join(",")))
}

/// Suggestions from a prompt, and the language they are in.
pub(super) fn from_prompt(prompt: &str, locale: Locale) -> (Locale, Vec<SuggestionItem>) {
    let analysis = analyse_prompt(prompt);
    let found = suggest::suggest(&analysis.as_analysis(), locale);
    (content_language(locale), items(&found))
}

fn items(found: &Suggestions) -> Vec<SuggestionItem> {
    found.iter().map(SuggestionItem::from).collect()
}

pub(super) async fn suggest(headers: HeaderMap, mut call: Call) -> Result<Whole, Problem> {
    let (_, request) = call.read::<SuggestRequest>()?;
    let locale = locale_of(request.locale.as_deref(), &headers);
    let asked = &request.analysis;
    let analysis = Analysis {
        business_type: asked.business_type.as_deref(),
        services: &asked.services,
        functional_requirements: &asked.functional_requirements,
        missing_information: &asked.missing_information,
    };
    let found = suggest::suggest(&analysis, locale);
    let suggestions = items(&found);
    let mut answer = json(StatusCode::OK, &SuggestionsAnswer { suggestions })?;
    let language = HeaderValue::from_static(content_language(locale).as_str());
    answer.headers_mut().insert(CONTENT_LANGUAGE, language);
    Ok(answer)
}
