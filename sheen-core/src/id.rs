//! Identifiers as types of their own, so that a build cannot be passed where a user is meant.
//!
//! Every id is 1–128 bytes of `A-Za-z0-9_.:-` (a build session up to 200), wire.md §5. Parsing is
//! the only way in, so an id in hand is a valid one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::entropy::Entropy;
use crate::time::Timestamp;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than the bound, in bytes.
    #[error("must be at most {max} characters")]
    TooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// The text holds something outside `A-Za-z0-9_.:-`.
    #[error("may only hold letters, digits and _ . : -")]
    Character,
}

impl IdError {
    /// A stable code for `data.fields[].code` (wire.md §3).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::TooLong { .. } => "too_long",
            Self::Character => "invalid_characters",
        }
    }
}

fn check(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong { max });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(IdError::Character)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest such id, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Takes a text as an id.
            ///
            /// # Errors
            /// When it is empty, longer than [`Self::MAX_LEN`] or holds a character outside
            /// `A-Za-z0-9_.:-`.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text, $max)?;
                Ok(Self(text.into()))
            }

            /// The id as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text, $max)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                (*id.0).to_owned()
            }
        }
    )*};
}

ids! {
    /// A person, known to every front end by the same id (wire.md §2).
    UserId, 128;
    /// One front end, whatever key it signs with: the scope of nonces and idempotency keys.
    PrincipalId, 128;
    /// A signing key of a principal.
    KeyId, 128;
    /// A site that someone builds.
    ProjectId, 128;
    /// One run of the builder for a project.
    BuildId, 128;
    /// The version of a project that a build makes.
    VersionId, 128;
    /// What a caller calls one start and everything that follows from it.
    BuildSessionId, 200;
    /// A caller's name for one operation, so that a repeat is known as such.
    OperationId, 128;
    /// A hold on an account's seconds.
    ReservationId, 128;
    /// A purchase, unique over all accounts.
    PaymentId, 128;
    /// One ledger entry.
    EntryId, 128;
    /// A process that builds, unique per process start: two replicas never share one.
    WorkerId, 128;
    /// A service's lasting name for one observer of settled builds.
    ObserverId, 128;
    /// One message of a project's conversation.
    MessageId, 128;
}

/// Formats 16 random bytes as a version 4 UUID (RFC 9562).
fn uuid_v4(entropy: &dyn Entropy) -> String {
    let mut b = [0u8; 16];
    entropy.fill(&mut b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let h = const_hex::encode(b);
    format!(
        "{}-{}-{}-{}-{}",
        &h[..8],
        &h[8..12],
        &h[12..16],
        &h[16..20],
        &h[20..]
    )
}

/// A request id of the worker's own making, `req_{uuid v4}` (wire.md §3).
#[must_use]
pub fn generate_request_id(entropy: &dyn Entropy) -> String {
    format!("req_{}", uuid_v4(entropy))
}

macro_rules! generated {
    ($($name:ident, $prefix:literal;)*) => {$(
        impl $name {
            #[doc = concat!("A fresh id, `", $prefix, "{uuid v4}`.")]
            #[must_use]
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(format!(concat!($prefix, "{}"), uuid_v4(entropy)).into())
            }
        }
    )*};
}

generated! {
    BuildId, "bld_";
    VersionId, "ver_";
    WorkerId, "wrk_";
    MessageId, "msg_";
}

impl BuildSessionId {
    /// A fresh build session, `bs_{projectId}_{epoch ms}_{8 hex}` (wire.md §5).
    #[must_use]
    pub fn generate(project: &ProjectId, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut tail = [0u8; 4];
        entropy.fill(&mut tail);
        let millis = now.as_millis();
        Self(format!("bs_{project}_{millis}_{}", const_hex::encode(tail)).into())
    }
}

macro_rules! derived {
    ($($name:ident, $prefix:literal;)*) => {$(
        impl $name {
            #[doc = concat!("The id `", $prefix, "{32 hex}` that `parts` always give.")]
            ///
            /// A repeat of the same operation derives the same id, so that a retry after a lost
            /// answer names the same row. Parts are length-prefixed before hashing: no two lists
            /// of parts collide by their joints.
            #[must_use]
            pub fn derive(parts: &[&str]) -> Self {
                Self(format!(concat!($prefix, "{}"), digest_hex(parts)).into())
            }
        }
    )*};
}

derived! {
    ReservationId, "res_";
    EntryId, "ent_";
    OperationId, "op_";
}

fn digest_hex(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    const_hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn bounds_and_characters_are_those_of_the_wire() {
        assert_eq!(UserId::parse(""), Err(IdError::Empty));
        assert!(UserId::parse(&"a".repeat(128)).is_ok());
        assert_eq!(
            UserId::parse(&"a".repeat(129)),
            Err(IdError::TooLong { max: 128 })
        );
        assert!(BuildSessionId::parse(&"a".repeat(200)).is_ok());
        assert!(BuildSessionId::parse(&"a".repeat(201)).is_err());
        assert!(UserId::parse("aZ09_.:-").is_ok());
        for bad in ["a b", "é", "a/b", "a\0", "a\n", "a+b", "%41"] {
            assert_eq!(UserId::parse(bad), Err(IdError::Character), "{bad:?}");
        }
    }

    #[test]
    fn serde_refuses_what_parse_refuses() {
        assert!(serde_json::from_str::<UserId>("\"u1\"").is_ok());
        assert!(serde_json::from_str::<UserId>("\"u 1\"").is_err());
    }

    #[test]
    fn generated_ids_have_the_shape_of_the_wire_and_differ() {
        let entropy = SeededEntropy::new(1);
        let id = generate_request_id(&entropy);
        assert_eq!(id.len(), 40);
        assert_eq!(&id[18..19], "4");
        assert_ne!(id, generate_request_id(&entropy));
        let project = ProjectId::parse(&"p".repeat(128)).unwrap();
        let session = BuildSessionId::generate(
            &project,
            Timestamp::from_millis(1_763_634_600_000),
            &entropy,
        );
        assert!(BuildSessionId::parse(session.as_str()).is_ok());
        assert!(session.as_str().starts_with("bs_ppp"));
        assert_eq!(session.as_str().rsplit('_').nth(1), Some("1763634600000"));
        assert_eq!(session.as_str().rsplit('_').next().map(str::len), Some(8));
    }

    #[test]
    fn derived_ids_repeat_and_do_not_collide_at_the_joints() {
        assert_eq!(
            ReservationId::derive(&["u", "op"]),
            ReservationId::derive(&["u", "op"])
        );
        assert_ne!(
            ReservationId::derive(&["u", "op"]),
            ReservationId::derive(&["uo", "p"])
        );
    }
}
