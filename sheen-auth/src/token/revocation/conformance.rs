//! What every store of epochs must show, one case a clause of [`RevocationStore`].
//!
//! ```
//! use std::sync::Arc;
//! use sheen_auth::token::revocation::{MemoryRevocationStore, conformance::Harness};
//! use sheen_core::time::{Advance, Clock, ManualClock, Timestamp};
//!
//! fn harness() -> Harness {
//!     let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
//!     let store = Arc::new(MemoryRevocationStore::new(clock.clone(), 50));
//!     let advance = Advance::manual(clock.clone());
//!     Harness::new(store, move || clock.now(), advance).bounded(50)
//! }
//! sheen_auth::revocation_store_conformance!(harness());
//! # fn main() {}
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_core::error::StoreErrorKind;
use sheen_core::id::UserId;
use sheen_core::time::{Advance, Timestamp};

use super::store::RevocationStore;
use super::types::Epoch;

/// A fresh store and a hold on its clock.
pub struct Harness {
    store: Arc<dyn RevocationStore>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    advance: Advance,
    capacity: Option<usize>,
}

impl Harness {
    /// A store that knows no user, what its clock says, and how to move that clock forward.
    pub fn new(
        store: Arc<dyn RevocationStore>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        advance: Advance,
    ) -> Self {
        Self {
            store,
            now: Box::new(now),
            advance,
            capacity: None,
        }
    }

    /// The store refuses one user more than this (C5).
    #[must_use]
    pub const fn bounded(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    async fn revoke(&self, user: &UserId) -> Epoch {
        self.store.revoke(user).await.expect("the store works")
    }

    async fn revoked(&self, user: &UserId, issued_at: Timestamp) -> bool {
        let epoch = self.store.epoch(user).await.expect("the store works");
        epoch.is_some_and(|epoch| epoch.revokes(issued_at))
    }

    /// The second that a token issued now carries.
    fn issued(&self) -> Timestamp {
        Timestamp::from_millis((self.now)().as_seconds() * 1000)
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid id")
}

const SECOND: Duration = Duration::from_secs(1);

/// C1.
pub async fn c01_what_was_issued_up_to_now_is_revoked_and_nothing_later(h: Harness) {
    let user = user("u_1");
    let issued = h.issued();
    assert!(!h.revoked(&user, issued).await);
    let epoch = h.revoke(&user).await;
    assert!(epoch.revokes(issued) && epoch.revokes(issued.minus(SECOND)));
    assert!(h.revoked(&user, issued).await);
    assert!(h.revoked(&user, issued.minus(SECOND)).await);
    // A database's own clock moves on by itself, by less than this.
    h.advance.by(10 * SECOND).await;
    assert!(!h.revoked(&user, h.issued()).await);
    assert!(!epoch.revokes(issued.plus(10 * SECOND)));
}

/// C2.
pub async fn c02_an_epoch_moves_on_and_never_back(h: Harness) {
    let user = user("u_1");
    let first = h.revoke(&user).await;
    let again = h.revoke(&user).await;
    assert!(again >= first);
    h.advance.by(5 * SECOND).await;
    let later = h.revoke(&user).await;
    assert!(later > again);
    let known = h.store.epoch(&user).await.expect("the store works");
    assert_eq!(known, Some(later));
}

/// C3.
pub async fn c03_users_never_meet_and_looking_changes_nothing(h: Harness) {
    let (one, two) = (user("u_1"), user("u_2"));
    h.advance.by(2 * SECOND).await;
    let issued = h.issued();
    assert!(!h.revoked(&one, issued).await);
    h.revoke(&one).await;
    for _ in 0..2 {
        assert!(h.revoked(&one, issued).await);
        assert!(!h.revoked(&two, issued).await);
    }
}

/// C4.
pub async fn c04_an_epoch_is_known_until_every_token_it_revokes_has_expired(h: Harness) {
    let user = user("u_1");
    let issued = h.issued();
    h.revoke(&user).await;
    h.advance.by(Epoch::KEEP - SECOND).await;
    h.revoke(&self::user("another")).await;
    assert!(h.revoked(&user, issued).await);
}

/// C5. Shows nothing for a store that states no bound.
pub async fn c05_a_full_store_refuses_and_forgets_nobody(h: Harness) {
    let Some(capacity) = h.capacity else {
        return;
    };
    let users: Vec<UserId> = (0..capacity).map(|n| user(&format!("u_{n}"))).collect();
    let issued = h.issued();
    for user in &users {
        h.revoke(user).await;
    }
    let more = user("one-too-many");
    let refused = h.store.revoke(&more).await.expect_err("it is full");
    assert_eq!(refused.kind, StoreErrorKind::Full);
    for user in &users {
        assert!(h.revoked(user, issued).await);
    }
    h.advance.by(SECOND).await;
    h.revoke(&users[0]).await;
    h.advance.by(Duration::from_secs(3600)).await;
    h.revoke(&more).await;
}

/// Expands to one `#[tokio::test]` for each clause of
/// [`RevocationStore`](crate::token::revocation::RevocationStore), each with a harness of its own;
/// the expression may await. The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! revocation_store_conformance {
    ($harness:expr) => {
        $crate::revocation_store_conformance! { @cases $harness;
            c01_what_was_issued_up_to_now_is_revoked_and_nothing_later
            c02_an_epoch_moves_on_and_never_back
            c03_users_never_meet_and_looking_changes_nothing
            c04_an_epoch_is_known_until_every_token_it_revokes_has_expired
            c05_a_full_store_refuses_and_forgets_nobody
        }
    };
    (@cases $harness:expr; $($case:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::token::revocation::conformance::$case($harness).await;
        }
    )*};
}
