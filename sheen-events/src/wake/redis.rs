//! Wake-ups by Redis publish and subscribe.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use redis::aio::{MultiplexedConnection, PubSub};
use sheen_core::id::BuildId;

use super::bus::{Bus, Channel, Failure, Inlet, Outlet, WakeConfig, WakeParts};
use super::{Listener, Wake};

/// Wakes the readers of every process on one Redis channel.
///
/// Redis carries wake-ups alone: the numbers, and everything that must not be lost, are the log's.
/// It is healthy while a canary that this process published comes back to it; else everyone looks,
/// and both connections are made anew.
#[derive(Clone)]
pub struct RedisWake(Bus);

impl fmt::Debug for RedisWake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisWake")
            .field(&self.is_healthy())
            .finish()
    }
}

impl RedisWake {
    /// Starts on `channel` of the server of `client`. The tasks end when the last clone is dropped.
    #[must_use]
    pub fn start(
        client: redis::Client,
        channel: impl Into<String>,
        parts: WakeParts,
        config: WakeConfig,
    ) -> Self {
        let channel = RedisChannel {
            client,
            name: channel.into(),
        };
        Self(Bus::start(channel, parts, config))
    }
}

impl Wake for RedisWake {
    fn ring(&self, build: &BuildId) {
        self.0.ring(build);
    }

    fn listen(&self, build: &BuildId) -> Box<dyn Listener> {
        self.0.listen(build)
    }

    fn poll_interval(&self) -> Duration {
        self.0.poll_interval()
    }

    fn is_healthy(&self) -> bool {
        self.0.is_healthy()
    }
}

#[derive(Debug)]
struct RedisChannel {
    client: redis::Client,
    name: String,
}

#[async_trait]
impl Channel for RedisChannel {
    async fn sender(&self) -> Result<Box<dyn Outlet>, Failure> {
        let connection = self.client.get_multiplexed_async_connection().await?;
        let name = self.name.clone();
        Ok(Box::new(Sender { connection, name }))
    }

    async fn hearer(&self) -> Result<Box<dyn Inlet>, Failure> {
        let mut hearer = self.client.get_async_pubsub().await?;
        hearer.subscribe(&self.name).await?;
        Ok(Box::new(Hearer(hearer)))
    }
}

struct Sender {
    connection: MultiplexedConnection,
    name: String,
}

#[async_trait]
impl Outlet for Sender {
    async fn send(&mut self, words: &[String]) -> Result<(), Failure> {
        let mut batch = redis::pipe();
        for word in words {
            batch.cmd("PUBLISH").arg(&self.name).arg(word).ignore();
        }
        batch.query_async::<()>(&mut self.connection).await?;
        Ok(())
    }
}

struct Hearer(PubSub);

#[async_trait]
impl Inlet for Hearer {
    async fn hear(&mut self) -> Result<String, Failure> {
        let mut messages = Box::pin(self.0.on_message());
        match poll_fn(|cx| messages.as_mut().poll_next(cx)).await {
            Some(message) => Ok(message.get_payload()?),
            None => Err("the connection was lost".into()),
        }
    }
}
