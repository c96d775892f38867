//! The same stores on a Redis Cluster of three masters: the contracts, and that what is kept is
//! spread while no step crosses slots.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use sheen_auth::limit::{LimitKey, LimitStore, Quota, Quotas, RedisLimitStore, Subject};
use sheen_auth::replay::{Claim, ClaimOutcome, Once, RedisReplayStore, ReplayStore};
use sheen_auth::token::revocation::{RedisRevocationStore, RevocationStore};
use sheen_core::id::{PrincipalId, UserId};
use sheen_core::time::Timestamp;
use testkit::TestCluster;

use super::{limit_redis, replay, revocation};

async fn line(cluster: &TestCluster) -> ClusterConnection {
    let client = ClusterClient::new(cluster.urls().to_vec()).unwrap();
    client.get_async_connection().await.unwrap()
}

async fn replay_harness() -> sheen_auth::replay::conformance::Harness {
    let cluster = testkit::redis_cluster();
    replay::redis_harness(line(&cluster).await, cluster.prefix()).await
}

async fn limit_harness() -> sheen_auth::limit::conformance::Harness {
    let cluster = testkit::redis_cluster();
    limit_redis::harness_on(line(&cluster).await, cluster.prefix())
}

async fn revocation_harness() -> sheen_auth::token::revocation::conformance::Harness {
    let cluster = testkit::redis_cluster();
    revocation::redis_harness(line(&cluster).await, cluster.prefix()).await
}

mod replay_contract {
    use super::replay_harness;

    sheen_auth::replay_store_conformance!(replay_harness().await);
}

mod limit_contract {
    use super::limit_harness;

    sheen_auth::limit_store_conformance!(limit_harness().await);
}

mod revocation_contract {
    use super::revocation_harness;

    sheen_auth::revocation_store_conformance!(revocation_harness().await);
}

/// The third of the slots, which is a master's, in which `name` is.
async fn master_of(beside: &mut redis::aio::MultiplexedConnection, name: &str) -> (u16, u16) {
    let slot: u16 = redis::cmd("CLUSTER")
        .arg("KEYSLOT")
        .arg(name)
        .query_async(beside)
        .await
        .unwrap();
    (slot, slot / 5462)
}

/// N10, L7: every master has its part, and each step stays in one slot of its own.
#[tokio::test]
async fn n10_l07_all_masters_serve_and_no_step_crosses_slots() {
    let cluster = testkit::redis_cluster();
    let client = redis::Client::open(cluster.urls()[0].as_str()).unwrap();
    let mut beside = client.get_multiplexed_async_connection().await.unwrap();
    let replay = RedisReplayStore::open(line(&cluster).await, cluster.prefix(), 10)
        .await
        .unwrap();
    let limits = RedisLimitStore::new(line(&cluster).await, cluster.prefix());
    let epochs = RedisRevocationStore::open(line(&cluster).await, cluster.prefix())
        .await
        .unwrap();
    let minute = |burst| Quota::new(burst, Duration::from_secs(60)).unwrap();
    let quotas = Quotas::new(&[minute(3), minute(5)]).unwrap();
    let micros: (u64, u64) = redis::cmd("TIME").query_async(&mut beside).await.unwrap();
    let now = Timestamp::from_millis(i64::try_from(micros.0 * 1000 + micros.1 / 1000).unwrap());
    let mut masters = [(); 3].map(|()| BTreeSet::new());
    for number in 0..30 {
        let name = format!("name-{number}");
        let principal = PrincipalId::parse(&name).unwrap();
        let claim = Claim::new(&principal, Once::Nonce("nonce-0123456789"), now);
        for outcome in [ClaimOutcome::Claimed, ClaimOutcome::Replayed] {
            assert_eq!(replay.claim(&claim).await.unwrap(), outcome);
        }
        let [spent, since] = replay.names(&principal);
        let (slot, third) = master_of(&mut beside, &spent).await;
        assert_eq!(master_of(&mut beside, &since).await.0, slot);
        masters[0].insert(third);

        let key = LimitKey::new("user", Subject::Other(&name));
        assert!(limits.take(&key, &quotas, 1).await.is_ok());
        let (_, third) = master_of(&mut beside, &limits.name_of(&key, &quotas)).await;
        masters[1].insert(third);

        let user = UserId::parse(&name).unwrap();
        let epoch = epochs.revoke(&user).await.unwrap();
        assert_eq!(epochs.epoch(&user).await.unwrap(), Some(epoch));
        let (_, third) = master_of(&mut beside, &epochs.name_of(&user)).await;
        masters[2].insert(third);
    }
    assert!(
        masters.iter().all(|thirds| thirds.len() == 3),
        "{masters:?}"
    );
}
