//! Claiming, keeping alive and settling: C5–C10.

use std::time::Duration;

use futures_util::future::join_all;
use sheen_billing::account::{Release, Reserve};
use sheen_core::build::{Authority, BeatOutcome, Ending, FailureReason, FinishOutcome, Status};
use sheen_core::id::OperationId;
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::AppendOutcome;

use super::{AdmissionHarness, admit, deployed, failed, id, kinds, line, spawned, user, worker};
use crate::admission::{Charge, SettleOutcome};

pub async fn c05_a_claim_raises_the_token_and_tells_the_log(h: AdmissionHarness) {
    h.buy("u1", 1000).await;
    h.admitted(admit("b1", "u1", "p1")).await;
    (h.advance)(Duration::from_secs(540)).await;
    h.admitted(admit("b2", "u1", "p2")).await;
    let claimed = h.claimed().await;
    assert_eq!(claimed.build.id, id("b1"));
    assert_eq!(claimed.build.status, Status::Building);
    assert!(claimed.build.token > FencingToken::ZERO);
    assert_eq!(
        kinds(&h.events("b1").await),
        ["build_queued", "build_started"]
    );
    let appended = h
        .log
        .append(line("b1", claimed.build.token))
        .await
        .expect("works");
    assert!(matches!(appended, AppendOutcome::Appended(_)));
    assert_eq!(h.claimed().await.build.id, id("b2"));
    assert!(
        h.admission
            .claim(&worker("w1"))
            .await
            .expect("works")
            .is_none()
    );
    // The hold's hour began anew with the claim: 62 min after its start it still holds.
    let before = h.available("u1").await;
    (h.advance)(Reserve::DEFAULT_TTL - Duration::from_secs(420)).await;
    assert_eq!(h.available("u1").await, before);
}

pub async fn c06_a_heartbeat_keeps_build_and_hold_alive(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    // Three hours in steps shorter than the deadline: far beyond the hold's first hour.
    for _ in 0..180 {
        (h.advance)(Duration::from_secs(60)).await;
        let beat = h.admission.beat(&id("b1"), token).await.expect("works");
        assert!(matches!(beat, BeatOutcome::Alive { .. }));
    }
    assert_eq!(h.builds.overdue(10).await.expect("works"), []);
    let late = h
        .admission
        .beat(&id("b1"), FencingToken::ZERO)
        .await
        .expect("works");
    assert_eq!(late, BeatOutcome::Lost);
    let outcome = h.settled(deployed("b1", token, 10)).await;
    let SettleOutcome::Settled(settled) = outcome else {
        panic!("{outcome:?}")
    };
    let Charge::Committed { charged, .. } = settled.charge else {
        panic!("{:?}", settled.charge)
    };
    assert_eq!(charged.get(), 10);
    let after = h.admission.beat(&id("b1"), token).await.expect("works");
    assert_eq!(after, BeatOutcome::Lost);
}

pub async fn c07_a_settlement_ends_build_hold_and_stream(h: AdmissionHarness) {
    h.buy("u1", 1000).await;
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    assert!(matches!(
        h.settled(deployed("b1", token, 30)).await,
        SettleOutcome::Settled(_)
    ));
    let events = h.events("b1").await;
    assert_eq!(
        kinds(&events),
        ["build_queued", "build_started", "deploy_completed"]
    );
    let data: serde_json::Value = serde_json::from_str(&events[2].data).expect("JSON");
    assert_eq!(data["previewUrl"], "https://preview.test/b1/");
    assert_eq!(data["versionId"], "v-b1");
    assert!(data["duration"].is_u64());
    assert!(h.stream_closed("b1").await);
    assert_eq!(h.totals().await.charged, 30);

    h.admitted(admit("b2", "u1", "p1")).await;
    let by = Authority::Owner(user("u1"));
    let outcome = h.settled(failed("b2", by, FailureReason::Cancelled)).await;
    let SettleOutcome::Settled(settled) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(settled.charge, Charge::Released);
    let events = h.events("b2").await;
    assert_eq!(kinds(&events), ["build_queued", "deploy_failed"]);
    let data: serde_json::Value = serde_json::from_str(&events[1].data).expect("JSON");
    assert_eq!(
        (&data["reason"], &data["error"]),
        (&"CANCELLED".into(), &"It broke.".into())
    );
    let totals = h.totals().await;
    assert_eq!((totals.held, totals.charged), (0, 30));

    // An end that cannot be said in an event is refused whole.
    h.admitted(admit("b4", "u1", "p4")).await;
    let token = h.claimed().await.build.token;
    let before = h.totals().await;
    let mut finish = deployed("b4", token, 1);
    finish.ending = Ending::Deployed {
        preview_url: "x".repeat(70_000).into(),
        seconds: Seconds::from_u32(1),
    };
    h.admission.settle(finish).await.expect_err("too long");
    assert_eq!(h.totals().await, before);
    let build = h
        .builds
        .get(&id("b4"))
        .await
        .expect("works")
        .expect("a build");
    assert_eq!(build.build.status, Status::Building);
    let by = Authority::Claim(token);
    h.settled(failed("b4", by, FailureReason::BuildFailed))
        .await;
    assert!(h.stream_closed("b4").await);

    // The sweep ends what nobody claimed.
    h.admitted(admit("b3", "u1", "p1")).await;
    let sweep = failed("b3", Authority::Sweep, FailureReason::TimedOut);
    let early = h.settled(sweep.clone()).await;
    assert!(matches!(
        early,
        SettleOutcome::Unchanged(FinishOutcome::NotOverdue(_))
    ));
    (h.advance)(Duration::from_secs(600)).await;
    assert!(matches!(h.settled(sweep).await, SettleOutcome::Settled(_)));
    assert_eq!(h.totals().await.held, 0);
}

pub async fn c08_of_settlements_at_once_one_settles(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    let finishes = (0..20).map(|n| match n % 3 {
        0 => deployed("b1", token, 40),
        1 => failed("b1", Authority::Owner(user("u1")), FailureReason::Cancelled),
        _ => failed("b1", Authority::Claim(token), FailureReason::BuildFailed),
    });
    let finishes: Vec<_> = finishes
        .map(|finish| {
            let admission = h.admission.clone();
            spawned(async move { admission.settle(finish).await.expect("the store works") })
        })
        .collect();
    let outcomes = join_all(finishes).await;
    let settled = outcomes
        .iter()
        .filter(|o| matches!(o, SettleOutcome::Settled(_)))
        .count();
    assert_eq!(settled, 1);
    let ends = h
        .events("b1")
        .await
        .iter()
        .filter(|e| e.kind.as_str().starts_with("deploy_"))
        .count();
    assert_eq!(ends, 1);
    let totals = h.totals().await;
    assert_eq!(totals.held, 0);
    let deployed = h
        .builds
        .get(&id("b1"))
        .await
        .expect("works")
        .expect("a build");
    let expected = if deployed.build.status == Status::Deployed {
        40
    } else {
        0
    };
    assert_eq!(totals.charged, expected);
}

pub async fn c09_a_late_token_appends_nothing(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    let before = h
        .log
        .append(line("b1", FencingToken::ZERO))
        .await
        .expect("works");
    assert_eq!(before, AppendOutcome::Fenced);
    h.settled(failed(
        "b1",
        Authority::Owner(user("u1")),
        FailureReason::Cancelled,
    ))
    .await;
    let after = h.log.append(line("b1", token)).await.expect("works");
    assert!(matches!(
        after,
        AppendOutcome::Fenced | AppendOutcome::Closed
    ));
    let events = h.events("b1").await;
    assert_eq!(
        kinds(&events),
        ["build_queued", "build_started", "deploy_failed"]
    );
    let late = h.settled(deployed("b1", token, 40)).await;
    assert!(matches!(
        late,
        SettleOutcome::Unchanged(FinishOutcome::AlreadyEnded(_))
    ));
    assert_eq!(h.totals().await.charged, 0);
}

pub async fn c10_a_build_whose_hold_is_gone_is_not_deployed(h: AdmissionHarness) {
    h.admitted(admit("b1", "u1", "p1")).await;
    let token = h.claimed().await.build.token;
    // Nobody swept and nobody beat: the hold lapsed long after the heartbeat's deadline did.
    (h.advance)(Reserve::DEFAULT_TTL + Duration::from_secs(1)).await;
    let outcome = h.settled(deployed("b1", token, 40)).await;
    let SettleOutcome::Settled(settled) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(settled.build.status, Status::Failed);
    assert_eq!(settled.build.reason, Some(FailureReason::TimedOut));
    assert_eq!(settled.charge, Charge::Lapsed);
    assert_eq!(kinds(&h.events("b1").await).last(), Some(&"deploy_failed"));
    assert_eq!(h.totals().await.charged, 0);

    // One whose hold was taken back by the credit routes neither: its work is not given away.
    (h.advance)(Duration::from_secs(1)).await;
    h.admitted(admit("b2", "u2", "p2")).await;
    let claimed = h.claimed().await.build;
    let hold = claimed.hold.clone().expect("a hold");
    let release = Release::new(hold.id, OperationId::parse("mine").expect("a valid id"));
    h.credits.release(release).await.expect("works");
    let beat = h.admission.beat(&claimed.id, claimed.token).await;
    assert_eq!(beat.expect("works"), BeatOutcome::Lost);
    let outcome = h.settled(deployed("b2", claimed.token, 40)).await;
    let SettleOutcome::Settled(settled) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(settled.build.reason, Some(FailureReason::BuildFailed));
    assert_eq!(settled.charge, Charge::ClosedElsewhere);
    assert_eq!(kinds(&h.events("b2").await).last(), Some(&"deploy_failed"));
    assert!(h.stream_closed("b2").await);
    let totals = h.accounts.totals(&user("u2")).await.expect("works");
    assert_eq!((totals.held.get(), totals.charged.get()), (0, 0));
}
