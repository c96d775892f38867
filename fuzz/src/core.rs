//! Targets of sheen-core.

use std::path::{Component, Path};

use sheen_core::files::FilePath;
use sheen_core::id::{BuildSessionId, UserId};
use sheen_core::idempotency::IdempotencyKey;
use sheen_core::locale::Locale;
use sheen_core::suggest::{self, Analysis, Suggestions};
use sheen_core::time::Timestamp;

/// A path that is taken stays under the folder it is joined to, and is written one way only.
pub fn file_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = FilePath::parse(text) else {
        return;
    };
    assert_eq!(path.as_str(), text);
    assert!((1..=FilePath::MAX_LEN).contains(&text.len()));
    let components: Vec<_> = Path::new(text).components().collect();
    assert!(
        components
            .iter()
            .all(|part| matches!(part, Component::Normal(_)))
    );
    assert_eq!(components.len(), text.split('/').count());
}

/// Ids, idempotency keys and instants: what is taken is within the wire's bounds and reads back
/// as the same.
pub fn ids(data: &[u8]) {
    if let Ok(key) = IdempotencyKey::parse(data) {
        assert!((1..=IdempotencyKey::MAX_LEN).contains(&key.as_str().len()));
        assert!(key.as_str().bytes().all(|b| b.is_ascii_graphic()));
        let escaped = key.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let quoted = format!("\"{escaped}\"");
        assert_eq!(IdempotencyKey::parse(quoted.as_bytes()), Ok(key));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = UserId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert!(text.len() <= UserId::MAX_LEN && text.is_ascii());
        // Whatever is a user's id is short enough and of the letters for a session's.
        assert!(BuildSessionId::parse(text).is_ok());
        let json = serde_json::to_string(text).expect("a string");
        assert_eq!(serde_json::from_str::<UserId>(&json).expect("an id"), id);
    }
    if let Ok(instant) = Timestamp::parse_rfc3339(text) {
        let written = instant.to_string();
        assert!(written.ends_with('Z'), "{written}");
        assert_eq!(Timestamp::parse_rfc3339(&written), Ok(instant));
    }
}

/// Languages: the first line is the body's `locale`, the rest `Accept-Language`.
pub fn locale(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (body, header) = text.split_once('\n').unwrap_or((text, ""));
    let negotiated = Locale::negotiate(Some(body), Some(header));
    assert_eq!(Locale::from_tag(negotiated.as_str()), Some(negotiated));
    match Locale::from_tag(body) {
        Some(asked) => assert_eq!(negotiated, asked),
        None => assert_eq!(negotiated, Locale::negotiate(None, Some(header))),
    }
}

/// Suggestions: each line is a text of all three lists, and the whole a prompt.
pub fn suggest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines: Vec<_> = text.lines().collect();
    let analysis = Analysis {
        services: &lines,
        functional_requirements: &lines,
        missing_information: &lines,
        ..Analysis::default()
    };
    check(
        suggest::suggest(&analysis, Locale::En),
        suggest::suggest(&analysis, Locale::Ar),
    );
    let found = suggest::analyse_prompt(text);
    let found = found.as_analysis();
    check(
        suggest::suggest(&found, Locale::En),
        suggest::suggest(&found, Locale::Ar),
    );
}

fn check(english: Suggestions, arabic: Suggestions) {
    let english = english.as_slice();
    assert!((3..=Suggestions::MAX).contains(&english.len()));
    assert!(english.is_sorted_by(|a, b| a.confidence >= b.confidence));
    assert!(english.iter().map(|s| s.id).eq(arabic.iter().map(|s| s.id)));
}
