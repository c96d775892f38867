//! What a site's pages lack, as recommendations. Pure: files in, a list out.
//!
//! Each is found by looking at the pages (`.html`, `.htm`) themselves: a language, a title, a
//! description, a viewport, descriptions of pictures, and a page for addresses that lead nowhere.
//! A site that lacks none of them gets no recommendation.
//!
//! ```
//! use examples::site::lacks::recommend;
//! use sheen_core::files::{FilePath, FileSet};
//! let page = r#"<html lang="en"><title>Salon</title><img src="comb.svg">"#;
//! let site = FileSet::from_iter([(FilePath::parse("index.html")?, page.into())]);
//! let found = recommend(&site);
//! assert!(found.iter().any(|item| item.id == "add-alt" && item.description.contains("index.html")));
//! assert!(!found.iter().any(|item| item.id == "add-title"));
//! # Ok::<(), sheen_core::files::FilePathError>(())
//! ```

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use sheen_core::files::FileSet;
use sheen_core::wire::SuggestionItem;

/// What one page has.
#[derive(Debug, Default)]
struct Page {
    language: bool,
    title: bool,
    description: bool,
    viewport: bool,
    /// A picture without an `alt`; one with an empty `alt` is there for its looks.
    undescribed: bool,
}

/// A thing that pages may lack, in words for people.
struct Lack {
    id: &'static str,
    of: fn(&Page) -> bool,
    title: &'static str,
    what: &'static str,
    category: &'static str,
    prompt: &'static str,
    confidence: f64,
}

/// By falling confidence.
const LACKS: [Lack; 5] = [
    Lack {
        id: "add-title",
        of: |page| !page.title,
        title: "Name your pages",
        what: "no title, which search results and browser tabs show",
        category: "seo",
        prompt: "Give every page a title that says what it is about.",
        confidence: 0.9,
    },
    Lack {
        id: "add-alt",
        of: |page| page.undescribed,
        title: "Describe your pictures",
        what: "a picture without a description for those who cannot see it",
        category: "accessibility",
        prompt: "Describe every picture in its alt text.",
        confidence: 0.9,
    },
    Lack {
        id: "add-viewport",
        of: |page| !page.viewport,
        title: "Fit your pages to phones",
        what: "no viewport, so that phones show it very small",
        category: "ui",
        prompt: "Give every page a viewport that fits the width of a phone.",
        confidence: 0.85,
    },
    Lack {
        id: "add-language",
        of: |page| !page.language,
        title: "Say which language you speak",
        what: "no language, which screen readers and translators need",
        category: "accessibility",
        prompt: "State the language of every page.",
        confidence: 0.8,
    },
    Lack {
        id: "add-description",
        of: |page| !page.description,
        title: "Tell search engines what a page is about",
        what: "no description for search results",
        category: "seo",
        prompt: "Give every page a short description for search results.",
        confidence: 0.75,
    },
];

/// What the pages of `files` lack, the surest first.
#[must_use]
pub fn recommend(files: &FileSet) -> Vec<SuggestionItem> {
    let pages: Vec<(&str, Page)> = files
        .iter()
        .filter(|(path, _)| is_page(path.as_str()))
        .map(|(path, content)| (path.as_str(), read(content)))
        .collect();
    let mut found: Vec<SuggestionItem> = LACKS
        .iter()
        .filter_map(|lack| {
            let lacking = pages.iter().filter(|(_, page)| (lack.of)(page));
            let paths: Vec<&str> = lacking.map(|(path, _)| *path).collect();
            let first = paths.first()?;
            let description = match paths.len() {
                1 => format!("{first} has {}.", lack.what),
                more => format!("{more} pages, {first} first, have {}.", lack.what),
            };
            Some(item(lack, description))
        })
        .collect();
    if !pages.is_empty() && files.get("404.html").is_none() {
        found.push(SuggestionItem {
            id: "add-404".into(),
            title: "Help those who are lost".into(),
            description: "The site has no 404.html for addresses that lead nowhere.".into(),
            category: "ui".into(),
            prompt: "Add a page 404.html that leads visitors back to the start.".into(),
            confidence: 0.6,
        });
    }
    found
}

fn item(lack: &Lack, description: String) -> SuggestionItem {
    SuggestionItem {
        id: lack.id.into(),
        title: lack.title.into(),
        description: description.into(),
        category: lack.category.into(),
        prompt: lack.prompt.into(),
        confidence: lack.confidence,
    }
}

fn is_page(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|it| it.eq_ignore_ascii_case("html") || it.eq_ignore_ascii_case("htm"))
}

fn read(text: &str) -> Page {
    let mut emitter = DefaultEmitter::default();
    // Without it, tags inside a script's string would count.
    emitter.naively_switch_states(true);
    let mut page = Page::default();
    let mut in_title = false;
    for token in Tokenizer::new_with_emitter(text, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                // An SVG's title comes later; the page's own stands first.
                in_title = tag.name.as_slice() == b"title" && !tag.self_closing;
                start_tag(&tag, &mut page);
            }
            Token::String(text) => {
                page.title |= in_title && text.iter().any(|b| !b.is_ascii_whitespace());
            }
            Token::EndTag(_) => in_title = false,
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    page
}

fn start_tag(tag: &StartTag<()>, page: &mut Page) {
    let value = |name: &[u8]| -> Option<String> {
        let mut all = tag.attributes.iter();
        let (_, value) = all.find(|(key, _)| key.as_slice() == name)?;
        Some(String::from_utf8_lossy(value).trim().to_ascii_lowercase())
    };
    let says = |name: &[u8]| value(name).is_some_and(|text| !text.is_empty());
    match tag.name.as_slice() {
        b"html" => page.language |= says(b"lang"),
        b"img" => page.undescribed |= value(b"alt").is_none(),
        b"meta" => match value(b"name").as_deref() {
            Some("description") => page.description |= says(b"content"),
            Some("viewport") => page.viewport |= says(b"content"),
            _ => {}
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use sheen_core::files::FilePath;
    use sheen_events::recommend::Items;

    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<(String, String)> {
        let files = pages.iter().map(|(path, content)| {
            let path = FilePath::parse(path).unwrap();
            (path, (*content).into())
        });
        let items = recommend(&FileSet::from_iter(files));
        assert!(Items::new(items.clone()).is_ok());
        assert!(items.is_sorted_by(|a, b| a.confidence >= b.confidence));
        let plain = items.into_iter();
        plain
            .map(|item| (item.id.to_string(), item.description.to_string()))
            .collect()
    }

    fn ids(pages: &[(&str, &str)]) -> Vec<String> {
        found(pages).into_iter().map(|(id, _)| id).collect()
    }

    const WHOLE: &str = r#"<!doctype html><HTML LANG="en"><title>Salon</title>
        <meta name="Description" content="Hair."><meta name=viewport content="width=device-width">
        <img src=a.svg alt=""><script>"<img src=b>"</script>"#;

    #[test]
    fn a_page_that_has_everything_lacks_nothing() {
        assert!(ids(&[("index.html", WHOLE), ("404.html", WHOLE)]).is_empty());
        assert_eq!(ids(&[("index.html", WHOLE)]), ["add-404"]);
        assert!(ids(&[("a.css", "<img src=b>")]).is_empty());
    }

    #[test]
    fn each_lack_is_found_by_itself_and_says_where() {
        for (without, id) in [
            ("<title>Salon</title>", "add-title"),
            (r#"alt="""#, "add-alt"),
            ("name=viewport", "add-viewport"),
            (r#"LANG="en""#, "add-language"),
            (r#"content="Hair.""#, "add-description"),
        ] {
            let page = WHOLE.replace(without, "");
            let site = [("404.html", WHOLE), ("a/b.htm", page.as_str())];
            let found = found(&site);
            assert_eq!(found.len(), 1, "{without}: {found:?}");
            assert_eq!(found[0].0, id);
            assert!(found[0].1.starts_with("a/b.htm has "), "{found:?}");
        }
        let blank = WHOLE.replace("Salon", " \n ");
        let site = [("404.html", blank.as_str()), ("b.html", blank.as_str())];
        let found = found(&site);
        assert_eq!(found[0].0, "add-title");
        assert!(found[0].1.starts_with("2 pages, 404.html first, have "));
    }
}
