//! `text/event-stream`, read as WHATWG HTML §9.2 says, in whatever pieces it arrives.

use std::borrow::Cow;
use std::time::Duration;

use memchr::{memchr, memchr2};

/// What a stream holds. It borrows from the parser and from the bytes it was read of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseItem<'a> {
    /// An event.
    Event(SseEvent<'a>),
    /// How long to wait before the next attempt, as sent: unbounded, for its reader to clamp.
    Retry(Duration),
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// Its `event` field, or `message`.
    pub kind: &'a str,
    /// Its `data` lines, joined by LF.
    pub data: &'a str,
    /// The last `id` of the stream up to here, or empty.
    pub id: &'a str,
}

/// A line, or the data of an event, is longer than the parser's bound. The stream cannot be read
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line or an event of the stream is longer than {max} bytes")]
#[non_exhaustive]
pub struct SseTooLong {
    /// The bound, in bytes.
    pub max: usize,
}

/// Takes the bytes of one connection in order and gives what they hold.
///
/// It is linear in the bytes, copies the data of an event only when it has several lines or comes
/// in several pieces, and holds at most one line and one event, each within its bound. What is not
/// UTF-8 reads as U+FFFD. A new connection wants a new parser.
///
/// ```
/// use sheen_events::reader::{SseItem, SseParser};
///
/// let mut parser = SseParser::new();
/// let mut piece: &[u8] = b"id: 7\nda";
/// assert_eq!(parser.read(&mut piece)?, None);
/// let mut piece: &[u8] = b"ta: hello\n\n";
/// let Some(SseItem::Event(event)) = parser.read(&mut piece)? else { panic!() };
/// assert_eq!((event.id, event.kind, event.data), ("7", "message", "hello"));
/// assert_eq!(parser.read(&mut piece)?, None);
/// # Ok::<(), sheen_events::reader::SseTooLong>(())
/// ```
#[derive(Debug)]
pub struct SseParser {
    max: usize,
    /// A line that came in pieces, as far as it came.
    line: Vec<u8>,
    /// The last byte was a CR: an LF right after it ends no second line.
    after_cr: bool,
    /// A first line was read, so a byte order mark is one no more.
    begun: bool,
    /// What was read last was handed out from here and is to be cleared.
    handed_out: bool,
    failed: bool,
    kind: String,
    /// Data lines that were copied, an LF after each.
    data: String,
    id: String,
    last_id: String,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// The longest line, and the most data of one event, in bytes, unless said otherwise: 1 MiB.
    pub const MAX: usize = 1 << 20;

    /// At the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_max(Self::MAX)
    }

    /// At the start of a stream whose lines, and whose events' data, are at most `max` bytes.
    #[must_use]
    pub const fn with_max(max: usize) -> Self {
        Self {
            max,
            line: Vec::new(),
            after_cr: false,
            begun: false,
            handed_out: false,
            failed: false,
            kind: String::new(),
            data: String::new(),
            id: String::new(),
            last_id: String::new(),
        }
    }

    /// The id of the last event that was complete, data or not: what a browser sends as
    /// `Last-Event-ID`.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// Reads on in `input` and leaves in it what follows the item. `None` when all of it was taken
    /// in. An event that no empty line ends when the stream ends is not one.
    ///
    /// # Errors
    /// When a line or an event is too long, and ever after.
    pub fn read<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
    ) -> Result<Option<SseItem<'a>>, SseTooLong> {
        if std::mem::take(&mut self.handed_out) {
            self.data.clear();
            self.kind.clear();
        }
        // The event's only data line so far, where it stands in the input.
        let mut whole: Option<&'b str> = None;
        loop {
            let line = match self.next_line(input)? {
                Some(line) => line,
                None => {
                    self.keep(whole)?;
                    return Ok(None);
                }
            };
            let done = match line {
                Line::Whole(bytes) => self.line_of_input(bytes, &mut whole)?,
                Line::Pieces(bytes) => {
                    self.keep(whole.take())?;
                    let done = self.line_in_pieces(&bytes)?;
                    // Its memory serves the next line.
                    self.line = bytes;
                    self.line.clear();
                    done
                }
            };
            match done {
                Done::Nothing => {}
                Done::Retry(wait) => {
                    self.keep(whole)?;
                    return Ok(Some(SseItem::Retry(wait)));
                }
                Done::Event => {
                    if self.last_id != self.id {
                        self.last_id.clone_from(&self.id);
                    }
                    self.handed_out = true;
                    if whole.is_some() || !self.data.is_empty() {
                        return Ok(Some(SseItem::Event(self.event(whole))));
                    }
                    self.handed_out = false;
                    self.kind.clear();
                }
            }
        }
    }

    fn event<'a>(&'a self, whole: Option<&'a str>) -> SseEvent<'a> {
        // Each data line added an LF, the last one too.
        let kept = self.data.strip_suffix('\n').unwrap_or(&self.data);
        SseEvent {
            kind: if self.kind.is_empty() {
                "message"
            } else {
                &self.kind
            },
            data: whole.unwrap_or(kept),
            id: &self.id,
        }
    }

    /// The next line without its end; `None` when `input` ends before the line does.
    fn next_line<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Line<'b>>, SseTooLong> {
        if self.failed {
            return Err(SseTooLong { max: self.max });
        }
        if self.after_cr && !input.is_empty() {
            self.after_cr = false;
            *input = input.strip_prefix(b"\n").unwrap_or(input);
        }
        let Some(at) = memchr2(b'\n', b'\r', input) else {
            let rest = std::mem::take(input);
            self.check(self.line.len() + rest.len())?;
            self.line.extend_from_slice(rest);
            return Ok(None);
        };
        let (part, rest) = input.split_at(at);
        self.check(self.line.len() + part.len())?;
        match rest {
            [b'\r', b'\n', rest @ ..] => *input = rest,
            [b'\r'] => {
                *input = &[];
                self.after_cr = true;
            }
            [_, rest @ ..] => *input = rest,
            [] => {}
        }
        if self.line.is_empty() {
            return Ok(Some(Line::Whole(part)));
        }
        self.line.extend_from_slice(part);
        Ok(Some(Line::Pieces(std::mem::take(&mut self.line))))
    }

    /// Takes a line of the input; its data is not copied while it is the event's only one.
    fn line_of_input<'b>(
        &mut self,
        bytes: &'b [u8],
        whole: &mut Option<&'b str>,
    ) -> Result<Done, SseTooLong> {
        let bytes = self.without_mark(bytes);
        let Some((field, value)) = split(bytes) else {
            return Ok(Done::Event);
        };
        if field != b"data" {
            return Ok(self.other_field(field, value));
        }
        self.keep(whole.take())?;
        match std::str::from_utf8(value) {
            Ok(value) if self.data.is_empty() => *whole = Some(value),
            _ => self.keep_bytes(value)?,
        }
        Ok(Done::Nothing)
    }

    fn line_in_pieces(&mut self, bytes: &[u8]) -> Result<Done, SseTooLong> {
        let bytes = self.without_mark(bytes);
        let Some((field, value)) = split(bytes) else {
            return Ok(Done::Event);
        };
        if field != b"data" {
            return Ok(self.other_field(field, value));
        }
        self.keep_bytes(value)?;
        Ok(Done::Nothing)
    }

    /// One mark at the start of the stream is none of its text.
    fn without_mark<'b>(&mut self, line: &'b [u8]) -> &'b [u8] {
        if std::mem::replace(&mut self.begun, true) {
            return line;
        }
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    }

    fn other_field(&mut self, field: &[u8], value: &[u8]) -> Done {
        match field {
            b"event" => set(&mut self.kind, value),
            b"id" if memchr(0, value).is_none() => set(&mut self.id, value),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // More digits than fit are a very long time.
                let digit = |millis: u64, &b: &u8| {
                    let digit = u64::from(b - b'0');
                    millis.saturating_mul(10).saturating_add(digit)
                };
                return Done::Retry(Duration::from_millis(value.iter().fold(0, digit)));
            }
            // A comment's field is empty; unknown fields are ignored.
            _ => {}
        }
        Done::Nothing
    }

    fn keep(&mut self, line: Option<&str>) -> Result<(), SseTooLong> {
        let Some(line) = line else { return Ok(()) };
        self.check(self.data.len() + line.len())?;
        self.data.push_str(line);
        self.data.push('\n');
        Ok(())
    }

    fn keep_bytes(&mut self, line: &[u8]) -> Result<(), SseTooLong> {
        self.keep(Some(&String::from_utf8_lossy(line)))
    }

    fn check(&mut self, len: usize) -> Result<(), SseTooLong> {
        if len <= self.max {
            return Ok(());
        }
        self.failed = true;
        // It is of no more use.
        (self.line, self.data) = (Vec::new(), String::new());
        Err(SseTooLong { max: self.max })
    }
}

enum Line<'b> {
    Whole(&'b [u8]),
    Pieces(Vec<u8>),
}

enum Done {
    Nothing,
    Retry(Duration),
    /// An empty line.
    Event,
}

/// A line's field and value; `None` for an empty line.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.is_empty() {
        return None;
    }
    let Some(colon) = memchr(b':', line) else {
        return Some((line, b""));
    };
    let (field, value) = (&line[..colon], &line[colon + 1..]);
    Some((field, value.strip_prefix(b" ").unwrap_or(value)))
}

fn set(text: &mut String, value: &[u8]) {
    text.clear();
    match String::from_utf8_lossy(value) {
        Cow::Borrowed(value) => text.push_str(value),
        Cow::Owned(value) => *text = value,
    }
}
