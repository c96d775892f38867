//! The door: a signature that fits, then whatever must be spent for it.

use std::sync::Arc;

use sheen_core::error::StoreError;
use sheen_core::time::Clock;

use super::decide::{Scratch, Verifier};
use super::types::{Checked, Mode, Refusal, Report, Request, Scheme, Verified};
use crate::replay::{ClaimOutcome, ReplayStore};

/// Lets requests in: once each, where their scheme can tell.
#[derive(Debug)]
pub struct Gate {
    verifier: Verifier,
    replay: Arc<dyn ReplayStore>,
    clock: Arc<dyn Clock>,
}

/// What came of a request at the door, for those who report it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// What was seen.
    pub report: Report,
    /// Whether it got in.
    pub verdict: Result<Verified, Refusal>,
    /// Why the replay store closed the door, when it did.
    pub store_error: Option<StoreError>,
}

impl Gate {
    /// A door with these keys and this memory.
    #[must_use]
    pub fn new(verifier: Verifier, replay: Arc<dyn ReplayStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            verifier,
            replay,
            clock,
        }
    }

    /// What decides before anything is spent.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Lets a request in, spending its nonce or request id in one atomic step.
    ///
    /// Dropped before it answers, it may have spent the nonce.
    ///
    /// # Errors
    /// Why it does not get in. Before the signature fits, nothing is spent; a store that fails
    /// closes the door.
    pub async fn admit(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
    ) -> Result<Verified, Refusal> {
        self.examine(request, scratch).await.verdict
    }

    /// The same, with what was seen on the way, refused or not.
    pub async fn examine(&self, request: &Request<'_>, scratch: &mut Scratch) -> Examined {
        let (report, checked) = self.verifier.examine(request, self.clock.now(), scratch);
        let checked = match checked {
            Ok(checked) => checked,
            Err(refusal) => {
                return Examined {
                    report,
                    verdict: Err(refusal),
                    store_error: None,
                };
            }
        };
        let (spent, store_error) = match self.spend(&checked).await {
            Ok(None) => (Ok(()), None),
            Ok(Some(refusal)) => (Err(refusal), None),
            Err(error) => (Err(Refusal::ReplayStoreUnavailable), Some(error)),
        };
        let verdict = spent.map(|()| Verified {
            principal: checked.principal.clone(),
            key_id: checked.key_id.clone(),
            scheme: checked.scheme,
            deprecated: checked.mode == Mode::Dual && checked.scheme != Scheme::V2,
            body_sha256: checked.body_sha256,
            report: report.clone(),
        });
        Examined {
            report,
            verdict,
            store_error,
        }
    }

    /// Asks the store what the signature alone cannot tell.
    async fn spend(&self, checked: &Checked<'_>) -> Result<Option<Refusal>, StoreError> {
        if let Some(mark) = &checked.look_up
            && self.replay.v1_marked(checked.principal, mark).await?
        {
            return Ok(Some(Refusal::NonceReplayed));
        }
        let Some(claim) = &checked.claim else {
            return Ok(None);
        };
        Ok(match self.replay.claim(claim).await? {
            ClaimOutcome::Claimed => None,
            ClaimOutcome::Replayed => Some(Refusal::NonceReplayed),
            ClaimOutcome::TooOld => Some(Refusal::TimestampOutsideWindow),
        })
    }
}
