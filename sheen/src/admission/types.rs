//! What is admitted and settled, and what comes of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sheen_billing::account::{CapKind, Reserve, ReserveOutcome};
use sheen_core::build::{Build, BuildKind, FinishOutcome, NewBuild, Queued};
use sheen_core::id::{BuildId, BuildSessionId, OperationId};
use sheen_core::idempotency::{
    Fingerprint, IdempotencyKey, Scope, StoredAnswer, StoredAnswerError,
};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

/// The idempotency key of a call, and what the call was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedCall {
    /// Whose key.
    pub scope: Scope,
    /// Which key.
    pub key: IdempotencyKey,
    /// What the call said.
    pub fingerprint: Fingerprint,
}

impl KeyedCall {
    /// A call under `key`.
    #[must_use]
    pub const fn new(scope: Scope, key: IdempotencyKey, fingerprint: Fingerprint) -> Self {
        Self {
            scope,
            key,
            fingerprint,
        }
    }
}

/// Makes the answer that is kept under the call's key, from what was admitted.
///
/// It runs inside the atomic step, so it must be quick, and the same input must give the same
/// answer: the step may run more than once before it is applied.
pub type Render = dyn Fn(&Admitted) -> Result<StoredAnswer, StoredAnswerError> + Send + Sync;

/// The wish to have a build admitted and paid for.
#[derive(Clone)]
#[non_exhaustive]
pub struct Admit {
    /// The call's key, where it came with one.
    pub call: Option<KeyedCall>,
    /// The build; its `hold` is made by the step.
    pub build: NewBuild,
    /// What to hold for it.
    pub seconds: Seconds,
    /// How long the hold lives unless the build's claim or heartbeat extends it.
    pub hold_ttl: Duration,
    /// Makes the answer that is kept.
    pub render: Arc<Render>,
}

impl Admit {
    /// Admits `build` for `seconds`, with the default life of a hold.
    #[must_use]
    pub fn new(
        call: Option<KeyedCall>,
        build: NewBuild,
        seconds: Seconds,
        render: Arc<Render>,
    ) -> Self {
        Self {
            call,
            build,
            seconds,
            hold_ttl: Reserve::DEFAULT_TTL,
            render,
        }
    }

    /// The hold that pays for the build. Its operation, and so its id, follow from the build.
    #[must_use]
    pub fn reserve(&self) -> Reserve {
        let operation = operation_id(&self.build.id, self.build.input.kind, &self.build.session);
        let mut reserve = Reserve::new(self.build.user.clone(), operation, self.seconds);
        reserve.project = Some(self.build.project.clone());
        reserve.ttl = self.hold_ttl;
        reserve
    }
}

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit")
            .field("call", &self.call)
            .field("build", &self.build)
            .field("seconds", &self.seconds)
            .field("hold_ttl", &self.hold_ttl)
            .finish_non_exhaustive()
    }
}

/// The operation under which a build's hold is made, committed and released:
/// `{buildId}:{operationType}:{sessionId}`, hashed where it is too long (wire.md §4).
#[must_use]
pub fn operation_id(build: &BuildId, kind: BuildKind, session: &BuildSessionId) -> OperationId {
    let operation = match kind {
        BuildKind::Update => "update",
        // A kind this code does not know yet makes something, so it counts as a build.
        _ => "main_build",
    };
    let text = format!("{build}:{operation}:{session}");
    OperationId::parse(&text)
        .unwrap_or_else(|_| OperationId::derive(&[build.as_str(), operation, session.as_str()]))
}

/// A build that was admitted, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// The build and its place in the queue.
    pub queued: Queued,
}

impl Admitted {
    /// The build at its place.
    #[must_use]
    pub const fn new(queued: Queued) -> Self {
        Self { queued }
    }
}

/// What came of an admission. The variants stand in order of precedence (wire.md §§4, 15).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdmitOutcome {
    /// The key was used for another call. Nothing was written.
    KeyReused,
    /// The call was answered before: the same answer again. Nothing was written.
    Replayed(StoredAnswer),
    /// A call with this key still runs. Nothing was written.
    InProgress,
    /// The project is another user's. Nothing was written.
    NotOwner,
    /// The session has its build already; the answer was kept under the key.
    SessionKnown(Admitted, StoredAnswer),
    /// Another build of the project is active. Nothing was written.
    ProjectBusy {
        /// That build.
        active: BuildId,
    },
    /// The update would take its project past the bounds of a
    /// [`FileSet`](sheen_core::files::FileSet).
    /// Nothing was written.
    ProjectTooLarge,
    /// A daily cap would be passed. Nothing was written.
    CapReached {
        /// Which.
        cap: CapKind,
        /// When it starts anew.
        reset_at: Timestamp,
    },
    /// There are too few seconds. Nothing was written.
    Insufficient {
        /// What was asked for.
        required: Seconds,
        /// What there is.
        available: Seconds,
    },
    /// The build is queued and paid for; the answer was kept under the key.
    Admitted(Admitted, StoredAnswer),
}

/// What came of holding seconds for a project. The variants stand in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectReserveOutcome {
    /// The project is another user's. Nothing was written.
    NotOwner,
    /// What came of the reserve; the project is the user's from now on if it went through.
    Reserve(ReserveOutcome),
}

/// What a settlement did to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Charge {
    /// There was no hold.
    None,
    /// The hold was charged.
    Committed {
        /// What was charged.
        charged: Seconds,
        /// What was used and could not be charged.
        shortfall: Seconds,
    },
    /// The hold went back whole.
    Released,
    /// The hold had lapsed before.
    Lapsed,
    /// The hold had been committed or released by the credit routes before.
    ClosedElsewhere,
    /// The answer of the settlement was lost; the account's history has what became of the hold.
    Unknown,
}

/// A build that ended now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// The build.
    pub build: Build,
    /// What its hold became.
    pub charge: Charge,
}

impl Settled {
    /// `build`, ended with `charge`.
    #[must_use]
    pub const fn new(build: Build, charge: Charge) -> Self {
        Self { build, charge }
    }
}

/// What came of a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleOutcome {
    /// The build did not end by this; nothing was written. Never [`FinishOutcome::Finished`].
    Unchanged(FinishOutcome),
    /// It ended, its hold is closed, its stream is closed: all three, or none.
    Settled(Settled),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_after_its_build_and_hashed_where_that_is_too_long() {
        let build = BuildId::parse("b1").unwrap();
        let session = |text: &str| BuildSessionId::parse(text).unwrap();
        let short = operation_id(&build, BuildKind::Create, &session("s1"));
        assert_eq!(short.as_str(), "b1:main_build:s1");
        let long = operation_id(&build, BuildKind::Update, &session(&"s".repeat(200)));
        assert!(long.as_str().starts_with("op_"));
        assert_eq!(
            long,
            operation_id(&build, BuildKind::Update, &session(&"s".repeat(200)))
        );
        assert_ne!(
            long,
            operation_id(&build, BuildKind::Create, &session(&"s".repeat(200)))
        );
    }
}
