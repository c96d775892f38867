use super::*;
use std::ffi::OsString;

const A: &str = "a-secret-of-more-than-thirty-two-bytes-A";
const B: &str = "a-secret-of-more-than-thirty-two-bytes-B";

fn parse(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::parse(pairs.iter().copied())
}

/// The variables refused, in order, after making sure that no value is told.
fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
    let error = parse(pairs).unwrap_err();
    let told = format!("{error} {error:?}");
    for (_, value) in pairs {
        assert!(value.len() < 9 || !told.contains(value), "{told}");
    }
    error
        .problems()
        .iter()
        .map(|problem| problem.variable.clone())
        .collect()
}

#[test]
fn nothing_set_is_the_defaults() {
    let settings = parse(&[("PATH", "/bin"), ("SHEEN_ADDR", " "), ("SHEEN_DEMO", "")]).unwrap();
    assert!(settings.keys.is_empty());
    assert_eq!(settings.addr.to_string(), "127.0.0.1:8787");
    assert!(settings.signature_mode.is_none());
    assert!(settings.limits);
    assert_eq!(settings.trusted_hops, 0);
    assert!(settings.preview_origin.is_none() && settings.allowed_origins.is_empty());
    assert!(settings.database_url.is_none() && settings.redis_url.is_none());
    assert!(settings.viewer_token_secret.is_none());
    assert!(settings.demo_wanted());
}

#[test]
fn everything_set_is_read() {
    let settings = parse(&[
        ("WORKER_SIGNING_KEYS", &format!("web:{A}, ops:{B}")),
        ("SHEEN_ADDR", "[::1]:9000"),
        ("SHEEN_SIGNATURE_MODE", "web=enforce-v2, ops=shadow"),
        ("SHEEN_LIMITS", "off"),
        ("SHEEN_DEMO", "off"),
        ("SHEEN_PREVIEW_ORIGIN", "https://preview.example:8443"),
        ("SHEEN_TRUSTED_HOPS", "2"),
        (
            "SHEEN_ALLOWED_ORIGINS",
            "https://a.example, http://localhost:3000",
        ),
        ("DATABASE_URL", "postgres://sheen:hush@db/sheen"),
        ("REDIS_URL", "redis://:hush@cache"),
        ("VIEWER_TOKEN_SECRET", A),
        ("NEXT_PUBLIC_SITE_URL", "https://a.example"),
    ])
    .unwrap();
    let ids: Vec<_> = settings.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["web", "ops"]);
    assert!(settings.keys[1].secret.matches(B.as_bytes()));
    assert_eq!(
        settings.signature_mode.as_deref(),
        Some("web=enforce-v2, ops=shadow")
    );
    assert!(!settings.limits && !settings.demo_wanted());
    assert_eq!(
        settings.preview_origin.as_deref(),
        Some("https://preview.example:8443")
    );
    assert_eq!(
        settings.allowed_origins,
        ["https://a.example", "http://localhost:3000"]
    );
    assert_eq!(settings.trusted_hops, 2);
    assert_eq!(
        settings.database_url.as_ref().unwrap().expose(),
        "postgres://sheen:hush@db/sheen"
    );
    let shown = format!("{settings:?}");
    assert!(
        !shown.contains("hush") && !shown.contains(A) && !shown.contains(B),
        "{shown}"
    );
}

#[test]
fn every_problem_is_told_at_once_and_no_value() {
    let names = refused(&[
        ("WORKER_SHARED_SECRET", "short-secret"),
        ("SHEEN_ADDR", "localhost"),
        ("SHEEN_LIMITS", "never"),
        ("SHEEN_DEMO", "please"),
        ("SHEEN_PREVIEW_ORIGIN", "https://preview.example/path"),
        ("SHEEN_TRUSTED_HOPS", "many"),
        ("SHEEN_ALLOWED_ORIGINS", "https://a.example,*"),
        ("DATABASE_URL", "mysql://hush@db"),
        ("REDIS_URL", "localhost:6379"),
        ("VIEWER_TOKEN_SECRET", "short-token"),
        ("NEXT_PUBLIC_WORKER_URL", "https://worker"),
    ]);
    assert_eq!(
        names,
        [
            "WORKER_SHARED_SECRET",
            "SHEEN_ADDR",
            "SHEEN_LIMITS",
            "SHEEN_DEMO",
            "SHEEN_PREVIEW_ORIGIN",
            "SHEEN_TRUSTED_HOPS",
            "SHEEN_ALLOWED_ORIGINS",
            "DATABASE_URL",
            "REDIS_URL",
            "VIEWER_TOKEN_SECRET",
            "NEXT_PUBLIC_WORKER_URL",
        ]
    );
}

/// failures/auth.md K2: an empty or short secret is refused at load, and one bad secret in a list
/// fails the start.
#[test]
fn k2_empty_and_short_secrets_are_refused() {
    for name in [
        "WORKER_SHARED_SECRET",
        "WORKER_SIGNING_KEYS",
        "VIEWER_TOKEN_SECRET",
    ] {
        assert_eq!(refused(&[(name, "")]), [name]);
        assert_eq!(refused(&[(name, "  ")]), [name]);
    }
    let just_short = "x".repeat(31);
    assert_eq!(
        refused(&[("WORKER_SHARED_SECRET", &just_short)]),
        ["WORKER_SHARED_SECRET"]
    );
    assert!(parse(&[("WORKER_SHARED_SECRET", &"x".repeat(32))]).is_ok());
    let one_short = format!("web:{A},ops:{just_short}");
    assert_eq!(
        refused(&[("WORKER_SIGNING_KEYS", &one_short)]),
        ["WORKER_SIGNING_KEYS"]
    );
}

/// failures/auth.md K6: no message holds a byte of a secret, also where it stands in a wrong place.
#[test]
fn k6_a_list_of_keys_is_told_by_place_alone() {
    for list in [
        A.to_owned(),
        format!("web:{A},{B}"),
        format!("web:{A},"),
        format!("{A} x:{B}"),
        format!("web:{A},web:{B}"),
        format!(":{A}"),
    ] {
        let error = parse(&[("WORKER_SIGNING_KEYS", &list)]).unwrap_err();
        assert!(!error.to_string().contains("a-secret"), "{error}");
        assert!(error.to_string().contains("entry "), "{error}");
    }
}

/// failures/auth.md K4: the number of keys tried per call is bounded.
#[test]
fn k4_a_list_has_at_most_four_keys() {
    let list = |n: usize| {
        (0..n)
            .map(|at| format!("k{at}:{A}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(
        parse(&[("WORKER_SIGNING_KEYS", &list(4))])
            .unwrap()
            .keys
            .len(),
        4
    );
    assert_eq!(
        refused(&[("WORKER_SIGNING_KEYS", &list(5))]),
        ["WORKER_SIGNING_KEYS"]
    );
}

#[test]
fn one_secret_and_a_list_are_not_mixed() {
    let list = format!("web:{A}");
    let names = refused(&[("WORKER_SHARED_SECRET", B), ("WORKER_SIGNING_KEYS", &list)]);
    assert_eq!(names, ["WORKER_SIGNING_KEYS"]);
    let settings = parse(&[("WORKER_SHARED_SECRET", B)]).unwrap();
    assert_eq!(settings.keys[0].id.as_str(), SigningKey::DEFAULT_ID);
}

#[test]
fn what_a_browser_would_be_sent_holds_no_secret() {
    let url = "postgres://sheen:hush@db/sheen";
    let list = format!("web:{B}");
    let all = [
        ("WORKER_SIGNING_KEYS", list.as_str()),
        ("VIEWER_TOKEN_SECRET", A),
        ("DATABASE_URL", url),
    ];
    for (name, value) in [
        ("NEXT_PUBLIC_SHEEN_SECRET", "1"),
        ("NEXT_PUBLIC_WORKER", ""),
        ("NEXT_PUBLIC_MY_WORKER_URL", "https://x"),
        ("NEXT_PUBLIC_TOKEN", A),
        ("NEXT_PUBLIC_KEY", B),
        ("NEXT_PUBLIC_KEY", &format!(" {B}\n")),
        ("NEXT_PUBLIC_DB", url),
    ] {
        let mut pairs = all.to_vec();
        pairs.push((name, value));
        let error = parse(&pairs).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].variable, name);
        assert!(!error.to_string().contains(B), "{error}");
    }
    let mut pairs = all.to_vec();
    pairs.extend([
        ("NEXT_PUBLIC_SITE", "https://x"),
        ("PUBLIC_SECRET", A),
        ("next_public_secret", A),
    ]);
    assert!(parse(&pairs).is_ok());
}

#[test]
fn origins_are_those_a_browser_sends() {
    for good in [
        "https://a.example",
        "http://127.0.0.1:8787",
        "http://[::1]:80",
        "https://[::1]",
    ] {
        let settings = parse(&[("SHEEN_PREVIEW_ORIGIN", good)]).unwrap();
        assert_eq!(settings.preview_origin.as_deref(), Some(good));
    }
    for bad in [
        "a.example",
        "https://",
        "https://a.example/",
        "ftp://a.example",
        "https://A.example",
        "https://u@a.example",
        "https://a.example:",
        "https://a.example:99999",
        "https://a b",
        "https://a.example?x",
        "https://[::1",
        "https://:80",
        "https://a:080",
        "https://a:+80",
    ] {
        assert_eq!(
            refused(&[("SHEEN_PREVIEW_ORIGIN", bad)]),
            ["SHEEN_PREVIEW_ORIGIN"],
            "{bad}"
        );
    }
}

#[test]
fn the_demo_is_for_this_machine_without_a_secret() {
    let wanted = |pairs: &[(&str, &str)]| parse(pairs).unwrap().demo_wanted();
    assert!(wanted(&[("SHEEN_ADDR", "[::1]:1")]));
    assert!(!wanted(&[("SHEEN_ADDR", "0.0.0.0:1")]));
    assert!(!wanted(&[("WORKER_SHARED_SECRET", A)]));
    assert!(wanted(&[("WORKER_SHARED_SECRET", A), ("SHEEN_DEMO", "on")]));
}

#[test]
fn numbers_are_digits_within_their_range() {
    for bad in ["+2", "-1", "1.0", "0x1", "17", "4294967296", "٢"] {
        assert_eq!(
            refused(&[("SHEEN_TRUSTED_HOPS", bad)]),
            ["SHEEN_TRUSTED_HOPS"],
            "{bad}"
        );
    }
    assert_eq!(
        parse(&[("SHEEN_TRUSTED_HOPS", "16")]).unwrap().trusted_hops,
        16
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_utf_8_is_refused_where_it_matters() {
    use std::os::unix::ffi::OsStringExt;
    let bad = || OsString::from_vec(vec![b'x', 0xff]);
    let pair = |name: &str| (OsString::from(name), bad());
    assert!(Settings::parse([pair("LS_COLORS"), (bad(), bad())]).is_ok());
    let error = Settings::parse([pair("SHEEN_ADDR"), pair("WORKER_SHARED_SECRET")]).unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
}

#[test]
fn variables_show_names_alone() {
    let variables = Variables::new([("WORKER_SHARED_SECRET", A)]);
    let shown = format!("{variables:?}");
    assert!(
        shown.contains("WORKER_SHARED_SECRET") && !shown.contains(A),
        "{shown}"
    );
}
