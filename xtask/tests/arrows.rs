//! Who may know whom: the arrows of ARCHITECTURE.md, held against what the manifests declare and
//! against what cargo resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::process::Command;

type Tried<T> = Result<T, Box<dyn Error>>;

/// The rooms, each with the rooms it may name; itself it may name in its tests.
const ROOMS: &[(&str, &[&str])] = &[
    ("sheen-core", &[]),
    ("sheen-auth", &["sheen-core"]),
    ("sheen-billing", &["sheen-core"]),
    ("sheen-events", &["sheen-core"]),
    (
        "sheen",
        &["sheen-auth", "sheen-billing", "sheen-core", "sheen-events"],
    ),
    (
        "sheen-axum",
        &[
            "sheen",
            "sheen-auth",
            "sheen-billing",
            "sheen-core",
            "sheen-events",
        ],
    ),
    ("testkit", &[]),
    ("xtask", &[]),
];
/// Programs: they may use everything, and nothing uses them.
const PROGRAMS: &[&str] = &["benches", "custom_store", "examples"];
/// The only rooms that know HTTP.
const KNOW_HTTP: &[&str] = &["sheen-axum"];
const HTTP: &[&str] = &["axum", "http", "httparse", "hyper", "reqwest", "tower"];
/// What no default feature of a room without I/O may pull in.
const HEAVY: &[&str] = &[
    "aws-lc-rs",
    "axum",
    "native-tls",
    "openssl",
    "redis",
    "ring",
    "rustls",
    "sqlx",
    "tokio",
];
const WITHOUT_IO: &[&str] = &["sheen-core", "sheen-auth", "sheen-billing", "sheen-events"];
/// The most crates that default features pull in: proc macros and each version of a crate counted,
/// the room itself not.
const MOST_CRATES: &[(&str, usize)] = &[("sheen-core", 30), ("sheen-auth", 45)];

fn cargo(arguments: &[&str]) -> Tried<String> {
    // Read when running: clones that share a target folder share this program.
    let output = Command::new(std::env::var("CARGO")?)
        .args(arguments)
        .current_dir(Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join(".."))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What each member declares, of every kind and optional ones too.
fn declared() -> Tried<BTreeMap<String, BTreeSet<String>>> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let name = |value: &serde_json::Value| value["name"].as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().ok_or("no list")?;
            let names = dependencies.iter().filter_map(name).collect();
            Ok((name(package).ok_or("no name")?, names))
        })
        .collect()
}

/// The names of all crates that `package` needs when run, itself left out, one for each version.
fn closure(package: &str, more: &[&str]) -> Tried<Vec<String>> {
    let mut arguments = vec!["tree", "-p", package, "-e", "normal", "--prefix", "none"];
    arguments.extend(more);
    let lines = cargo(&arguments)?;
    let unique: BTreeSet<_> = lines
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    assert!(unique.iter().any(|(name, _)| *name == package), "{lines}");
    let names = unique.into_iter().map(|(name, _)| name.to_owned());
    Ok(names.filter(|name| name != package).collect())
}

/// Whether `name` is one of `families` or of their parts, as `tokio-util` is of `tokio`.
fn is_of(name: &str, families: &[&str]) -> bool {
    families.iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

#[test]
fn every_member_has_its_place() -> Tried<()> {
    let members: BTreeSet<_> = declared()?.into_keys().collect();
    let known = ROOMS
        .iter()
        .map(|(room, _)| *room)
        .chain(PROGRAMS.iter().copied());
    assert_eq!(members, known.map(str::to_owned).collect());
    Ok(())
}

#[test]
fn rooms_name_only_rooms_below_them() -> Tried<()> {
    let declared = declared()?;
    let members: BTreeSet<_> = declared.keys().cloned().collect();
    for (room, may_name) in ROOMS {
        for named in declared[*room].intersection(&members) {
            let allowed = may_name.contains(&named.as_str())
                || named == room
                // A server for tests is no room: it names none, and any may start one.
                || (named == "testkit" && *room != "xtask");
            assert!(allowed, "{room} names {named}");
        }
    }
    Ok(())
}

#[test]
fn only_the_http_rooms_declare_http() -> Tried<()> {
    for (room, names) in declared()? {
        if KNOW_HTTP.contains(&room.as_str()) || PROGRAMS.contains(&room.as_str()) {
            continue;
        }
        let known: Vec<_> = names.iter().filter(|name| is_of(name, HTTP)).collect();
        assert!(known.is_empty(), "{room} declares {known:?}");
    }
    Ok(())
}

#[test]
fn default_features_pull_in_nothing_heavy() -> Tried<()> {
    for room in WITHOUT_IO {
        for features in [&[][..], &["--no-default-features"]] {
            let crates = closure(room, features)?;
            let heavy: Vec<_> = crates
                .iter()
                .filter(|name| is_of(name, HEAVY) || is_of(name, HTTP))
                .collect();
            assert!(heavy.is_empty(), "{room} {features:?} pulls in {heavy:?}");
        }
    }
    let crates = closure("sheen", &[])?;
    let http: Vec<_> = crates.iter().filter(|name| is_of(name, HTTP)).collect();
    assert!(http.is_empty(), "sheen pulls in {http:?}");
    Ok(())
}

#[test]
fn closures_stay_small() -> Tried<()> {
    for (room, most) in MOST_CRATES {
        let crates = closure(room, &[])?;
        assert!(
            crates.len() <= *most,
            "{room} needs {} crates, at most {most}: {crates:?}",
            crates.len()
        );
    }
    Ok(())
}

#[test]
fn families_are_told_by_their_first_word() {
    assert!(is_of("tokio", HEAVY) && is_of("tokio-util", HEAVY) && is_of("http-body", HTTP));
    assert!(!is_of("tokiox", HEAVY) && !is_of("httpdate", HTTP) && !is_of("string", HEAVY));
}
