//! Routes whose answers can be kept: known where a route is registered, by type.

use std::future::Future;

use axum::body::Body;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sheen_core::error::Code;
use sheen_core::idempotency::StoredAnswer;

use crate::problem::Problem;

/// An answer that is there whole, without trailers, and within the bound of what is kept.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The status.
    status: StatusCode,
    /// All headers; of them the layer keeps [`StoredAnswer::KEPT_HEADERS`].
    headers: HeaderMap,
    body: Bytes,
    is_kept: bool,
}

/// On an answer that is not kept under its call's key, though it is a success.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unkept;

impl Whole {
    /// Takes an answer. Make it before the effect where that is possible: a call that fails here
    /// is one that failed.
    ///
    /// # Errors
    /// `INTERNAL` when the body is over [`StoredAnswer::MAX_BODY`]: a fault of the route.
    pub fn new(
        status: StatusCode,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Self, Problem> {
        let body = body.into();
        if body.len() > StoredAnswer::MAX_BODY {
            return Err(Problem::new(Code::Internal));
        }
        Ok(Self {
            status,
            headers,
            body,
            is_kept: true,
        })
    }

    /// The same, kept under no key: it tells a refusal that a repeat may overcome. The key is freed as
    /// by a refusal, so the call must be one that may be made again.
    #[must_use]
    pub const fn unkept(mut self) -> Self {
        self.is_kept = false;
        self
    }

    /// The headers, to add to.
    pub const fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl IntoResponse for Whole {
    fn into_response(self) -> Response {
        let mut answer = Response::new(Body::from(self.body));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        if !self.is_kept {
            answer.extensions_mut().insert(Unkept);
        }
        answer
    }
}

/// Handlers that answer with a [`Whole`] or with a refusal, which is never kept. Streams and
/// bodies of unknown length have no such type, so that their routes do not compile:
///
/// ```compile_fail
/// use axum::response::Response;
/// async fn stream() -> Response { Response::default() }
/// let _: axum::routing::MethodRouter = sheen_axum::idempotency::post(stream);
/// ```
pub trait AnswersWhole<Signature>: sealed::Sealed<Signature> {}

mod sealed {
    pub trait Sealed<Signature> {}
}

macro_rules! answers_whole {
    ($($argument:ident)*) => {
        impl<F, Fut, E, $($argument,)*> sealed::Sealed<(E, $($argument,)*)> for F
        where
            F: FnOnce($($argument,)*) -> Fut,
            Fut: Future<Output = Result<Whole, E>>,
            E: IntoResponse,
        {
        }

        impl<F, Fut, E, $($argument,)*> AnswersWhole<(E, $($argument,)*)> for F
        where
            F: FnOnce($($argument,)*) -> Fut,
            Fut: Future<Output = Result<Whole, E>>,
            E: IntoResponse,
        {
        }
    };
}

answers_whole!();
answers_whole!(A1);
answers_whole!(A1 A2);
answers_whole!(A1 A2 A3);
answers_whole!(A1 A2 A3 A4);
answers_whole!(A1 A2 A3 A4 A5);
answers_whole!(A1 A2 A3 A4 A5 A6);

macro_rules! methods {
    ($($method:ident $name:literal;)*) => {$(
        #[doc = concat!("A ", $name, " route for an [`IdempotencyLayer`](super::IdempotencyLayer).")]
        ///
        /// ```
        /// use axum::Router;
        /// use http::{HeaderMap, StatusCode};
        /// use sheen_axum::idempotency::{self, Whole};
        /// use sheen_axum::problem::Problem;
        ///
        /// async fn done() -> Result<Whole, Problem> {
        ///     Whole::new(StatusCode::OK, HeaderMap::new(), "done")
        /// }
        #[doc = concat!("let _: Router = Router::new().route(\"/\", idempotency::", stringify!($method), "(done));")]
        /// ```
        pub fn $method<H, T, A, S>(handler: H) -> MethodRouter<S>
        where
            H: Handler<T, S> + AnswersWhole<A>,
            T: 'static,
            S: Clone + Send + Sync + 'static,
        {
            routing::$method(handler)
        }
    )*};
}

methods! {
    post "POST";
    put "PUT";
    patch "PATCH";
}
