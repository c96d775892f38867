//! The history of an account: its entries as pages, and as lines of JSON.

use std::sync::Arc;

use serde::Serialize;
use sheen_core::error::StoreError;
use sheen_core::id::{EntryId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::ledger::{Entry, EntryKind, Place};
use super::store::CreditReader;
use super::types::Bucket;

/// Reads histories, oldest entries first. Entries are never changed and their numbers have no gaps,
/// so a reader that goes on from its cursor misses nothing and sees nothing twice.
#[derive(Debug, Clone)]
pub struct History {
    reader: Arc<dyn CreditReader>,
}

/// A page of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// At most [`History::PAGE`], the oldest first.
    pub entries: Vec<Entry>,
    /// From where to go on; `None` when this was all there is.
    pub next_cursor: Option<String>,
}

/// What came of reading a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryOutcome {
    /// The cursor is not one of this account's.
    CursorInvalid,
    /// The page. That of an account nobody touched is empty.
    Page(HistoryPage),
}

impl History {
    /// How many entries a page has at most.
    pub const PAGE: u32 = 50;

    /// Histories as `reader` has them.
    #[must_use]
    pub fn new(reader: Arc<dyn CreditReader>) -> Self {
        Self { reader }
    }

    /// The page after `cursor`, the first one without.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        user: &UserId,
        cursor: Option<&str>,
    ) -> Result<HistoryOutcome, StoreError> {
        let Some(after) = cursor.map_or(Some(0), |text| number_of(user, text)) else {
            return Ok(HistoryOutcome::CursorInvalid);
        };
        let mut entries = self.reader.entries(user, after, Self::PAGE + 1).await?;
        let most = Self::PAGE as usize;
        let has_more = entries.len() > most;
        entries.truncate(most);
        let last = entries.last().filter(|_| has_more);
        let next_cursor = last.map(cursor_after);
        Ok(HistoryOutcome::Page(HistoryPage {
            entries,
            next_cursor,
        }))
    }

    /// The whole history of `user` as lines of JSON (NDJSON), some hundreds at a time.
    #[must_use]
    pub fn lines(&self, user: UserId) -> HistoryLines {
        HistoryLines {
            reader: Arc::clone(&self.reader),
            user,
            after: 0,
        }
    }
}

/// A cursor names the last entry that was read by its number and its id, which is derived from
/// account and number: one of another account, or one that was changed, is told from a good one.
fn cursor_after(entry: &Entry) -> String {
    format!("{}-{}", entry.number, entry.id)
}

fn number_of(user: &UserId, cursor: &str) -> Option<u64> {
    let (number, id) = cursor.split_once('-')?;
    let number: u64 = number.parse().ok()?;
    (Entry::id_of(user, number).as_str() == id).then_some(number)
}

/// A history on its way out. Between two steps it holds nothing but its place.
#[derive(Debug)]
pub struct HistoryLines {
    reader: Arc<dyn CreditReader>,
    user: UserId,
    after: u64,
}

/// An entry as a line of JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    number: u64,
    id: &'a EntryId,
    kind: EntryKind,
    bucket: Bucket,
    from: Place,
    to: Place,
    seconds: Seconds,
    reservation_id: Option<&'a ReservationId>,
    operation_id: Option<&'a str>,
    created_at: Timestamp,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            number: entry.number,
            id: &entry.id,
            kind: entry.kind,
            bucket: entry.bucket,
            from: entry.from,
            to: entry.to,
            seconds: entry.seconds,
            reservation_id: entry.reservation.as_ref(),
            operation_id: entry.operation.as_deref(),
            created_at: entry.created_at,
        }
    }
}

impl HistoryLines {
    /// How many entries are read at a time.
    pub const AT_ONCE: u32 = 500;

    /// The next lines, each with its line break; `None` after the last. Calling it again after a
    /// failure goes on where it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let read = self.reader.entries(&self.user, self.after, Self::AT_ONCE);
        let entries = read.await?;
        let Some(last) = entries.last() else {
            return Ok(None);
        };
        let mut lines = String::with_capacity(entries.len() * 256);
        for entry in &entries {
            let line = serde_json::to_string(&Line::of(entry)).map_err(|error| {
                StoreError::with_source(sheen_core::error::StoreErrorKind::Corrupt, error)
            })?;
            lines.push_str(&line);
            lines.push('\n');
        }
        self.after = last.number;
        Ok(Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_its_accounts_alone() {
        let [ann, bob] = ["ann", "bob"].map(|name| UserId::parse(name).unwrap());
        let entry = Entry::new(
            &ann,
            7,
            EntryKind::Purchase,
            Bucket::Paid,
            (Place::Granted, Place::Available),
            Seconds::from_u32(60),
            Timestamp::EPOCH,
        );
        let cursor = cursor_after(&entry);
        assert_eq!(number_of(&ann, &cursor), Some(7));
        assert_eq!(number_of(&bob, &cursor), None);
        for bad in [
            "",
            "7",
            "7-",
            "-7",
            &cursor.replacen('7', "8", 1),
            &cursor[1..],
        ] {
            assert_eq!(number_of(&ann, bad), None, "{bad:?}");
        }
    }
}
