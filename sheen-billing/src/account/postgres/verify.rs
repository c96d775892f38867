//! Recomputing accounts from their rows, each page in one statement and so of one instant.

use async_trait::async_trait;
use serde::Deserialize;
use sheen_core::error::StoreError;
use sheen_core::id::UserId;
use sheen_core::postgres::{rows, step_error};
use sheen_core::seconds::Seconds;
use sqlx::Row;

use super::PgCreditStore;
use super::rows::{AccountRow, PLACES, bucket_text, corrupt, named, place_text};
use crate::account::audit::{Audit, Books, Drift};
use crate::account::decide::{Head, Slices};
use crate::account::store::CreditAudit;
use crate::account::types::Bucket;

#[derive(Debug, Deserialize)]
struct BooksRow {
    user: UserId,
    account: Option<AccountRow>,
    moved: Vec<MovedRow>,
    held: Option<HeldRow>,
}

#[derive(Debug, Deserialize)]
struct MovedRow {
    bucket: String,
    from_place: String,
    to_place: String,
    seconds: u64,
    entries: u64,
    last_number: u64,
}

#[derive(Debug, Deserialize)]
struct HeldRow {
    open_holds: u64,
    gift: Seconds,
    welcome: Seconds,
    paid: Seconds,
}

impl BooksRow {
    fn drifts(&self) -> Result<Vec<Drift>, StoreError> {
        let mut books = Books::default();
        for row in &self.moved {
            let bucket = named(&Bucket::ALL, bucket_text, &row.bucket)?;
            let from = named(&PLACES, place_text, &row.from_place)?;
            let to = named(&PLACES, place_text, &row.to_place)?;
            books.moved.push((bucket, from, to, row.seconds));
            books.entries = books.entries.saturating_add(row.entries);
            books.last_number = books.last_number.max(row.last_number);
        }
        if let Some(held) = &self.held {
            books.open_holds = held.open_holds;
            books.held = Slices {
                daily_gift: held.gift,
                welcome_bonus: held.welcome,
                paid: held.paid,
            };
        }
        let head = self
            .account
            .as_ref()
            .map_or_else(Head::default, AccountRow::head);
        let open_holds = self.account.as_ref().map_or(0, AccountRow::open_holds);
        Ok(books.compare(&self.user, &head, open_holds))
    }
}

impl PgCreditStore {
    async fn books(
        &self,
        user: Option<&UserId>,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Audit, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/verify.sql"))
                .bind(user.map(UserId::as_str))
                .bind(after.map(UserId::as_str))
                .bind(i64::from(limit))
        })
        .await?;
        let mut audit = Audit::default();
        let mut last = None;
        for row in &found {
            let books: &str = row.try_get("books").map_err(step_error)?;
            let books: BooksRow = serde_json::from_str(books).map_err(corrupt)?;
            audit.drifts.extend(books.drifts()?);
            if books.account.is_some() {
                audit.accounts += 1;
                last = Some(books.user);
            }
        }
        audit.next = last.filter(|_| audit.accounts == limit);
        Ok(audit)
    }
}

#[async_trait]
impl CreditAudit for PgCreditStore {
    async fn verify(&self, user: &UserId) -> Result<Vec<Drift>, StoreError> {
        // Two, so that the page is not full and what has no account is found too.
        Ok(self.books(Some(user), None, 2).await?.drifts)
    }

    async fn verify_all(&self, after: Option<&UserId>, limit: u32) -> Result<Audit, StoreError> {
        self.books(None, after, limit.max(1)).await
    }
}
