//! A caller written in JavaScript, which shares no code with ours, against the worker over HTTP.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{SECRET, WorkerProcess};

/// What each call comes to: its status, its code when it is refused, and whether its scheme is
/// deprecated.
const EXPECTED: &[(&str, u64, Option<&str>, bool)] = &[
    ("v2", 200, None, false),
    ("v2 in seconds", 200, None, false),
    ("v2, query by bytes", 200, None, false),
    ("v2, query by locale", 200, None, false),
    ("v2 of another query", 401, Some("SIGNATURE_INVALID"), false),
    ("v1", 200, None, true),
    ("v1 with a query", 200, None, true),
    ("v1-request-id", 200, None, true),
    ("both", 200, None, false),
    ("once", 200, None, false),
    ("twice", 401, Some("NONCE_REPLAYED"), false),
    ("another body", 401, Some("SIGNATURE_INVALID"), false),
    ("too early", 401, Some("TIMESTAMP_OUTSIDE_WINDOW"), false),
    ("both, to be stripped", 200, None, false),
    ("stripped of v2", 401, Some("NONCE_REPLAYED"), false),
    ("unsigned", 401, Some("SIGNATURE_MISSING"), false),
    ("start", 202, None, false),
    ("viewer token", 200, None, false),
    ("events by token", 200, None, false),
    ("events by token in the query", 200, None, false),
    ("another build by token", 403, Some("TOKEN_SCOPE"), false),
];

#[test]
fn calls_signed_by_node_get_in_in_both_orders_and_forged_ones_do_not() {
    let worker = WorkerProcess::start(&[("SHEEN_BUILD_COMMAND", "sleep 30")]);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/caller.mjs");
    let mut node = Command::new("node");
    node.arg(program).arg(&worker.url).env("SECRET", SECRET);
    let output = match node.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("node was not run ({error}): no call came from JavaScript");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let calls: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let deprecation = call["deprecation"].as_str();
            assert!(deprecation.is_none_or(|since| since.starts_with('@')));
            (
                call["what"].as_str().unwrap(),
                call["status"].as_u64().unwrap(),
                call["error"].as_str(),
                deprecation.is_some(),
            )
        })
        .collect();
    assert_eq!(seen, EXPECTED);
}
