//! What a request says about its signatures, read once for all keys.

use std::ops::Range;

use sheen_core::time::Timestamp;

use super::key::SigningKey;
use super::modes::Mode;
use super::parse;
use super::query::QueryScratch;
use super::text;
use super::types::{Checked, Headers, Outcome, Refusal, Request, Scheme};
use crate::replay::{Claim, Once, V1Mark};

/// Buffers of one verification: the text under v2, and where its query stands.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) query: QueryScratch,
    pub(super) text: Vec<u8>,
    pub(super) query_at: Range<usize>,
    /// The text with its query in the other order.
    #[cfg(feature = "locale-order")]
    pub(super) other: Vec<u8>,
}

/// A request whose headers were read.
pub(super) struct Facts<'r, 'a> {
    request: &'r Request<'a>,
    signed_at: Option<Timestamp>,
    /// v1 where it was sent, its signature then read.
    v1: Option<Result<(), Refusal>>,
    v1_signature: [u8; 32],
    /// v2 where anything of it was sent, its signature then read and its text in the buffers.
    v2: Option<Result<(), Refusal>>,
    v2_signature: [u8; 32],
    body_sha256: Option<[u8; 32]>,
}

/// What one key makes of one scheme.
#[derive(Clone, Copy)]
pub(super) enum Judged {
    /// Nothing of it was sent, or the mode does not look at it.
    Absent,
    /// It does not fit, or cannot be read.
    Refused(Refusal),
    /// It fits, but is not fresh.
    Late(Fit),
    /// It fits in time.
    Fits(Fit),
}

/// A signature that fits.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) scheme: Scheme,
    pub(super) signed_at: Option<Timestamp>,
}

impl Judged {
    pub(super) const fn fit(self) -> Option<Fit> {
        match self {
            Self::Late(fit) | Self::Fits(fit) => Some(fit),
            Self::Absent | Self::Refused(_) => None,
        }
    }

    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Absent => Outcome::Absent,
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Late(_) => Outcome::Refused(Refusal::TimestampOutsideWindow),
            Self::Fits(_) => Outcome::Accepted,
        }
    }

    /// What it comes to when it alone decides.
    pub(super) const fn decision(self) -> Result<Fit, Refusal> {
        match self {
            Self::Absent => Err(Refusal::Missing),
            Self::Refused(refusal) => Err(refusal),
            Self::Late(_) => Err(Refusal::TimestampOutsideWindow),
            Self::Fits(fit) => Ok(fit),
        }
    }
}

/// Whether anything of v2 was sent: in `dual` and after, v2 then decides.
pub(super) const fn sends_v2(headers: &Headers<'_>) -> bool {
    headers.sig_v2.is_some() || headers.nonce.is_some()
}

impl<'r, 'a> Facts<'r, 'a> {
    #[inline(always)]
    pub(super) fn read(request: &'r Request<'a>, buffers: &mut Buffers) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let v2_sent = sends_v2(headers);
        let text = &mut buffers.text;
        text.clear();
        text::head(request.method, request.path, text);
        let start = text.len();
        let canonical = buffers.query.append(request.query.unwrap_or(""), text);
        // Refused whatever its signature (wire.md §1): also without one.
        canonical.map_err(|_| Refusal::QueryNotUtf8)?;
        buffers.query_at = start..text.len();
        if headers.signature.is_none() && !v2_sent {
            return Err(Refusal::Missing);
        }
        let sane =
            parse::is_method(request.method) && parse::is_target(request.path, request.query);
        if !sane {
            return Err(Refusal::Invalid);
        }
        let mut facts = Self {
            request,
            signed_at: headers.timestamp.and_then(parse::timestamp),
            v1: None,
            v1_signature: [0; 32],
            v2: None,
            v2_signature: [0; 32],
            body_sha256: None,
        };
        if let Some(sent) = headers.signature {
            let read = parse::signature(sent, &mut facts.v1_signature);
            facts.v1 = Some(if read { Ok(()) } else { Err(Refusal::Invalid) });
        }
        if v2_sent {
            facts.v2 = Some(facts.read_v2(text));
        }
        Ok(facts)
    }

    #[inline(always)]
    fn read_v2(&mut self, text: &mut Vec<u8>) -> Result<(), Refusal> {
        let headers = &self.request.headers;
        // Without `sig_v2` it was the nonce that led here, so the old name counts.
        let sent = headers.sig_v2.or(headers.signature_v2);
        let sent = sent.ok_or(Refusal::Missing)?;
        let (Some(stamp), Some(_)) = (headers.timestamp, self.signed_at) else {
            return Err(Refusal::TimestampInvalid);
        };
        let nonce = headers.nonce.filter(|nonce| parse::is_nonce(nonce));
        let nonce = nonce.ok_or(Refusal::NonceInvalid)?;
        if !parse::signature(sent, &mut self.v2_signature) {
            return Err(Refusal::Invalid);
        }
        let body_sha256 = self.body_sha256.insert([0; 32]);
        self.request.body.sha256_to(body_sha256);
        text::tail(body_sha256, nonce, stamp, text);
        Ok(())
    }

    /// Whether a v2 signature was read and its text is in the buffers.
    pub(super) const fn has_text(&self) -> bool {
        matches!(self.v2, Some(Ok(())))
    }

    #[inline]
    pub(super) fn judge_v2(&self, key: &SigningKey, text: &[u8], now: Timestamp) -> Judged {
        match &self.v2 {
            None => Judged::Absent,
            Some(Err(refusal)) => Judged::Refused(*refusal),
            Some(Ok(())) if key.fits(&[text], &self.v2_signature) => {
                self.in_time(Scheme::V2, Once::Nonce(""), now)
            }
            Some(Ok(())) => Judged::Refused(Refusal::Invalid),
        }
    }

    #[inline]
    pub(super) fn judge_v1(&self, key: &SigningKey, now: Timestamp) -> Judged {
        let Some(read) = self.v1 else {
            return Judged::Absent;
        };
        let signature = &self.v1_signature;
        let (Ok(()), Some(body)) = (read, self.request.body.bytes()) else {
            return Judged::Refused(Refusal::Invalid);
        };
        let Request { path, query, .. } = *self.request;
        let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
        let query = query.unwrap_or("").as_bytes();
        // Else a v1-request-id text, cut before a `/`, would count without its timestamp.
        let is_v1 = !parse::begins_as_request_id_text(body);
        if key.fits(&[body, path.as_bytes(), mark, query], signature) & is_v1 {
            return Judged::Fits(Fit {
                scheme: Scheme::V1,
                signed_at: None,
            });
        }
        let headers = &self.request.headers;
        let (Some(stamp), Some(id)) = (headers.timestamp, headers.request_id) else {
            return Judged::Refused(Refusal::Invalid);
        };
        if self.signed_at.is_none() {
            return Judged::Refused(Refusal::TimestampInvalid);
        }
        let message: [&[u8]; 5] = [stamp.as_bytes(), b":", id.as_bytes(), b":", body];
        if !parse::is_request_id(id) || !key.fits(&message, signature) {
            return Judged::Refused(Refusal::Invalid);
        }
        self.in_time(Scheme::V1RequestId, Once::RequestId(""), now)
    }

    /// The window is judged last: who cannot sign learns nothing about clocks.
    fn in_time(&self, scheme: Scheme, once: Once<'_>, now: Timestamp) -> Judged {
        let Some(at) = self.signed_at else {
            return Judged::Refused(Refusal::TimestampInvalid);
        };
        let fit = Fit {
            scheme,
            signed_at: Some(at),
        };
        if at.since(now) > once.window() || now.since(at) > once.window() {
            return Judged::Late(fit);
        }
        Judged::Fits(fit)
    }

    #[inline(always)]
    /// What is left for the replay store (wire.md §1: marks are set and seen in dual alone).
    pub(super) fn checked(&self, key: &'a SigningKey, mode: Mode, fit: &Fit) -> Checked<'a> {
        let headers = &self.request.headers;
        let marks = mode == Mode::Dual && parse::mutates(self.request.method);
        let has_v1 = matches!(self.v1, Some(Ok(())));
        let v1_signature = (marks && has_v1).then(|| V1Mark::from_bytes(self.v1_signature));
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
