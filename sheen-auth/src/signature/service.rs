//! The door: a signature that fits, then whatever must be spent for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::runtime::Sleep;
use sheen_core::time::Clock;

use super::decide::{Scratch, Verifier};
use super::modes::Mode;
use super::readiness::{Counts, Readiness};
use super::rollout::{self, Switch, SwitchError};
use super::types::{Checked, Refusal, Report, Request, Scheme, Verified};
use crate::guard::{Guard, guarded};
use crate::replay::{Claim, ClaimOutcome, ReplayStore};

/// Lets requests in: once each, where their scheme can tell. Counts what it sees, and takes changes
/// of a key's mode and latch while it works.
#[derive(Debug)]
pub struct Gate {
    verifier: Verifier,
    replay: Arc<dyn ReplayStore>,
    clock: Arc<dyn Clock>,
    counts: Counts,
    ready_after: u64,
    timestamp_only: Option<Arc<dyn FallbackWitness>>,
    guard: Option<Guard>,
    observers: Vec<Arc<dyn GateObserver>>,
}

/// What came of a request at the door, for those who report it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// What was seen.
    pub report: Report,
    /// Whether it got in.
    pub verdict: Result<Verified, Refusal>,
    /// How the replay store failed, when it did.
    pub store_error: Option<StoreError>,
}

/// Is told what came of each request at the door, to count or log it. Must not block.
pub trait GateObserver: fmt::Debug + Send + Sync + 'static {
    /// It was examined, and got in or not.
    fn examined(&self, examined: &Examined);
}

/// A request that got in by its timestamp alone.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fallback<'a> {
    /// Whose it is.
    pub principal: &'a PrincipalId,
    /// The key that signed it.
    pub key_id: &'a KeyId,
    /// The scheme that fitted.
    pub scheme: Scheme,
    /// How the replay store failed.
    pub error: &'a StoreError,
}

/// Is told of each request that gets in by its timestamp alone, to log it. Must not block.
pub trait FallbackWitness: fmt::Debug + Send + Sync + 'static {
    /// It got in, though the store could not say whether it was sent before.
    fn let_in(&self, fallback: &Fallback<'_>);
}

impl Gate {
    /// How many v2 calls [`Switch::WhenReady`] waits for, unless said otherwise.
    pub const READY_AFTER: u64 = 100;

    /// A door with these keys and this memory. A store that fails closes it.
    #[must_use]
    pub fn new(verifier: Verifier, replay: Arc<dyn ReplayStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            counts: Counts::new(&verifier),
            verifier,
            replay,
            clock,
            ready_after: Self::READY_AFTER,
            timestamp_only: None,
            guard: None,
            observers: Vec::new(),
        }
    }

    /// Also tells `observer` of every request.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn GateObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// A key is ready for `enforce-v2` once this many of its calls came as v2 since its count began,
    /// and none that would be refused: enough that each of its callers is among them. At least 1.
    #[must_use]
    pub fn ready_after(mut self, v2_calls: u64) -> Self {
        self.ready_after = v2_calls.max(1);
        self
    }

    /// A replay store that has not answered after `limit` has failed. For stores across a network:
    /// a call then waits no longer than this for either of its two questions.
    #[must_use]
    pub fn within(mut self, limit: Duration, sleep: Arc<dyn Sleep>) -> Self {
        self.guard = Some(Guard::new(limit, sleep));
        self
    }

    /// Lets in by their fresh timestamp alone what the store cannot be asked about, for as long as
    /// it fails: such requests can be replayed within their window. Each is counted and told to
    /// `witness`. Plain v1 has no timestamp and stays out, and so does a v2 request whose v1
    /// signature would be marked: without its mark a copy stripped of v2 would never be a replay. A
    /// full store still refuses, since a caller could fill it to switch its memory off.
    #[must_use]
    pub fn timestamp_only_when_store_fails(mut self, witness: Arc<dyn FallbackWitness>) -> Self {
        self.timestamp_only = Some(witness);
        self
    }

    /// What decides before anything is spent.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What was seen of each key since this door was made.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.counts.read(&self.verifier, self.ready_after)
    }

    /// Brings `key` to `mode` from the next request on, and begins its count anew. A key that is there
    /// already stays as it is.
    ///
    /// What was counted in [`Mode::Shadow`] says nothing of nonces, which are not spent there: a
    /// caller that repeats one shows in [`Mode::Dual`] first.
    ///
    /// # Errors
    /// When there is no such key, it is latched and v1 would decide, or `enforce-v2` would shut
    /// callers out and was not forced.
    pub fn switch(&self, key: &KeyId, mode: Mode, how: Switch) -> Result<(), SwitchError> {
        let place = self.place_of(key)?;
        let policies = self.verifier.policies();
        if policies.of(place).mode == mode {
            return Ok(());
        }
        if mode == Mode::EnforceV2 && how == Switch::WhenReady {
            self.counts.ready(place, self.ready_after)?;
        }
        let before = policies.change(place, |policy| rollout::with_mode(policy, mode))?;
        if before.mode != mode {
            self.counts.begin(place);
        }
        Ok(())
    }

    /// Refuses v1 from `key` from the next request on, whatever was counted.
    ///
    /// # Errors
    /// When there is no such key, or v1 decides in its mode.
    pub fn latch(&self, key: &KeyId) -> Result<(), SwitchError> {
        self.set_latch(key, true)
    }

    /// Takes the latch off `key` again.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn unlatch(&self, key: &KeyId) -> Result<(), SwitchError> {
        self.set_latch(key, false)
    }

    /// Forgets for [`Self::switch`] what was counted of `key`: its last v1 caller was mended.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn count_anew(&self, key: &KeyId) -> Result<(), SwitchError> {
        let place = self.place_of(key)?;
        self.counts.begin(place);
        Ok(())
    }

    fn set_latch(&self, key: &KeyId, latched: bool) -> Result<(), SwitchError> {
        let place = self.place_of(key)?;
        let policies = self.verifier.policies();
        let changed = policies.change(place, |policy| rollout::with_latch(policy, latched));
        changed.map(|_| ())
    }

    fn place_of(&self, key: &KeyId) -> Result<usize, SwitchError> {
        let place = self.verifier.ring().place_of(key.as_str());
        place.ok_or_else(|| SwitchError::UnknownKey(key.clone()))
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
        let now = self.clock.now();
        let (report, checked) = self.verifier.examine(request, now, scratch);
        let (verdict, store_error) = match checked {
            Ok(checked) => self.let_in(&checked, &report).await,
            Err(refusal) => (Err(refusal), None),
        };
        let outcome = verdict.as_ref().map(|_| ()).map_err(|refusal| *refusal);
        self.counts.record(&self.verifier, &report, outcome, now);
        let examined = Examined {
            report,
            verdict,
            store_error,
        };
        for observer in &self.observers {
            observer.examined(&examined);
        }
        examined
    }

    async fn let_in(
        &self,
        checked: &Checked<'_>,
        report: &Report,
    ) -> (Result<Verified, Refusal>, Option<StoreError>) {
        let (spent, store_error) = match self.spend(checked).await {
            Ok(spent) => (spent, None),
            Err(error) => {
                self.counts.store_failed();
                let spent = match self.falls_back(checked, &error) {
                    true => Ok(()),
                    false => Err(Refusal::ReplayStoreUnavailable),
                };
                (spent, Some(error))
            }
        };
        let verdict = spent.map(|()| Verified {
            principal: checked.principal.clone(),
            key_id: checked.key_id.clone(),
            scheme: checked.scheme,
            deprecated: checked.mode == Mode::Dual && checked.scheme != Scheme::V2,
            timestamp_only: store_error.is_some(),
            body_sha256: checked.body_sha256,
            report: report.clone(),
        });
        (verdict, store_error)
    }

    fn falls_back(&self, checked: &Checked<'_>, error: &StoreError) -> bool {
        let Some(witness) = &self.timestamp_only else {
            return false;
        };
        let vouches = |claim: &Claim<'_>| claim.mark.is_none();
        if !checked.claim.as_ref().is_some_and(vouches) || error.kind == StoreErrorKind::Full {
            return false;
        }
        self.counts.let_in_by_timestamp();
        witness.let_in(&Fallback {
            principal: checked.principal,
            key_id: checked.key_id,
            scheme: checked.scheme,
            error,
        });
        true
    }

    /// Asks the store what the signature alone cannot tell.
    async fn spend(&self, checked: &Checked<'_>) -> Result<Result<(), Refusal>, StoreError> {
        let guard = self.guard.as_ref();
        if let Some(mark) = &checked.look_up
            && guarded(guard, self.replay.v1_marked(checked.principal, mark)).await?
        {
            return Ok(Err(Refusal::NonceReplayed));
        }
        let Some(claim) = &checked.claim else {
            return Ok(Ok(()));
        };
        Ok(match guarded(guard, self.replay.claim(claim)).await? {
            ClaimOutcome::Claimed => Ok(()),
            ClaimOutcome::Replayed => Err(Refusal::NonceReplayed),
            ClaimOutcome::TooOld => Err(Refusal::TimestampOutsideWindow),
        })
    }
}
