//! Waiting for the first call of a key.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use sheen_core::runtime::Sleep;

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The longest wait for a first call, in seconds (wire.md §4).
const LONGEST_WAIT: u32 = 10;
/// How often a waiting repeat looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS_PER_SECOND: u32 = 20;

/// How often a repeat still looks whether the first call has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    looks: u32,
}

impl Patience {
    /// None at all.
    pub(crate) const NONE: Self = Self { looks: 0 };

    /// As long as the caller is ready to wait: `Prefer: wait=N` seconds (RFC 7240), at most 10.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            looks: wait_of(headers) * LOOKS_PER_SECOND,
        }
    }

    /// Waits until it is time for another look; `false`, at once, when there is none left.
    pub(crate) async fn wait(&mut self, sleep: &dyn Sleep) -> bool {
        if self.looks == 0 {
            return false;
        }
        self.looks -= 1;
        sleep.sleep(LOOK_AGAIN).await;
        true
    }
}

fn wait_of(headers: &HeaderMap) -> u32 {
    let lines = headers.get_all(&PREFER).iter();
    let wishes = lines.filter_map(|line| line.to_str().ok());
    wishes
        .flat_map(|line| line.split([',', ';']))
        .find_map(|wish| {
            let (name, seconds) = wish.split_once('=')?;
            let seconds = seconds.trim().trim_matches('"');
            let stated = name.trim().eq_ignore_ascii_case("wait");
            let digits = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
            (stated && digits).then(|| seconds.parse().unwrap_or(LONGEST_WAIT))
        })
        .unwrap_or(0)
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::HeaderValue;
    use sheen_core::runtime::BoxFuture;

    use super::*;

    fn prefer(lines: &[&'static str]) -> u32 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_static(line));
        }
        wait_of(&headers)
    }

    #[test]
    fn a_wish_to_wait_is_found_among_others_and_bounded() {
        assert_eq!(prefer(&[]), 0);
        assert_eq!(prefer(&["wait=3"]), 3);
        assert_eq!(prefer(&["respond-async, Wait = 7"]), 7);
        assert_eq!(prefer(&["return=minimal", "wait=\"9\""]), 9);
        assert_eq!(prefer(&["wait=10000000000000"]), 10);
        for bad in ["wait", "wait=", "wait=-1", "wait=1.5", "waiting=5"] {
            assert_eq!(prefer(&[bad]), 0, "{bad}");
        }
    }

    /// Sleeps not at all and adds up how long it would have.
    #[derive(Debug, Default)]
    struct Sum(Mutex<Duration>);

    impl Sleep for Sum {
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            *self.0.lock().unwrap() += duration;
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn patience_lasts_as_long_as_the_caller_said() {
        for (said, seconds) in [(None, 0), (Some("wait=2"), 2), (Some("wait=11"), 10)] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| (PREFER, HeaderValue::from_static(said))));
            let (mut patience, sleep) = (Patience::of(&headers), Sum::default());
            while patience.wait(&sleep).await {}
            let slept = *sleep.0.lock().unwrap();
            assert_eq!(slept, Duration::from_secs(seconds));
        }
    }
}
