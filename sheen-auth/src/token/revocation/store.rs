//! The contract of a store of epochs.

use std::fmt::Debug;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::UserId;

use super::types::Epoch;

/// Keeps each user's epoch. Each step is atomic.
///
/// 1. **C1** `revoke` answers with an epoch that revokes every token issued up to now by the store's
///    clock, its second included, and none of a later second; `epoch` then tells it.
/// 2. **C2** A user's epoch never goes back; revoking later moves it on.
/// 3. **C3** Users never meet, and looking changes nothing.
/// 4. **C4** An epoch is known for [`Epoch::KEEP`] from its instant on.
/// 5. **C5** A full store refuses with [`Full`](sheen_core::error::StoreErrorKind::Full) a user it
///    does not know, and forgets none; one it knows it can still revoke. Time makes room.
#[async_trait]
pub trait RevocationStore: Debug + Send + Sync + 'static {
    /// Takes back every token of `user` issued up to now (C1, C2, C5).
    ///
    /// # Errors
    /// When the store fails or is full; when the outcome is not known the tokens may count no more.
    async fn revoke(&self, user: &UserId) -> Result<Epoch, StoreError>;

    /// The user's epoch, if there is one (C1–C4).
    ///
    /// # Errors
    /// When the store fails. Nobody may then be let on.
    async fn epoch(&self, user: &UserId) -> Result<Option<Epoch>, StoreError>;
}
