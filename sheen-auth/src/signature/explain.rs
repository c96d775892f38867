//! Why a request is refused, told to whoever writes a caller.

use std::fmt;

use sheen_core::time::Timestamp;

use super::decide::{Scratch, Verifier};
use super::facts::Facts;
use super::parse;
use super::types::{Outcome, Refusal, Report, Request, Scheme};

/// What a verifier makes of a request: the text that v2 signs and the rule that refused.
///
/// For development. It holds no secret and no signature, neither the one sent nor the one expected;
/// the value of `access_token` is left out of the text. It is not for answers: a stranger would
/// learn which rule to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The text under v2 by these rules, where its headers could be read.
    pub canonical: Option<String>,
    /// The text with its query in the order of `localeCompare`, where that is taken and another.
    pub canonical_in_locale_order: Option<String>,
    /// The refusal; nothing when only the replay store is left to ask.
    pub refusal: Option<Refusal>,
    /// The rule in words.
    pub rule: &'static str,
    /// What came of each scheme.
    pub report: Report,
}

impl Verifier {
    /// Why [`Self::check`] says what it says.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>, now: Timestamp) -> Explanation {
        let mut scratch = Scratch::new();
        let (report, checked) = self.examine(request, now, &mut scratch);
        let refusal = checked.err();
        let read = Facts::read(request, &mut scratch.0);
        let has_text = read.as_ref().is_ok_and(Facts::has_text);
        let text = |bytes: &[u8]| without_token(&String::from_utf8_lossy(bytes));
        Explanation {
            canonical: has_text.then(|| text(&scratch.0.text)),
            canonical_in_locale_order: self.other_text(request, &mut scratch, has_text),
            refusal,
            rule: refusal.map_or(
                "the signature fits; the replay store is left to ask",
                |refusal| rule(refusal, request, &report),
            ),
            report,
        }
    }

    #[cfg(feature = "locale-order")]
    fn other_text(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
        has: bool,
    ) -> Option<String> {
        let order = self.locale_order().filter(|_| has)?;
        let another = scratch.0.reorder(request.query.unwrap_or(""), order);
        another.then(|| without_token(&String::from_utf8_lossy(&scratch.0.other)))
    }

    #[cfg(not(feature = "locale-order"))]
    #[expect(clippy::unused_self, reason = "the same call under both")]
    fn other_text(&self, _: &Request<'_>, _: &mut Scratch, _: bool) -> Option<String> {
        None
    }
}

/// The text with the value of `access_token` left out of its query, the third line.
fn without_token(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .enumerate()
        .map(|(number, line)| match number {
            2 => without_token_in_query(line),
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n")
}

fn without_token_in_query(query: &str) -> String {
    let pairs: Vec<&str> = query
        .split('&')
        .map(|pair| match pair.strip_prefix("access_token=") {
            Some(_) => "access_token=[left out]",
            None => pair,
        })
        .collect();
    pairs.join("&")
}

fn rule(refusal: Refusal, request: &Request<'_>, report: &Report) -> &'static str {
    let headers = &request.headers;
    match refusal {
        Refusal::Missing if report.v2 == Outcome::Refused(Refusal::Missing) => {
            "x-sheen-nonce makes it v2, and x-sheen-sig-v2 is not there"
        }
        Refusal::Missing => "no header holds a signature that the key's mode reads",
        Refusal::QueryNotUtf8 => "the query is not utf-8 once its % escapes are decoded",
        Refusal::TimestampInvalid => "x-sheen-timestamp must be 1 to 19 ascii digits",
        Refusal::NonceInvalid => "x-sheen-nonce must be 16 to 128 of A-Z a-z 0-9 - _",
        Refusal::KeyUnknown => "no key that counts now has the id in x-sheen-key-id",
        Refusal::V1Retired => "v1 fits, but the key's mode or its latch takes v2 alone",
        Refusal::TimestampOutsideWindow => match report.scheme {
            Some(Scheme::V1RequestId) => "it fits, but is more than 300 s from this clock",
            _ => "it fits, but is more than 120 s from this clock",
        },
        Refusal::ReplayStoreUnavailable | Refusal::NonceReplayed => "the replay store refused",
        Refusal::Invalid if !parse::is_method(request.method) => "the method is no token",
        Refusal::Invalid if !parse::is_target(request.path, request.query) => {
            "the target must begin with / and hold no space or control character"
        }
        Refusal::Invalid => {
            let sent = match report.v2 {
                Outcome::Absent => headers.signature,
                _ => headers.sig_v2.or(headers.signature_v2),
            };
            if sent.is_some_and(|sent| parse::signature(sent, &mut [0; 32])) {
                "the signature is not that of this text under any key tried"
            } else {
                "a signature is 64 lower-case hex characters"
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.rule)?;
        let texts = [
            ("text under v2", &self.canonical),
            ("or, in locale order", &self.canonical_in_locale_order),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                writeln!(f, "{name}: {text:?}")?;
            }
        }
        Ok(())
    }
}
