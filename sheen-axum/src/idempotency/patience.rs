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
    use http::HeaderValue;
    use sheen_core::runtime::TokioRuntime;
    use tokio::time::Instant;

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

    #[tokio::test(start_paused = true)]
    async fn patience_lasts_as_long_as_the_caller_said() {
        let mut headers = HeaderMap::new();
        let began = Instant::now();
        assert!(!Patience::of(&headers).wait(&TokioRuntime).await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        headers.insert(PREFER, HeaderValue::from_static("wait=2"));
        let (mut patience, mut looks) = (Patience::of(&headers), 0);
        while patience.wait(&TokioRuntime).await {
            looks += 1;
        }
        assert_eq!(looks, 40);
        // The runtime's timers count in whole milliseconds, rounded up.
        let waited = began.elapsed().as_secs_f64();
        assert!((2.0..2.1).contains(&waited), "{waited}");
    }
}
