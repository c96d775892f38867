use bytes::BytesMut;
use proptest::prelude::*;
use sheen_core::time::Timestamp;

use super::*;
use crate::log::Event;

#[tokio::test]
async fn d04_connection_comes_at_once_with_all_its_fields() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    let expected = format!(
        "event: connection\ndata: {{\"type\":\"connection\",\"buildSessionId\":\"bs_1\",\"seq\":0,\
         \"epoch\":{},\"from\":1,\"head\":0,\"floor\":0,\"resumed\":\"exact\",\"closed\":false}}\n\n\
         event: caught_up\ndata: {{\"type\":\"caught_up\",\"buildSessionId\":\"bs_1\",\"seq\":0}}\n\n",
        rig.epoch(),
    );
    assert_eq!(
        String::from_utf8(reader.bytes_now().concat()).unwrap(),
        expected
    );
    assert_eq!(reader.now(), []);
}

#[tokio::test]
async fn d03_events_have_ids_and_controls_the_seq_already_delivered() {
    let rig = Rig::new().await;
    rig.append(2).await;
    let mut reader = rig.open(rig.request()).await;
    let frames = reader.now();
    let ids: Vec<_> = frames.iter().map(|frame| frame.id).collect();
    assert_eq!(ids, [None, Some(1), Some(2), None]);
    let seqs: Vec<_> = frames
        .iter()
        .map(|frame| frame.data["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [0, 1, 2, 2]);
    assert_eq!(frames[1].data["id"], json!("1"));
    rig.finish().await;
    let last = reader.now();
    assert_eq!(
        (last[1].event.as_str(), last[1].data["seq"].as_u64()),
        ("closed", Some(3))
    );
}

#[tokio::test]
async fn the_event_is_the_same_in_stream_and_poll() {
    let rig = Rig::new().await;
    rig.append(1).await;
    let frames = rig.open(rig.request()).await.now();
    let feed = crate::feed::Feed::new(rig.log.clone());
    let polled = feed
        .poll(&rig.ann, &rig.build, crate::feed::PollRequest::new())
        .await
        .unwrap();
    let crate::feed::PollOutcome::Page(page) = polled else {
        panic!("{polled:?}")
    };
    let body: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(body["events"][0], frames[1].data);
}

#[tokio::test]
async fn d07_a_comment_every_fifteen_seconds_when_idle() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    rig.pass(14_999);
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(1);
    assert_eq!(reader.names(), ["comment"]);
    rig.pass(15_000);
    assert_eq!(reader.names(), ["comment"]);
    // An event is as good as a comment.
    rig.pass(10_000);
    rig.append(1).await;
    assert_eq!(reader.names(), ["1"]);
    rig.pass(14_999);
    assert_eq!(reader.names(), [] as [&str; 0]);
    rig.pass(1);
    assert_eq!(reader.names(), ["comment"]);
}

#[tokio::test]
async fn d07_comments_go_on_beside_a_slow_read() {
    let rig = Rig::new().await;
    let mut reader = rig.open(rig.request()).await;
    reader.now();
    rig.log.stuck.store(true, SeqCst);
    rig.append(1).await;
    assert_eq!(reader.names(), [] as [&str; 0]);
    for _ in 0..3 {
        rig.pass(15_000);
        assert_eq!(reader.names(), ["comment"]);
    }
    let reads = rig.log.reads.load(SeqCst);
    rig.log.stuck.store(false, SeqCst);
    rig.log.unstuck.notify(usize::MAX);
    assert_eq!(reader.names(), ["1"]);
    assert!(
        rig.log.reads.load(SeqCst) <= reads + 1,
        "the slow read was given up"
    );
}

#[test]
fn retry_is_whole_milliseconds() {
    assert_eq!(
        retry_frame(Duration::from_micros(2_500_900)),
        "retry: 2500\n\n"
    );
}

proptest! {
    /// D1: whatever stands in a type, in data or in a raw text that a store gives back, the frame
    /// is one frame, with its own id and type.
    #[test]
    fn d01_nothing_in_an_event_forges_a_field(
        kind in "[a-z0-9_]{1,64}",
        texts in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                Just("\n\ndata: x\n\n".to_owned()),
                Just("\r\nid: 9\r\n\r\n".to_owned()),
                Just("\rretry: 1\r\0\u{2028}\u{2029}\u{feff}".to_owned()),
            ],
            1..5,
        ),
        breaks in prop_oneof![Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n")],
    ) {
        let data = json!({"message": texts[0], "texts": texts});
        let kind = EventType::parse(&kind).unwrap();
        let mut new = NewEvent::new(kind.clone(), data.as_object().unwrap()).unwrap();
        new.data = serde_json::to_string_pretty(&data).unwrap().replace('\n', breaks).into();
        let session = BuildSessionId::parse("bs_1").unwrap();
        let build = BuildId::parse("bld_1").unwrap();
        let event = Event::new(7, build, session, Timestamp::EPOCH, new);
        let mut out = BytesMut::new();
        encode_frame(&event, &mut out);
        let frames = parse(&out);
        prop_assert_eq!(frames.len(), 1);
        prop_assert_eq!(frames[0].id, Some(7));
        prop_assert_eq!(&frames[0].event, kind.as_str());
        prop_assert_eq!(&frames[0].data["data"], &data);
    }

    /// The same for data that is no JSON at all: lines are still only ours.
    #[test]
    fn d01_data_that_is_not_json_makes_no_line_of_its_own(raw in "[\\x00-\\x7f]{0,40}|.*") {
        let mut new = event(EventType::DEPLOY_FAILED);
        new.data = raw.into();
        let session = BuildSessionId::parse("bs_1").unwrap();
        let build = BuildId::parse("bld_1").unwrap();
        let event = Event::new(7, build, session, Timestamp::EPOCH, new);
        let mut out = BytesMut::new();
        encode_frame(&event, &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        prop_assert!(!text.contains(['\r', '\0']));
        let lines: Vec<_> = text.split('\n').collect();
        prop_assert_eq!(lines.len(), 5);
        prop_assert_eq!((lines[0], lines[1]), ("id: 7", "event: deploy_failed"));
        prop_assert_eq!(&lines[2][..7], "data: {");
        prop_assert_eq!((lines[3], lines[4]), ("", ""));
    }
}
