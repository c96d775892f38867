//! The contract of a store of spent things.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::PrincipalId;

use super::types::{Claim, ClaimOutcome, V1Mark};

/// Spends nonces and request ids, and marks v1 signatures. Each step is atomic.
///
/// 1. **C1** Of any number of claims of one thing by one principal, one is `Claimed`; the others
///    are `Replayed`, whatever timestamp or mark they carry.
/// 2. **C2** Claims of two principals never meet, nor does a nonce meet a request id.
/// 3. **C3** A claim is known at least until [`Claim::remember_until`], that instant included, by
///    the store's clock; nothing else makes a store forget it.
/// 4. **C4** After that it is forgotten in the end: the same text under a new timestamp can be
///    claimed again.
/// 5. **C5** A claim whose `remember_until` has passed is `TooOld`: it may have been spent and
///    forgotten. So is one signed more than 2 s before a store that lost its memory started.
/// 6. **C6** The mark of a claim that is `Claimed` is seen by `v1_marked` for
///    [`MARK_LIFE`](super::MARK_LIFE), its last instant included, then no more; marking again
///    begins the life anew.
/// 7. **C7** A mark that is already there refuses nothing: a fresh nonce beside it is `Claimed`.
/// 8. **C8** A claim that is not `Claimed` writes nothing, its mark included.
/// 9. **C9** Marks of two principals never meet, and looking changes nothing.
/// 10. **C10** A full store refuses with [`Full`](sheen_core::error::StoreErrorKind::Full), writes
///     neither claim nor mark, and forgets nothing to make room.
#[async_trait]
pub trait ReplayStore: Debug + Send + Sync + 'static {
    /// Spends a thing once (C1–C8, C10).
    ///
    /// # Errors
    /// When the store fails or is full. The request must then be refused; when the outcome is not
    /// known the thing may be spent.
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError>;

    /// Whether this v1 signature of `principal` came beside an accepted v2 one (C6, C9).
    ///
    /// # Errors
    /// When the store fails. The request must then be refused.
    async fn v1_marked(&self, principal: &PrincipalId, mark: &V1Mark) -> Result<bool, StoreError>;
}
