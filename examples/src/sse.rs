//! Reads `text/event-stream` as WHATWG HTML §9.2 says, in whatever pieces it arrives, bounded.
//!
//! ```
//! use examples::sse::{Item, Parser};
//! let mut parser = Parser::new();
//! assert!(parser.push(b"id: 7\nda").unwrap().is_empty());
//! let items = parser.push(b"ta: hello\n\n").unwrap();
//! let Item::Event(event) = &items[0] else { panic!() };
//! assert_eq!((event.id.as_str(), event.kind.as_str(), event.data.as_str()), ("7", "message", "hello"));
//! ```

use std::time::Duration;

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// An event.
    Event(Event),
    /// How long to wait before the next attempt, as sent.
    Retry(Duration),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Event {
    /// Its `event` field, or `message`.
    pub kind: String,
    /// Its `data` lines, joined by LF.
    pub data: String,
    /// The last `id` seen up to here, or empty.
    pub id: String,
}

/// A line or an event is longer than [`Parser::MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is too long")]
#[non_exhaustive]
pub struct TooLong;

/// Takes bytes, gives events. Feed it one connection's bytes in order.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a CR: an LF right after it ends no second line.
    after_cr: bool,
    /// A first line was read, so a byte order mark is one no more.
    begun: bool,
    kind: String,
    data: String,
    id: String,
}

impl Parser {
    /// The longest line, and the most data of one event, in bytes.
    pub const MAX: usize = 1 << 20;

    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. An event that is not ended by an empty line when the stream ends is
    /// not one.
    ///
    /// # Errors
    /// When a line or an event is too long. The stream cannot be read on then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Item>, TooLong> {
        let mut items = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(after) = rest.strip_prefix(b"\n")
            {
                rest = after;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + part.len() > Self::MAX {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            rest = after;
            if let Some((ending, after)) = rest.split_first() {
                self.after_cr = *ending == b'\r';
                rest = after;
                self.end_line(&mut items)?;
            }
        }
        Ok(items)
    }

    fn end_line(&mut self, items: &mut Vec<Item>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.is_empty() {
            self.dispatch(items);
        } else {
            let text = String::from_utf8_lossy(text);
            let (field, value) = text.split_once(':').unwrap_or((&text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            self.field(field, value, items)?;
        }
        // Its memory serves the next line.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn field(&mut self, field: &str, value: &str, items: &mut Vec<Item>) -> Result<(), TooLong> {
        match field {
            "data" => {
                if self.data.len() + value.len() > Self::MAX {
                    return Err(TooLong);
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                // More digits than fit are a very long time.
                let millis = value.parse().unwrap_or(u64::MAX);
                items.push(Item::Retry(Duration::from_millis(millis)));
            }
            // A comment's field is empty; unknown fields are ignored.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, items: &mut Vec<Item>) {
        let mut data = std::mem::take(&mut self.data);
        let mut kind = std::mem::take(&mut self.kind);
        // Each data line added an LF, the last one too.
        if data.pop().is_none() {
            return;
        }
        if kind.is_empty() {
            kind.push_str("message");
        }
        items.push(Item::Event(Event {
            kind,
            data,
            id: self.id.clone(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str, id: &str) -> Item {
        Item::Event(Event {
            kind: kind.into(),
            data: data.into(),
            id: id.into(),
        })
    }

    fn retry(millis: u64) -> Item {
        Item::Retry(Duration::from_millis(millis))
    }

    fn message(data: &str) -> Item {
        event("message", data, "")
    }

    fn read(pieces: &[&[u8]]) -> Vec<Item> {
        let mut parser = Parser::new();
        pieces
            .iter()
            .flat_map(|piece| parser.push(piece).unwrap())
            .collect()
    }

    /// The cases of the web platform tests (eventsource/), by their names there.
    fn cases() -> Vec<(&'static [u8], Vec<Item>)> {
        vec![
            // format-bom, format-bom-2
            (b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", vec![message("1"), message("3")]),
            (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n", vec![message("2")]),
            // format-comments
            (b"data:1\r:\0\n:\r\ndata:2\n: x\rdata:3\r:data:fail\r\n\r\n", vec![message("1\n2\n3")]),
            // format-data-before-final-empty-line
            (b"retry:1000\ndata:test1\n\nid:test\ndata:test2", vec![retry(1000), message("test1")]),
            // format-field-data
            (b"data:\n\ndata\ndata\n\ndata:test\n\n", vec![message(""), message("\n"), message("test")]),
            // format-field-event, format-field-event-empty
            (b"event:test\ndata:x\n\ndata:x\n\n", vec![event("test", "x", ""), message("x")]),
            (b"event: \ndata:data\n\n", vec![message("data")]),
            // an event without data leaves no name behind
            (b"event:test\n\ndata:x\n\n", vec![message("x")]),
            // format-field-id, format-field-id-2, format-field-id-null
            (b"id: \xe2\x80\xa6\ndata:1\n\n", vec![event("message", "1", "\u{2026}")]),
            (b"id:1\ndata:1\n\ndata:2\n\nid\ndata:3\n\n", vec![event("message", "1", "1"), event("message", "2", "1"), message("3")]),
            (b"id:1\n\ndata:x\n\n", vec![event("message", "x", "1")]),
            (b"id:1\0\ndata:x\n\n", vec![message("x")]),
            // format-field-parsing
            (b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
                vec![message("\0\n 2\n1\n3\n\n4")]),
            // format-field-retry, -bogus, -empty
            (b"retry:3000\ndata:x\n\n", vec![retry(3000), message("x")]),
            (b"retry:3000\nretry:1000x\nretry:+5\nretry:-1\nretry\nretry:\ndata:x\n\n", vec![retry(3000), message("x")]),
            (b"retry:99999999999999999999\n", vec![retry(u64::MAX)]),
            // format-field-unknown
            (b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\n\n", vec![message("test\n")]),
            // format-leading-space
            (b"data:\ttest\rdata: \ndata:test\n\n", vec![message("\ttest\n\ntest")]),
            // format-newlines
            (b"data:test\r\ndata\ndata:test\r\n\r\r", vec![message("test\n\ntest")]),
            // format-null-character
            (b"data:\0\n\n\n\n", vec![message("\0")]),
            // format-utf-8, and what is not
            (b"data:ok\xe2\x80\xa6\n\n", vec![message("ok\u{2026}")]),
            (b"data:\xff\xe2\x80\n\n", vec![message("\u{fffd}\u{fffd}")]),
            // CR alone, CRLF, and both
            (b"data:1\rdata:2\r\rdata:3\r\n\r\n", vec![message("1\n2"), message("3")]),
            // U+2028 and U+0085 end no line
            (b"data:a\xe2\x80\xa8b\xc2\x85c\n\n", vec![message("a\u{2028}b\u{85}c")]),
            (b"", vec![]),
            (b"\n\n\r\n", vec![]),
        ]
    }

    /// failures/events.md F9: every case at every point it can be cut at.
    #[test]
    fn f9_every_case_reads_alike_however_it_is_cut() {
        for (bytes, wanted) in cases() {
            let name = bytes.escape_ascii().to_string();
            assert_eq!(read(&[bytes]), wanted, "{name}");
            let singly: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&singly), wanted, "{name} by bytes");
            for cut in 0..=bytes.len() {
                let (a, b) = bytes.split_at(cut);
                assert_eq!(read(&[a, b]), wanted, "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn f9_what_is_too_long_is_refused_and_not_kept() {
        let mut parser = Parser::new();
        let piece = vec![b'x'; 64 * 1024];
        let refused = (0..32).find_map(|_| parser.push(&piece).err());
        assert_eq!(refused, Some(TooLong));
        assert!(parser.line.len() <= Parser::MAX);

        let mut parser = Parser::new();
        let line = [b"data:".as_slice(), &piece, b"\n"].concat();
        let refused = (0..32).find_map(|_| parser.push(&line).err());
        assert_eq!(refused, Some(TooLong));
        assert!(parser.data.len() <= Parser::MAX + 32);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_pieces_read_as_the_whole(
            bytes in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::sample::select(b"\r\n\r\n: dataeventidretry0\0".to_vec()),
                    proptest::prelude::any::<u8>(),
                ],
                0..200,
            ),
            size in 1..9_usize,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            proptest::prop_assert_eq!(read(&pieces), read(&[&bytes]));
        }
    }
}
