//! Quick suggestions (wire.md §8).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fields::{FromFields, ObjectReader};
use super::start::StartRequest;
use crate::suggest::{Category, Suggestion};

/// What is known of the site that a person wants. Lists that are left out are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AnalysisFields {
    /// The kind of business.
    pub business_type: Option<String>,
    /// What it offers.
    pub services: Vec<String>,
    /// What the site must do.
    pub functional_requirements: Vec<String>,
    /// What is not known yet.
    pub missing_information: Vec<String>,
}

impl AnalysisFields {
    /// The most items in a list.
    pub const MAX_ITEMS: usize = 200;
    /// The longest item, in bytes.
    pub const MAX_ITEM: usize = 2_000;
    /// The largest `extractedInfo`, in bytes of JSON.
    pub const MAX_EXTRACTED: usize = 64 * 1024;
}

impl FromFields for AnalysisFields {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let mut list = |name| body.texts(name, Self::MAX_ITEMS, Self::MAX_ITEM);
        let services = list("services");
        let functional_requirements = list("functionalRequirements");
        let missing_information = list("missingInformation");
        let business_type = body.optional_text("businessType", Self::MAX_ITEM);
        // Checked and not kept: no rule reads it.
        let _ = body.optional_object_text("extractedInfo", Self::MAX_EXTRACTED);
        Some(Self {
            business_type,
            services,
            functional_requirements,
            missing_information,
        })
    }
}

/// `POST /v1/suggestions`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuggestRequest {
    /// What is known of the site.
    pub analysis: AnalysisFields,
    /// The language tag, as sent.
    pub locale: Option<String>,
}

impl FromFields for SuggestRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let analysis = body.object("analysis", AnalysisFields::read);
        let locale = body.optional_text("locale", StartRequest::MAX_LOCALE);
        Some(Self {
            analysis: analysis?,
            locale,
        })
    }
}

/// One suggestion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct SuggestionItem {
    /// `qs-…`, the same in every language.
    pub id: Cow<'static, str>,
    /// A few words.
    pub title: Cow<'static, str>,
    /// A sentence.
    pub description: Cow<'static, str>,
    /// `feature`, `ui`, `seo`, `performance` or `accessibility`.
    pub category: Cow<'static, str>,
    /// What to ask the worker for.
    pub prompt: Cow<'static, str>,
    /// From 0 to 1.
    pub confidence: f64,
}

impl From<&Suggestion> for SuggestionItem {
    fn from(suggestion: &Suggestion) -> Self {
        let category = match suggestion.category {
            Category::Feature => "feature",
            Category::Ui => "ui",
            Category::Seo => "seo",
            Category::Performance => "performance",
            Category::Accessibility => "accessibility",
        };
        Self {
            id: suggestion.id.into(),
            title: suggestion.title.into(),
            description: suggestion.description.into(),
            category: category.into(),
            prompt: suggestion.prompt.into(),
            confidence: suggestion.confidence,
        }
    }
}

/// The answer to `POST /v1/suggestions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct SuggestionsAnswer {
    /// At most 4, by falling confidence.
    pub suggestions: Vec<SuggestionItem>,
}
