//! The parser against the standard, against itself in pieces, and against sse-stream.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{option, prop_assert, prop_assert_eq, sample};
use sse_stream::SseStream;

use crate::reader::{SseItem, SseParser, SseTooLong};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Event(String, String, String),
    Retry(u64),
}

fn event(kind: &str, data: &str, id: &str) -> Item {
    Item::Event(kind.into(), data.into(), id.into())
}

fn message(data: &str) -> Item {
    event("message", data, "")
}

fn read_all(parser: &mut SseParser, pieces: &[&[u8]]) -> Result<Vec<Item>, SseTooLong> {
    let mut items = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while let Some(item) = parser.read(&mut rest)? {
            items.push(match item {
                SseItem::Event(e) => event(e.kind, e.data, e.id),
                SseItem::Retry(wait) => Item::Retry(u64::try_from(wait.as_millis()).unwrap()),
            });
        }
        assert!(rest.is_empty());
    }
    Ok(items)
}

fn read(pieces: &[&[u8]]) -> Vec<Item> {
    read_all(&mut SseParser::new(), pieces).unwrap()
}

type Case = (&'static str, &'static [u8], Vec<Item>);

/// The cases of the web platform tests (eventsource/), by their names there, written anew.
fn cases_of_lines() -> Vec<Case> {
    vec![
        (
            "format-bom: one mark at the start, and none later",
            b"\xef\xbb\xbfdata:a\n\n\xef\xbb\xbfdata:b\n\ndata:c\n\n",
            vec![message("a"), message("c")],
        ),
        (
            "format-bom-2: the second mark is a field's",
            b"\xef\xbb\xbf\xef\xbb\xbfdata:a\n\ndata:b\n\n",
            vec![message("b")],
        ),
        (
            "a mark alone, then an empty line",
            b"\xef\xbb\xbf\n\ndata:a\n\n",
            vec![message("a")],
        ),
        (
            "format-comments",
            b"data:a\r:\0\n:\r\ndata:b\n: x\rdata:c\r:data:no\r\n\r\n",
            vec![message("a\nb\nc")],
        ),
        (
            "format-data-before-final-empty-line: an unfinished event is none",
            b"retry:900\ndata:a\n\nid:x\ndata:b",
            vec![Item::Retry(900), message("a")],
        ),
        (
            "format-newlines",
            b"data:a\r\ndata\ndata:b\r\n\r\r",
            vec![message("a\n\nb")],
        ),
        (
            "CR alone, CRLF, and both",
            b"data:1\rdata:2\r\rdata:3\r\n\r\n",
            vec![message("1\n2"), message("3")],
        ),
        (
            "LF CR is two line ends",
            b"data:1\n\rdata:2\n\n",
            vec![message("1"), message("2")],
        ),
        (
            "U+2028, U+0085 and a form feed end no line",
            b"data:a\xe2\x80\xa8b\xc2\x85c\x0cd\n\n",
            vec![message("a\u{2028}b\u{85}c\u{c}d")],
        ),
        ("nothing", b"", vec![]),
        ("only line ends", b"\n\n\r\n\r", vec![]),
        (
            "format-null-character",
            b"data:\0\n\n\n\n",
            vec![message("\0")],
        ),
        (
            "format-utf-8",
            b"data:ok\xe2\x80\xa6\n\n",
            vec![message("ok\u{2026}")],
        ),
        (
            "what is not UTF-8 is replaced, part by part",
            b"data:\xff\xe2\x80\ndata:\xf0\x9f\x98x\n\n",
            vec![message("\u{fffd}\u{fffd}\n\u{fffd}x")],
        ),
        (
            "a cut sequence swallows no line end",
            b"data:\xf0\x9f\n\ndata:b\n\n",
            vec![message("\u{fffd}"), message("b")],
        ),
    ]
}

fn cases_of_fields() -> Vec<Case> {
    vec![
        (
            "format-field-data: empty data is data",
            b"data:\n\ndata\ndata\n\ndata:a\n\n",
            vec![message(""), message("\n"), message("a")],
        ),
        (
            "format-field-event lasts for one event",
            b"event:test\ndata:x\n\ndata:x\n\n",
            vec![event("test", "x", ""), message("x")],
        ),
        ("format-field-event-empty", b"event: \ndata:a\n\n", vec![message("a")]),
        ("the last of two names", b"event:a\nevent:b\ndata:x\n\n", vec![event("b", "x", "")]),
        ("a name without data leaves nothing", b"event:a\n\ndata:x\n\n", vec![message("x")]),
        ("format-field-id", b"id: \xe2\x80\xa6\ndata:1\n\n", vec![event("message", "1", "\u{2026}")]),
        (
            "format-field-id-2: an id stays until another, an empty one takes it away",
            b"id:1\ndata:1\n\ndata:2\n\nid\ndata:3\n\n",
            vec![event("message", "1", "1"), event("message", "2", "1"), message("3")],
        ),
        ("an id without data stays too", b"id:1\n\ndata:x\n\n", vec![event("message", "x", "1")]),
        ("format-field-id-null", b"id:1\0\ndata:x\n\n", vec![message("x")]),
        (
            "format-field-parsing",
            b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
            vec![message("\0\n 2\n1\n3\n\n4")],
        ),
        (
            "format-field-retry comes where it stands",
            b"data:x\nretry:3000\ndata:y\n\n",
            vec![Item::Retry(3000), message("x\ny")],
        ),
        (
            "format-field-retry-bogus, -empty: digits and nothing else",
            b"retry:1000x\nretry:+5\nretry:-1\nretry: 7 \nretry\nretry:\nretry:0x1\ndata:x\n\n",
            vec![message("x")],
        ),
        (
            "more digits than fit",
            b"retry:99999999999999999999\nretry:0005\n",
            vec![Item::Retry(u64::MAX), Item::Retry(5)],
        ),
        (
            "format-field-unknown",
            b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:comment\n\n",
            vec![message("test\n")],
        ),
        (
            "format-leading-space: one space is taken, and no tab",
            b"data:\ttest\rdata: \ndata:  two\n\n",
            vec![message("\ttest\n\n two")],
        ),
        ("a value may hold colons", b"data:a:b: c\n\n", vec![message("a:b: c")]),
    ]
}

/// F9: every case at every point it can be cut at, byte by byte, and at every pair of points.
#[test]
fn f9_every_case_reads_alike_however_it_is_cut() {
    for (name, bytes, wanted) in cases_of_lines().into_iter().chain(cases_of_fields()) {
        assert_eq!(read(&[bytes]), wanted, "{name}");
        let singly: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&singly), wanted, "{name} by bytes");
        for cut in 0..=bytes.len() {
            let (a, rest) = bytes.split_at(cut);
            for second in 0..=rest.len() {
                let (b, c) = rest.split_at(second);
                assert_eq!(read(&[a, b, c]), wanted, "{name} cut at {cut} and {second}");
            }
        }
    }
}

#[test]
fn f9_the_id_to_come_back_with_is_that_of_the_last_complete_event() {
    let mut parser = SseParser::new();
    read_all(&mut parser, &[b"id:1\ndata:x\n\nid:2\n"]).unwrap();
    assert_eq!(parser.last_event_id(), "1");
    read_all(&mut parser, &[b"\n"]).unwrap();
    assert_eq!(parser.last_event_id(), "2");
}

#[test]
fn f9_what_is_too_long_is_refused_at_the_same_byte_however_it_is_cut() {
    let line = |len: usize| [&vec![b'x'; len], b"\n".as_slice()].concat();
    let data = |len: usize| [b"data:", vec![b'x'; len].as_slice(), b"\n"].concat();
    for (bytes, fits) in [
        (line(64), true),
        (line(65), false),
        (vec![b'x'; 65], false),
        ([data(31), data(32), b"\n".to_vec()].concat(), true),
        ([data(31), data(33), b"\n".to_vec()].concat(), false),
        ([data(20), data(20), data(22), data(1)].concat(), false),
    ] {
        for size in [1, 7, 64, 1000] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut parser = SseParser::with_max(64);
            let result = read_all(&mut parser, &pieces);
            assert_eq!(result.is_ok(), fits, "{} in {size}", bytes.escape_ascii());
            if !fits {
                let again = parser.read(&mut b"\n\ndata:a\n\n".as_slice());
                assert_eq!(again, Err(SseTooLong { max: 64 }), "it cannot be read on");
            }
        }
    }
}

#[test]
fn f9_a_long_line_in_tiny_pieces_is_held_once() {
    let mut parser = SseParser::new();
    let piece = vec![b'x'; 1024];
    read_all(&mut parser, &[b"data:"]).unwrap();
    for _ in 0..1023 {
        assert_eq!(read_all(&mut parser, &[&piece]), Ok(vec![]));
    }
    let items = read_all(&mut parser, &[b"\n\n"]).unwrap();
    assert_eq!(items, [message(&"x".repeat(1023 * 1024))]);
    assert!(read_all(&mut parser, &[&vec![b'x'; SseParser::MAX + 1]]).is_err());
}

/// What sse-stream reads in pieces of `size`, told as a browser tells it: it hands out blocks
/// without data too, and its ids do not stay.
fn oracle(bytes: &[u8], size: usize) -> Vec<Item> {
    let pieces: Vec<Result<Bytes, Infallible>> = bytes
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let blocks = SseStream::from_bytes_stream(stream::iter(pieces)).collect::<Vec<_>>();
    let (mut items, mut id) = (Vec::new(), String::new());
    for block in blocks.now_or_never().unwrap() {
        let block = block.unwrap();
        id = block.id.unwrap_or(id);
        if let Some(data) = block.data {
            let kind = block.event.filter(|kind| !kind.is_empty());
            items.push(event(kind.as_deref().unwrap_or("message"), &data, &id));
        }
    }
    items
}

/// Blocks that sse-stream does not refuse: known fields, each but `data` once, whole UTF-8.
fn blocks() -> impl Strategy<Value = Vec<u8>> {
    let text = || "[ a-z:\u{2028}\u{e9}\u{1f600}]{0,12}";
    let end = || sample::select(vec!["\n", "\r", "\r\n"]);
    let block = (
        option::of(text()),
        option::of(text()),
        option::of(any::<u32>()),
        vec(
            prop_oneof![
                text().prop_map(|t| format!("data:{t}")),
                text().prop_map(|t| format!(":{t}"))
            ],
            0..4,
        ),
        vec(end(), 8),
    );
    type Block<'a> = (
        Option<String>,
        Option<String>,
        Option<u32>,
        Vec<String>,
        Vec<&'a str>,
    );
    let lines = |(kind, id, retry, mut lines, ends): Block<'_>| {
        lines.extend(kind.map(|kind| format!("event:{kind}")));
        lines.extend(id.map(|id| format!("id: {id}")));
        lines.extend(retry.map(|retry| format!("retry: {retry}")));
        let ends = &ends[..lines.len()];
        let block = lines
            .iter()
            .zip(ends)
            .map(|(line, end)| format!("{line}{end}"));
        // As the line before it ends, for CR and LF would be one end.
        block.collect::<String>() + ends.last().unwrap_or(&"\n")
    };
    let mark = prop_oneof![Just(""), Just("\u{feff}")];
    (mark, vec(block.prop_map(lines), 0..6))
        .prop_map(|(mark, blocks)| (mark.to_owned() + &blocks.concat()).into_bytes())
}

proptest::proptest! {
    #[test]
    fn f9_random_streams_read_as_sse_stream_reads_them(bytes in blocks(), size in 1..40_usize) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let mut items = read(&pieces);
        items.retain(|item| matches!(item, Item::Event(..)));
        prop_assert_eq!(items, oracle(&bytes, size));
    }

    #[test]
    fn f9_any_bytes_in_any_pieces_read_as_the_whole(
        bytes in vec(
            prop_oneof![sample::select(b"\r\n\r\n: dataeventidretry0\0".to_vec()), any::<u8>()],
            0..300,
        ),
        size in 1..9_usize,
        max in 8..300_usize,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let whole = read_all(&mut SseParser::with_max(max), &[&bytes]);
        prop_assert_eq!(&read_all(&mut SseParser::with_max(max), &pieces), &whole);
        for item in whole.into_iter().flatten() {
            let Item::Event(kind, data, _) = item else { continue };
            prop_assert!(!kind.is_empty() && data.len() <= max);
            prop_assert!(!data.contains('\r'));
        }
    }
}

#[test]
fn f5_a_wait_is_told_as_sent() {
    let mut parser = SseParser::new();
    let mut bytes: &[u8] = b"retry: 250\n";
    let item = parser.read(&mut bytes).unwrap();
    assert_eq!(item, Some(SseItem::Retry(Duration::from_millis(250))));
}
