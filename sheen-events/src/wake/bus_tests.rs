//! The bus over a channel that fails in every way but loudly.

use std::sync::atomic::AtomicUsize;

use sheen_core::entropy::SeededEntropy;
use sheen_core::runtime::TokioRuntime;
use sheen_core::time::SystemClock;

use super::*;

/// What is sent goes nowhere; what is heard is others' canaries, or nothing at all.
#[derive(Debug, Clone, Default)]
struct Wedged {
    silent: bool,
    sent: Arc<AtomicUsize>,
    hearers: Arc<AtomicUsize>,
}

#[async_trait]
impl Channel for Wedged {
    async fn sender(&self) -> Result<Box<dyn Outlet>, Failure> {
        Ok(Box::new(self.clone()))
    }

    async fn hearer(&self) -> Result<Box<dyn Inlet>, Failure> {
        self.hearers.fetch_add(1, SeqCst);
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Outlet for Wedged {
    async fn send(&mut self, words: &[String]) -> Result<(), Failure> {
        self.sent.fetch_add(words.len(), SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Inlet for Wedged {
    async fn hear(&mut self) -> Result<String, Failure> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        TokioRuntime.sleep(Duration::from_millis(2)).await;
        Ok("other/".to_owned())
    }
}

/// C2, C7: green lights on both connections are not health. Without its own canary a channel is
/// unhealthy, everyone looks, and it is connected anew, again and again.
#[tokio::test]
async fn c7_a_wedged_channel_is_unhealthy_and_everyone_looks() {
    for silent in [false, true] {
        let channel = Wedged {
            silent,
            ..Wedged::default()
        };
        let parts = WakeParts {
            spawn: Arc::new(TokioRuntime),
            sleep: Arc::new(TokioRuntime),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SeededEntropy::new(1)),
        };
        let config = WakeConfig {
            beat: Duration::from_millis(4),
            reconnect: Duration::from_millis(1),
            ..WakeConfig::default()
        };
        let bus = Bus::start(channel.clone(), parts, config);
        let build = BuildId::parse("a").unwrap();
        let mut listener = bus.listen(&build);
        for _ in 0..6 {
            listener.rung().await;
            assert!(!bus.is_healthy());
        }
        assert!(channel.hearers.load(SeqCst) >= 3);
        assert!(
            channel.sent.load(SeqCst) >= 3,
            "canaries went out all the while"
        );
    }
}
