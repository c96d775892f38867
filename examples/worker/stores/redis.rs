//! What every call passes, and the wake-ups, on one Redis that several workers share.

use std::sync::Arc;
use std::time::Duration;

use examples::REVOKED;
use redis::aio::ConnectionManagerConfig;
use sheen_auth::limit::RedisLimitStore;
use sheen_auth::replay::RedisReplayStore;
use sheen_auth::token::revocation::RedisRevocationStore;
use sheen_events::wake::{RedisWake, WakeConfig};

use super::{Door, Error, Opening, REPLAY_CAPACITY};

/// A call whose nonce Redis does not take within this is refused as unavailable.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn door(opening: &Opening<'_>, url: &str) -> Result<Door, Error> {
    // Neither the address nor what is wrong with it may be told: it holds a password.
    let client =
        redis::Client::open(url).map_err(|_| "REDIS_URL is not an address of Redis without TLS")?;
    // One that comes back when the server does.
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(PATIENCE))
        .set_connection_timeout(Some(PATIENCE));
    let connection = client
        .get_connection_manager_with_config(config)
        .await
        .map_err(|error| format!("cannot reach the server of REDIS_URL: {error}"))?;
    let capacity = REPLAY_CAPACITY.into();
    let replay = RedisReplayStore::open(connection.clone(), "sheen:replay:", capacity).await?;
    let revoked = RedisRevocationStore::open(connection.clone(), REVOKED).await?;
    Ok(Door {
        replay: Arc::new(replay),
        revoked: Arc::new(revoked),
        limits: Arc::new(RedisLimitStore::new(connection, "sheen:limit:")),
        wake: Arc::new(RedisWake::start(
            client,
            "sheen:wake",
            opening.wake_parts(),
            WakeConfig::default(),
        )),
    })
}
