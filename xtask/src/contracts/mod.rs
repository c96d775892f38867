//! `cargo xtask contracts`: the clauses of every store's contract, the tests that show them and the
//! stores that run these, from the sources into docs/contracts.md.
//!
//! What it reads is the house's own form: `store.rs` of a slice numbers the clauses (`1. **C1** …`)
//! in the docs of its traits, the macro `…_conformance!` beside it lists a test for each, and a
//! store's tests expand the macro, which is all or nothing.

mod page;
mod read;

use std::fs;

use crate::run::{House, Outcome};

/// Where the page is.
const PAGE: &str = "docs/contracts.md";

pub(crate) fn contracts(house: &House) -> Outcome {
    let page = page::page(&read::suites(&house.root)?)?;
    let path = house.root.join(PAGE);
    fs::write(&path, page).map_err(|problem| format!("{}: {problem}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_sources_say() {
        let house = House::find().unwrap();
        let page = page::page(&read::suites(&house.root).unwrap()).unwrap();
        let kept = fs::read_to_string(house.root.join(PAGE)).unwrap();
        assert!(kept == page, "{PAGE} is stale: cargo xtask contracts");
    }

    /// The walk finds what there is: the rooms, and the stores that more than one process share.
    #[test]
    fn every_room_has_a_suite() {
        let house = House::find().unwrap();
        let suites = read::suites(&house.root).unwrap();
        for name in [
            "build_store",
            "idempotency_store",
            "replay_store",
            "credit_store",
            "event_log",
            "admission",
        ] {
            let suite = suites.iter().find(|suite| suite.name == name).unwrap();
            assert!(suite.clauses.len() > 5 && suite.tests.len() > 5, "{name}");
        }
        let keys = suites
            .iter()
            .find(|suite| suite.name == "idempotency_store");
        let runs = &keys.unwrap().runs;
        for store in ["memory", "PostgreSQL", "Redis", "Redis Cluster"] {
            assert!(runs.iter().any(|run| run.store == store), "{store}");
        }
    }
}
