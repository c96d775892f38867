//! Targets of sheen-events.

use std::str::from_utf8;

use bytes::BytesMut;
use serde_json::Value;
use sheen_core::id::{BuildId, BuildSessionId};
use sheen_core::time::Timestamp;
use sheen_events::feed::{Cursor, Position};
use sheen_events::log::{Event, EventType, NewEvent};
use sheen_events::stream::{Resume, encode_frame};

/// A cursor that is taken is the one text of its position, for this build alone.
pub fn cursor(data: &[u8]) {
    let build = |id: &str| BuildId::parse(id).expect("an id");
    let (ours, other) = (build("bld_1"), build("bld_2"));
    if let Ok(text) = from_utf8(data) {
        if let Ok(cursor) = Cursor::decode(text, &ours) {
            assert_eq!(cursor.encode(&ours), text);
            assert!(Cursor::decode(text, &other).is_err());
        }
        let instant = Timestamp::parse_rfc3339(text).is_ok();
        match Position::parse(text, &ours) {
            Ok(Position::Start) => assert!(text.is_empty()),
            Ok(Position::Instant(_)) => assert!(instant),
            _ => assert!(!instant && !text.is_empty()),
        }
        let resume = Resume::from_request(Some(text), None, None);
        assert!(!matches!(resume, Resume::Cursor(_)), "an id is no cursor");
    }
    let Some((number, _)) = data.split_first_chunk::<16>() else {
        return;
    };
    let number = u128::from_be_bytes(*number);
    let (epoch, seq) = ((number >> 64) as u64, number as u64);
    let text = Cursor::new(epoch, seq).encode(&ours);
    assert_eq!(text.len(), Cursor::TEXT_LEN);
    assert_eq!(Cursor::decode(&text, &ours), Ok(Cursor::new(epoch, seq)));
}

/// Whatever an event says, its frame is one event with one line of data: no text of a builder can
/// begin another.
pub fn frame(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let (kind, message) = text.split_once('\n').unwrap_or(("build_log", &text));
    let kind = EventType::parse(kind).unwrap_or(EventType::BUILD_LOG);
    let mut members = serde_json::Map::new();
    members.insert("message".to_owned(), message.into());
    members.insert(message.to_owned(), Value::Null);
    members.insert("message".to_owned(), message.into());
    let Ok(new) = NewEvent::new(kind.clone(), &members) else {
        return;
    };
    let build = BuildId::parse("bld_1").expect("an id");
    let session = BuildSessionId::parse("bs_1").expect("an id");
    let event = Event::new(7, build, session, Timestamp::from_millis(0), new);
    let mut out = BytesMut::new();
    encode_frame(&event, &mut out);
    let frame = from_utf8(&out).expect("UTF-8");
    assert!(!frame.contains('\r') && !frame.contains('\0'));
    let lines: Vec<_> = frame.split('\n').collect();
    let [id, name, json, "", ""] = lines[..] else {
        panic!("{frame:?}")
    };
    assert_eq!(id, "id: 7");
    assert_eq!(name, format!("event: {kind}"));
    let json: Value =
        serde_json::from_str(json.strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(json["data"]["message"], message);
    assert_eq!(json["seq"], 7);
}
