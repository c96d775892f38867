use super::*;
use crate::feed::Cursor;

#[test]
fn a_header_beats_a_cursor_and_only_digits_are_a_seq() {
    let read = Resume::from_request;
    assert_eq!(read(None, None, None), Resume::Start);
    assert_eq!(read(Some("5"), Some("6"), Some("c")), Resume::After(5));
    assert_eq!(read(None, Some("6"), Some("c")), Resume::After(6));
    assert_eq!(read(Some(""), None, Some("c")), Resume::Cursor("c"));
    assert_eq!(read(None, None, Some("")), Resume::Start);
    for bad in ["+5", "-1", "5 ", "1.0", "abc", "18446744073709551616"] {
        assert_eq!(
            read(Some(bad), Some("6"), Some("c")),
            Resume::Unknown,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_reader_goes_on_after_what_it_has() {
    let rig = Rig::new().await;
    rig.append(5).await;
    let cursor = Cursor::new(rig.epoch(), 3).encode(&rig.build);
    for resume in [
        Resume::from_request(Some("3"), None, None),
        Resume::from_request(None, Some("3"), Some("bad")),
        Resume::from_request(None, None, Some(&cursor)),
        // The third event's instant: 2 ms after the first.
        Resume::from_request(None, None, Some("2025-11-20T10:30:00.002Z")),
    ] {
        let frames = rig.resumed(resume).await.now();
        let names: Vec<_> = frames.iter().map(Frame::name).collect();
        assert_eq!(names, ["connection", "4", "5", "caught_up"], "{resume:?}");
        let hello = &frames[0].data;
        assert_eq!(hello["resumed"], json!("exact"));
        assert_eq!((&hello["seq"], &hello["from"]), (&json!(3), &json!(4)));
    }
    let mut reader = rig.resumed(Resume::After(5)).await;
    assert_eq!(reader.names(), ["connection", "caught_up"]);
}

#[tokio::test]
async fn a07_a_position_that_is_not_of_this_log_resets() {
    let rig = Rig::new().await;
    rig.append(3).await;
    let other_epoch = Cursor::new(rig.epoch() ^ 1, 2).encode(&rig.build);
    let future = Cursor::new(rig.epoch(), 4).encode(&rig.build);
    for resume in [
        Resume::After(4),
        Resume::After(u64::MAX),
        Resume::Unknown,
        Resume::Cursor(&other_epoch),
        Resume::Cursor(&future),
    ] {
        let frames = rig.resumed(resume).await.now();
        let names: Vec<_> = frames.iter().map(Frame::name).collect();
        assert_eq!(
            names,
            ["connection", "1", "2", "3", "caught_up"],
            "{resume:?}"
        );
        let hello = &frames[0].data;
        assert_eq!(hello["resumed"], json!("reset"));
        assert_eq!((&hello["seq"], &hello["from"]), (&json!(0), &json!(1)));
    }
}

#[tokio::test]
async fn a07_below_the_floor_the_gap_is_said() {
    let rig = Rig::new().await;
    rig.append(6).await;
    rig.log.floor.store(4, SeqCst);
    for (resume, resumed, seq) in [
        (Resume::After(2), "gap", 2),
        (Resume::Start, "gap", 0),
        (Resume::After(4), "exact", 4),
        (Resume::After(9), "reset", 0),
    ] {
        let frames = rig.resumed(resume).await.now();
        let names: Vec<_> = frames.iter().map(Frame::name).collect();
        assert_eq!(names, ["connection", "5", "6", "caught_up"], "{resume:?}");
        let hello = &frames[0].data;
        assert_eq!(hello["resumed"], json!(resumed));
        assert_eq!(
            (&hello["seq"], &hello["from"], &hello["floor"]),
            (&json!(seq), &json!(5), &json!(4))
        );
    }
    // Nothing is left, and the reader is told so rather than left to wait for seq 3.
    rig.log.floor.store(6, SeqCst);
    let frames = rig.resumed(Resume::After(2)).await.now();
    assert_eq!(frames[0].data["resumed"], json!("gap"));
    assert_eq!(frames[1].event, "caught_up");
    assert_eq!(frames[1].data["seq"], json!(2));
}

#[tokio::test]
async fn e02_whose_build_it_is_comes_before_the_cursor() {
    let rig = Rig::new().await;
    let other = Cursor::new(rig.epoch(), 0).encode(&BuildId::parse("bld_2").unwrap());
    for cursor in ["bad", &other] {
        let resume = Resume::from_request(None, None, Some(cursor));
        let own = rig
            .streams
            .open(rig.request().resume(resume))
            .await
            .unwrap();
        assert!(matches!(own, OpenOutcome::CursorInvalid), "{own:?}");
        let bob = UserId::parse("bob").unwrap();
        let request = StreamRequest::new(bob, rig.build.clone()).resume(resume);
        let others = rig.streams.open(request).await.unwrap();
        assert!(matches!(others, OpenOutcome::NotFound), "{others:?}");
    }
    let nobodys = StreamRequest::new(rig.ann.clone(), BuildId::parse("none").unwrap());
    let outcome = rig.streams.open(nobodys).await.unwrap();
    assert!(matches!(outcome, OpenOutcome::NotFound), "{outcome:?}");
    assert_eq!(
        rig.streams.active(),
        0,
        "a refused stream gives its place back"
    );
}
