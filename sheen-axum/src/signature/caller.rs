//! Who called.

use bytes::Bytes;
use sheen_auth::signature::{Scheme, Verified};
use sheen_auth::token::Viewer;
use sheen_core::id::{PrincipalId, UserId};

/// The body of a call, whole, in the request's extensions.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "a name for its bytes")]
pub struct BufferedBody(pub Bytes);

/// Who called, in the request's extensions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Caller {
    /// A front end, by its signature.
    Signed(Verified),
    /// A browser, by its viewer token.
    Viewer(Viewer, TokenPlace),
}

/// Where a viewer token stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Header,
    /// `?access_token=`: native `EventSource`, which gives up on any status but 200.
    Query,
}

impl Caller {
    /// The front end, if one signed.
    #[must_use]
    pub const fn principal(&self) -> Option<&PrincipalId> {
        match self {
            Self::Signed(verified) => Some(&verified.principal),
            Self::Viewer(..) => None,
        }
    }

    /// The token's user, if a token was shown.
    #[must_use]
    pub const fn viewer(&self) -> Option<&Viewer> {
        match self {
            Self::Signed(_) => None,
            Self::Viewer(viewer, _) => Some(viewer),
        }
    }

    /// SHA-256 of the body, where verifying made it.
    pub(crate) const fn body_sha256(&self) -> Option<[u8; 32]> {
        match self {
            Self::Signed(verified) => verified.body_sha256,
            Self::Viewer(..) => None,
        }
    }

    pub(crate) fn viewer_user(&self) -> Option<&UserId> {
        self.viewer().map(|viewer| &viewer.user)
    }

    /// Whether path and query are as the caller meant them. `v1-request-id` signs neither.
    #[must_use]
    pub fn covers_query(&self) -> bool {
        match self {
            Self::Signed(verified) => verified.scheme != Scheme::V1RequestId,
            Self::Viewer(..) => true,
        }
    }
}
