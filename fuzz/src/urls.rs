//! Targets of sheen-auth's signed URLs.

use std::str::from_utf8;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sheen_auth::signed_url::{SignedUrlError, SignedUrls};
use sheen_core::id::UserId;
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const SECRET: &str = "correct-horse-battery-staple-32-bytes-min";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The signature by the rule book: each part with its length, under the derived key.
fn signature(method: &str, path: &str, user: &str, expires: u64) -> String {
    let key = hmac(SECRET.as_bytes(), &[b"sheen/signed-url/v1"]);
    let lengths = [method, path, user].map(|part| (part.len() as u64).to_be_bytes());
    let mac = hmac(
        &key,
        &[
            &lengths[0],
            method.as_bytes(),
            &lengths[1],
            path.as_bytes(),
            &lengths[2],
            user.as_bytes(),
            &expires.to_be_bytes(),
        ],
    );
    const_hex::encode(mac)
}

/// A method, a path and a query, a line each, as a stranger sends them; or after `=` a method, a
/// path, a user and a life in seconds to be signed, of which then one byte is changed.
pub fn signed_url(data: &[u8]) {
    let urls = SignedUrls::new(&[&Secret::new(SECRET).expect("long enough")]).expect("a secret");
    let Ok(text) = from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or("");
    if let Some(rest) = text.strip_prefix('=') {
        let mut lines = rest.split('\n');
        let mut line = || lines.next().unwrap_or("");
        let (method, path, user, life, change) = (line(), line(), line(), line(), line());
        let (Ok(user), Ok(life)) = (UserId::parse(user), life.parse::<u32>()) else {
            return;
        };
        let life = Duration::from_secs(u64::from(life));
        let Ok(url) = urls.sign(method, path, &user, NOW, life) else {
            return;
        };
        let (signed, query) = url.expose().split_once('?').expect("a query");
        assert_eq!(signed, path);
        let opened = urls
            .verify(method, path, query, NOW)
            .expect("it was just signed");
        assert_eq!((opened.user, opened.expires_at), (user, url.expires_at()));
        changed(&urls, method, path, query, change.as_bytes());
        return;
    }
    let (method, path, query) = (line(), line(), line());
    let Ok(opened) = urls.verify(method, path, query, NOW) else {
        return;
    };
    let expires = u64::try_from(opened.expires_at.as_seconds()).expect("after 1970");
    let good = signature(method, path, opened.user.as_str(), expires);
    let expected = format!("expires={expires}&userId={}&signature={good}", opened.user);
    assert_eq!(query, expected, "there is one spelling");
    assert!(opened.expires_at > NOW);
}

/// Two bytes say where, the third what to.
fn changed(urls: &SignedUrls, method: &str, path: &str, query: &str, change: &[u8]) {
    let [high, low, to, ..] = *change else { return };
    let mut whole = format!("{path}?{query}").into_bytes();
    let at = usize::from(u16::from_be_bytes([high, low])) % whole.len();
    if whole[at] == to {
        return;
    }
    whole[at] = to;
    let Ok(other) = String::from_utf8(whole) else {
        return;
    };
    let (path, query) = other.split_once('?').unwrap_or((&other, ""));
    let verdict = urls.verify(method, path, query, NOW);
    assert_eq!(verdict, Err(SignedUrlError::Invalid), "{other}");
}
