use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use sheen_core::entropy::SeededEntropy;
use sheen_core::error::StoreErrorKind;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{ManualClock, Timestamp};
use sheen_core::token::FencingToken;

use super::*;

fn log(config: MemoryLogConfig) -> (MemoryEventLog, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_634_600_000)));
    let entropy = Arc::new(SeededEntropy::new(1));
    (MemoryEventLog::new(clock.clone(), entropy, config), clock)
}

fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

fn stream(name: &str) -> NewStream {
    let session = BuildSessionId::parse("bs_1").unwrap();
    NewStream::new(build(name), UserId::parse("ann").unwrap(), session)
}

fn event(kind: EventType, data: &Value) -> NewEvent {
    NewEvent::new(kind, data.as_object().unwrap()).unwrap()
}

fn line() -> NewEvent {
    event(EventType::BUILD_LOG, &json!({"message": "x"}))
}

fn append(name: &str, events: Vec<NewEvent>) -> Append {
    Append::new(build(name), FencingToken::ZERO, events)
}

fn appended(state: &mut LogState, append: Append) -> Vec<Event> {
    match state.append(Timestamp::EPOCH, append) {
        Ok(AppendOutcome::Appended(events)) => events,
        other => panic!("{other:?}"),
    }
}

fn is_full<T: std::fmt::Debug>(result: Result<T, sheen_core::error::StoreError>) -> bool {
    result.unwrap_err().kind == StoreErrorKind::Full
}

#[test]
fn a_full_log_opens_no_stream_and_forgets_none() {
    let config = MemoryLogConfig {
        max_streams: 2,
        ..Default::default()
    };
    let (log, _) = log(config);
    let mut state = log.lock();
    state.open(stream("a")).unwrap();
    state.open(stream("b")).unwrap();
    assert!(is_full(state.check_open(&stream("c"))));
    assert!(is_full(state.open(stream("c"))));
    assert!(state.open(stream("a")).is_ok());
    assert_eq!(state.streams(), 2);
}

#[test]
fn a_full_stream_still_takes_the_end_of_its_build() {
    let config = MemoryLogConfig {
        max_events_per_stream: 20,
        ..Default::default()
    };
    let (log, _) = log(config);
    let mut state = log.lock();
    state.open(stream("a")).unwrap();
    appended(&mut state, append("a", vec![line(); 20]));
    assert!(is_full(state.check_append(&append("a", vec![line()]))));
    assert!(is_full(
        state.append(Timestamp::EPOCH, append("a", vec![line()]))
    ));
    let end = |kind| event(kind, &json!({"message": "x"}));
    let kinds = [EventType::DEPLOY_FAILED, EventType::DEPLOY_COMPLETED];
    for (seq, kind) in (21..).zip(kinds.into_iter().cycle().take(MemoryLogConfig::RESERVED)) {
        let last = appended(&mut state, append("a", vec![end(kind)]));
        assert_eq!(last[0].seq, seq);
    }
    // The room beyond the bound is bounded too.
    let more = append("a", vec![end(EventType::DEPLOY_FAILED)]);
    assert!(is_full(state.append(Timestamp::EPOCH, more)));
}

#[test]
fn the_room_for_the_end_is_for_nothing_else() {
    let full_of_events = MemoryLogConfig {
        max_events_per_stream: 20,
        ..Default::default()
    };
    let full_of_bytes = MemoryLogConfig {
        max_bytes: 20 * line().data.len(),
        ..Default::default()
    };
    for config in [full_of_events, full_of_bytes] {
        let (log, _) = log(config);
        let mut state = log.lock();
        state.open(stream("a")).unwrap();
        appended(&mut state, append("a", vec![line(); 20]));
        let end = event(EventType::DEPLOY_FAILED, &json!({"message": "x"}));
        let task = event(EventType::TASK_FAILED, &json!({"message": "x"}));
        for others in [
            vec![task],
            vec![line(), end.clone()],
            vec![end.clone(), end.clone()],
            vec![end.clone().hidden()],
        ] {
            let append = append("a", others);
            assert!(is_full(state.check_append(&append)), "{append:?}");
        }
        appended(&mut state, append("a", vec![end]));
    }
}

#[test]
fn a_stream_that_was_opened_has_room_for_its_first_events() {
    let config = MemoryLogConfig {
        max_bytes: 1,
        max_events_per_stream: 0,
        ..Default::default()
    };
    let (log, _) = log(config);
    let mut state = log.lock();
    assert_eq!(state.check_open(&stream("a")).unwrap(), None);
    state.open(stream("a")).unwrap();
    appended(
        &mut state,
        append("a", vec![line(); MemoryLogConfig::RESERVED]),
    );
    assert!(is_full(
        state.append(Timestamp::EPOCH, append("a", vec![line()]))
    ));
    // The bytes are used up: what could not go on is not begun.
    assert!(is_full(state.open(stream("b"))));
}

#[test]
fn checking_an_append_says_what_appending_says_and_writes_nothing() {
    let (log, _) = log(MemoryLogConfig::default());
    let mut state = log.lock();
    let keyed = append("a", vec![line()]).with_key("k");
    assert_eq!(
        state.check_append(&keyed).unwrap(),
        Some(AppendOutcome::NotFound)
    );
    state.open(stream("a")).unwrap();
    assert_eq!(state.check_append(&keyed).unwrap(), None);
    assert_eq!(state.read(&build("a"), 0, 9).unwrap().stream.head, 0);
    let events = appended(&mut state, keyed.clone());
    assert_eq!(
        state.check_append(&keyed).unwrap(),
        Some(AppendOutcome::Duplicate(events))
    );
    state.raise(&build("a"), FencingToken::from_u64(1));
    let late = append("a", vec![line()]);
    assert_eq!(
        state.check_append(&late).unwrap(),
        Some(AppendOutcome::Fenced)
    );
    state.close(&build("a"));
    let mut current = late;
    current.token = FencingToken::from_u64(1);
    assert_eq!(
        state.check_append(&current).unwrap(),
        Some(AppendOutcome::Closed)
    );
}

#[tokio::test]
async fn c07_instants_grow_when_the_clock_steps_back() {
    let (log, clock) = log(MemoryLogConfig::default());
    log.open(stream("a")).await.unwrap();
    log.append(append("a", vec![line()])).await.unwrap();
    clock.set_wall(Timestamp::EPOCH);
    log.append(append("a", vec![line(), line()])).await.unwrap();
    let events = log.read(&build("a"), 0, 9).await.unwrap().unwrap().events;
    let millis: Vec<_> = events
        .iter()
        .map(|e| e.created_at.as_millis() - 1_763_634_600_000)
        .collect();
    assert_eq!(millis, [0, 1, 2]);
}

#[test]
fn c01_writers_on_threads_of_their_own_leave_no_gap() {
    let (log, _) = log(MemoryLogConfig::default());
    log.lock().open(stream("a")).unwrap();
    let mut given: Vec<u64> = std::thread::scope(|scope| {
        let writer = || {
            let write = |_| appended(&mut log.lock(), append("a", vec![line(), line()]));
            (0..200)
                .flat_map(write)
                .map(|event| event.seq)
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(writer)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    given.sort_unstable();
    assert!(given.into_iter().eq(1..=3200));
}

fn encoded(event: &Event) -> String {
    let mut out = BytesMut::new();
    encode_event(event, &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn as_event(new: NewEvent) -> Event {
    let session = BuildSessionId::parse("bs_1").unwrap();
    Event::new(
        9_007_199_254_740_993,
        build("bld_1"),
        session,
        Timestamp::EPOCH,
        new,
    )
}

#[test]
fn an_event_on_the_wire_is_byte_for_byte_that_of_the_contract() {
    let event = as_event(line());
    assert_eq!(
        encoded(&event),
        r#"{"id":"9007199254740993","seq":9007199254740993,"buildId":"bld_1","buildSessionId":"bs_1","type":"build_log","data":{"message":"x"},"createdAt":"1970-01-01T00:00:00.000Z"}"#
    );
    let mut row = BytesMut::new();
    encode_row(&event, &UserId::parse("ann").unwrap(), &mut row);
    assert_eq!(
        row,
        r#"{"id":"9007199254740993","build_id":"bld_1","event_type":"build_log","event_data":{"message":"x"},"user_id":"ann","created_at":"1970-01-01T00:00:00.000Z"}"#
    );
}

#[test]
fn the_error_of_a_failure_stands_at_the_top_too() {
    let data = json!({"message": "m", "reason": "BUILD_ERROR", "error": "a \"b\"\nc"});
    for kind in [EventType::DEPLOY_FAILED, EventType::TASK_FAILED] {
        let value: Value = serde_json::from_str(&encoded(&as_event(event(kind, &data)))).unwrap();
        assert_eq!(value["error"], data["error"]);
        assert_eq!(value["data"], data);
    }
    let plain: Value =
        serde_json::from_str(&encoded(&as_event(event(EventType::BUILD_LOG, &data)))).unwrap();
    assert_eq!(plain.get("error"), None);
}

#[test]
fn the_status_is_that_of_the_deploy_or_else_of_a_failed_task() {
    let (log, _) = log(MemoryLogConfig::default());
    let mut state = log.lock();
    state.open(stream("a")).unwrap();
    let mut status_after = |kind: EventType| {
        appended(
            &mut state,
            append("a", vec![event(kind, &json!({"message": "x"}))]),
        );
        state
            .read(&build("a"), 0, 0)
            .unwrap()
            .stream
            .status()
            .as_str()
    };
    assert_eq!(status_after(EventType::DEPLOY_STARTED), "building");
    assert_eq!(status_after(EventType::TASK_FAILED), "failed");
    assert_eq!(status_after(EventType::DEPLOY_COMPLETED), "completed");
}

#[test]
fn data_without_a_message_or_over_the_bound_is_no_event() {
    let new = |data: Value| NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap());
    assert_eq!(new(json!({})), Err(EventDataError::NoMessage));
    assert_eq!(new(json!({"message": 1})), Err(EventDataError::NoMessage));
    let frame = r#"{"message":""}"#.len();
    assert!(new(json!({"message": "x".repeat(NewEvent::MAX_DATA - frame)})).is_ok());
    let over = new(json!({"message": "x".repeat(NewEvent::MAX_DATA - frame + 1)}));
    assert_eq!(over, Err(EventDataError::TooLarge));
    for bad in ["", "A", "a b", "a\n", "a-b", &"a".repeat(65)] {
        assert_eq!(EventType::parse(bad), Err(EventTypeError), "{bad:?}");
    }
}

proptest! {
    /// A store may give back JSON with line breaks between its tokens; the event stays one line
    /// and says the same.
    #[test]
    fn d02_data_round_trips_on_one_line(texts in prop::collection::vec(".*", 0..4)) {
        let data = json!({"message": "m", "texts": texts});
        let mut event = as_event(event(EventType::BUILD_LOG, &data));
        event.data = serde_json::to_string_pretty(&data).unwrap().replace('\n', "\r\n").into();
        let line = encoded(&event);
        prop_assert!(!line.contains(['\n', '\r', '\0']));
        let back: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&back["data"], &data);
    }
}

mod memory_conforms {
    use std::sync::Arc;

    use sheen_core::time::Advance;

    use crate::log::conformance::LogHarness;
    use crate::log::{MemoryEventLog, MemoryLogConfig};
    use sheen_core::entropy::OsEntropy;
    use sheen_core::time::{ManualClock, Timestamp};

    fn memory() -> LogHarness {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let config = MemoryLogConfig::default();
        let log = MemoryEventLog::new(clock.clone(), Arc::new(OsEntropy), config);
        LogHarness::new(Arc::new(log), Advance::manual(clock))
    }

    crate::event_log_conformance!(memory());
}
