//! The suite that every event log must pass, on PostgreSQL; also with plans that PostgreSQL would
//! not choose (failures S3).

use sheen_core::postgres::testing;
use sheen_core::time::Advance;
use sheen_events::log::conformance::LogHarness;

use super::World;

fn harness_over(world: World) -> LogHarness {
    let pool = world.pool.clone();
    let advance = Advance::new(move |duration| {
        let pool = pool.clone();
        Box::pin(async move { testing::advance_clock(&pool, duration).await.unwrap() })
    });
    LogHarness::new(world.log.clone(), advance).keeping(world)
}

mod as_it_comes {
    use super::*;

    sheen_events::event_log_conformance!(harness_over(World::new().await));
}

mod s3_generic_plans_without_nested_loops {
    use super::*;

    async fn world() -> World {
        World::with(|options| {
            options.options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_nestloop", "off"),
                // The cost of a plan that is switched off would start the compiler each time.
                ("jit", "off"),
            ])
        })
        .await
    }

    sheen_events::event_log_conformance!(harness_over(world().await));
}
