//! JWS compact form with HS256 and nothing else (RFC 7515, RFC 7518 §3.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use sha2::Sha256;

/// Longer ones are not looked at; ours are under 700 bytes.
const MAX_LEN: usize = 4096;

/// A keyed HMAC state, cloned for each token.
pub(super) type Key = Hmac<Sha256>;

/// The token of `claims`, a JSON object, signed with `key`.
pub(super) fn sign(key: &Key, claims: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut text);
    let mac = key.clone().chain_update(&text).finalize();
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(mac.into_bytes(), &mut text);
    text
}

/// The claims of a token that one of `keys` signed.
pub(super) fn verify(keys: &[Key], token: &str) -> Option<Map<String, Value>> {
    if token.len() > MAX_LEN {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    // A third dot would be in the payload, where base64url has none: decoding refuses it.
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let fits = |key: &Key| {
        key.clone()
            .chain_update(signed)
            .verify_slice(&signature)
            .is_ok()
    };
    if !keys.iter().any(fits) {
        return None;
    }
    let header = object(header)?;
    // `crit` names extensions that must be understood; none is here.
    let ours = header.get("alg").and_then(Value::as_str) == Some("HS256");
    if !ours || header.contains_key("crit") {
        return None;
    }
    object(payload)
}

fn object(encoded: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let Members(members) = serde_json::from_slice(&bytes).ok()?;
    Some(members)
}

/// An object's members, each given once.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Once)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without doubled members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Members(members))
    }
}
