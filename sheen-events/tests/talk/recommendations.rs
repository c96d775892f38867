//! The suite of recommendations on PostgreSQL, also under plans it would not choose.

use std::sync::Arc;

use sheen_events::recommend::PgRecommendStore;
use sheen_events::recommend::conformance::{LIMITS, RecommendHarness};

use super::World;

fn on(world: World) -> RecommendHarness {
    let store = Arc::new(PgRecommendStore::new(world.pool.clone(), LIMITS));
    let advance = world.advance();
    RecommendHarness::new(store, advance).with_guard(world)
}

mod as_it_comes {
    use super::*;

    async fn harness() -> RecommendHarness {
        on(World::new().await)
    }

    sheen_events::recommend_store_conformance!(harness());
}

mod under_generic_plans {
    use super::*;

    async fn harness() -> RecommendHarness {
        on(World::generic().await)
    }

    sheen_events::recommend_store_conformance!(harness());
}
