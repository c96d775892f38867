//! The suite that every credit store must pass, on PostgreSQL; also with plans that PostgreSQL
//! would not choose (failures S3), and through a store that remembers nothing.

use std::sync::Arc;

use async_trait::async_trait;
use sheen_billing::account::conformance::CreditHarness;
use sheen_billing::account::{
    AccountView, Audit, Commit, CommitOutcome, CreditAudit, CreditCommand, CreditOutcome,
    CreditPolicy, CreditReader, CreditStore, CreditSweep, Drift, Entry, Extend, ExtendOutcome,
    GrantStore, HoldView, LedgerTotals, PgCreditStore, Purchase, PurchaseOutcome, Refund,
    RefundOutcome, Release, ReleaseOutcome, Reserve, ReserveOutcome, Totals,
};
use sheen_core::error::StoreError;
use sheen_core::id::{ReservationId, UserId};
use sqlx::{Connection, PgPool};

use super::World;

fn harness_over<S>(world: World, store: Arc<S>) -> CreditHarness
where
    S: CreditStore + GrantStore + CreditReader + CreditSweep + CreditAudit,
{
    let pool = world.pool.clone();
    let options = world.database.options();
    CreditHarness::new(
        store,
        move |duration| {
            let pool = pool.clone();
            Box::pin(async move {
                sheen_core::postgres::testing::advance_clock(&pool, duration)
                    .await
                    .unwrap();
            })
        },
        move |user, meanwhile| {
            let options = options.clone();
            Box::pin(async move {
                use sqlx::ConnectOptions;
                let mut connection = options.connect().await.unwrap();
                let mut locked = connection.begin().await.unwrap();
                sqlx::query("SELECT 1 FROM sheen.credit_accounts WHERE user_id = $1 FOR UPDATE")
                    .bind(user.as_str())
                    .execute(&mut *locked)
                    .await
                    .unwrap();
                meanwhile.await;
                locked.commit().await.unwrap();
            })
        },
    )
    .keeping(world)
}

mod as_it_comes {
    use super::*;

    async fn harness(policy: CreditPolicy) -> CreditHarness {
        let world = World::new(policy).await;
        let store = world.store.clone();
        harness_over(world, store)
    }

    sheen_billing::credit_store_conformance!(harness);
}

mod s3_generic_plans_without_nested_loops {
    use super::*;

    async fn harness(policy: CreditPolicy) -> CreditHarness {
        let world = World::with(policy, |options| {
            options.options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_nestloop", "off"),
                // The cost of a plan that is switched off would start the compiler each time.
                ("jit", "off"),
            ])
        })
        .await;
        let store = world.store.clone();
        harness_over(world, store)
    }

    sheen_billing::credit_store_conformance!(harness);
}

/// Each call by a process of its own, which has seen nothing: every one of them assumes wrongly.
#[derive(Debug)]
struct Strangers {
    pool: PgPool,
    policy: CreditPolicy,
}

impl Strangers {
    fn one(&self) -> PgCreditStore {
        PgCreditStore::new(self.pool.clone(), self.policy)
    }
}

#[async_trait]
impl CreditStore for Strangers {
    async fn reserve(&self, it: Reserve) -> Result<ReserveOutcome, StoreError> {
        self.one().reserve(it).await
    }
    async fn commit(&self, it: Commit) -> Result<CommitOutcome, StoreError> {
        self.one().commit(it).await
    }
    async fn release(&self, it: Release) -> Result<ReleaseOutcome, StoreError> {
        self.one().release(it).await
    }
    async fn extend(&self, it: Extend) -> Result<ExtendOutcome, StoreError> {
        self.one().extend(it).await
    }
    async fn batch(&self, it: Vec<CreditCommand>) -> Result<Vec<CreditOutcome>, StoreError> {
        self.one().batch(it).await
    }
    async fn several(
        &self,
        it: Vec<Vec<CreditCommand>>,
    ) -> Result<Vec<Option<Vec<CreditOutcome>>>, StoreError> {
        self.one().several(it).await
    }
}

#[async_trait]
impl GrantStore for Strangers {
    async fn credit(&self, it: Purchase) -> Result<PurchaseOutcome, StoreError> {
        self.one().credit(it).await
    }
    async fn refund(&self, it: Refund) -> Result<RefundOutcome, StoreError> {
        self.one().refund(it).await
    }
}

#[async_trait]
impl CreditReader for Strangers {
    async fn views(&self, users: &[UserId]) -> Result<Vec<AccountView>, StoreError> {
        self.one().views(users).await
    }
    async fn holder(&self, hold: &ReservationId) -> Result<Option<UserId>, StoreError> {
        self.one().holder(hold).await
    }
    async fn hold(&self, hold: &ReservationId) -> Result<Option<HoldView>, StoreError> {
        self.one().hold(hold).await
    }
    async fn entries(&self, user: &UserId, after: u64, n: u32) -> Result<Vec<Entry>, StoreError> {
        self.one().entries(user, after, n).await
    }
    async fn totals(&self, user: &UserId) -> Result<Totals, StoreError> {
        self.one().totals(user).await
    }
    async fn ledger_totals(&self) -> Result<LedgerTotals, StoreError> {
        self.one().ledger_totals().await
    }
}

#[async_trait]
impl CreditSweep for Strangers {
    async fn expire(&self, limit: u32) -> Result<u32, StoreError> {
        self.one().expire(limit).await
    }
}

#[async_trait]
impl CreditAudit for Strangers {
    async fn verify(&self, user: &UserId) -> Result<Vec<Drift>, StoreError> {
        self.one().verify(user).await
    }
    async fn verify_all(&self, after: Option<&UserId>, limit: u32) -> Result<Audit, StoreError> {
        self.one().verify_all(after, limit).await
    }
}

mod each_call_a_process_of_its_own {
    use super::*;

    async fn harness(policy: CreditPolicy) -> CreditHarness {
        let world = World::new(policy).await;
        let pool = world.pool.clone();
        harness_over(world, Arc::new(Strangers { pool, policy })).remembering_nothing()
    }

    sheen_billing::credit_store_conformance!(harness);
}
