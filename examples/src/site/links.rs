//! What a page or a style sheet refers to, as written there.

use std::convert::Infallible;

use cssparser::{ParseError, Parser, Token as Css};
use html5gum::{DefaultEmitter, StartTag, Token as Html, Tokenizer};

/// Blocks nested deeper than this are not looked into: no style sheet written by people has them.
const MAX_CSS_DEPTH: u8 = 32;

/// What one document refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// The `href` of its `<base>`, if it has one.
    pub(super) base: Option<String>,
    /// Its references, in order.
    pub(super) references: Vec<String>,
}

/// What an HTML page or an SVG image refers to.
pub(super) fn of_markup(text: &str) -> Links {
    let mut emitter = DefaultEmitter::default();
    // Without it, `<a href>` inside a script's string would count as a link.
    emitter.naively_switch_states(true);
    let mut links = Links::default();
    // A parse error may split an element's text, so it is gathered.
    let mut style: Option<String> = None;
    for token in Tokenizer::new_with_emitter(text, emitter) {
        let Ok(token) = token;
        match token {
            Html::StartTag(tag) => {
                if tag.name.as_slice() == b"style" && !tag.self_closing {
                    style = Some(String::new());
                }
                start_tag(&tag, &mut links);
            }
            Html::String(text) => {
                if let Some(style) = &mut style {
                    style.push_str(&String::from_utf8_lossy(&text));
                }
            }
            Html::EndTag(_) => {
                if let Some(style) = style.take() {
                    css_references(&style, &mut links.references);
                }
            }
            Html::Comment(_) | Html::Doctype(_) | Html::Error(_) => {}
        }
    }
    if let Some(style) = style {
        css_references(&style, &mut links.references);
    }
    links
}

/// What a style sheet refers to.
pub(super) fn of_css(text: &str) -> Links {
    let mut links = Links::default();
    css_references(text, &mut links.references);
    links
}

fn start_tag(tag: &StartTag<()>, links: &mut Links) {
    let name = tag.name.as_slice();
    for (attribute, value) in &tag.attributes {
        let value = String::from_utf8_lossy(value);
        match (name, attribute.as_slice()) {
            (b"base", b"href") => {
                links.base.get_or_insert_with(|| value.into_owned());
            }
            (_, b"href" | b"xlink:href" | b"src" | b"poster")
            | (b"object", b"data")
            | (b"form", b"action")
            | (b"button" | b"input", b"formaction") => links.references.push(value.into_owned()),
            (b"img" | b"source", b"srcset") | (b"link", b"imagesrcset") => {
                links.references.extend(srcset(&value).map(str::to_owned));
            }
            (b"meta", b"content") if is_refresh(tag) => links.references.extend(refresh(&value)),
            (_, b"style") => css_references(&value, &mut links.references),
            _ => {}
        }
    }
}

/// The addresses of a `srcset` (HTML, "parsing a srcset attribute"): an address ends at a space,
/// its descriptor at a comma outside parentheses.
fn srcset(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        if let Some(bare) = address.strip_suffix(',') {
            rest = after;
            return Some(bare.trim_end_matches(','));
        }
        let mut depth = 0_u32;
        let end = after.find(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        });
        rest = &after[end.unwrap_or(after.len())..];
        Some(address)
    })
}

fn is_refresh(tag: &StartTag<()>) -> bool {
    tag.attributes
        .get(b"http-equiv".as_slice())
        .is_some_and(|value| value.eq_ignore_ascii_case(b"refresh"))
}

/// The address in `5; url='next.html'`.
fn refresh(content: &str) -> Option<String> {
    let (_, rest) = content.split_once([';', ','])?;
    let rest = rest.trim_start();
    let rest = match rest.get(..3) {
        Some(url) if url.eq_ignore_ascii_case("url") => {
            rest[3..].trim_start().strip_prefix('=')?.trim_start()
        }
        _ => rest,
    };
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let address = match quote {
        Some(quote) => rest[1..].split(quote).next()?,
        None => rest,
    };
    Some(address.trim_end().to_owned())
}

/// What the strings met in a block mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// Text.
    Text,
    /// Addresses: in `url(…)` and `image-set(…)`.
    Addresses,
}

fn css_references(text: &str, found: &mut Vec<String>) {
    let mut parser = Parser::new(text);
    css_block(&mut parser, Strings::Text, 0, found);
}

fn css_block(parser: &mut Parser<'_>, strings: Strings, depth: u8, found: &mut Vec<String>) {
    let mut after_import = false;
    // An unclosed or misplaced token is skipped as a browser would: `Err` comes at the end alone.
    while let Ok(token) = parser.next() {
        let mut inside = None;
        let mut import = false;
        match token {
            Css::UnquotedUrl(address) => found.push((**address).to_owned()),
            Css::QuotedString(address) if after_import || strings == Strings::Addresses => {
                found.push((**address).to_owned());
            }
            Css::AtKeyword(name) => import = name.eq_ignore_ascii_case("import"),
            Css::Function(name) => {
                let addresses = ["url", "src", "image-set", "-webkit-image-set"];
                inside = Some(
                    if addresses
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known))
                    {
                        Strings::Addresses
                    } else {
                        Strings::Text
                    },
                );
            }
            Css::CurlyBracketBlock | Css::ParenthesisBlock | Css::SquareBracketBlock => {
                inside = Some(Strings::Text);
            }
            _ => {}
        }
        after_import = import;
        if let Some(strings) = inside.filter(|_| depth < MAX_CSS_DEPTH) {
            let walked: Result<(), ParseError<Infallible>> = parser.parse_nested_block(|block| {
                css_block(block, strings, depth + 1, found);
                Ok(())
            });
            // The block was read to its end by `css_block`, so nothing is left to complain of.
            drop(walked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markup(text: &str) -> Vec<String> {
        of_markup(text).references
    }

    fn css(text: &str) -> Vec<String> {
        of_css(text).references
    }

    #[test]
    fn every_attribute_that_loads_or_leads_is_seen() {
        let page = r#"
            <link rel="stylesheet" href="a.css"><script src="b.js"></script>
            <a href="c.html">c</a><area href="d.html"><img src='e.png' srcset="f.png 1x, g.png 2x">
            <video src=h.mp4 poster=i.jpg><source src="j.webm"><track src="k.vtt"></video>
            <iframe src="l.html"></iframe><object data="m.svg"></object><embed src="n.svg">
            <form action="o.html"><button formaction="p.html">x</button></form>
            <svg><use href="q.svg#x"/><image xlink:href="r.png"/></svg>
            <link rel=preload imagesrcset="s.png 400w, t.png 800w">
            <meta http-equiv="Refresh" content="3; URL='u.html'"><input type=image src="v.png">
            <p style="background: url(w.png)">"#;
        assert_eq!(
            markup(page),
            [
                "a.css", "b.js", "c.html", "d.html", "e.png", "f.png", "g.png", "i.jpg", "h.mp4",
                "j.webm", "k.vtt", "l.html", "m.svg", "n.svg", "o.html", "p.html", "q.svg#x",
                "r.png", "s.png", "t.png", "u.html", "v.png", "w.png"
            ]
        );
    }

    #[test]
    fn what_only_looks_like_a_link_is_not_one() {
        let page = r#"
            <!-- <a href="comment.html"> -->
            <script>const s = '<a href="script.html">';</script>
            <style>/* url(comment.png) */ p { content: "url(string.png)" }</style>
            <textarea><img src="textarea.png"></textarea>
            <title><a href="title.html"></title>
            <p data-src="data.png" title="href=&quot;x&quot;">src="text.png"</p>"#;
        assert_eq!(markup(page), [""; 0]);
    }

    #[test]
    fn entities_are_decoded_and_broken_markup_is_read_as_browsers_do() {
        assert_eq!(
            markup(r#"<a href="a&amp;b.html?x=1&y=2">"#),
            ["a&b.html?x=1&y=2"]
        );
        assert_eq!(
            markup("<a href=one.html><b><a HREF='two.html'"),
            ["one.html"]
        );
        assert_eq!(markup("<a href=one.html href=two.html>"), ["one.html"]);
        assert_eq!(markup("<img src"), [""; 0]);
    }

    #[test]
    fn the_first_base_counts() {
        let links = of_markup(r#"<base href="/a/"><base href="/b/"><a href="c">"#);
        assert_eq!(links.base.as_deref(), Some("/a/"));
        assert_eq!(links.references, ["c"]);
    }

    #[test]
    fn a_srcset_is_split_as_html_says() {
        let split = |value| srcset(value).collect::<Vec<_>>();
        assert_eq!(split("a.png"), ["a.png"]);
        assert_eq!(
            split(" a.png 1x , b.png 2x,c.png"),
            ["a.png", "b.png", "c.png"]
        );
        assert_eq!(split("a.png, b.png"), ["a.png", "b.png"]);
        assert_eq!(
            split("data:image/png,AA 1x, b,c.png 2x"),
            ["data:image/png,AA", "b,c.png"]
        );
        assert_eq!(split("a.png calc(1x, 2x), b.png"), ["a.png", "b.png"]);
        assert_eq!(split(", ,"), [""; 0]);
    }

    #[test]
    fn css_addresses_are_found_in_every_spelling() {
        assert_eq!(
            css(r#"@import "a.css"; @IMPORT url(b.css) screen;
                @media print { .x { background: url( "c.png" ), URL(d.png) } }
                @font-face { src: url('e.woff2') format("woff2"), local("Name") }
                .y { background: image-set("f.png" 1x, url(g.png) 2x); content: "h.png" }
                .z { cursor: u\72l(i.cur); mask: url(j\ k.svg#m) }"#),
            [
                "a.css",
                "b.css",
                "c.png",
                "d.png",
                "e.woff2",
                "f.png",
                "g.png",
                "i.cur",
                "j k.svg#m"
            ]
        );
    }

    #[test]
    fn broken_css_is_read_to_its_end() {
        assert_eq!(
            css("a { b: url(one .png } c); d: url(\"two.png\") }"),
            ["two.png"]
        );
        assert_eq!(css("} ) ] .a { background: url(x.png)"), ["x.png"]);
        assert_eq!(css("@import"), [""; 0]);
        let deep = "{".repeat(100_000) + "a: url(x.png)";
        assert_eq!(css(&deep), [""; 0]);
    }
}
