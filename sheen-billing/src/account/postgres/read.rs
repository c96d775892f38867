//! Reading accounts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sheen_core::error::StoreError;
use sheen_core::id::{ReservationId, UserId};
use sheen_core::postgres::{row, rows, step_error};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PgCreditStore;
use super::rows::{
    HoldRow, KINDS, PLACES, bucket_text, corrupt, kind_text, named, place_text, seconds,
};
use super::step::Loaded;
use crate::account::decide;
use crate::account::ledger::{Entry, LedgerTotals, Totals};
use crate::account::refund::HoldView;
use crate::account::store::CreditReader;
use crate::account::types::{AccountView, Bucket};

impl PgCreditStore {
    pub(super) async fn read_holders(
        &self,
        asked: &[&str],
        holders: &mut BTreeMap<ReservationId, UserId>,
    ) -> Result<(), StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/holders.sql")).bind(asked)
        })
        .await?;
        for row in &found {
            let reservation: &str = row.try_get("reservation_id").map_err(step_error)?;
            let user: &str = row.try_get("user_id").map_err(step_error)?;
            holders.insert(
                ReservationId::parse(reservation).map_err(corrupt)?,
                UserId::parse(user).map_err(corrupt)?,
            );
        }
        Ok(())
    }

    /// The sums of one account, or of all. The server sums up in a type without bounds.
    async fn sums(&self, user: Option<&UserId>) -> Result<LedgerTotals, StoreError> {
        let summed = row(&self.pool, || {
            sqlx::query(include_str!("sql/totals.sql")).bind(user.map(UserId::as_str))
        })
        .await?
        .ok_or_else(|| corrupt("no row for totals"))?;
        let sum = |column: &str| {
            let text: &str = summed.try_get(column).map_err(step_error)?;
            text.parse().map_err(corrupt)
        };
        Ok(LedgerTotals {
            granted: sum("granted")?,
            available: sum("available")?,
            held: sum("held")?,
            charged: sum("charged")?,
            breakage: sum("breakage")?,
        })
    }
}

fn entry(user: &UserId, row: &PgRow) -> Result<Entry, StoreError> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(step_error);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(step_error);
    let place = |column: &str| named(&PLACES, place_text, text(column)?);
    let mut entry = Entry::new(
        user,
        u64::try_from(number("number")?).map_err(corrupt)?,
        named(&KINDS, kind_text, text("kind")?)?,
        named(&Bucket::ALL, bucket_text, text("bucket")?)?,
        (place("from_place")?, place("to_place")?),
        seconds(number("seconds")?)?,
        Timestamp::from_millis(number("created_ms")?),
    );
    let reservation: Option<&str> = row.try_get("reservation_id").map_err(step_error)?;
    let reservation = reservation.map(ReservationId::parse).transpose();
    entry.reservation = reservation.map_err(corrupt)?;
    entry.operation = row.try_get("operation").map_err(step_error)?;
    Ok(entry)
}

#[async_trait]
impl CreditReader for PgCreditStore {
    async fn views(&self, users: &[UserId]) -> Result<Vec<AccountView>, StoreError> {
        let asked: Vec<_> = users.iter().map(|user| user.as_str()).collect();
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/views.sql")).bind(&asked)
        })
        .await?;
        let view = |row| {
            let loaded = Loaded::read(row)?.ok_or_else(|| corrupt("no state for a view"))?;
            let view = decide::view(&loaded.account()?, loaded.now(), &self.policy);
            Ok(view?)
        };
        found.iter().map(view).collect()
    }

    async fn holder(&self, reservation: &ReservationId) -> Result<Option<UserId>, StoreError> {
        let asked = [reservation.as_str()];
        let mut holders = BTreeMap::new();
        self.read_holders(&asked, &mut holders).await?;
        Ok(holders.remove(reservation))
    }

    async fn hold(&self, reservation: &ReservationId) -> Result<Option<HoldView>, StoreError> {
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/hold.sql")).bind(reservation.as_str())
        })
        .await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let user: &str = found.try_get("user_id").map_err(step_error)?;
        let user = UserId::parse(user).map_err(corrupt)?;
        let hold: &str = found.try_get("hold").map_err(step_error)?;
        let hold: HoldRow = serde_json::from_str(hold).map_err(corrupt)?;
        let view = HoldView::of(&user, &hold.hold()?);
        view.map(Some)
            .ok_or_else(|| corrupt("a hold's sums out of range"))
    }

    async fn entries(
        &self,
        user: &UserId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/entries.sql"))
                .bind(user.as_str())
                .bind(after)
                .bind(i64::from(limit))
        })
        .await?;
        found.iter().map(|row| entry(user, row)).collect()
    }

    async fn totals(&self, user: &UserId) -> Result<Totals, StoreError> {
        let sums = self.sums(Some(user)).await?;
        let seconds = |sum: u128| {
            let sum = u64::try_from(sum).map_err(corrupt)?;
            Seconds::new(sum).map_err(corrupt)
        };
        Ok(Totals {
            granted: seconds(sums.granted)?,
            available: seconds(sums.available)?,
            held: seconds(sums.held)?,
            charged: seconds(sums.charged)?,
            breakage: seconds(sums.breakage)?,
        })
    }

    async fn ledger_totals(&self) -> Result<LedgerTotals, StoreError> {
        self.sums(None).await
    }
}
