//! Waiting until a purchase shows, for who called the payment provider and not the ledger.

use std::future::Future;
use std::time::Duration;

use sheen_core::runtime::Sleep;

/// How long to look for a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurchaseWait {
    /// How often to look.
    pub tries: u32,
    /// How long to wait between two looks.
    pub pause: Duration,
}

impl Default for PurchaseWait {
    /// 30 looks, 2 s apart.
    fn default() -> Self {
        Self {
            tries: 30,
            pause: Duration::from_secs(2),
        }
    }
}

/// Why a purchase was not seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurchaseWaitError<E> {
    /// Every look was answered, and it was never there. It may still come.
    #[error("the purchase did not show in time")]
    NotShown,
    /// The last look failed; earlier ones may have failed or found nothing.
    #[error("the last look for the purchase failed")]
    Failed(#[source] E),
}

impl PurchaseWait {
    /// Looks until `look` finds what it looks for: for instance an entry whose operation is the
    /// payment's id among those after the last one before the sale
    /// ([`CreditReader::entries`](super::CreditReader::entries)), or a balance that was lower
    /// before. A look that fails counts as one that found nothing; the first one is made at once,
    /// and no pause follows the last.
    ///
    /// ```
    /// use sheen_billing::account::PurchaseWait;
    /// use sheen_core::runtime::Sleep;
    ///
    /// # async fn demo(sleep: &dyn Sleep) {
    /// let mut looks = 0;
    /// let shown = PurchaseWait::default()
    ///     .until_shown(sleep, || {
    ///         looks += 1;
    ///         let paid = if looks < 3 { 0 } else { 600 };
    ///         async move { Ok::<_, std::io::Error>((paid > 0).then_some(paid)) }
    ///     })
    ///     .await;
    /// assert_eq!(shown.ok(), Some(600));
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it was not there at the last look, or that look failed.
    pub async fn until_shown<T, E, F>(
        &self,
        sleep: &dyn Sleep,
        mut look: impl FnMut() -> F,
    ) -> Result<T, PurchaseWaitError<E>>
    where
        F: Future<Output = Result<Option<T>, E>>,
    {
        let mut last = PurchaseWaitError::NotShown;
        for done in 0..self.tries {
            if done > 0 {
                sleep.sleep(self.pause).await;
            }
            last = match look().await {
                Ok(Some(shown)) => return Ok(shown),
                Ok(None) => PurchaseWaitError::NotShown,
                Err(error) => PurchaseWaitError::Failed(error),
            };
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sheen_core::runtime::BoxFuture;

    use super::*;

    #[derive(Debug, Default)]
    struct Slept(Mutex<Vec<Duration>>);

    impl Sleep for Slept {
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.lock().unwrap().push(duration);
            Box::pin(async {})
        }
    }

    async fn looked(answers: &[Result<bool, u8>]) -> (Result<u32, PurchaseWaitError<u8>>, usize) {
        let slept = Slept::default();
        let mut looks = 0u32;
        let found = PurchaseWait::default()
            .until_shown(&slept, || {
                let answer = answers.get(looks as usize).copied();
                looks += 1;
                let answer = answer.unwrap_or(Ok(false));
                async move { answer.map(|there| there.then_some(looks)) }
            })
            .await;
        let slept = slept.0.into_inner().unwrap();
        assert!(slept.iter().all(|pause| *pause == Duration::from_secs(2)));
        (found, slept.len())
    }

    #[tokio::test]
    async fn a_purchase_is_looked_for_thirty_times() {
        assert!(matches!(looked(&[Ok(true)]).await, (Ok(1), 0)));
        let late = [Ok(false), Err(1), Ok(true)];
        assert!(matches!(looked(&late).await, (Ok(3), 2)));
        let never = looked(&[]).await;
        assert!(matches!(never, (Err(PurchaseWaitError::NotShown), 29)));
        let failing = looked(&[Err(7); 30]).await;
        assert!(matches!(failing, (Err(PurchaseWaitError::Failed(7)), 29)));
        let last = [vec![Ok(false); 29], vec![Ok(true)]].concat();
        assert!(matches!(looked(&last).await, (Ok(30), 29)));
    }
}
