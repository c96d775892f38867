//! The hand-written reserves as `pgbench` drives them: the same rows without sqlx and tokio.

use std::path::Path;
use std::process::Command;

use testkit::{PostgresServer, TestDatabase};

/// Whose account a reserve is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On<'a> {
    /// Always this user's.
    One(&'a str),
    /// Users `{prefix}-0` to `{prefix}-9999`, the k-th as often as 1/k.
    Spread(&'a str),
}

impl On<'_> {
    fn sql(self) -> String {
        match self {
            Self::One(user) => format!("'{user}'"),
            Self::Spread(prefix) => format!("'{prefix}-' || (:k - 1)"),
        }
    }
}

/// One statement: the function by hand.
pub(crate) fn function(on: On<'_>) -> String {
    let user = on.sql();
    format!(
        "\\set n random(1, 1000000000000000)
\\set k random_zipfian(1, 10000, 1.001)
SELECT sheen.bench_reserve({user}, 'res_pg' || :n, 'pg' || :n, 2);
"
    )
}

/// A transaction that locks, looks and writes.
pub(crate) fn for_update(on: On<'_>) -> String {
    let user = on.sql();
    format!(
        "\\set n random(1, 1000000000000000)
\\set k random_zipfian(1, 10000, 1.001)
BEGIN;
SELECT user_id AS u, last_entry + 1 AS number, paid_available - 2 AS available
    FROM sheen.credit_accounts WHERE user_id = {user} FOR UPDATE \\gset
UPDATE sheen.credit_accounts SET version = version + 1, last_entry = last_entry + 1,
    open_holds = open_holds + 1, paid_available = paid_available - 2, paid_held = paid_held + 2,
    reserved_today = reserved_today + 2 WHERE user_id = :u;
INSERT INTO sheen.credit_entries VALUES (:u, :number, 'reserve', 'paid', 'available', 'held', 2,
    'res_pg' || :n, 'pg' || :n, sheen.now_ms());
INSERT INTO sheen.credit_holds VALUES ('res_pg' || :n, :u, 'pg' || :n, NULL, 2, 3600000,
    (sheen.now_ms() / 86400000)::integer, sheen.now_ms(), 0, 0, :available, 'open', 0, 0, 2,
    sheen.now_ms() + 3600000);
COMMIT;
"
    )
}

/// Runs `script` `count` times from `callers` connections; how often a second it ran, connecting
/// not counted.
pub(crate) fn rate(
    server: &PostgresServer,
    database: &TestDatabase,
    script: &str,
    callers: usize,
    count: usize,
) -> f64 {
    let file = server.folder().join("reserve.pgbench");
    std::fs::write(&file, script).expect("a script");
    let program = server
        .program("pgbench")
        .expect("pgbench, of PostgreSQL's package");
    let told = run(&program, &file, database.url(), callers, count / callers);
    let figure = told.lines().find_map(|line| line.strip_prefix("tps = "));
    let figure = figure.and_then(|line| line.split(' ').next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("no figure: {told}"))
}

fn run(program: &Path, file: &Path, url: &str, callers: usize, each: usize) -> String {
    let output = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={callers}"))
        .arg(format!("--transactions={each}"))
        .arg("--file")
        .arg(file)
        .arg(url)
        .output();
    let output = output.expect("pgbench runs");
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pgbench failed: {problems}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
