//! A session's writes as the arrays of the apply statement.

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use sheen_core::error::StoreError;
use sheen_core::seconds::Seconds;
use sheen_core::time::Day;

use super::rows::{COMMIT, RELEASE, bucket_text, corrupt, kind_text, place_text, state_text};
use super::session::Session;
use crate::account::decide::{Head, HoldState};
use crate::account::types::{Balance, Bucket};

/// A fixed-size part and one vector per column.
#[derive(Debug, Default)]
pub(super) struct Columns<'s> {
    user: &'s str,
    version: i64,
    from_ms: i64,
    until_ms: i64,
    skip_locked: bool,
    see_holds: Vec<&'s str>,
    absent_holds: Vec<&'s str>,
    see_operations: Pairs<'s>,
    absent_operations: Pairs<'s>,
    relied: (Vec<&'s str>, Vec<i64>),
    payment: Option<(&'s str, i64)>,
    version_after: i64,
    welcomed: bool,
    gift_day: Option<i32>,
    day: Option<i32>,
    open_holds: i32,
    figures: Vec<i64>,
    entries: Entries<'s>,
    made: MadeHolds<'s>,
    held: HeldHolds<'s>,
    done: Done<'s>,
    projects: (Vec<&'s str>, Vec<i64>),
}

type Pairs<'s> = (Vec<&'s str>, Vec<&'s str>);

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
    seconds: Vec<i64>,
    ttl_ms: Vec<i64>,
    gift: Vec<i64>,
    welcome: Vec<i64>,
    paid: Vec<i64>,
    answer: Balances,
    lives_ms: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
struct HeldHolds<'s> {
    id: Vec<&'s str>,
    state: Vec<&'s str>,
    expires_ms: Vec<Option<i64>>,
    lives_ms: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
struct Done<'s> {
    kind: Vec<&'s str>,
    operation: Vec<&'s str>,
    reservation: Vec<&'s str>,
    seconds: Vec<i64>,
    charged: Vec<i64>,
    returned: Vec<i64>,
    shortfall: Vec<i64>,
    answer: Balances,
}

#[derive(Debug, Default)]
struct Balances {
    gift: Vec<i64>,
    welcome: Vec<i64>,
    paid: Vec<i64>,
}

impl Balances {
    fn push(&mut self, balance: &Balance) {
        self.gift.push(balance.daily_gift.as_i64());
        self.welcome.push(balance.welcome_bonus.as_i64());
        self.paid.push(balance.paid.as_i64());
    }
}

fn day_number(day: Option<Day>) -> Result<Option<i32>, StoreError> {
    let number = day.map(|day| i32::try_from(day.number()));
    number.transpose().map_err(corrupt)
}

fn figures(head: &Head) -> Result<Vec<i64>, StoreError> {
    let mut figures = vec![
        head.used_today.as_i64(),
        head.reserved_today.as_i64(),
        i64::try_from(head.last_entry).map_err(corrupt)?,
    ];
    for bucket in Bucket::ALL {
        let sums = head.buckets.of(bucket);
        let sums = [
            sums.granted,
            sums.available,
            sums.held,
            sums.charged,
            sums.breakage,
        ];
        figures.extend(sums.map(Seconds::as_i64));
    }
    Ok(figures)
}

impl<'s> Columns<'s> {
    pub(super) fn of(session: &'s Session<'_>, skip_locked: bool) -> Result<Self, StoreError> {
        let (account, writes) = (session.account(), &session.writes);
        let head = account.head();
        let mut columns = Self {
            user: account.user().as_str(),
            version: i64::try_from(session.version).map_err(corrupt)?,
            from_ms: session.window.from.as_millis(),
            until_ms: session.window.until.as_millis(),
            skip_locked,
            see_holds: session.see_holds.iter().map(|id| id.as_str()).collect(),
            absent_holds: session.absent_holds.iter().map(|id| id.as_str()).collect(),
            version_after: i64::try_from(account.version()).map_err(corrupt)?,
            welcomed: head.welcomed,
            gift_day: day_number(head.gift_day)?,
            day: day_number(head.day)?,
            open_holds: i32::try_from(account.open_holds()).map_err(corrupt)?,
            figures: figures(head)?,
            ..Self::default()
        };
        let pairs = |asked: &'s [(&'static str, sheen_core::id::OperationId)]| {
            asked.iter().map(|(kind, id)| (*kind, id.as_str())).unzip()
        };
        columns.see_operations = pairs(&session.see_operations);
        columns.absent_operations = pairs(&session.absent_operations);
        let sums = session.relied.iter();
        columns.relied = sums.map(|(id, sum)| (id.as_str(), sum.as_i64())).unzip();
        let sums = writes.projects.iter();
        columns.projects = sums.map(|(id, sum)| (id.as_str(), sum.as_i64())).unzip();
        let payment = writes.payment.as_ref();
        columns.payment = payment.map(|it| (it.payment.as_str(), it.seconds.as_i64()));
        columns.entries(session);
        columns.holds(session)?;
        columns.operations(session);
        Ok(columns)
    }

    fn entries(&mut self, session: &'s Session<'_>) {
        let columns = &mut self.entries;
        for entry in &session.writes.entries {
            columns.kind.push(kind_text(entry.kind));
            columns.bucket.push(bucket_text(entry.bucket));
            columns.from.push(place_text(entry.from));
            columns.to.push(place_text(entry.to));
            columns.seconds.push(entry.seconds.as_i64());
            let reservation = entry.reservation.as_ref();
            columns.reservation.push(reservation.map(|id| id.as_str()));
            columns.operation.push(entry.operation.as_deref());
        }
    }

    fn holds(&mut self, session: &'s Session<'_>) -> Result<(), StoreError> {
        for (id, hold) in &session.writes.holds {
            let lives = session.lives(hold);
            let Some((operation, record)) = session.writes.made.get(id) else {
                let expires_at = hold.state.expires_at().filter(|_| lives.is_none());
                self.held.id.push(id.as_str());
                self.held.state.push(state_text(&hold.state));
                self.held
                    .expires_ms
                    .push(expires_at.map(|at| at.as_millis()));
                self.held.lives_ms.push(lives);
                continue;
            };
            let columns = &mut self.made;
            let slices = match hold.state {
                HoldState::Open { slices, .. } => slices,
                _ => crate::account::decide::Slices::default(),
            };
            columns.id.push(id.as_str());
            columns.operation.push(operation.as_str());
            let project = record.project.as_ref();
            columns
                .project
                .push(project.map(|project| project.as_str()));
            columns.state.push(state_text(&hold.state));
            columns.seconds.push(record.seconds.as_i64());
            let ttl_ms = i64::try_from(record.ttl.as_millis()).map_err(corrupt)?;
            columns.ttl_ms.push(ttl_ms);
            columns.gift.push(slices.daily_gift.as_i64());
            columns.welcome.push(slices.welcome_bonus.as_i64());
            columns.paid.push(slices.paid.as_i64());
            columns.answer.push(&record.answer.balance);
            columns.lives_ms.push(lives);
        }
        Ok(())
    }

    fn operations(&mut self, session: &'s Session<'_>) {
        let columns = &mut self.done;
        for (operation, record) in &session.writes.commits {
            let answer = &record.answer;
            columns.kind.push(COMMIT);
            columns.operation.push(operation.as_str());
            columns.reservation.push(answer.reservation.as_str());
            columns.seconds.push(record.seconds.as_i64());
            columns.charged.push(answer.charged.as_i64());
            columns.returned.push(answer.returned.as_i64());
            columns.shortfall.push(answer.shortfall.as_i64());
            columns.answer.push(&answer.balance);
        }
        for (operation, answer) in &session.writes.releases {
            columns.kind.push(RELEASE);
            columns.operation.push(operation.as_str());
            columns.reservation.push(answer.reservation.as_str());
            columns.seconds.push(0);
            columns.charged.push(0);
            columns.returned.push(answer.returned.as_i64());
            columns.shortfall.push(0);
            columns.answer.push(&answer.balance);
        }
    }

    /// The apply statement.
    pub(super) fn query(&'s self) -> Query<'s, Postgres, PgArguments> {
        let query = sqlx::query(include_str!("sql/apply.sql"))
            .bind(self.user)
            .bind(self.version)
            .bind(self.from_ms)
            .bind(self.until_ms)
            .bind(self.skip_locked)
            .bind(&self.see_holds)
            .bind(&self.see_operations.0)
            .bind(&self.see_operations.1)
            .bind(&self.absent_holds)
            .bind(&self.absent_operations.0)
            .bind(&self.absent_operations.1)
            .bind(&self.relied.0)
            .bind(&self.relied.1)
            .bind(self.payment.map(|(id, _)| id))
            .bind(self.payment.map(|(_, seconds)| seconds))
            .bind(self.version_after)
            .bind(self.welcomed)
            .bind(self.gift_day)
            .bind(self.day)
            .bind(self.open_holds)
            .bind(&self.figures)
            .bind(&self.projects.0)
            .bind(&self.projects.1);
        self.done
            .bind(self.held.bind(self.made.bind(self.entries.bind(query))))
    }
}

type Bound<'s> = Query<'s, Postgres, PgArguments>;

impl<'s> Entries<'s> {
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
    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.id)
            .bind(&self.operation)
            .bind(&self.project)
            .bind(&self.state)
            .bind(&self.seconds)
            .bind(&self.ttl_ms)
            .bind(&self.gift)
            .bind(&self.welcome)
            .bind(&self.paid)
            .bind(&self.answer.gift)
            .bind(&self.answer.welcome)
            .bind(&self.answer.paid)
            .bind(&self.lives_ms)
    }
}

impl<'s> HeldHolds<'s> {
    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.id)
            .bind(&self.state)
            .bind(&self.expires_ms)
            .bind(&self.lives_ms)
    }
}

impl<'s> Done<'s> {
    fn bind(&'s self, query: Bound<'s>) -> Bound<'s> {
        query
            .bind(&self.kind)
            .bind(&self.operation)
            .bind(&self.reservation)
            .bind(&self.seconds)
            .bind(&self.charged)
            .bind(&self.returned)
            .bind(&self.shortfall)
            .bind(&self.answer.gift)
            .bind(&self.answer.welcome)
            .bind(&self.answer.paid)
    }
}
