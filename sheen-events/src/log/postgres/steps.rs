//! The steps, each on its own or in a caller's transaction.

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::BuildId;
use sheen_core::postgres::{Line, escape};
use sheen_core::token::FencingToken;
use sqlx::postgres::PgRow;

use super::number;
use super::rows::{Done, EventRow, corrupt};
use crate::log::decide::{AppendDecision, StreamPosition};
use crate::log::types::{
    Append, AppendOutcome, Event, EventStatus, NewEvent, NewStream, StreamHead, Visibility,
};

/// How often one append is decided before it gives up. Each miss means that the stream's token,
/// openness or end changed in between, which happens a few times in its life.
const DECISIONS: u32 = 8;

/// Opens a stream whose epoch is `epoch` if it is new.
pub(super) async fn open(
    line: &mut Line<'_>,
    stream: &NewStream,
    epoch: u64,
) -> Result<StreamHead, StoreError> {
    let epoch = number(epoch);
    // Twice at most: one that was opened meanwhile is not seen by the statement that met it.
    for _ in 0..2 {
        let found = line
            .row(|| {
                sqlx::query(include_str!("sql/open.sql"))
                    .bind(stream.build.as_str())
                    .bind(stream.user.as_str())
                    .bind(stream.session.as_str())
                    .bind(epoch)
            })
            .await?;
        if let Some(found) = found {
            return EventRow(&found)
                .head()?
                .ok_or_else(|| corrupt("a stream without a build"));
        }
    }
    Err(StoreError::new(StoreErrorKind::Contended))
}

/// Appends events, deciding again over a stream that is not as it was taken to be.
pub(super) async fn append(
    line: &mut Line<'_>,
    append: Append,
) -> Result<AppendOutcome, StoreError> {
    if !append.is_well_formed() {
        return Err(StoreError::new(StoreErrorKind::Rejected));
    }
    let mut seen = StreamPosition {
        token: append.token,
        ..StreamPosition::default()
    };
    for _ in 0..DECISIONS {
        match seen.decide(append.token) {
            AppendDecision::Fenced => return Ok(AppendOutcome::Fenced),
            AppendDecision::Closed => return Ok(AppendOutcome::Closed),
            AppendDecision::Append => {}
        }
        let sent = send(line, &append, &seen).await?;
        let sent = EventRow(&sent);
        let Some(stream) = sent.head()? else {
            return Ok(AppendOutcome::NotFound);
        };
        if let Some(done) = sent.done()? {
            let events = first_answer(line, &append, &stream, done).await?;
            return Ok(AppendOutcome::Duplicate(events));
        }
        seen = sent.position()?;
        if sent.get("hit")? {
            let first = sent.instant("first_ms")?;
            let Append { build, events, .. } = append;
            let events = seen.number(first, &build, &stream.session, events);
            return Ok(AppendOutcome::Appended(events));
        }
    }
    Err(StoreError::new(StoreErrorKind::Contended))
}

/// Sends an append that was decided over `seen`.
async fn send(
    line: &mut Line<'_>,
    append: &Append,
    seen: &StreamPosition,
) -> Result<PgRow, StoreError> {
    // What the events would make of the end is all that the decision adds to them.
    let mut after = seen.clone();
    after.note(append.events.iter());
    let ends = |event: &NewEvent| {
        event.visibility == Visibility::User && EventStatus::decided_by(&event.kind).is_some()
    };
    let any_ended = !append.events.iter().any(ends);
    let visible: Vec<bool> = append
        .events
        .iter()
        .map(|event| event.visibility == Visibility::User)
        .collect();
    let kinds: Vec<&str> = append.events.iter().map(|e| e.kind.as_str()).collect();
    let data: Vec<&str> = append.events.iter().map(|e| &*e.data).collect();
    line.row(|| {
        sqlx::query(include_str!("sql/append.sql"))
            .bind(append.build.as_str())
            .bind(append.key.as_deref().map(escape))
            .bind(number(append.token.get()))
            .bind(any_ended)
            .bind(seen.ended_by.as_ref().map(|kind| kind.as_str()))
            .bind(after.ended_by.as_ref().map(|kind| kind.as_str()))
            .bind(&visible)
            .bind(&kinds)
            .bind(&data)
    })
    .await?
    .ok_or_else(|| corrupt("no row for an append"))
}

async fn first_answer(
    line: &mut Line<'_>,
    append: &Append,
    stream: &StreamHead,
    done: Done,
) -> Result<Vec<Event>, StoreError> {
    let found = line
        .rows(|| {
            sqlx::query(include_str!("sql/appended.sql"))
                .bind(append.build.as_str())
                .bind(done.head.0)
                .bind(done.head.1)
                .bind(done.hidden.0)
                .bind(done.hidden.1)
        })
        .await?;
    found
        .iter()
        .map(|found| EventRow(found).event(&append.build, &stream.session))
        .collect()
}

/// Raises the token that may append.
pub(super) async fn raise(
    line: &mut Line<'_>,
    build: &BuildId,
    token: FencingToken,
) -> Result<bool, StoreError> {
    let found = line.row(|| {
        sqlx::query(include_str!("sql/raise.sql"))
            .bind(build.as_str())
            .bind(number(token.get()))
    });
    Ok(found.await?.is_some())
}

/// Ends a stream.
pub(super) async fn close(line: &mut Line<'_>, build: &BuildId) -> Result<bool, StoreError> {
    let found = line.row(|| sqlx::query(include_str!("sql/close.sql")).bind(build.as_str()));
    Ok(found.await?.is_some())
}
