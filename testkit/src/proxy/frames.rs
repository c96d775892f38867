//! Where one message ends and the next begins.
//!
//! A message is what its receiver waits for before it acts: a whole request, or the whole answer to
//! one. In PostgreSQL's protocol that is everything up to and with `Sync`, `Query` or
//! `ReadyForQuery`; in Redis's it is one value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is spoken on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Postgres,
    Redis,
}

/// Finds messages in what one side of a connection sends.
#[derive(Debug)]
pub(super) enum Frames {
    Redis,
    PostgresClient {
        /// Its first message has no type.
        greeted: bool,
        /// Whether a one-byte answer, not a message, comes next.
        asked: Arc<AtomicBool>,
    },
    PostgresServer {
        asked: Arc<AtomicBool>,
    },
}

/// A message at the start of what was received.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: usize,
    /// Whether it counts: what a server says of itself does not.
    pub(super) counts: bool,
}

impl Frame {
    const fn whole(length: usize) -> Self {
        Self {
            length,
            counts: true,
        }
    }
}

/// Of a PostgreSQL start-up message that asks for encryption: with TLS or GSSAPI.
const ASKS: [u32; 2] = [80_877_103, 80_877_104];

impl Frames {
    /// Of the client's side and the server's.
    pub(super) fn of(protocol: Protocol) -> (Self, Self) {
        match protocol {
            Protocol::Redis => (Self::Redis, Self::Redis),
            Protocol::Postgres => {
                let asked = Arc::new(AtomicBool::new(false));
                let client = Self::PostgresClient {
                    greeted: false,
                    asked: Arc::clone(&asked),
                };
                (client, Self::PostgresServer { asked })
            }
        }
    }

    /// The first message of `bytes`; `None` while it is not whole.
    pub(super) fn first(&mut self, bytes: &[u8]) -> Option<Frame> {
        match self {
            Self::Redis => value(bytes, 0).map(Frame::whole),
            Self::PostgresClient { greeted: true, .. } => unit(bytes, ends_request),
            Self::PostgresClient { greeted, asked } => {
                let length = usize::try_from(number(bytes, 0)?).ok()?;
                let code = number(bytes, 4)?;
                if bytes.len() < length {
                    return None;
                }
                let asks = ASKS.contains(&code);
                asked.store(asks, Ordering::SeqCst);
                *greeted = !asks;
                Some(Frame::whole(length))
            }
            Self::PostgresServer { asked } => {
                if !bytes.is_empty() && asked.swap(false, Ordering::SeqCst) {
                    return Some(Frame::whole(1));
                }
                unit(bytes, ends_answer)
            }
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// The typed messages up to and with the first that `ends` a unit. A notification that stands before
/// one is not part of it and does not count.
fn unit(bytes: &[u8], ends: fn(&[u8]) -> bool) -> Option<Frame> {
    let mut at = 0;
    loop {
        let kind = *bytes.get(at)?;
        let next = at + 1 + usize::try_from(number(bytes, at + 1)?).ok()?;
        let message = bytes.get(at..next)?;
        if at == 0 && kind == b'A' {
            return Some(Frame {
                length: next,
                counts: false,
            });
        }
        if ends(message) {
            return Some(Frame::whole(next));
        }
        at = next;
    }
}

/// `Sync`, `Query`, a password, `Terminate`, or a piece of a copy.
fn ends_request(message: &[u8]) -> bool {
    matches!(
        message.first(),
        Some(b'S' | b'Q' | b'p' | b'X' | b'd' | b'c' | b'f')
    )
}

/// `ReadyForQuery`, or what a client must answer: a request for its password, or for a copy.
fn ends_answer(message: &[u8]) -> bool {
    match message.first() {
        Some(b'Z' | b'G' | b'W') => true,
        // 0 is «welcome», 12 the end of a SASL exchange; more follows by itself.
        Some(b'R') => !matches!(number(message, 5), Some(0 | 12)),
        _ => false,
    }
}

/// The length of the RESP value that begins at `at`, counted from the start of `bytes`.
fn value(bytes: &[u8], at: usize) -> Option<usize> {
    let kind = *bytes.get(at)?;
    let line = bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
    let text = std::str::from_utf8(bytes.get(at + 1..at + line)?).ok()?;
    let after = at + line + 2;
    // A null has length -1, and nothing after it.
    let length = || text.parse::<usize>().ok();
    let many = |count: usize| (0..count).try_fold(after, |at, _| value(bytes, at));
    match kind {
        b'$' | b'!' | b'=' => match length() {
            Some(length) => {
                let end = after + length + 2;
                (bytes.len() >= end).then_some(end)
            }
            None => Some(after),
        },
        b'*' | b'~' | b'>' => length().map_or(Some(after), many),
        b'%' => length().map_or(Some(after), |pairs| many(2 * pairs)),
        // Attributes, then what they are of.
        b'|' => length().map_or(Some(after), |pairs| many(2 * pairs + 1)),
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        let mut message = vec![kind];
        message.extend(length.to_be_bytes());
        message.extend(body);
        message
    }

    /// Every cut of `bytes` is not whole yet; all of it is, with anything after it.
    fn is_one(frames: fn() -> Frames, bytes: &[u8]) {
        for cut in 0..bytes.len() {
            assert_eq!(frames().first(&bytes[..cut]), None, "cut at {cut}");
        }
        let more = [bytes, b"+more\r\n"].concat();
        assert_eq!(frames().first(&more), Some(Frame::whole(bytes.len())));
    }

    #[test]
    fn a_redis_message_is_one_value() {
        for text in [
            "+OK\r\n",
            ":12\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "$4\r\na\r\nb\r\n",
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
            "*2\r\n*1\r\n:1\r\n*0\r\n",
            "%1\r\n+a\r\n*1\r\n_\r\n",
            "|1\r\n+a\r\n+b\r\n:7\r\n",
            "-ERR no\r\n",
        ] {
            is_one(|| Frames::Redis, text.as_bytes());
        }
    }

    fn client() -> Frames {
        Frames::PostgresClient {
            greeted: true,
            asked: Arc::default(),
        }
    }

    fn server() -> Frames {
        Frames::PostgresServer {
            asked: Arc::default(),
        }
    }

    #[test]
    fn a_postgres_request_ends_with_sync_and_its_answer_with_ready() {
        let request = [typed(b'B', b"..."), typed(b'E', b""), typed(b'S', b"")].concat();
        is_one(client, &request);
        is_one(client, &typed(b'Q', b"SELECT 1\0"));
        let answer = [typed(b'2', b""), typed(b'D', b"row"), typed(b'Z', b"I")].concat();
        is_one(server, &answer);
        // Asked for a password, the client must answer before more comes.
        is_one(server, &typed(b'R', &3_u32.to_be_bytes()));
        let welcome = [typed(b'R', &0_u32.to_be_bytes()), typed(b'Z', b"I")].concat();
        is_one(server, &welcome);
    }

    #[test]
    fn a_notification_between_answers_goes_on_at_once_and_does_not_count() {
        let told = typed(b'A', b"....");
        let frame = server().first(&told).unwrap();
        assert_eq!((frame.length, frame.counts), (told.len(), false));
        let answer = [typed(b'C', b"COMMIT\0"), told, typed(b'Z', b"I")].concat();
        is_one(server, &answer);
    }

    #[test]
    fn a_first_message_has_no_type_and_a_wish_for_encryption_a_one_byte_answer() {
        let (mut client, mut server) = Frames::of(Protocol::Postgres);
        let first = |code: u32| {
            let mut message = 8_u32.to_be_bytes().to_vec();
            message.extend(code.to_be_bytes());
            message
        };
        assert_eq!(client.first(&first(80_877_103)), Some(Frame::whole(8)));
        assert_eq!(server.first(b""), None);
        assert_eq!(server.first(b"N"), Some(Frame::whole(1)));
        assert_eq!(client.first(&first(196_608)), Some(Frame::whole(8)));
        assert_eq!(server.first(&typed(b'Z', b"I")), Some(Frame::whole(6)));
        assert_eq!(client.first(&typed(b'S', b"")), Some(Frame::whole(5)));
    }
}
