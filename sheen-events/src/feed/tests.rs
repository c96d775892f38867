use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sheen_core::entropy::{OsEntropy, SeededEntropy};
use sheen_core::error::Fields;
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::time::{ManualClock, Timestamp};
use sheen_core::token::FencingToken;

use super::*;
use crate::log::{Append, EventLog, EventType, MemoryEventLog, NewEvent, NewStream};

const START: i64 = 1_763_634_600_000;

pub(super) struct World {
    pub(super) log: Arc<MemoryEventLog>,
    pub(super) clock: Arc<ManualClock>,
    feed: Feed,
    pub(super) ann: UserId,
    pub(super) build: BuildId,
}

pub(super) fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

impl World {
    pub(super) async fn new(events: usize) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let entropy = Arc::new(OsEntropy);
        let config = Default::default();
        let log = Arc::new(MemoryEventLog::new(clock.clone(), entropy, config));
        let feed = Feed::new(log.clone());
        let (ann, build) = (UserId::parse("ann").unwrap(), build("bld_1"));
        let world = Self {
            log,
            clock,
            feed,
            ann,
            build,
        };
        let session = BuildSessionId::parse("bs_1").unwrap();
        let stream = NewStream::new(world.build.clone(), world.ann.clone(), session);
        world.log.open(stream).await.unwrap();
        world.append(events).await;
        world
    }

    pub(super) async fn append(&self, count: usize) {
        let data = json!({"message": "x"});
        let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap();
        for _ in 0..count {
            let append = Append::new(self.build.clone(), FencingToken::ZERO, vec![event.clone()]);
            self.log.append(append).await.unwrap();
            self.clock.advance(Duration::from_secs(1));
        }
    }

    pub(super) async fn poll(&self, request: PollRequest<'_>) -> PollOutcome {
        self.feed
            .poll(&self.ann, &self.build, request)
            .await
            .unwrap()
    }

    pub(super) async fn page(&self, request: PollRequest<'_>) -> PollPage {
        match self.poll(request).await {
            PollOutcome::Page(page) => page,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn after(cursor: &str) -> PollRequest<'_> {
    let mut request = PollRequest::new();
    request.cursor = Some(cursor);
    request
}

fn seqs(page: &PollPage) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

#[tokio::test]
async fn pages_follow_one_another_to_the_end() {
    let world = World::new(120).await;
    let mut seen = Vec::new();
    let mut page = world.page(PollRequest::new()).await;
    for expected in [50, 50, 20] {
        assert_eq!(page.events.len(), expected);
        assert_eq!(page.has_next, expected == 50);
        seen.extend(seqs(&page));
        page = world.page(after(&page.cursor.clone())).await;
    }
    assert_eq!((page.events.len(), page.has_next), (0, false));
    assert!(seen.into_iter().eq(1..=120));
    world.append(1).await;
    assert_eq!(seqs(&world.page(after(&page.cursor)).await), [121]);
}

#[tokio::test]
async fn the_body_is_that_of_the_wire_in_either_shape() {
    let world = World::new(2).await;
    let mut request = PollRequest::new();
    request.limit = PageLimit::new(1).unwrap();
    let page = world.page(request).await;
    let body: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(
        body,
        json!({
            "events": [{
                "id": "1", "seq": 1, "buildId": "bld_1", "buildSessionId": "bs_1",
                "type": "build_log", "data": {"message": "x"},
                "createdAt": "2025-11-20T10:30:00.000Z",
            }],
            "cursor": page.cursor, "hasNext": true, "nextPollMs": 4000,
        })
    );
    request.shape = Shape::Row;
    let row = world.page(request).await;
    let body: Value = serde_json::from_slice(&row.body).unwrap();
    assert_eq!(
        body["events"],
        json!([{
            "id": "1", "build_id": "bld_1", "event_type": "build_log",
            "event_data": {"message": "x"}, "user_id": "ann",
            "created_at": "2025-11-20T10:30:00.000Z",
        }])
    );
    assert_ne!(row.etag, page.etag);
    let empty = world
        .page(after(&Cursor::new(epoch(&world), 2).encode(&world.build)))
        .await;
    let body: Value = serde_json::from_slice(&empty.body).unwrap();
    assert_eq!(body["events"], json!([]));
}

fn epoch(world: &World) -> u64 {
    world
        .log
        .lock()
        .read(&world.build, 0, 0)
        .unwrap()
        .stream
        .epoch
}

#[tokio::test]
async fn e07_whose_build_it_is_comes_before_cursor_and_tag() {
    let world = World::new(1).await;
    let page = world.page(PollRequest::new()).await;
    let bob = UserId::parse("bob").unwrap();
    let mut tagged = PollRequest::new();
    tagged.if_none_match = Some(&page.etag);
    let mut star = PollRequest::new();
    star.if_none_match = Some("*");
    for request in [after("bad"), after("2025-01-01T00:00:00Z"), tagged, star] {
        let others = world.feed.poll(&bob, &world.build, request).await.unwrap();
        let nobodys = world
            .feed
            .poll(&world.ann, &build("none"), request)
            .await
            .unwrap();
        assert_eq!(others, PollOutcome::NotFound);
        assert_eq!(nobodys, PollOutcome::NotFound);
    }
}

#[tokio::test]
async fn a_cursor_that_is_not_of_this_log_is_invalid() {
    let world = World::new(3).await;
    let epoch = epoch(&world);
    let bad = [
        "bad".to_owned(),
        "2025-13-01T00:00:00Z".to_owned(),
        Cursor::new(epoch, 1).encode(&build("bld_2")),
        Cursor::new(epoch ^ 1, 1).encode(&world.build),
        Cursor::new(epoch, 4).encode(&world.build),
    ];
    for cursor in &bad {
        assert_eq!(
            world.poll(after(cursor)).await,
            PollOutcome::CursorInvalid,
            "{cursor}"
        );
    }
    let mut since = PollRequest::new();
    since.since = Some("yesterday");
    assert_eq!(world.poll(since).await, PollOutcome::CursorInvalid);
    let good = Cursor::new(epoch, 3).encode(&world.build);
    assert_eq!(world.page(after(&good)).await.events, []);
    assert_eq!(world.page(after("")).await.events.len(), 3);
}

#[tokio::test]
async fn an_instant_is_read_as_after_this() {
    let world = World::new(100).await;
    let at = |millis: i64| Timestamp::from_millis(START + millis).to_string();
    for (instant, first) in [
        (at(-1), Some(1)),
        (at(0), Some(2)),
        (at(999), Some(2)),
        (at(57_000), Some(59)),
        (at(97_999), Some(99)),
        (at(98_000), Some(100)),
        (at(99_000), None),
        (at(1_000_000), None),
        ("2025-11-20T11:30:00.0009+01:00".to_owned(), Some(2)),
    ] {
        let mut since = PollRequest::new();
        since.since = Some(&instant);
        for request in [after(&instant), since] {
            let page = world.page(request).await;
            assert_eq!(page.events.first().map(|e| e.seq), first, "{instant}");
        }
    }
    // A cursor beats an instant.
    let mut both = PollRequest::new();
    let cursor = Cursor::new(epoch(&world), 99).encode(&world.build);
    both.cursor = Some(&cursor);
    both.since = Some("2025-01-01T00:00:00Z");
    assert_eq!(seqs(&world.page(both).await), [100]);
}

#[tokio::test]
async fn e08_a_tag_stops_fitting_with_news_and_with_the_close() {
    let world = World::new(1).await;
    let first = world.page(PollRequest::new()).await;
    let mut request = PollRequest::new();
    request.if_none_match = Some(&first.etag);
    request.interval = Some(Duration::from_secs(8));
    let unchanged = PollOutcome::NotModified {
        etag: first.etag.clone(),
        next_poll_ms: 12_000,
    };
    assert_eq!(world.poll(request).await, unchanged);
    world.append(1).await;
    let second = world.page(request).await;
    assert_eq!(second.events.len(), 2);
    request.if_none_match = Some(&second.etag);
    assert!(matches!(
        world.poll(request).await,
        PollOutcome::NotModified { .. }
    ));
    world.log.close(&world.build).await.unwrap();
    let closed = world.page(request).await;
    assert_ne!(closed.etag, second.etag);
    // What makes another page has another tag.
    request.limit = PageLimit::new(1).unwrap();
    assert_ne!(world.page(request).await.etag, closed.etag);
}

#[tokio::test]
async fn e07_two_viewers_and_two_logs_never_share_a_tag() {
    let (one, two) = (World::new(1).await, World::new(1).await);
    let tags = [&one, &two].map(|world| world.page(PollRequest::new()));
    let [a, b] = tags;
    assert_ne!(a.await.etag, b.await.etag, "the epoch is in the tag");
    let stream = one.log.lock().read(&one.build, 0, 0).unwrap().stream;
    let of = |user: &str| {
        let user = UserId::parse(user).unwrap();
        etag::tag(&user, &one.build, &stream, 0, PageLimit::MAX, Shape::Event)
    };
    assert_ne!(of("ann"), of("bob"));
    assert_eq!(of("ann"), of("ann"));
}

#[test]
fn e09_weak_suffixed_listed_and_star_tags_fit() {
    let opaque = "abcdefghijklmnop-_ABCD";
    let tag = format!("\"{opaque}\"");
    for header in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"{opaque}-gzip\""),
        format!("W/\"{opaque}-gzip\""),
        format!("\"{opaque}--gzip\""),
        format!("\"{opaque};gzip\""),
        format!("\"{opaque}-br\""),
        format!("\"x\", W/{tag} ,\"y\""),
        "*".to_owned(),
        " * ".to_owned(),
    ] {
        assert!(if_none_match(&header, &tag), "{header}");
    }
    for header in [
        String::new(),
        opaque.to_owned(),
        "\"\"".to_owned(),
        format!("\"{opaque}x\""),
        format!("\"x{opaque}\""),
        format!("\"{}\"", &opaque[..21]),
        format!("w/{tag}"),
        "\"x\", \"*\"".to_owned(),
        "\"".to_owned(),
    ] {
        assert!(!if_none_match(&header, &tag), "{header}");
    }
}

#[test]
fn the_interval_follows_the_rule_of_the_wire() {
    let next = |millis, news| next_interval(Some(Duration::from_millis(millis)), news).as_millis();
    assert_eq!(next_interval(None, true).as_millis(), 4000);
    assert_eq!(next_interval(None, false).as_millis(), 6000);
    let mut waited = 4000;
    let mut told = Vec::new();
    for _ in 0..5 {
        waited = u64::try_from(next(waited, false)).unwrap();
        told.push(waited);
    }
    assert_eq!(told, [6000, 9000, 13_500, 15_000, 15_000]);
    assert_eq!(next(15_000, true), 4000);
    assert_eq!((next(0, false), next(u64::MAX, false)), (4500, 15_000));
}

#[test]
fn every_bad_parameter_is_named_and_good_ones_are_read() {
    let mut fields = Fields::new();
    let query = [
        ("limit", "51"),
        ("intervalMs", "-1"),
        ("shape", "table"),
        ("other", "x"),
    ];
    PollRequest::from_query(&mut fields, query);
    let refused = fields.finish().unwrap_err().0;
    let names: Vec<_> = refused
        .iter()
        .map(|field| (&*field.field, field.code))
        .collect();
    assert_eq!(
        names,
        [
            ("limit", "out_of_range"),
            ("intervalMs", "invalid_number"),
            ("shape", "unknown_value")
        ]
    );
    for limit in ["0", "", "+5", "1.5", " 5", "99999999999999999999999"] {
        let mut fields = Fields::new();
        PollRequest::from_query(&mut fields, [("limit", limit)]);
        assert!(!fields.is_empty(), "{limit:?}");
    }
    for name in ["cursor", "since", "limit", "intervalMs", "shape"] {
        let mut fields = Fields::new();
        let value = if name == "shape" { "row" } else { "1" };
        PollRequest::from_query(&mut fields, [(name, value); 3]);
        let refused = fields.finish().unwrap_err().0;
        let told: Vec<_> = refused.iter().map(|f| (&*f.field, f.code)).collect();
        assert_eq!(told, [(name, "duplicate")]);
    }
    let mut fields = Fields::new();
    let query = [
        ("limit", "7"),
        ("intervalMs", "6000"),
        ("shape", "row"),
        ("cursor", "c"),
    ];
    let request = PollRequest::from_query(&mut fields, query);
    assert!(fields.is_empty());
    assert_eq!(
        (request.limit.get(), request.shape, request.cursor),
        (7, Shape::Row, Some("c"))
    );
    assert_eq!(request.interval, Some(Duration::from_secs(6)));
}

proptest! {
    /// A11: any seq and epoch survive the text, which is safe in a URL and a CORS-safe header.
    #[test]
    fn a11_cursors_round_trip_as_safe_texts(epoch: u64, seq: u64) {
        let text = Cursor::new(epoch, seq).encode(&build("bld_1"));
        prop_assert_eq!(text.len(), Cursor::TEXT_LEN);
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        prop_assert!(text.bytes().all(safe));
        prop_assert_eq!(Cursor::decode(&text, &build("bld_1")), Ok(Cursor::new(epoch, seq)));
        prop_assert_eq!(Cursor::decode(&text, &build("bld_2")), Err(CursorError));
    }

    #[test]
    fn a_changed_cursor_is_no_cursor(seq: u64, at in 0..Cursor::TEXT_LEN, to in "[A-Za-z0-9_-]") {
        let text = Cursor::new(5, seq).encode(&build("bld_1"));
        let mut changed = text.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != text);
        prop_assert_eq!(Position::parse(&changed, &build("bld_1")), Err(CursorError));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".*") {
        let _ = Position::parse(&text, &build("bld_1"));
        let _ = if_none_match(&text, "\"abcdefghijklmnop-_ABCD\"");
    }

    /// The search by instant finds what looking at every event would.
    #[test]
    fn seeking_an_instant_is_a_filter(steps in prop::collection::vec(0u64..5, 0..80), at in 0u64..250) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
            let entropy = Arc::new(SeededEntropy::new(3));
            let log = MemoryEventLog::new(clock.clone(), entropy, Default::default());
            let session = BuildSessionId::parse("bs").unwrap();
            let user = UserId::parse("ann").unwrap();
            log.open(NewStream::new(build("b"), user, session)).await.unwrap();
            let data = json!({"message": "x"});
            let event = NewEvent::new(EventType::BUILD_LOG, data.as_object().unwrap()).unwrap();
            for step in steps {
                clock.advance(Duration::from_millis(step));
                let append = Append::new(build("b"), FencingToken::ZERO, vec![event.clone()]);
                log.append(append).await.unwrap();
            }
            let instant = Timestamp::EPOCH.plus(Duration::from_millis(at));
            let page = log.read(&build("b"), 0, 1000).await.unwrap().unwrap();
            let filtered = page.events.iter().filter(|e| e.created_at <= instant).count();
            let found = seq_at(&log, &build("b"), &page.stream, instant).await.unwrap();
            assert_eq!(found, filtered as u64);
        });
    }
}

/// A7, A12: below the floor the gap is told, and where nothing is left too.
#[tokio::test]
async fn a12_below_the_floor_a_page_tells_the_gap() {
    let world = World::new(100).await;
    let epoch = epoch(&world);
    world
        .log
        .lock()
        .remove_before(Timestamp::from_millis(START + 10_000_000), 40);
    for (seq, gap, first) in [
        (0, Some(40), 41),
        (39, Some(40), 41),
        (40, None, 41),
        (70, None, 71),
    ] {
        let cursor = Cursor::new(epoch, seq).encode(&world.build);
        let page = world.page(after(&cursor)).await;
        assert_eq!((page.gap, seqs(&page)[0]), (gap, first), "{seq}");
        let body = std::str::from_utf8(&page.body).unwrap();
        assert_eq!(
            body.contains(r#","gap":{"floor":40}}"#),
            gap.is_some(),
            "{body}"
        );
    }
    world
        .log
        .lock()
        .remove_before(Timestamp::from_millis(START + 10_000_000), 100);
    let page = world.page(PollRequest::new()).await;
    assert_eq!(
        (page.gap, page.events.len(), page.has_next),
        (Some(100), 0, false)
    );
    assert_eq!(page.cursor, Cursor::new(epoch, 100).encode(&world.build));
}
