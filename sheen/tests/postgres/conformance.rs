//! The suite that every admission must pass, on PostgreSQL; also with plans that PostgreSQL would
//! not choose.

mod as_it_comes {
    sheen::admission_conformance!(super::super::World::new().await.harness());
}

/// S3: the plans a pooler's or a long-lived connection would come to.
mod s3_generic_plans {
    use super::super::World;

    async fn blind() -> World {
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

    sheen::admission_conformance!(blind().await.harness());
}
