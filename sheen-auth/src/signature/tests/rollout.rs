//! From v1 to v2 without a restart: modes, the latch, and what is counted (R1–R5).

use std::time::Duration;

use sheen_core::time::Clock as _;

use super::*;
use crate::signature::{Modes, Switch, SwitchError};

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

async fn admit(gate: &Gate, headers: Headers<'_>) -> Result<Scheme, Refusal> {
    let verified = gate.admit(&post(headers), &mut Scratch::new()).await;
    verified.map(|verified| verified.scheme)
}

fn v1_of(signed: &SignedHeaders) -> Headers<'_> {
    Headers {
        signature: signed.signature.as_deref(),
        ..Headers::default()
    }
}

#[tokio::test]
async fn r04_modes_change_per_key_while_the_door_is_open() {
    let ring = KeyRing::new(vec![key("k1"), key("k2")]).unwrap();
    let (gate, ..) = gate_of(Verifier::new(ring, Mode::V1Only));
    let signed = signed(1, "POST", None);
    let v1 = v1_of(&signed);
    for (mode, v1_says) in [
        (Mode::Shadow, Ok(Scheme::V1)),
        (Mode::Dual, Ok(Scheme::V1)),
        (Mode::EnforceV2, Err(Refusal::V1Retired)),
        (Mode::Dual, Ok(Scheme::V1)),
        (Mode::V1Only, Ok(Scheme::V1)),
    ] {
        gate.switch(&id("k1"), mode, Switch::Forced).unwrap();
        assert_eq!(admit(&gate, v1).await, v1_says, "{mode}");
        let readiness = gate.readiness();
        assert_eq!(readiness.keys[0].mode, mode);
        assert_eq!(readiness.keys[1].mode, Mode::V1Only, "the other stays");
    }
    let stray = gate.switch(&id("k3"), Mode::Dual, Switch::Forced);
    assert_eq!(stray, Err(SwitchError::UnknownKey(id("k3"))));
}

#[tokio::test]
async fn r04_enforcing_waits_until_nobody_would_be_shut_out_unless_forced() {
    let (gate, ..) = gate(Mode::Dual);
    let gate = gate.ready_after(1);
    let enforce = |how| gate.switch(&id("k1"), Mode::EnforceV2, how);
    let not_ready = |would_refuse, v2_accepted| {
        Err(SwitchError::NotReady {
            would_refuse,
            v2_accepted,
            v2_needed: 1,
        })
    };
    assert_eq!(enforce(Switch::WhenReady), not_ready(0, 0), "nothing seen");
    let one = signed(1, "GET", None);
    let two = signed(2, "POST", None);
    // A refused request says nothing of who would be shut out.
    let forged = "0".repeat(64);
    let forged = Headers {
        signature: Some(&forged),
        ..Headers::default()
    };
    assert!(admit(&gate, forged).await.is_err());
    let v1 = v1_of(&two);
    assert_eq!(admit(&gate, v1).await, Ok(Scheme::V1));
    assert_eq!(admit(&gate, two.as_headers()).await, Ok(Scheme::V2));
    assert_eq!(enforce(Switch::WhenReady), not_ready(1, 1));
    assert_eq!(gate.readiness().keys[0].mode, Mode::Dual);
    assert!(!gate.readiness().keys[0].is_ready());

    gate.count_anew(&id("k1")).unwrap();
    assert_eq!(enforce(Switch::WhenReady), not_ready(0, 0));
    let three = signed(3, "POST", None);
    assert_eq!(admit(&gate, three.as_headers()).await, Ok(Scheme::V2));
    assert!(gate.readiness().keys[0].is_ready());
    enforce(Switch::WhenReady).unwrap();
    assert_eq!(admit(&gate, v1_of(&one)).await, Err(Refusal::V1Retired));

    // Counting anew forgets nothing of the totals.
    assert_eq!(gate.readiness().keys[0].accepted(Scheme::V1), 1);
    gate.switch(&id("k1"), Mode::Dual, Switch::WhenReady)
        .unwrap();
    let four = signed(4, "POST", None);
    assert_eq!(
        admit(&gate, v1_of(&four)).await,
        Err(Refusal::NonceReplayed)
    );
    enforce(Switch::Forced).unwrap();
}

#[tokio::test]
async fn r04_one_call_makes_no_key_ready_and_a_change_to_the_same_mode_counts_on() {
    let (gate, ..) = gate(Mode::Dual);
    let k1 = id("k1");
    for seed in 1..=Gate::READY_AFTER {
        let refused = gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady);
        let told = SwitchError::NotReady {
            would_refuse: 0,
            v2_accepted: seed - 1,
            v2_needed: Gate::READY_AFTER,
        };
        assert_eq!(refused, Err(told));
        assert!(!gate.readiness().keys[0].is_ready());
        let call = signed(seed, "POST", None);
        // Without v1, which would be marked: all these sign one v1 text.
        let v2 = Headers {
            signature: None,
            ..call.as_headers()
        };
        assert_eq!(admit(&gate, v2).await, Ok(Scheme::V2));
        gate.switch(&k1, Mode::Dual, Switch::WhenReady).unwrap();
    }
    assert!(gate.readiness().keys[0].is_ready());
    // One caller on v1 is enough, however many sign v2; and it is not forgotten by a change to the
    // mode that is there.
    let old = signed(1000, "POST", None);
    assert_eq!(admit(&gate, v1_of(&old)).await, Ok(Scheme::V1));
    gate.switch(&k1, Mode::Dual, Switch::Forced).unwrap();
    assert_eq!(gate.readiness().keys[0].would_refuse, 1);
    assert!(
        gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady)
            .is_err()
    );
    gate.count_anew(&k1).unwrap();
    let refused = gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady);
    assert!(matches!(
        refused,
        Err(SwitchError::NotReady { v2_accepted: 0, .. })
    ));
    // Where it is already, there is nothing to be ready for.
    gate.switch(&k1, Mode::EnforceV2, Switch::Forced).unwrap();
    assert_eq!(gate.switch(&k1, Mode::EnforceV2, Switch::WhenReady), Ok(()));
}

/// What the docs say of it: shadow does not see a nonce that was used before, dual does.
#[tokio::test]
async fn a_nonce_used_twice_shows_in_dual_and_not_in_shadow() {
    for (mode, accepted) in [(Mode::Shadow, 3), (Mode::Dual, 1)] {
        let (gate, ..) = gate(mode);
        let call = signed(1, "POST", None);
        for _ in 0..3 {
            let _ = admit(&gate, call.as_headers()).await;
        }
        let key = &gate.readiness().keys[0];
        assert_eq!(key.v2_accepted, accepted, "{mode}");
        let replayed = key.refused(Scheme::V2, Refusal::NonceReplayed);
        assert_eq!(replayed + accepted, 3, "{mode}");
    }
}

#[tokio::test]
async fn shadow_counts_what_v2_would_refuse() {
    let (gate, ..) = gate(Mode::Shadow);
    let both = signed(1, "POST", None);
    let wrong = "0".repeat(64);
    let broken = Headers {
        sig_v2: Some(&wrong),
        ..both.as_headers()
    };
    for (headers, would_refuse, mismatches) in [
        (both.as_headers(), 0, 0),
        (broken, 1, 1),
        (v1_of(&both), 2, 1),
    ] {
        assert_eq!(admit(&gate, headers).await, Ok(Scheme::V1));
        let key = &gate.readiness().keys[0];
        assert_eq!(
            (key.would_refuse, key.mismatches),
            (would_refuse, mismatches)
        );
    }
    let key = &gate.readiness().keys[0];
    assert_eq!((key.v2_accepted, key.accepted(Scheme::V1)), (1, 3));
    assert_eq!(key.v1_share(), Some(1.0));
    // The next mode begins its own count.
    gate.switch(&id("k1"), Mode::Dual, Switch::WhenReady)
        .unwrap();
    assert_eq!(gate.readiness().keys[0].would_refuse, 0);
}

#[tokio::test]
async fn r03_a_latched_key_takes_no_v1_any_more() {
    let (gate, clock, _) = gate(Mode::Dual);
    let both = signed(1, "POST", None);
    assert_eq!(admit(&gate, both.as_headers()).await, Ok(Scheme::V2));
    let id_sig = request_id_signature(&both.timestamp, "req_1", BODY);
    let by_id = Headers {
        signature: Some(&id_sig),
        timestamp: Some(&both.timestamp),
        request_id: Some("req_1"),
        ..Headers::default()
    };
    assert!(!gate.readiness().keys[0].latched);
    gate.latch(&id("k1")).unwrap();
    assert!(gate.readiness().keys[0].latched);
    // Stripped of v2 it is refused at once, and long after the mark is gone.
    assert_eq!(admit(&gate, by_id).await, Err(Refusal::V1Retired));
    for _ in 0..2 {
        assert_eq!(admit(&gate, v1_of(&both)).await, Err(Refusal::V1Retired));
        clock.advance(Duration::from_secs(86_400));
    }
    let forged = "0".repeat(64);
    let forged = Headers {
        signature: Some(&forged),
        ..Headers::default()
    };
    assert_eq!(admit(&gate, forged).await, Err(Refusal::Invalid));
    let signer = Signer::new(key("k1"));
    let fresh = signer.sign(
        "POST",
        PATH,
        None,
        BODY,
        clock.now(),
        &SeededEntropy::new(9),
    );
    assert_eq!(
        admit(&gate, fresh.unwrap().as_headers()).await,
        Ok(Scheme::V2)
    );
    gate.unlatch(&id("k1")).unwrap();
    assert_eq!(admit(&gate, v1_of(&both)).await, Ok(Scheme::V1));
}

#[test]
fn a_latch_and_a_mode_in_which_v1_decides_exclude_each_other() {
    let (gate, ..) = gate(Mode::Dual);
    gate.latch(&id("k1")).unwrap();
    for mode in [Mode::V1Only, Mode::Shadow] {
        let refused = gate.switch(&id("k1"), mode, Switch::Forced);
        assert_eq!(refused, Err(SwitchError::Latched), "{mode}");
    }
    gate.switch(&id("k1"), Mode::EnforceV2, Switch::Forced)
        .unwrap();
    assert!(
        gate.readiness().keys[0].latched,
        "a change of mode keeps it"
    );
    gate.unlatch(&id("k1")).unwrap();
    for mode in [Mode::V1Only, Mode::Shadow] {
        gate.switch(&id("k1"), mode, Switch::Forced).unwrap();
        assert_eq!(gate.latch(&id("k1")), Err(SwitchError::LatchBeforeDual));
        let modes = Modes::all(mode).latch(id("k1"));
        let ring = KeyRing::new(vec![key("k1")]).unwrap();
        assert!(Verifier::with_modes(ring, modes).is_err());
    }
    for unknown in [
        gate.latch(&id("k2")),
        gate.unlatch(&id("k2")),
        gate.count_anew(&id("k2")),
    ] {
        assert_eq!(unknown, Err(SwitchError::UnknownKey(id("k2"))));
    }
    let ring = KeyRing::new(vec![key("k1")]).unwrap();
    let latched = Verifier::with_modes(ring, Modes::all(Mode::Dual).latch(id("k1"))).unwrap();
    let both = signed(1, "POST", None);
    assert_eq!(
        check(&latched, &post(v1_of(&both))),
        Err(Refusal::V1Retired)
    );
}

#[tokio::test]
async fn r05_each_key_is_counted_with_when_v1_was_last_seen() {
    let ring = KeyRing::new(vec![key("k1"), key("k2")]).unwrap();
    let (gate, clock, _) = gate_of(Verifier::new(ring, Mode::Dual));
    let both = signed(1, "POST", None);
    let before = gate.readiness();
    assert_eq!(before.on_v1_since(Timestamp::EPOCH).count(), 0);
    assert_eq!(
        (before.keys[0].v1_share(), before.keys[0].v1_last_seen),
        (None, None)
    );
    assert_eq!(before.keys[0].clock_skew_millis, None);

    let first = clock.now();
    assert_eq!(admit(&gate, v1_of(&both)).await, Ok(Scheme::V1));
    clock.advance(Duration::from_secs(2));
    assert_eq!(admit(&gate, both.as_headers()).await, Ok(Scheme::V2));
    assert_eq!(
        admit(&gate, both.as_headers()).await,
        Err(Refusal::NonceReplayed)
    );
    clock.advance(Duration::from_secs(119));
    let late = admit(&gate, both.as_headers()).await;
    assert_eq!(late, Err(Refusal::TimestampOutsideWindow));
    assert_eq!(
        admit(&gate, Headers::default()).await,
        Err(Refusal::Missing)
    );

    let seen = gate.readiness();
    let key = &seen.keys[0];
    assert_eq!(key.key_id, id("k1"));
    assert_eq!((key.accepted(Scheme::V1), key.accepted(Scheme::V2)), (1, 1));
    assert_eq!(key.accepted(Scheme::V1RequestId), 0);
    assert_eq!(key.refused(Scheme::V2, Refusal::NonceReplayed), 1);
    assert_eq!(key.refused(Scheme::V2, Refusal::TimestampOutsideWindow), 1);
    assert_eq!(key.v1_share(), Some(0.5));
    assert_eq!(key.v1_last_seen, Some(first));
    assert_eq!(key.clock_skew_millis, Some((2000, 121_000)));
    assert_eq!(seen.unattributed(Refusal::Missing), 1);
    assert_eq!(seen.on_v1_since(first).count(), 1);
    let later = first.plus(Duration::from_millis(1));
    assert_eq!(seen.on_v1_since(later).count(), 0);
    assert_eq!(seen.keys[1], before.keys[1], "the other key saw nothing");

    // Who still calls a retired key with v1 is seen too.
    gate.switch(&id("k1"), Mode::EnforceV2, Switch::Forced)
        .unwrap();
    assert_eq!(admit(&gate, v1_of(&both)).await, Err(Refusal::V1Retired));
    let key = &gate.readiness().keys[0];
    assert_eq!(key.refused(Scheme::V1, Refusal::V1Retired), 1);
    assert_eq!(key.would_refuse, 0, "it was not let in");
    assert_eq!(key.v1_last_seen, Some(clock.now()));
}

#[test]
fn changes_from_many_threads_lose_neither_mode_nor_latch() {
    let (gate, ..) = gate(Mode::Dual);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2000 {
                let mode = [Mode::Dual, Mode::EnforceV2][round % 2];
                gate.switch(&id("k1"), mode, Switch::Forced).unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..2000 {
                gate.unlatch(&id("k1")).unwrap();
                gate.latch(&id("k1")).unwrap();
            }
        });
    });
    let key = &gate.readiness().keys[0];
    assert_eq!((key.mode, key.latched), (Mode::EnforceV2, true));
}
