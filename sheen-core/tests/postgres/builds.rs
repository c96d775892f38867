//! The conformance suite, as PostgreSQL plans by itself and as it plans blindly.

use std::sync::Arc;

use sheen_core::build::{
    Authority, BuildReader, BuildStore, Ending, FailureReason, Finish, FinishOutcome,
};
use sheen_core::files::{FilePath, FileSet};

use super::{World, new_build};

mod usual {
    sheen_core::build_store_conformance!(async { super::World::new().await.harness() });
}

mod settled {
    sheen_core::settled_outbox_conformance!(async { super::World::new().await.outbox() });
}

/// S3: the plans a pooler's or a long-lived connection would come to.
mod s3_generic_plans {
    async fn world() -> super::World {
        let blind = [
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_nestloop", "off"),
            // A plan that needs what is off looks dear enough to be compiled, at 100 ms a time.
            ("jit", "off"),
        ];
        super::World::with(|options| options.options(blind)).await
    }

    sheen_core::build_store_conformance!(async { world().await.harness() });

    mod settled {
        sheen_core::settled_outbox_conformance!(async { super::world().await.outbox() });
    }
}

#[tokio::test]
async fn texts_with_nul_and_backslash_come_back_as_they_were() {
    let world = World::new().await;
    let odd: Arc<str> = "a\0b\\0c\\\\é".into();
    let mut new = new_build(1, "u", "p");
    new.input.prompt = odd.clone();
    new.input.metadata = Some(odd.clone());
    new.input.files = FileSet::from_iter([(FilePath::parse("صفحة.html").unwrap(), odd.clone())]);
    world.started(new.clone()).await;
    let claimed = world.claimed().await;
    assert_eq!(claimed.input, new.input);
    let files = world.store.project_files(&new.project).await.unwrap();
    assert_eq!(files, new.input.files);

    let ending = Ending::Failed {
        reason: FailureReason::BuildFailed,
        error: odd.clone(),
    };
    let by = Authority::Claim(claimed.build.token);
    let ended = world
        .store
        .finish(Finish::new(new.id.clone(), by, ending))
        .await;
    let FinishOutcome::Finished(ended) = ended.unwrap() else {
        panic!("not finished");
    };
    assert_eq!(ended.error, Some(odd));
    assert_eq!(world.row(&new.id).await, ended);
}
