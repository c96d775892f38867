//! Waiting for the first call of a key.

use std::time::Duration;

use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderName};
use sheen_core::runtime::{BoxFuture, Sleep};

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The longest wait for a first call, in seconds (wire.md §4).
const LONGEST_WAIT: u32 = 10;
/// How long after a look a waiting repeat looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a repeat still looks whether the first call has ended, whatever a look takes.
pub(crate) struct Patience {
    /// Ends with it.
    over: Option<BoxFuture<'static, ()>>,
}

impl Patience {
    /// None at all.
    pub(crate) const NONE: Self = Self { over: None };

    /// As long from now as the caller is ready to wait: `Prefer: wait=N` seconds (RFC 7240), at most
    /// 10.
    pub(crate) fn of(headers: &HeaderMap, sleep: &dyn Sleep) -> Self {
        let seconds = wait_of(headers);
        let longest = Duration::from_secs(seconds.into());
        Self {
            over: (seconds > 0).then(|| sleep.sleep(longest)),
        }
    }

    /// Waits until it is time for another look; `false` when there is no time left.
    pub(crate) async fn wait(&mut self, sleep: &dyn Sleep) -> bool {
        let Some(over) = &mut self.over else {
            return false;
        };
        match select(over, sleep.sleep(LOOK_AGAIN)).await {
            Either::Left(_) => {
                self.over = None;
                false
            }
            Either::Right(_) => true,
        }
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

    /// Looks of 1 ms and of 5 s, until patience ends.
    #[tokio::test(start_paused = true)]
    async fn patience_lasts_as_long_as_the_caller_said_whatever_a_look_takes() {
        for (said, quick, slow) in [
            (None, 0, 0),
            (Some("wait=2"), 39, 1),
            (Some("wait=11"), 196, 2),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| (PREFER, HeaderValue::from_static(said))));
            for (look, wanted) in [(1, quick), (5_000, slow)] {
                let mut patience = Patience::of(&headers, &TokioRuntime);
                let mut looks = 0;
                while patience.wait(&TokioRuntime).await {
                    looks += 1;
                    TokioRuntime.sleep(Duration::from_millis(look)).await;
                }
                assert_eq!(looks, wanted, "{said:?}, {look} ms");
                assert!(!patience.wait(&TokioRuntime).await, "it is over for good");
            }
        }
    }
}
