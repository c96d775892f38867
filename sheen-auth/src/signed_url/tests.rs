//! What a URL is bound to, and in how many ways it can be wrong.

use std::time::Duration;

use proptest::prelude::*;
use sheen_core::id::UserId;
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

use super::{SignedUrlError, SignedUrls, SignedUrlsError};
use crate::token::derive_secret;

const PATH: &str = "/v1/artifacts/v_1.zip";
const DAY: Duration = SignedUrls::DOWNLOAD_LIFE;

fn secret(letter: char) -> Secret {
    Secret::new(letter.to_string().repeat(32)).unwrap()
}

fn urls() -> SignedUrls {
    SignedUrls::new(&[&secret('a')]).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_500)
}

fn user() -> UserId {
    UserId::parse("u_1").unwrap()
}

fn query_of(urls: &SignedUrls) -> String {
    let url = urls.sign("GET", PATH, &user(), now(), DAY).unwrap();
    url.expose().split_once('?').unwrap().1.to_owned()
}

#[test]
fn a_url_opens_what_it_was_made_for_until_its_end() {
    let urls = urls();
    let url = urls.sign("GET", PATH, &user(), now(), DAY).unwrap();
    assert_eq!(url.expires_at(), Timestamp::from_millis(1_800_086_400_000));
    let (path, query) = url.expose().split_once('?').unwrap();
    assert_eq!(path, PATH);
    assert!(
        query.starts_with("expires=1800086400&userId=u_1&signature="),
        "{query}"
    );
    let opened = urls.verify("GET", path, query, now()).unwrap();
    assert_eq!((opened.user, opened.expires_at), (user(), url.expires_at()));
    let last = Timestamp::from_millis(url.expires_at().as_millis() - 1);
    assert!(urls.verify("GET", path, query, last).is_ok());
    for late in [url.expires_at(), url.expires_at().plus(DAY)] {
        assert_eq!(
            urls.verify("GET", path, query, late),
            Err(SignedUrlError::Expired)
        );
    }
}

#[test]
fn a_client_uses_it_again_until_an_hour_before_its_end() {
    let url = urls().sign("GET", PATH, &user(), now(), DAY).unwrap();
    let margin = SignedUrls::REUSE_MARGIN;
    let edge = url.expires_at().minus(margin);
    assert!(url.is_reusable(now(), margin));
    assert!(url.is_reusable(Timestamp::from_millis(edge.as_millis() - 1), margin));
    assert!(!url.is_reusable(edge, margin));
}

/// C1: each part counts with its length, so that none lends letters to the next.
#[test]
fn c01_a_user_does_not_take_letters_from_the_path() {
    let urls = urls();
    let made_for = UserId::parse("xu_1").unwrap();
    let url = urls.sign("GET", "/files/a", &made_for, now(), DAY).unwrap();
    let (path, query) = url.expose().split_once('?').unwrap();
    assert!(urls.verify("GET", path, query, now()).is_ok());
    let shifted = query.replace("xu_1", "u_1");
    assert_eq!(
        urls.verify("GET", "/files/ax", &shifted, now()),
        Err(SignedUrlError::Invalid)
    );
}

#[test]
fn method_path_user_and_expiry_are_all_bound() {
    let urls = urls();
    let query = query_of(&urls);
    for (method, path, query) in [
        ("HEAD", PATH, query.clone()),
        ("POST", PATH, query.clone()),
        ("GET", "/v1/artifacts/v_2.zip", query.clone()),
        ("GET", "/v1/artifacts/v_1.zip/", query.clone()),
        ("GET", "//v1/artifacts/v_1.zip", query.clone()),
        ("GET", "/v1/artifacts/%76_1.zip", query.clone()),
        ("GET", PATH, query.replace("u_1", "u_2")),
        (
            "GET",
            PATH,
            query.replace("expires=1800086400", "expires=1800086401"),
        ),
    ] {
        let verdict = urls.verify(method, path, &query, now());
        assert_eq!(
            verdict,
            Err(SignedUrlError::Invalid),
            "{method} {path}?{query}"
        );
    }
}

#[test]
fn there_is_one_spelling() {
    let urls = urls();
    let good = query_of(&urls);
    assert!(urls.verify("GET", PATH, &good, now()).is_ok());
    let (head, signature) = good.split_once("&signature=").unwrap();
    let (expires, user) = head.split_once('&').unwrap();
    let mut bad = vec![
        String::new(),
        head.to_owned(),
        format!("?{good}"),
        format!("{good}&"),
        format!("{good}&x=1"),
        format!("x=1&{good}"),
        format!("{user}&{expires}&signature={signature}"),
        format!("{head}&signature={}", signature.to_uppercase()),
        format!("{head}&signature={signature}0"),
        format!("{head}&signature={}", &signature[..63]),
        format!("{head}&signature={}", &signature[..32]),
        format!("{head}&signature="),
        format!("{head}&signature={signature}&signature={signature}"),
        good.replace("expires=", "expires=0"),
        good.replace("expires=", "expires=+"),
        good.replace("expires=1800086400", "expires="),
        good.replace("expires=1800086400", "expires=1800086400.0"),
        good.replace("expires=1800086400", "expires=99999999999999999999999"),
        good.replace("userId=u_1", "userId=u%5F1"),
        good.replace("userId=u_1", "userId=u_1&userId=u_1"),
        good.replace("userId=u_1", "userId="),
        good.replace("userId", "userid"),
        good.replace('&', ";"),
    ];
    // Every bit of the signature counts.
    for at in 0..64 {
        let flipped = if &signature[at..=at] == "0" { "1" } else { "0" };
        let mut other = signature.to_owned();
        other.replace_range(at..=at, flipped);
        bad.push(format!("{head}&signature={other}"));
    }
    for query in bad {
        let verdict = urls.verify("GET", PATH, &query, now());
        assert_eq!(verdict, Err(SignedUrlError::Invalid), "{query}");
    }
}

#[test]
fn c11_no_other_use_of_the_secret_signs_urls() {
    let query = query_of(&urls());
    // As if a URL were signed with the shared secret itself, or with a viewer token's.
    for other in [
        derive_secret(&secret('a'), "viewer-token"),
        derive_secret(&secret('a'), "signed-url"),
    ] {
        let verdict = SignedUrls::new(&[&other])
            .unwrap()
            .verify("GET", PATH, &query, now());
        assert_eq!(verdict, Err(SignedUrlError::Invalid));
    }
    // Nor does the same text under the shared secret fit.
    use hmac::Mac as _;
    let message = format!("GET{PATH}u_1");
    let forged = crate::keyed(&secret('a'))
        .chain_update(message)
        .finalize()
        .into_bytes();
    let forged = format!(
        "expires=1800086400&userId=u_1&signature={}",
        const_hex::encode(forged)
    );
    assert_eq!(
        urls().verify("GET", PATH, &forged, now()),
        Err(SignedUrlError::Invalid)
    );
}

#[test]
fn secrets_are_rotated_one_by_one() {
    let (old, new) = (secret('a'), secret('b'));
    let query = query_of(&SignedUrls::new(&[&old]).unwrap());
    let both = SignedUrls::new(&[&new, &old]).unwrap();
    assert!(both.verify("GET", PATH, &query, now()).is_ok());
    let fresh = query_of(&both);
    let only_new = SignedUrls::new(&[&new]).unwrap();
    assert!(only_new.verify("GET", PATH, &fresh, now()).is_ok());
    assert_eq!(
        only_new.verify("GET", PATH, &query, now()),
        Err(SignedUrlError::Invalid)
    );
    assert_eq!(SignedUrls::new(&[]).unwrap_err(), SignedUrlsError::NoSecret);
    let five = SignedUrls::new(&[&old; 5]).unwrap_err();
    assert_eq!(five, SignedUrlsError::TooManySecrets);
}

#[test]
fn a_life_is_at_least_a_second_and_at_most_a_day_whoever_signed() {
    let urls = urls();
    let sign = |life, at| urls.sign("GET", PATH, &user(), at, life).unwrap();
    assert_eq!(
        sign(Duration::ZERO, now()).expires_at(),
        Timestamp::from_millis(1_800_000_001_000)
    );
    assert_eq!(
        sign(Duration::MAX, now()).expires_at(),
        Timestamp::from_millis(1_800_086_400_000)
    );
    // Signed by a clock that runs an hour ahead: longer than any that is given out.
    let ahead = sign(DAY, now().plus(Duration::from_secs(3600)));
    let query = ahead.expose().split_once('?').unwrap().1;
    assert_eq!(
        urls.verify("GET", PATH, query, now()),
        Err(SignedUrlError::Expired)
    );
    let little = sign(DAY, now().plus(Duration::from_secs(30)));
    let query = little.expose().split_once('?').unwrap().1;
    assert!(urls.verify("GET", PATH, query, now()).is_ok());
}

#[test]
fn only_what_can_stand_on_a_request_line_is_signed() {
    let urls = urls();
    let sign = |method: &str, path: &str| urls.sign(method, path, &user(), now(), DAY).err();
    for bad in ["", "get", "G T", "GET\n", "ABCDEFGHIJKLMNOPQ"] {
        assert_eq!(sign(bad, PATH), Some(SignedUrlsError::Method), "{bad:?}");
    }
    let long = format!("/{}", "x".repeat(4096));
    for bad in [
        "", "v1", "/a?b", "/a#b", "/a b", "/é", "/a\r\nb", "/a\0", &long,
    ] {
        assert_eq!(sign("GET", bad), Some(SignedUrlsError::Path), "{bad:?}");
    }
}

#[test]
fn nothing_shows_the_url_or_the_secret() {
    let urls = urls();
    let url = urls.sign("GET", PATH, &user(), now(), DAY).unwrap();
    assert_eq!(format!("{url:?} {url}"), "SignedUrl(redacted) [redacted]");
    assert_eq!(format!("{urls:?}"), "SignedUrls { secrets: 1, .. }");
}

proptest! {
    /// However parts are moved between method, path and user, no other call is opened.
    #[test]
    fn parts_cannot_be_moved(
        a in ("[A-Z]{1,4}", "/[A-Zaz/]{0,4}", "[A-Zaz]{1,4}"),
        b in ("[A-Z]{1,4}", "/[A-Zaz/]{0,4}", "[A-Zaz]{1,4}"),
    ) {
        let urls = urls();
        let url = urls.sign(&a.0, &a.1, &UserId::parse(&a.2).unwrap(), now(), DAY).unwrap();
        let query = url.expose().split_once('?').unwrap().1;
        let query = query.replace(&format!("userId={}", a.2), &format!("userId={}", b.2));
        prop_assert_eq!(urls.verify(&b.0, &b.1, &query, now()).is_ok(), a == b);
    }

    #[test]
    fn any_query_is_borne(query in "\\PC{0,200}") {
        prop_assert!(urls().verify("GET", PATH, &query, now()).is_err());
    }
}
