//! Whether a request's signature fits, without any I/O.

use std::fmt;

use sha2::{Digest as _, Sha256};
use sheen_core::time::Timestamp;

use super::key::{KeyRing, SigningKey};
use super::parse;
use super::query::QueryScratch;
use super::types::{Checked, Mode, ModeError, Modes, Outcome, Refusal, Report, Request, Scheme};
use crate::replay::{Claim, Once, V1Mark};

/// Buffers for one verification at a time; with a warm one, verifying allocates nothing.
#[derive(Default)]
pub struct Scratch {
    query: QueryScratch,
    canonical: Vec<u8>,
    text: Vec<u8>,
}

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
    modes: Modes,
}

impl Verifier {
    /// Verifies with the keys of `ring`, all in one mode.
    #[must_use]
    pub const fn new(ring: KeyRing, mode: Mode) -> Self {
        let modes = Modes::all(mode);
        Self { ring, modes }
    }

    /// Verifies with the keys of `ring`, each in its mode.
    ///
    /// # Errors
    /// When a mode is for a key that is not in the ring.
    pub fn with_modes(ring: KeyRing, modes: Modes) -> Result<Self, ModeError> {
        if let Some(stray) = modes.keys().find(|key| ring.by_id(key.as_str()).is_none()) {
            return Err(ModeError::UnknownKey(stray.clone()));
        }
        Ok(Self { ring, modes })
    }

    /// The keys.
    #[must_use]
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
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
        self.examine(request, now, scratch).1
    }

    /// The same, with what was seen on the way, for metrics and logs.
    pub fn examine<'a>(
        &'a self,
        request: &Request<'a>,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> (Report, Result<Checked<'a>, Refusal>) {
        let facts = match Facts::read(request, scratch) {
            Ok(facts) => facts,
            Err(refusal) => return (Report::default(), Err(refusal)),
        };
        let text = scratch.text.as_slice();
        let Some(id) = request.headers.key_id else {
            return self.try_all(&facts, text, now);
        };
        if let Some(key) = self.ring.by_id(id).filter(|key| key.is_live(now)) {
            return self.judge(key, &facts, text, now);
        }
        // The same work as for a known id, so that the time does not tell which ids exist.
        let (mut report, verdict) = self.judge(self.ring.signing_key(), &facts, text, now);
        report.key_id = None;
        report.scheme = None;
        let refusal = match verdict {
            Err(early @ (Refusal::Missing | Refusal::TimestampInvalid | Refusal::NonceInvalid)) => {
                early
            }
            _ => Refusal::KeyUnknown,
        };
        (report, Err(refusal))
    }

    fn try_all<'a>(
        &'a self,
        facts: &Facts<'a>,
        text: &[u8],
        now: Timestamp,
    ) -> (Report, Result<Checked<'a>, Refusal>) {
        let mut best: Option<(Report, Refusal)> = None;
        for key in self.ring.unnamed(now) {
            match self.judge(key, facts, text, now) {
                (report, Ok(checked)) => return (report, Ok(checked)),
                (report, Err(refusal)) => {
                    let better = best
                        .as_ref()
                        .is_none_or(|(_, old)| weight(*old) < weight(refusal));
                    if better {
                        best = Some((report, refusal));
                    }
                }
            }
        }
        let (report, refusal) = best.unwrap_or((Report::default(), Refusal::Invalid));
        (report, Err(refusal))
    }

    /// What one key in its mode makes of the request.
    fn judge<'a>(
        &'a self,
        key: &'a SigningKey,
        facts: &Facts<'a>,
        text: &[u8],
        now: Timestamp,
    ) -> (Report, Result<Checked<'a>, Refusal>) {
        let mode = self.modes.of(key.id());
        let v1 = facts.judge_v1(key, now);
        let v2 = match mode {
            Mode::V1Only => None,
            _ => facts.judge_v2(key, text, now),
        };
        let decision = match (mode, v2) {
            (Mode::Dual | Mode::EnforceV2, Some(v2)) => v2,
            (Mode::EnforceV2, None) => match v1 {
                Some(Ok(_)) => Err(Refusal::V1Retired),
                Some(Err(refusal)) => Err(refusal),
                None => Err(Refusal::Missing),
            },
            _ => v1.unwrap_or(Err(Refusal::Missing)),
        };
        let fitted = decision.ok();
        let signed_at = fitted.and_then(|fit| fit.signed_at);
        let report = Report {
            scheme: fitted.map(|fit| fit.scheme),
            key_id: fitted.map(|_| key.id().clone()),
            v1: outcome(v1),
            v2: outcome(v2),
            clock_skew_millis: signed_at.map(|at| now.as_millis().saturating_sub(at.as_millis())),
        };
        (report, decision.map(|fit| facts.checked(key, mode, &fit)))
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

fn outcome(judged: Option<Result<Fit, Refusal>>) -> Outcome {
    match judged {
        None => Outcome::Absent,
        Some(Ok(_)) => Outcome::Accepted,
        Some(Err(refusal)) => Outcome::Refused(refusal),
    }
}

/// A signature that fits in time.
#[derive(Clone, Copy)]
struct Fit {
    scheme: Scheme,
    signed_at: Option<Timestamp>,
}

/// What a request says, read once for all keys.
struct Facts<'a> {
    request: Request<'a>,
    signed_at: Option<Timestamp>,
    /// The v1 signature where one was sent; `None` inside when it is not hex of the right form.
    v1: Option<Option<[u8; 32]>>,
    /// v2 where anything of it was sent, its text then in the scratch.
    v2: Option<Result<[u8; 32], Refusal>>,
    body_sha256: Option<[u8; 32]>,
}

impl<'a> Facts<'a> {
    fn read(request: &Request<'a>, scratch: &mut Scratch) -> Result<Self, Refusal> {
        scratch.canonical.clear();
        let query = request.query.unwrap_or("");
        let canonical = scratch.query.append(query, &mut scratch.canonical);
        // Refused whatever its signature (wire.md §1): also without one.
        canonical.map_err(|_| Refusal::QueryNotUtf8)?;
        let headers = &request.headers;
        let v2_sent = headers.sig_v2.is_some() || headers.nonce.is_some();
        if headers.signature.is_none() && !v2_sent {
            return Err(Refusal::Missing);
        }
        let sane =
            parse::is_method(request.method) && parse::is_target(request.path, request.query);
        if !sane {
            return Err(Refusal::Invalid);
        }
        let mut facts = Self {
            request: *request,
            signed_at: headers.timestamp.and_then(parse::timestamp),
            v1: headers.signature.map(parse::signature),
            v2: None,
            body_sha256: None,
        };
        if v2_sent {
            facts.v2 = Some(facts.read_v2(scratch));
        }
        Ok(facts)
    }

    fn read_v2(&mut self, scratch: &mut Scratch) -> Result<[u8; 32], Refusal> {
        let headers = &self.request.headers;
        let old_name = headers.signature_v2.filter(|_| headers.nonce.is_some());
        let sent = headers.sig_v2.or(old_name).ok_or(Refusal::Missing)?;
        let (Some(stamp), Some(_)) = (headers.timestamp, self.signed_at) else {
            return Err(Refusal::TimestampInvalid);
        };
        let nonce = headers.nonce.filter(|nonce| parse::is_nonce(nonce));
        let nonce = nonce.ok_or(Refusal::NonceInvalid)?;
        let signature = parse::signature(sent).ok_or(Refusal::Invalid)?;
        let body_sha256 = sha256(self.request.body);
        self.body_sha256 = Some(body_sha256);
        scratch.text.clear();
        let signed = SignedText {
            method: self.request.method,
            path: self.request.path,
            canonical_query: &scratch.canonical,
            body_sha256: &body_sha256,
            nonce,
            timestamp: stamp,
        };
        signed.append_to(&mut scratch.text);
        Ok(signature)
    }

    fn judge_v2(
        &self,
        key: &SigningKey,
        text: &[u8],
        now: Timestamp,
    ) -> Option<Result<Fit, Refusal>> {
        let signature = match self.v2? {
            Ok(signature) => signature,
            Err(refusal) => return Some(Err(refusal)),
        };
        if !key.fits(&[text], &signature) {
            return Some(Err(Refusal::Invalid));
        }
        Some(self.in_time(Scheme::V2, Once::Nonce(""), now))
    }

    fn judge_v1(&self, key: &SigningKey, now: Timestamp) -> Option<Result<Fit, Refusal>> {
        let Some(signature) = self.v1? else {
            return Some(Err(Refusal::Invalid));
        };
        let Request {
            path, query, body, ..
        } = self.request;
        let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
        let query = query.unwrap_or("").as_bytes();
        if key.fits(&[body, path.as_bytes(), mark, query], &signature) {
            return Some(Ok(Fit {
                scheme: Scheme::V1,
                signed_at: None,
            }));
        }
        let headers = &self.request.headers;
        let (Some(stamp), Some(id)) = (headers.timestamp, headers.request_id) else {
            return Some(Err(Refusal::Invalid));
        };
        if self.signed_at.is_none() {
            return Some(Err(Refusal::TimestampInvalid));
        }
        let message: [&[u8]; 5] = [stamp.as_bytes(), b":", id.as_bytes(), b":", body];
        if !parse::is_request_id(id) || !key.fits(&message, &signature) {
            return Some(Err(Refusal::Invalid));
        }
        Some(self.in_time(Scheme::V1RequestId, Once::RequestId(""), now))
    }

    /// The window is judged last: who cannot sign learns nothing about clocks.
    fn in_time(&self, scheme: Scheme, once: Once<'_>, now: Timestamp) -> Result<Fit, Refusal> {
        let at = self.signed_at.ok_or(Refusal::TimestampInvalid)?;
        if at.since(now) > once.window() || now.since(at) > once.window() {
            return Err(Refusal::TimestampOutsideWindow);
        }
        Ok(Fit {
            scheme,
            signed_at: Some(at),
        })
    }

    /// What is left for the replay store (wire.md §1: marks are set and seen in dual alone).
    fn checked(&self, key: &'a SigningKey, mode: Mode, fit: &Fit) -> Checked<'a> {
        let headers = &self.request.headers;
        let marks = mode == Mode::Dual && parse::mutates(self.request.method);
        let v1_signature = self.v1.flatten().filter(|_| marks).map(V1Mark::from_bytes);
        let (once, mark, look_up) = match fit.scheme {
            Scheme::V2 => (headers.nonce.map(Once::Nonce), v1_signature, None),
            Scheme::V1RequestId => (headers.request_id.map(Once::RequestId), None, v1_signature),
            Scheme::V1 => (None, None, v1_signature),
        };
        let claim = once
            .zip(fit.signed_at)
            .map(|(once, at)| Claim::new(key.principal(), once, at).with_mark(mark));
        Checked {
            principal: key.principal(),
            key_id: key.id(),
            mode,
            scheme: fit.scheme,
            body_sha256: self.body_sha256,
            look_up,
            claim,
        }
    }
}

/// The fields of the v2 text, each of a kind that cannot hold a line break.
pub(super) struct SignedText<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) canonical_query: &'a [u8],
    pub(super) body_sha256: &'a [u8; 32],
    pub(super) nonce: &'a str,
    pub(super) timestamp: &'a str,
}

impl SignedText<'_> {
    /// `METHOD\nPATH\nQUERY\nHEX(SHA256(body))\nNONCE\nTIMESTAMP`.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend(self.method.bytes().map(|b| b.to_ascii_uppercase()));
        out.push(b'\n');
        out.extend_from_slice(self.path.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.canonical_query);
        out.push(b'\n');
        let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
        out.extend(
            self.body_sha256
                .iter()
                .flat_map(|b| [digit(b >> 4), digit(b & 15)]),
        );
        out.push(b'\n');
        out.extend_from_slice(self.nonce.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.timestamp.as_bytes());
    }
}

/// SHA-256 of nothing.
const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

pub(super) fn sha256(body: &[u8]) -> [u8; 32] {
    if body.is_empty() {
        return EMPTY_SHA256;
    }
    Sha256::digest(body).into()
}
