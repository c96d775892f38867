//! Whether a request's signature fits, without any I/O.

use std::fmt;
use std::hint::black_box;

use sheen_core::time::Timestamp;

use super::facts::{Buffers, Facts, Fit, Judged};
use super::key::{KeyRing, SigningKey};
use super::modes::{Mode, ModeError, Modes, Policies, Policy};
use super::types::{Checked, Outcome, Refusal, Report, Request, Scheme};

/// Buffers for one verification at a time; with a warm one, verifying allocates nothing. Only the
/// comparison of keys by locale (feature `locale-order`) may.
#[derive(Default)]
pub struct Scratch(pub(super) Buffers);

impl Scratch {
    /// Cold buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Decides which signatures fit.
#[derive(Debug)]
pub struct Verifier {
    ring: KeyRing,
    policies: Policies,
    #[cfg(feature = "locale-order")]
    locale_order: Option<super::order::LocaleOrder>,
}

/// What was seen, and the key, mode and signature that let in.
type Verdict<'a> = (Seen<'a>, Result<(&'a SigningKey, Mode, Fit), Refusal>);

/// A [`Report`] that owns nothing yet.
#[derive(Clone, Copy, Default)]
struct Seen<'a> {
    key: Option<&'a SigningKey>,
    scheme: Option<Scheme>,
    v1: Outcome,
    v2: Outcome,
    clock_skew_millis: Option<i64>,
}

impl Seen<'_> {
    fn report(self) -> Report {
        Report {
            scheme: self.scheme,
            key_id: self.key.map(|key| key.id().clone()),
            v1: self.v1,
            v2: self.v2,
            clock_skew_millis: self.clock_skew_millis,
        }
    }
}

impl Verifier {
    /// Verifies with the keys of `ring`, all in one mode.
    #[must_use]
    pub fn new(ring: KeyRing, mode: Mode) -> Self {
        Self::of(ring, &Modes::all(mode))
    }

    /// Verifies with the keys of `ring`, each in its mode.
    ///
    /// # Errors
    /// When a mode is for a key that is not in the ring, or a latch for a key before `dual`.
    pub fn with_modes(ring: KeyRing, modes: Modes) -> Result<Self, ModeError> {
        modes.check(&ring)?;
        Ok(Self::of(ring, &modes))
    }

    fn of(ring: KeyRing, modes: &Modes) -> Self {
        Self {
            policies: Policies::new(&ring, modes),
            ring,
            #[cfg(feature = "locale-order")]
            locale_order: None,
        }
    }

    /// Whether queries sorted as JavaScript's `localeCompare` sorts their decoded keys pass too, as
    /// callers in the field send them (wire.md §1); not, unless said. Such a query is tried only
    /// where byte order does not fit, up to 8 KiB and 128 pairs. Comparing keys outside of ASCII may
    /// allocate, also with warm buffers.
    #[cfg(feature = "locale-order")]
    #[must_use]
    pub fn accept_locale_order(mut self, accept: bool) -> Self {
        self.locale_order = accept.then(super::order::LocaleOrder::new).flatten();
        self
    }

    #[cfg(feature = "locale-order")]
    pub(super) const fn locale_order(&self) -> Option<&super::order::LocaleOrder> {
        self.locale_order.as_ref()
    }

    /// The keys.
    #[must_use]
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    pub(super) const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Whether the signature fits at `now`, and what the replay store must still be asked.
    ///
    /// # Errors
    /// The refusal, without anything spent.
    pub fn check<'a>(
        &'a self,
        request: &Request<'a>,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> Result<Checked<'a>, Refusal> {
        let facts = Facts::read(request, &mut scratch.0)?;
        let (_, let_in) = self.look_at(request, &facts, now, scratch);
        let_in.map(|(key, mode, fit)| facts.checked(key, mode, &fit))
    }

    /// The same, with what was seen on the way, for metrics and logs.
    pub fn examine<'a>(
        &'a self,
        request: &Request<'a>,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> (Report, Result<Checked<'a>, Refusal>) {
        let facts = match Facts::read(request, &mut scratch.0) {
            Ok(facts) => facts,
            Err(refusal) => return (Report::default(), Err(refusal)),
        };
        let (seen, let_in) = self.look_at(request, &facts, now, scratch);
        let checked = let_in.map(|(key, mode, fit)| facts.checked(key, mode, &fit));
        (seen.report(), checked)
    }

    fn look_at<'a>(
        &'a self,
        request: &Request<'a>,
        facts: &Facts<'_, 'a>,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> Verdict<'a> {
        let verdict = self.examine_text(request, facts, &scratch.0.text, now);
        #[cfg(feature = "locale-order")]
        if let Some(order) = &self.locale_order
            && facts.has_text()
            && verdict.0.v2 == Outcome::Refused(Refusal::Invalid)
            && scratch.0.reorder(request.query.unwrap_or(""), order)
        {
            let other = self.examine_text(request, facts, &scratch.0.other, now);
            if other.0.v2 != Outcome::Refused(Refusal::Invalid) {
                return other;
            }
        }
        verdict
    }

    /// What the keys make of a request whose v2 text is `text`.
    fn examine_text<'a>(
        &'a self,
        request: &Request<'a>,
        facts: &Facts<'_, 'a>,
        text: &[u8],
        now: Timestamp,
    ) -> Verdict<'a> {
        let Some(id) = request.headers.key_id else {
            return self.try_all(facts, text, now);
        };
        let (place, is_its) = self.ring.nearest(id);
        let is_known = is_its & self.ring.at(place).is_live(now);
        // The same work, in the same code, for an id that nobody has: the time does not tell which
        // ids exist (benches/peers/src/timing.rs). The compiler knows nothing of it either: it would
        // make two paths.
        let is_known = black_box(is_known);
        let place = place * usize::from(is_known);
        // Read once: a change meanwhile counts from the next request on. Under `dual` every scheme
        // that was sent is looked at, whatever the mode of the key that lends itself.
        let policies = [Policy::DUAL, self.policies.of(place)];
        let policy = black_box(policies[usize::from(is_known)]);
        let (mut seen, verdict) = self.judge(place, policy, facts, text, now);
        let refusal = match verdict {
            Ok(let_in) if is_known => return (seen, Ok(let_in)),
            Ok(_) => Refusal::KeyUnknown,
            Err(refusal) => refusal,
        };
        if !is_known & seen.key.is_some() {
            (seen.scheme, seen.key, seen.clock_skew_millis) = (None, None, None);
        }
        use Refusal::{Missing, NonceInvalid, TimestampInvalid};
        let is_early = matches!(refusal, Missing | TimestampInvalid | NonceInvalid);
        let refusals = [Refusal::KeyUnknown, refusal];
        (seen, Err(refusals[usize::from(is_known | is_early)]))
    }

    fn try_all<'a>(&'a self, facts: &Facts<'_, 'a>, text: &[u8], now: Timestamp) -> Verdict<'a> {
        let mut best: Option<(Seen<'a>, Refusal)> = None;
        for place in self.ring.unnamed(now) {
            match self.judge(place, self.policies.of(place), facts, text, now) {
                (seen, Ok(let_in)) => return (seen, Ok(let_in)),
                (seen, Err(refusal)) => {
                    let better = best
                        .as_ref()
                        .is_none_or(|(_, old)| weight(*old) < weight(refusal));
                    if better {
                        best = Some((seen, refusal));
                    }
                }
            }
        }
        let (seen, refusal) = best.unwrap_or((Seen::default(), Refusal::Invalid));
        (seen, Err(refusal))
    }

    /// What one key under a policy makes of the request.
    fn judge<'a>(
        &'a self,
        place: usize,
        policy: Policy,
        facts: &Facts<'_, 'a>,
        text: &[u8],
        now: Timestamp,
    ) -> Verdict<'a> {
        let key = self.ring.at(place);
        let v1 = facts.judge_v1(key, now);
        let v2 = match policy.mode {
            Mode::V1Only => Judged::Absent,
            _ => facts.judge_v2(key, text, now),
        };
        let (deciding, decision) = decide(policy, v1, v2);
        let fit = deciding.fit();
        let signed_at = fit.and_then(|fit| fit.signed_at);
        let seen = Seen {
            scheme: fit.map(|fit| fit.scheme),
            key: fit.map(|_| key),
            v1: v1.outcome(),
            v2: v2.outcome(),
            clock_skew_millis: signed_at.map(|at| now.as_millis().saturating_sub(at.as_millis())),
        };
        (seen, decision.map(|fit| (key, policy.mode, fit)))
    }
}

/// Which scheme decides, and what it comes to (wire.md §1).
fn decide(policy: Policy, v1: Judged, v2: Judged) -> (Judged, Result<Fit, Refusal>) {
    let v2_decides = policy.mode >= Mode::Dual && !matches!(v2, Judged::Absent);
    if v2_decides {
        return (v2, v2.decision());
    }
    let retired = policy.latched || policy.mode == Mode::EnforceV2;
    match v1 {
        Judged::Fits(_) if retired => (v1, Err(Refusal::V1Retired)),
        _ => (v1, v1.decision()),
    }
}

/// A refusal that tells more about a key that fitted weighs more.
const fn weight(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Missing => 0,
        Refusal::Invalid => 1,
        _ => 2,
    }
}

#[cfg(feature = "locale-order")]
impl Buffers {
    /// Makes the text with its query in the other order; whether it is another text.
    pub(super) fn reorder(&mut self, raw: &str, order: &super::order::LocaleOrder) -> bool {
        let before = &self.text[..self.query_at.start];
        self.other.clear();
        self.other.extend_from_slice(before);
        if !self
            .query
            .append_in_locale_order(raw, order, &mut self.other)
        {
            return false;
        }
        self.other
            .extend_from_slice(&self.text[self.query_at.end..]);
        self.other != self.text
    }
}
