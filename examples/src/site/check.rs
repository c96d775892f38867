//! Whether what a site's pages refer to is there. Pure: files in, an answer out.
//!
//! References are resolved by the WHATWG URL rules, as a browser would at the site's root: query
//! and fragment do not count, percent-encoding is decoded, a folder stands for its `index.html`,
//! `/x` is the site's `x`. What leads to another origin or scheme is not looked at. A reference
//! that climbs out of the site with `..` is missing: where the site is served under a path it
//! would lead to something else. Fragments are not matched with ids.
//!
//! ```
//! use examples::site::check::{CheckError, check};
//! use sheen_core::files::{FilePath, FileSet};
//! let site = FileSet::from_iter([(
//!     FilePath::parse("index.html")?,
//!     r#"<a href="about.html">About us</a>"#.into(),
//! )]);
//! let Err(CheckError::Missing(missing)) = check(&site) else { panic!() };
//! assert_eq!(missing.first()[0].to_string(), "about.html (in index.html, as \"about.html\")");
//! # Ok::<(), sheen_core::files::FilePathError>(())
//! ```

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use sheen_core::files::FileSet;
use url::Url;

use super::links::{self, Links};

/// What is wrong with a site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It has no `index.html` at its root.
    #[error("the site has no index.html")]
    NoIndex,
    /// Pages refer to files that are not there.
    #[error("{0}")]
    Missing(MissingLinks),
}

/// References that lead to no file: how many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLinks {
    first: Vec<Missing>,
    count: usize,
}

impl MissingLinks {
    /// The most that are listed.
    pub const MAX_LISTED: usize = 20;

    /// The first of them, by path of the page and place in it; at most [`Self::MAX_LISTED`].
    #[must_use]
    pub fn first(&self) -> &[Missing] {
        &self.first
    }

    /// How many there are. One page that refers to one address twice counts once.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for MissingLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pages refer to files that are missing: ")?;
        for (at, missing) in self.first.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{missing}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// One reference that leads to no file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The file that refers.
    pub from: String,
    /// The reference as written there, cut at [`Missing::MAX_LEN`] characters.
    pub reference: String,
    /// The file it should lead to, cut alike.
    pub resolved: String,
}

impl Missing {
    /// The most characters kept of an address.
    pub const MAX_LEN: usize = 200;
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (in {}, as {:?})",
            self.resolved, self.from, self.reference
        )
    }
}

/// Looks at every page (`.html`, `.htm`), image (`.svg`) and style sheet (`.css`) of a site.
///
/// # Errors
/// When it has no `index.html`, or a reference leads to no file of it.
pub fn check(files: &FileSet) -> Result<(), CheckError> {
    if files.get("index.html").is_none() {
        return Err(CheckError::NoIndex);
    }
    let mut missing = MissingLinks {
        first: Vec::new(),
        count: 0,
    };
    for (path, content) in files.iter() {
        let path = path.as_str();
        let Some(Links { base, references }) = links_of(path, content) else {
            continue;
        };
        let Some(base) = Base::of(path, base.as_deref()) else {
            continue;
        };
        let mut seen = BTreeSet::new();
        for reference in &references {
            let Target::Local(target) = base.resolve(reference) else {
                continue;
            };
            if target.exists_in(files) || !seen.insert(reference) {
                continue;
            }
            missing.count += 1;
            if missing.first.len() < MissingLinks::MAX_LISTED {
                missing.first.push(Missing {
                    from: path.to_owned(),
                    reference: cut(reference),
                    resolved: cut(&target.0),
                });
            }
        }
    }
    if missing.count == 0 {
        Ok(())
    } else {
        Err(CheckError::Missing(missing))
    }
}

fn links_of(path: &str, content: &str) -> Option<Links> {
    let (_, extension) = path.rsplit_once('.')?;
    let is = |known: &str| extension.eq_ignore_ascii_case(known);
    if is("html") || is("htm") || is("svg") {
        Some(links::of_markup(content))
    } else if is("css") {
        Some(links::of_css(content))
    } else {
        None
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(Missing::MAX_LEN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What must be encoded in a file's path for the URL to mean that file.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// The folder that stands for the site's root. Resolving against it shows a reference that climbs
/// out: the URL rules alone would stop it at the root without a word.
const ROOT: &str = "/site/";

/// What a document's references are resolved against.
struct Base(Url);

enum Target {
    /// Another origin or scheme.
    Elsewhere,
    /// A file of the site.
    Local(Path),
}

/// Where in the site a reference leads, decoded; empty is the root, and a folder ends in `/`.
struct Path(String);

impl Base {
    /// The base of the document at `path`; none when its `<base>` leads elsewhere.
    fn of(path: &str, base: Option<&str>) -> Option<Self> {
        let mut url = Url::parse("http://site.invalid").ok()?;
        url.set_path(&format!("{ROOT}{}", utf8_percent_encode(path, PATH)));
        let document = Self(url);
        match base {
            None => Some(document),
            Some(href) => document.join(href).map(Self),
        }
    }

    /// The URL a reference means, if it is one and of this site.
    fn join(&self, reference: &str) -> Option<Url> {
        let mut url = self.0.join(reference).ok()?;
        if url.origin() != self.0.origin() {
            return None;
        }
        if is_root_relative(reference) {
            let path = format!("{ROOT}{}", url.path().trim_start_matches('/'));
            url.set_path(&path);
        }
        Some(url)
    }

    fn resolve(&self, reference: &str) -> Target {
        let Some(url) = self.join(reference) else {
            return Target::Elsewhere;
        };
        let decoded = match url.path().strip_prefix(ROOT) {
            Some(path) => percent_decode_str(path).decode_utf8_lossy().into_owned(),
            None => format!("..{}", url.path()),
        };
        Target::Local(Path(decoded))
    }
}

/// Whether a reference of the same origin begins at the root: `/x`, not `x` and not `//host`.
fn is_root_relative(reference: &str) -> bool {
    let mut start = reference
        .trim_start_matches(|c| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'));
    // The URL rules take a backslash for a slash.
    matches!(start.next(), Some('/' | '\\'))
}

impl Path {
    fn exists_in(&self, files: &FileSet) -> bool {
        let path = self.0.as_str();
        if path.is_empty() || path.ends_with('/') {
            return files.get(&format!("{path}index.html")).is_some();
        }
        files.get(path).is_some() || files.get(&format!("{path}/index.html")).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheen_core::files::FilePath;

    fn site(files: &[(&str, &str)]) -> FileSet {
        files
            .iter()
            .map(|(path, content)| (FilePath::parse(path).unwrap(), (*content).into()))
            .collect()
    }

    fn missing(files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        match check(&site(files)) {
            Ok(()) => Vec::new(),
            Err(CheckError::Missing(missing)) => {
                assert_eq!(missing.count(), missing.first().len());
                missing
                    .first
                    .into_iter()
                    .map(|m| (m.from, m.reference, m.resolved))
                    .collect()
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_two_sites_of_the_examples_are_whole() {
        for name in ["salon", "bakery"] {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("sites")
                .join(name);
            let files = crate::site::folder::read(&root).unwrap();
            assert!(files.len() > 8, "{name}");
            assert_eq!(check(&files), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_its_page_and_spelling() {
        assert_eq!(
            missing(&[
                ("index.html", ""),
                ("a/b.html", r#"<img src="../img/x%20y.png?v=1#z">"#)
            ]),
            [(
                "a/b.html".to_owned(),
                "../img/x%20y.png?v=1#z".to_owned(),
                "img/x y.png".to_owned()
            )]
        );
    }

    #[test]
    fn references_resolve_as_a_browser_would() {
        let page = r##"
            <a href="">self</a> <a href="#top">top</a> <a href="?q=1">query</a>
            <a href="./b.html">b</a> <a href="/top.html">root</a> <a href="../index.html">up</a>
            <a href="..">up</a> <a href="/">home</a> <a href="c/">folder</a> <a href="c">folder</a>
            <a href="c/../b.html">dots</a> <a href="%D8%B5%D9%81%D8%AD%D8%A9.html">Arabic</a>
            <a href="صفحة.html">Arabic</a> <a href="  b.html
            ">spaces</a> <a href="a#b.html">no</a> <a href="b%2Ehtml">encoded</a>
            <a href="\top.html">backslash</a> <a href="100%25.html">percent</a>"##;
        let files = [
            ("index.html", ""),
            ("top.html", ""),
            ("a/page.html", page),
            ("a/a", ""),
            ("a/b.html", ""),
            ("a/c/index.html", ""),
            ("a/صفحة.html", ""),
            ("a/100%.html", ""),
            // What its own path is resolved from must survive encoding.
            ("q?x#y%41 z/page.html", r#"<a href="b.html">"#),
            ("q?x#y%41 z/b.html", ""),
        ];
        assert_eq!(missing(&files), []);
    }

    #[test]
    fn what_leads_elsewhere_is_not_looked_at() {
        let page = r#"
            <a href="https://example.com/x"> <a href="HTTP://example.com"> <a href="//host/x">
            <a href="mailto:a@b"> <a href="tel:+1"> <a href="javascript:void(0)">
            <img src="data:image/png;base64,AA"> <a href="blob:x"> <a href="\\host\x">
            <a href="http://[bad">"#;
        assert_eq!(missing(&[("index.html", page)]), []);
    }

    #[test]
    fn what_cannot_be_a_file_is_missing_not_a_fault() {
        for (bad, resolved) in [
            ("%FF.html", "\u{fffd}.html"),
            ("%00", "\0"),
            ("a//b.html", "a//b.html"),
            ("../b.html", "../b.html"),
            ("%2e%2e/%2e%2e/etc/passwd", "../etc/passwd"),
            ("a%5Cb", "a\\b"),
            ("..%2Fx", "../x"),
        ] {
            let page = format!(r#"<a href="{bad}">"#);
            let found = missing(&[("index.html", &page), ("b.html", "")]);
            assert_eq!(found.len(), 1, "{bad}");
            assert_eq!(found[0].2, resolved, "{bad}");
        }
    }

    #[test]
    fn a_base_moves_every_reference_of_its_page() {
        let page = r#"<base href="/a/"><a href="b.html">"#;
        assert_eq!(missing(&[("index.html", page), ("a/b.html", "")]), []);
        assert_eq!(missing(&[("index.html", page), ("b.html", "")]).len(), 1);
        let away = r#"<base href="https://example.com/"><a href="b.html">"#;
        assert_eq!(missing(&[("index.html", away)]), []);
    }

    #[test]
    fn style_sheets_and_images_are_looked_at_too() {
        let found = missing(&[
            (
                "index.html",
                r#"<link rel=stylesheet href="css/a.css"><style>@import "b.css"</style>"#,
            ),
            (
                "css/a.css",
                r#"@import "c.css"; p { background: url(../img/d.svg) }"#,
            ),
            (
                "img/d.svg",
                r##"<svg><use href="#x"/><image href="e.png"/></svg>"##,
            ),
        ]);
        let resolved: Vec<_> = found
            .iter()
            .map(|(_, _, resolved)| resolved.as_str())
            .collect();
        assert_eq!(resolved, ["css/c.css", "img/e.png", "b.css"]);
    }

    #[test]
    fn a_site_needs_an_index() {
        assert_eq!(check(&site(&[])), Err(CheckError::NoIndex));
        assert_eq!(
            check(&site(&[("a/index.html", "")])),
            Err(CheckError::NoIndex)
        );
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let page: String = (0..1000)
            .map(|n| format!(r#"<a href="{n}.html"><a href="{n}.html">"#))
            .collect();
        let long = format!(r#"<a href="{}.html">"#, "é".repeat(1000));
        let Err(CheckError::Missing(missing)) =
            check(&site(&[("a.html", &long), ("index.html", &page)]))
        else {
            panic!("nothing was missing");
        };
        assert_eq!(
            (missing.first().len(), missing.count()),
            (MissingLinks::MAX_LISTED, 1001)
        );
        assert!(missing.first()[0].reference.chars().count() <= Missing::MAX_LEN + 1);
        assert!(missing.to_string().ends_with("and 981 more"));
    }

    proptest::proptest! {
        /// Whatever stands in a page, it is answered: the text is a stranger's.
        #[test]
        fn no_page_is_a_fault(page in "[ -~\\n\u{600}-\u{640}<>\"'=/&;%{}()@]{0,400}") {
            for path in ["index.html", "a.svg", "b.css"] {
                let _ = check(&site(&[("index.html", ""), (path, &page)]));
            }
        }

        /// A link to any file that is there, encoded, is never missing.
        #[test]
        fn a_link_to_a_file_that_is_there_is_found(
            folder in "[a-z?#% é]{1,8}", name in "[a-zA-Z0-9?#%&'\" <>é.]{1,12}",
        ) {
            let path = format!("{folder}/{name}x");
            proptest::prop_assume!(FilePath::parse(&path).is_ok());
            let href = utf8_percent_encode(&path, PATH).to_string().replace('&', "&amp;").replace('\'', "%27");
            let page = format!(r#"<a href="{href}">"#).replace("href=\" ", "href=\"%20");
            proptest::prop_assert_eq!(missing(&[("index.html", &page), (&path, "")]), []);
        }
    }
}
