//! A replay as a `futures_core::Stream`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use sheen_core::error::StoreError;
use sheen_core::id::BuildId;
use sheen_core::runtime::BoxFuture;

use super::decide::Span;
use super::service::all_of;
use super::types::{ReplayError, ReplayFormat};
use crate::log::{AuditLog, AuditPage, AuditPlace, Event, EventLog, Visibility, encode_event};

/// The most events read at once and held for one reader.
pub(super) const PAGE: u32 = 128;

/// A chunk is given once it has so many bytes; the event that passes it is the last in.
const CHUNK: usize = 32 * 1024;

/// Where events come from, and so who they are for.
#[derive(Debug, Clone)]
pub(super) enum Source {
    User(Arc<dyn EventLog>),
    Operator(Arc<dyn AuditLog>),
}

type Reading = BoxFuture<'static, Result<Option<AuditPage>, StoreError>>;

impl Source {
    fn read(&self, build: BuildId, after: AuditPlace) -> Reading {
        match self.clone() {
            Self::User(log) => Box::pin(async move {
                let page = log.read(&build, after.seq, PAGE).await?;
                Ok(page.map(all_of))
            }),
            Self::Operator(log) => Box::pin(async move { log.read_all(&build, after, PAGE).await }),
        }
    }
}

enum Step {
    /// A page is there, or the next one is to be read.
    Idle,
    Reading(Reading),
    /// All was said, or it broke off.
    Done,
}

/// The bytes of a replay, in chunks of whole events. Each page is read when it is asked for. After
/// an error nothing more comes: whoever sends these bytes on must not end them as if all were said.
pub struct ReplayBody {
    source: Source,
    build: BuildId,
    format: ReplayFormat,
    span: Span,
    pending: std::vec::IntoIter<Event>,
    /// What the first page says of the log; seen when the body is first asked.
    broken: Option<ReplayError>,
    is_begun: bool,
    step: Step,
}

impl fmt::Debug for ReplayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("build", &self.build)
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

impl ReplayBody {
    /// A replay of `span`, whose first page is read already.
    pub(super) fn new(
        source: Source,
        build: BuildId,
        format: ReplayFormat,
        span: Span,
        first: AuditPage,
    ) -> Self {
        let mut body = Self {
            source,
            build,
            format,
            span,
            pending: Vec::new().into_iter(),
            broken: None,
            is_begun: false,
            step: Step::Idle,
        };
        if !body.span.is_over() {
            body.hold(first);
        }
        body
    }

    fn hold(&mut self, page: AuditPage) {
        match self.span.take(page, PAGE as usize) {
            Ok(events) => self.pending = events.into_iter(),
            Err(error) => self.broken = Some(error),
        }
    }

    /// What is at hand: events of the page, and the end when it is reached.
    fn fill(&mut self, out: &mut BytesMut) {
        while out.len() < CHUNK {
            let Some(event) = self.pending.next() else {
                break;
            };
            self.put(&event, out);
        }
        let is_over = self.pending.len() == 0 && self.span.is_over() && self.broken.is_none();
        if is_over {
            if self.format == ReplayFormat::Array {
                out.put_slice(if self.is_begun { b"]" } else { b"[]" });
            }
            self.step = Step::Done;
        }
    }

    fn put(&mut self, event: &Event, out: &mut BytesMut) {
        if self.format == ReplayFormat::Array {
            out.put_u8(if self.is_begun { b',' } else { b'[' });
        }
        self.is_begun = true;
        encode_event(event, out);
        if matches!(self.source, Source::Operator(_)) {
            // In place of the object's last brace.
            out.truncate(out.len() - 1);
            out.put_slice(match event.visibility {
                Visibility::User => br#","userVisible":true}"#,
                Visibility::Operator => br#","userVisible":false}"#,
            });
        }
        if self.format == ReplayFormat::Lines {
            out.put_u8(b'\n');
        }
    }

    fn break_off(&mut self, error: ReplayError) -> Poll<Option<Result<Bytes, ReplayError>>> {
        self.step = Step::Done;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for ReplayBody {
    type Item = Result<Bytes, ReplayError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.step {
                Step::Done => return Poll::Ready(None),
                Step::Reading(reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(read) => {
                        this.step = Step::Idle;
                        match read {
                            Ok(Some(page)) => this.hold(page),
                            Ok(None) => this.broken = Some(ReplayError::Gone),
                            Err(error) => this.broken = Some(error.into()),
                        }
                    }
                },
                Step::Idle => {
                    let mut out = BytesMut::new();
                    this.fill(&mut out);
                    if !out.is_empty() {
                        return Poll::Ready(Some(Ok(out.freeze())));
                    }
                    if matches!(this.step, Step::Done) {
                        return Poll::Ready(None);
                    }
                    if let Some(error) = this.broken.take() {
                        return this.break_off(error);
                    }
                    let reading = this.source.read(this.build.clone(), this.span.place);
                    this.step = Step::Reading(reading);
                }
            }
        }
    }
}
