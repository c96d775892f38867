//! Taking a body whole, under a limit.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use sheen_core::error::Code;

use super::intake::Held;
use crate::problem::Problem;

/// How much of a body over its limit is read and dropped, so that the answer arrives (wire.md §1).
const MOST_DROPPED: usize = 64 * 1024 * 1024;

/// The largest body of most calls (wire.md §1).
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;
/// The largest body of a start (wire.md §1).
pub const START_BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Why a body was not taken.
#[derive(Debug)]
pub(crate) enum BodyRefusal {
    /// Over the limit; all of it was read.
    TooLarge,
    /// Over the limit and over what is dropped: the connection cannot go on.
    Endless,
    /// The caller went away or sent nonsense.
    Broken,
    /// It took longer than an [`Intake`](super::Intake) waits; the connection cannot go on.
    Late,
    /// All bodies together are over what an [`Intake`](super::Intake) holds.
    Crowded,
}

impl BodyRefusal {
    pub(crate) fn into_problem(self) -> (Problem, Option<(header::HeaderName, HeaderValue)>) {
        match self {
            Self::TooLarge => (Problem::new(Code::PayloadTooLarge), None),
            Self::Endless => (
                Problem::new(Code::PayloadTooLarge),
                Some((header::CONNECTION, HeaderValue::from_static("close"))),
            ),
            Self::Late => (
                Problem::field("body", "incomplete", "did not arrive in time"),
                Some((header::CONNECTION, HeaderValue::from_static("close"))),
            ),
            Self::Crowded => (
                Problem::new(Code::RateLimited).retry_after(1),
                Some((header::CONNECTION, HeaderValue::from_static("close"))),
            ),
            Self::Broken => (
                Problem::field("body", "incomplete", "could not be read to its end"),
                None,
            ),
        }
    }
}

/// What becomes of a body that is within its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is handed on.
    All,
    /// It is read, so that the answer arrives, and dropped: the call is refused whatever it says.
    Nothing,
}

/// Reads `body` whole, if it is at most `limit` bytes.
pub(crate) async fn take(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    keep: Keep,
    mut held: Option<&mut Held>,
) -> Result<Bytes, BodyRefusal> {
    let stated = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|stated| stated > limit.max(MOST_DROPPED)) {
        return Err(BodyRefusal::Endless);
    }
    let mut body = body;
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut total = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyRefusal::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        if total > limit {
            first = None;
            whole = BytesMut::new();
            if total > limit.max(MOST_DROPPED) {
                return Err(BodyRefusal::Endless);
            }
        } else if keep == Keep::Nothing {
            // Counted above, and no more.
        } else {
            if let Some(held) = &mut held
                && !held.grow(data.len())
            {
                return Err(BodyRefusal::Crowded);
            }
            if first.is_none() && whole.is_empty() {
                // A body in one piece is not copied.
                first = Some(data);
                continue;
            }
            if let Some(piece) = first.take() {
                whole.extend_from_slice(&piece);
            }
            // Room for what came, not for what was said to come.
            whole.extend_from_slice(&data);
        }
    }
    if total > limit {
        return Err(BodyRefusal::TooLarge);
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn pieces(count: usize, size: usize) -> Body {
        let pieces = (0..count).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; size])));
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_up_to_its_limit_comes_whole_and_one_over_it_does_not() {
        let none = HeaderMap::new();
        let whole = take(&none, pieces(3, 10), 30, Keep::All, None)
            .await
            .unwrap();
        assert_eq!(whole, vec![7; 30]);
        assert!(matches!(
            take(&none, pieces(3, 10), 29, Keep::All, None).await,
            Err(BodyRefusal::TooLarge)
        ));
        assert_eq!(
            take(&none, Body::empty(), 0, Keep::All, None)
                .await
                .unwrap(),
            ""
        );
        assert_eq!(
            take(&none, pieces(3, 10), 30, Keep::Nothing, None)
                .await
                .unwrap(),
            ""
        );
    }

    #[tokio::test]
    async fn reading_ends_at_64_mib_and_at_a_length_that_says_so() {
        let none = HeaderMap::new();
        let mebibyte = 1024 * 1024;
        assert!(matches!(
            take(&none, pieces(64, mebibyte), 10, Keep::All, None).await,
            Err(BodyRefusal::TooLarge)
        ));
        assert!(matches!(
            take(&none, pieces(65, mebibyte), 10, Keep::All, None).await,
            Err(BodyRefusal::Endless)
        ));
        let mut said = HeaderMap::new();
        said.insert(CONTENT_LENGTH, HeaderValue::from_static("99999999999"));
        assert!(matches!(
            take(&said, Body::empty(), 10, Keep::All, None).await,
            Err(BodyRefusal::Endless)
        ));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err(std::io::Error::other("gone")),
        ]);
        let none = HeaderMap::new();
        assert!(matches!(
            take(&none, Body::from_stream(broken), 10, Keep::All, None).await,
            Err(BodyRefusal::Broken)
        ));
    }
}
