//! The writes of sessions as the arrays of the apply statements.

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use sheen_core::error::StoreError;
use sheen_core::id::OperationId;
use sheen_core::seconds::Seconds;
use sheen_core::time::Day;

use super::rows::{
    COMMIT, REFUND, REJECT, RELEASE, bucket_text, corrupt, kind_text, place_text, state_text,
};
use super::session::Session;
use crate::account::decide::{HoldState, RefundRecord, ReserveRecord, Slices};
use crate::account::refund::RefundOf;
use crate::account::types::{Balance, Bucket, Overage};

/// No number.
const NONE: i64 = -1;
/// No day.
const NO_DAY: i64 = -2_147_483_648;

/// One vector per column; of each what belongs to the first account, then to the second. `counts`
/// says how much.
#[derive(Debug, Default)]
pub(super) struct Columns<'s> {
    users: Vec<&'s str>,
    heads: Vec<i64>,
    counts: Vec<i32>,
    see_holds: Vec<&'s str>,
    absent_holds: Vec<&'s str>,
    see_operations: Pairs<'s>,
    absent_operations: Pairs<'s>,
    relied: (Vec<&'s str>, Vec<i64>),
    entries: Entries<'s>,
    made: MadeHolds<'s>,
    held: HeldHolds<'s>,
    done: Done<'s>,
    projects: (Vec<&'s str>, Vec<i64>),
    /// Of the one account of a single step.
    payment: PaymentColumns<'s>,
}

type Pairs<'s> = (Vec<&'s str>, Vec<&'s str>);

#[derive(Debug, Default)]
struct PaymentColumns<'s> {
    id: Option<&'s str>,
    seconds: Option<i64>,
    refunded: Option<i64>,
    see: Option<&'s str>,
}

#[derive(Debug, Default)]
struct Entries<'s> {
    kind: Vec<&'s str>,
    bucket: Vec<&'s str>,
    from: Vec<&'s str>,
    to: Vec<&'s str>,
    seconds: Vec<i64>,
    reservation: Vec<Option<&'s str>>,
    operation: Vec<Option<&'s str>>,
}

#[derive(Debug, Default)]
struct MadeHolds<'s> {
    id: Vec<&'s str>,
    operation: Vec<&'s str>,
    project: Vec<Option<&'s str>>,
    state: Vec<&'s str>,
    overage: Vec<Option<&'s str>>,
    tier: Vec<Option<&'s str>>,
    numbers: Vec<i64>,
}

#[derive(Debug, Default)]
struct HeldHolds<'s> {
    id: Vec<&'s str>,
    state: Vec<&'s str>,
    numbers: Vec<i64>,
}

#[derive(Debug, Default)]
struct Done<'s> {
    kind: Vec<&'s str>,
    operation: Vec<&'s str>,
    reservation: Vec<Option<&'s str>>,
    payment: Vec<Option<&'s str>>,
    numbers: Vec<i64>,
}

fn balance(balance: &Balance) -> [i64; 3] {
    [balance.daily_gift, balance.welcome_bonus, balance.paid].map(Seconds::as_i64)
}

fn slices(slices: &Slices) -> [i64; 3] {
    Bucket::ALL.map(|bucket| slices.of(bucket).as_i64())
}

/// What a hold was charged, and what of that was refunded.
fn charged(state: &HoldState) -> ([i64; 3], [i64; 3]) {
    match state {
        HoldState::Committed { charged, refunded } => {
            let none = *refunded == Slices::default();
            let refunded = if none { [NONE; 3] } else { slices(refunded) };
            (slices(charged), refunded)
        }
        _ => ([NONE; 3], [NONE; 3]),
    }
}

fn day_number(day: Option<Day>) -> i64 {
    day.map_or(NO_DAY, Day::number)
}

fn head(session: &Session<'_>) -> Result<[i64; 26], StoreError> {
    let account = session.account();
    let head = account.head();
    let mut numbers = [0; 26];
    numbers[..11].copy_from_slice(&[
        i64::try_from(session.version).map_err(corrupt)?,
        session.window.from.as_millis(),
        session.window.until.as_millis(),
        i64::try_from(account.version()).map_err(corrupt)?,
        i64::from(head.welcomed),
        day_number(head.gift_day),
        day_number(head.day),
        i64::try_from(account.open_holds()).map_err(corrupt)?,
        head.used_today.as_i64(),
        head.reserved_today.as_i64(),
        i64::try_from(head.last_entry).map_err(corrupt)?,
    ]);
    for (bucket, numbers) in Bucket::ALL.iter().zip(numbers[11..].chunks_exact_mut(5)) {
        let sums = head.buckets.of(*bucket);
        let sums = [
            sums.granted,
            sums.available,
            sums.held,
            sums.charged,
            sums.breakage,
        ];
        numbers.copy_from_slice(&sums.map(Seconds::as_i64));
    }
    Ok(numbers)
}

impl<'s> Columns<'s> {
    pub(super) fn of(session: &'s Session<'_>) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        columns.add(session)?;
        if let Some((id, after, before)) = &session.writes.payment {
            columns.payment.id = Some(id.as_str());
            columns.payment.seconds = Some(after.seconds.as_i64());
            let refunded = before
                .as_ref()
                .map(|before| after.refunded.saturating_sub(before.refunded).as_i64());
            columns.payment.refunded = refunded;
        }
        columns.payment.see = session.see_payment.as_ref().map(|id| id.as_str());
        Ok(columns)
    }

    /// Adds another account's writes. A payment is part of single steps alone.
    pub(super) fn add(&mut self, session: &'s Session<'_>) -> Result<(), StoreError> {
        let writes = &session.writes;
        self.users.push(session.account().user().as_str());
        self.heads.extend(head(session)?);
        let holds = |ids: &'s [sheen_core::id::ReservationId]| ids.iter().map(|id| id.as_str());
        self.see_holds.extend(holds(&session.see_holds));
        self.absent_holds.extend(holds(&session.absent_holds));
        let pair = |(kind, id): &'s (&'static str, OperationId)| (*kind, id.as_str());
        self.see_operations
            .extend(session.see_operations.iter().map(pair));
        self.absent_operations
            .extend(session.absent_operations.iter().map(pair));
        let sum =
            |(id, sum): (&'s sheen_core::id::ProjectId, &Seconds)| (id.as_str(), sum.as_i64());
        self.relied.extend(session.relied.iter().map(sum));
        self.projects.extend(writes.projects.iter().map(sum));
        for entry in &writes.entries {
            self.entries.push(entry);
        }
        let (made, held) = self.holds(session)?;
        let done = self.operations(session);
        for count in [
            session.see_holds.len(),
            session.see_operations.len(),
            session.absent_holds.len(),
            session.absent_operations.len(),
            session.relied.len(),
            writes.entries.len(),
            made,
            held,
            done,
            writes.projects.len(),
        ] {
            self.counts.push(i32::try_from(count).map_err(corrupt)?);
        }
        Ok(())
    }

    /// How many new and how many changed holds there are.
    fn holds(&mut self, session: &'s Session<'_>) -> Result<(usize, usize), StoreError> {
        let (mut made, mut held) = (0, 0);
        for (id, hold) in &session.writes.holds {
            let lives = session.lives(hold);
            let (charged, refunded) = charged(&hold.state);
            if let Some((operation, record)) = session.writes.made.get(id) {
                made += 1;
                self.made.id.push(id.as_str());
                self.made.operation.push(operation.as_str());
                self.made.push(record, &hold.state, lives)?;
                self.made.numbers.extend(charged);
                continue;
            }
            held += 1;
            let expires_at = hold.state.expires_at().filter(|_| lives.is_none());
            self.held.id.push(id.as_str());
            self.held.state.push(state_text(&hold.state));
            let expires_at = expires_at.map_or(NONE, |at| at.as_millis());
            self.held
                .numbers
                .extend([expires_at, lives.unwrap_or(NONE)]);
            self.held.numbers.extend(charged);
            self.held.numbers.extend(refunded);
        }
        Ok((made, held))
    }

    fn operations(&mut self, session: &'s Session<'_>) -> usize {
        let writes = &session.writes;
        let columns = &mut self.done;
        for (operation, record) in &writes.commits {
            let answer = &record.answer;
            columns.push(COMMIT, operation, Some(answer.reservation.as_str()), None);
            let figures = [
                record.seconds,
                answer.charged,
                answer.returned,
                answer.shortfall,
            ];
            columns.numbers.extend(figures.map(Seconds::as_i64));
            columns.numbers.extend(balance(&answer.balance));
        }
        for (operation, answer) in &writes.releases {
            columns.push(RELEASE, operation, Some(answer.reservation.as_str()), None);
            columns.numbers.extend([0, 0, answer.returned.as_i64(), 0]);
            columns.numbers.extend(balance(&answer.balance));
        }
        for (operation, RefundRecord { of, answer, .. }) in &writes.refunds {
            let (reservation, payment) = match of {
                RefundOf::Charge(reservation) => (Some(reservation.as_str()), None),
                RefundOf::Purchase(payment) => (None, Some(payment.as_str())),
            };
            columns.push(REFUND, operation, reservation, payment);
            let (seconds, returned) = (answer.seconds.as_i64(), answer.returned.as_i64());
            columns.numbers.extend([seconds, 0, returned, 0]);
            columns.numbers.extend(balance(&answer.balance));
        }
        writes.commits.len() + writes.releases.len() + writes.refunds.len()
    }

    /// The statement of one account's step.
    pub(super) fn single(&'s self, skip_locked: bool) -> Query<'s, Postgres, PgArguments> {
        let query = sqlx::query(include_str!("sql/apply.sql"))
            .bind(self.users.first())
            .bind(&self.heads)
            .bind(skip_locked);
        self.bind(query)
            .bind(self.payment.id)
            .bind(self.payment.seconds)
            .bind(self.payment.refunded)
            .bind(self.payment.see)
    }

    /// The statement of several accounts' steps; those that another session holds are passed by.
    pub(super) fn many(&'s self) -> Query<'s, Postgres, PgArguments> {
        let query = sqlx::query(include_str!("sql/apply_many.sql"))
            .bind(&self.users)
            .bind(&self.heads)
            .bind(&self.counts);
        self.bind(query)
    }

    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        let query = query
            .bind(&self.see_holds)
            .bind(&self.see_operations.0)
            .bind(&self.see_operations.1)
            .bind(&self.absent_holds)
            .bind(&self.absent_operations.0)
            .bind(&self.absent_operations.1)
            .bind(&self.relied.0)
            .bind(&self.relied.1);
        let query = self.made.bind(self.entries.bind(query));
        self.done
            .bind(self.held.bind(query))
            .bind(&self.projects.0)
            .bind(&self.projects.1)
    }
}

type Bound<'s> = Query<'s, Postgres, PgArguments>;

impl<'s> Entries<'s> {
    fn push(&mut self, entry: &'s crate::account::Entry) {
        self.kind.push(kind_text(entry.kind));
        self.bucket.push(bucket_text(entry.bucket));
        self.from.push(place_text(entry.from));
        self.to.push(place_text(entry.to));
        self.seconds.push(entry.seconds.as_i64());
        let reservation = entry.reservation.as_ref();
        self.reservation.push(reservation.map(|id| id.as_str()));
        self.operation.push(entry.operation.as_deref());
    }

    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.kind)
            .bind(&self.bucket)
            .bind(&self.from)
            .bind(&self.to)
            .bind(&self.seconds)
            .bind(&self.reservation)
            .bind(&self.operation)
    }
}

impl<'s> MadeHolds<'s> {
    /// All but the ids, and but what was charged.
    fn push(
        &mut self,
        record: &'s ReserveRecord,
        state: &HoldState,
        lives: Option<i64>,
    ) -> Result<(), StoreError> {
        let open = match state {
            HoldState::Open { slices, .. } => *slices,
            _ => Slices::default(),
        };
        let project = record.project.as_ref();
        self.project.push(project.map(|project| project.as_str()));
        self.state.push(state_text(state));
        let rejects = record.overage == Overage::Reject;
        self.overage.push(rejects.then_some(REJECT));
        self.tier
            .push(record.terms.map(|terms| terms.tier.as_str()));
        let ttl_ms = i64::try_from(record.ttl.as_millis()).map_err(corrupt)?;
        self.numbers
            .extend([record.seconds.as_i64(), ttl_ms, lives.unwrap_or(NONE)]);
        self.numbers.extend(slices(&open));
        self.numbers.extend(balance(&record.answer.balance));
        let prices = record.terms.map(|terms| terms.prices);
        let packages = record.terms.and_then(|terms| terms.packages);
        let versions = [prices, packages];
        self.numbers
            .extend(versions.map(|it| it.map_or(NONE, |version| i64::from(version.get()))));
        Ok(())
    }

    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.id)
            .bind(&self.operation)
            .bind(&self.project)
            .bind(&self.state)
            .bind(&self.overage)
            .bind(&self.tier)
            .bind(&self.numbers)
    }
}

impl<'s> HeldHolds<'s> {
    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query.bind(&self.id).bind(&self.state).bind(&self.numbers)
    }
}

impl<'s> Done<'s> {
    /// All but the numbers.
    fn push(
        &mut self,
        kind: &'static str,
        operation: &'s OperationId,
        reservation: Option<&'s str>,
        payment: Option<&'s str>,
    ) {
        self.kind.push(kind);
        self.operation.push(operation.as_str());
        self.reservation.push(reservation);
        self.payment.push(payment);
    }

    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.kind)
            .bind(&self.operation)
            .bind(&self.reservation)
            .bind(&self.payment)
            .bind(&self.numbers)
    }
}
