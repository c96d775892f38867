//! The contract of a store of idempotency records.

use std::fmt::Debug;

use async_trait::async_trait;

use super::types::{
    BeginOutcome, ExtendOutcome, Fingerprint, IdempotencyKey, Lease, LeaseOutcome, Scope,
    StoredAnswer,
};
use crate::error::StoreError;

/// Records under a lease. Each step is atomic.
///
/// 1. **C1** Of any number of first calls with one key, one is `Started`; the others are
///    `InProgress` until it completes, then `Replay`.
/// 2. **C2** Another fingerprint is `Reused`, while the first runs and after it completed.
/// 3. **C3** The replayed answer is the stored one: status, headers, bytes, request id.
/// 4. **C4** Records of two scopes never meet.
/// 5. **C5** A lease that expired by the store's clock can be taken over by the same call, with a
///    higher token; by another call it is still `Reused`.
/// 6. **C6** Completing or abandoning with a token that is not the last is `Lost`, and the record
///    stays as it is. A store never gives a token twice, so that this holds across a key that was
///    freed and taken again.
/// 7. **C7** An abandoned key is free: the next call with it starts, whatever its fingerprint.
/// 8. **C8** A completed record is kept for its lifetime and then forgotten; the key is free then.
/// 9. **C9** A full store refuses with [`Full`](crate::error::StoreErrorKind::Full) and evicts
///    nothing that is alive.
/// 10. **C10** An extended lease lasts its whole time again; an expired one that nobody took over
///     can be extended, a completed one cannot.
/// 11. **C11** Reaping removes only expired leases and forgotten records, at most `limit`.
/// 12. **C12** Completing twice with the same lease and answer is `Done` both times.
/// 13. **C13** Looking changes nothing.
/// 14. **C14** Any step may be repeated when its answer was lost, whether it was done or not:
///     completing and extending come to the same, abandoning is `Lost` once it was done, and a
///     beginning finds its own lease `InProgress` until it lapses.
#[async_trait]
pub trait IdempotencyStore: Debug + Send + Sync + 'static {
    /// Takes the lease of a key, or says what came of it before (C1–C5).
    ///
    /// # Errors
    /// When the store fails or is full. The call must then not run.
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError>;

    /// Keeps a lease alive (C10).
    ///
    /// # Errors
    /// When the store fails.
    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError>;

    /// Stores the answer of a call (C6, C12).
    ///
    /// # Errors
    /// When the store fails.
    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError>;

    /// Frees the key of a call that changed nothing (C6, C7).
    ///
    /// # Errors
    /// When the store fails; the lease then lapses.
    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError>;

    /// What a beginning would find, without taking a lease: `None` when it would start (C13).
    ///
    /// # Errors
    /// When the store fails.
    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError>;

    /// Removes what is past its life; says how many records (C11).
    ///
    /// # Errors
    /// When the store fails.
    async fn reap(&self, limit: u32) -> Result<u32, StoreError>;
}
