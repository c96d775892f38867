//! The loop of a step: decide over what is known, apply, and decide again where that did not fit.

use std::collections::BTreeSet;

use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{ReservationId, UserId};
use sheen_core::postgres::{connect_error, row, step_error};
use sheen_core::time::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use super::cache::Known;
use super::columns::Columns;
use super::rows::{COMMIT, REFUND, RELEASE, StateRow, corrupt};
use super::session::{Command, Outcome, Session, told};
use super::{PgCreditStore, named_hold};
use crate::account::decide::{Account, Payment};
use crate::account::refund::{Refund, RefundOf};
use crate::account::types::CreditCommand;

/// How often a step is decided before it takes the account's lock first. Each miss means that
/// another process's step on the account went through.
const DECISIONS: u32 = 4;

/// How an account is found.
pub(super) enum Found<'a> {
    User(&'a UserId),
    Hold(&'a ReservationId),
}

/// An account as the database said it is.
pub(super) struct Loaded {
    state: StateRow,
    now: Timestamp,
}

impl Loaded {
    pub(super) const fn user(&self) -> &UserId {
        &self.state.user
    }

    pub(super) fn read(row: &PgRow) -> Result<Option<Self>, StoreError> {
        let now: i64 = row.try_get("now_ms").map_err(step_error)?;
        let state: Option<&str> = row.try_get("state").map_err(step_error)?;
        let Some(state) = state else { return Ok(None) };
        Ok(Some(Self {
            state: StateRow::parse(state)?,
            now: Timestamp::from_millis(now),
        }))
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn account(&self) -> Result<Account, StoreError> {
        self.state.account()
    }
}

/// An account as a decision sees it.
pub(super) struct Seen {
    pub(super) account: Account,
    pub(super) payment: Option<Payment>,
    pub(super) now: Timestamp,
    /// As the database just said, all that the commands name looked up: what a refusal needs.
    pub(super) fresh: bool,
}

impl Seen {
    /// What was loaded, together with what was remembered of the same version.
    fn of(loaded: &Loaded, remembered: Option<Account>) -> Result<Self, StoreError> {
        let same = remembered
            .filter(|account| account.version() > 0 && account.version() == loaded.state.version());
        let account = match same {
            Some(mut account) => {
                loaded.state.add_to(&mut account)?;
                account
            }
            None => loaded.account()?,
        };
        Ok(Self {
            account,
            payment: loaded.state.payment(),
            now: loaded.now,
            fresh: true,
        })
    }
}

/// What came of an apply statement.
pub(super) enum Applied {
    Hit(Timestamp),
    Miss(Box<Loaded>),
    /// Another session holds the account, and the step does not wait.
    Busy,
}

/// What commands name, to be looked up.
#[derive(Default)]
struct Names {
    holds: Vec<ReservationId>,
    kinds: Vec<&'static str>,
    operations: Vec<String>,
    projects: Vec<String>,
    payment: Option<String>,
}

impl Names {
    fn of(commands: &[Command<'_>]) -> Self {
        let mut names = Self::default();
        for command in commands {
            match command {
                Command::Credit(command) => names.add(command),
                Command::Purchase(purchase) => {
                    names.payment = Some(purchase.payment.as_str().to_owned());
                }
                Command::Refund(refund) => names.add_refund(refund),
                Command::Expire(_) => {}
            }
        }
        names
    }

    fn add_refund(&mut self, refund: &Refund) {
        match &refund.of {
            RefundOf::Charge(reservation) => self.holds.push(reservation.clone()),
            RefundOf::Purchase(payment) => self.payment = Some(payment.as_str().to_owned()),
        }
        self.kinds.push(REFUND);
        self.operations.push(refund.operation.as_str().to_owned());
    }

    fn add(&mut self, command: &CreditCommand) {
        self.holds.extend(named_hold(command).cloned());
        let (kind, operation) = match command {
            CreditCommand::Reserve(wish) => {
                self.holds.push(wish.reservation_id());
                self.projects
                    .extend(wish.project.as_ref().map(|id| id.as_str().to_owned()));
                return;
            }
            CreditCommand::Extend(_) => return,
            CreditCommand::Commit(wish) => (COMMIT, &wish.operation),
            CreditCommand::Release(wish) => (RELEASE, &wish.operation),
        };
        self.kinds.push(kind);
        self.operations.push(operation.as_str().to_owned());
    }
}

/// Whether every hold that is named is listed, or made on the way.
pub(super) fn knows_holds(account: &Account, commands: &[Command<'_>]) -> bool {
    let mut made = BTreeSet::new();
    commands.iter().all(|command| match command {
        Command::Credit(CreditCommand::Reserve(wish)) => {
            if commands.len() > 1 {
                made.insert(wish.reservation_id());
            }
            true
        }
        Command::Credit(command) => named_hold(command)
            .is_none_or(|hold| account.hold(hold).is_some() || made.contains(hold)),
        // What it refunds is not remembered: an ended hold, a payment.
        Command::Refund(_) => false,
        _ => true,
    })
}

impl PgCreditStore {
    /// The account and what the commands name, as the database has it; nothing when it is sought
    /// by a hold that nobody has.
    pub(super) async fn load(
        &self,
        found: &Found<'_>,
        commands: &[Command<'_>],
    ) -> Result<Option<Loaded>, StoreError> {
        self.load_on(None, found, commands).await
    }

    /// On a connection of a transaction, the account is locked first.
    async fn load_on(
        &self,
        connection: Option<&mut PgConnection>,
        found: &Found<'_>,
        commands: &[Command<'_>],
    ) -> Result<Option<Loaded>, StoreError> {
        let (user, hold) = match found {
            Found::User(user) => (Some(user.as_str()), None),
            Found::Hold(hold) => (None, Some(hold.as_str())),
        };
        let names = Names::of(commands);
        let holds: Vec<_> = names.holds.iter().map(|id| id.as_str()).collect();
        let lock = connection.is_some();
        let query = || {
            sqlx::query(include_str!("sql/load.sql"))
                .bind(user)
                .bind(hold)
                .bind(lock)
                .bind(&holds)
                .bind(&names.kinds)
                .bind(&names.operations)
                .bind(&names.projects)
                .bind(&names.payment)
        };
        let read = match connection {
            None => row(&self.pool, query).await?,
            Some(line) => query().fetch_optional(line).await.map_err(step_error)?,
        };
        let read = read.ok_or_else(|| corrupt("no row for a load"))?;
        let loaded = Loaded::read(&read)?;
        if let Some(loaded) = &loaded {
            self.note_clock(loaded.now);
        }
        Ok(loaded)
    }

    /// Sends what was decided.
    pub(super) async fn apply(
        &self,
        connection: Option<&mut PgConnection>,
        session: &Session<'_>,
        skip_locked: bool,
    ) -> Result<Applied, StoreError> {
        let columns = Columns::of(session)?;
        let read = match connection {
            None => row(&self.pool, || columns.single(skip_locked)).await?,
            Some(line) => {
                let query = columns.single(skip_locked);
                query.fetch_optional(line).await.map_err(step_error)?
            }
        };
        let read = read.ok_or_else(|| corrupt("no row for an apply"))?;
        self.applied(read.try_get("told").map_err(step_error)?)
    }

    /// What `credit_apply_v2` told of one account.
    pub(super) fn applied(&self, told: &str) -> Result<Applied, StoreError> {
        let (word, rest) = told
            .split_once(':')
            .ok_or_else(|| corrupt("no word of what was applied"))?;
        let (now, state) = rest.split_once(':').unwrap_or((rest, ""));
        let now = Timestamp::from_millis(now.parse().map_err(corrupt)?);
        self.note_clock(now);
        match word {
            "hit" => Ok(Applied::Hit(now)),
            "busy" => Ok(Applied::Busy),
            "miss" => Ok(Applied::Miss(Box::new(Loaded {
                state: StateRow::parse(state)?,
                now,
            }))),
            _ => Err(corrupt("an unknown word of what was applied")),
        }
    }

    /// Does the commands on one account in order, in one round trip in the usual case. `loaded` is
    /// what was found on the way to the account.
    pub(super) async fn step(
        &self,
        user: &UserId,
        commands: &[Command<'_>],
        loaded: Option<Loaded>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let slot = self.cache.slot(user);
        let mut known = slot.lock().await;
        // Lost until the step has an answer: whoever drops this future midway leaves it so.
        let remembered = std::mem::replace(&mut *known, Known::Lost);
        let mut seen = self.first_look(user, commands, remembered, loaded).await?;
        for _ in 0..DECISIONS {
            match self.decide(commands, seen) {
                Err(Undecided::Failed(error)) => return Err(error),
                Err(Undecided::Stale(account)) => {
                    let loaded = self.load(&Found::User(user), commands).await?;
                    let loaded = loaded.ok_or_else(|| corrupt("no state for a load"))?;
                    seen = Seen::of(&loaded, account.map(|account| *account))?;
                }
                Ok(decided) if !decided.session.writes.any => {
                    let now = decided.session.now();
                    return Ok(self.done(&mut known, user, decided, now));
                }
                Ok(decided) => match self.apply(None, &decided.session, false).await? {
                    Applied::Hit(now) => return Ok(self.done(&mut known, user, decided, now)),
                    Applied::Miss(loaded) => seen = Seen::of(&loaded, None)?,
                    Applied::Busy => return Err(corrupt("a step that did not wait")),
                },
            }
        }
        self.step_locked(&mut known, user, commands).await
    }

    async fn first_look(
        &self,
        user: &UserId,
        commands: &[Command<'_>],
        remembered: Known,
        loaded: Option<Loaded>,
    ) -> Result<Seen, StoreError> {
        let remembered = match remembered {
            Known::As(account) => Some(*account),
            // Taken for a new one, which the statement finds out.
            Known::Unseen => Some(Account::untouched(user.clone())),
            Known::Lost => None,
        };
        if let Some(loaded) = loaded {
            return Seen::of(&loaded, remembered);
        }
        match (remembered, self.estimate()) {
            (Some(account), Some(now)) if knows_holds(&account, commands) => Ok(Seen {
                account,
                payment: None,
                now,
                fresh: false,
            }),
            (remembered, _) => {
                let loaded = self.load(&Found::User(user), commands).await?;
                let loaded = loaded.ok_or_else(|| corrupt("no state for a load"))?;
                Seen::of(&loaded, remembered)
            }
        }
    }

    pub(super) fn decide<'p>(
        &'p self,
        commands: &[Command<'_>],
        seen: Seen,
    ) -> Result<Decided<'p>, Undecided> {
        let fresh = seen.fresh;
        let mut session = Session::new(&self.policy, seen.account, seen.payment, seen.now);
        if !fresh && !session.window.contains(session.now()) {
            return Err(Undecided::Stale(Some(Box::new(session.into_account()))));
        }
        let mut made = Vec::with_capacity(commands.len());
        for command in commands {
            match session.decide(command) {
                Ok(outcome) => made.push(outcome),
                Err(error) if fresh => return Err(Undecided::Failed(error)),
                // It may not fail over what the database says.
                Err(_) => return Err(Undecided::Stale(None)),
            }
        }
        if session.writes.any || fresh {
            return Ok(Decided { session, made });
        }
        Err(Undecided::Stale(Some(Box::new(session.into_account()))))
    }

    /// Remembers the account as the step left it, and gives what came of the commands.
    pub(super) fn done(
        &self,
        known: &mut Known,
        user: &UserId,
        decided: Decided<'_>,
        now: Timestamp,
    ) -> Vec<Outcome> {
        let Decided { session, made } = decided;
        let at = session.now();
        let outcomes = made.into_iter().map(|made| told(made, at, now)).collect();
        let open: Vec<_> = session.open_holds_named().cloned().collect();
        let account = session.settled(now);
        let listed = account.listed_holds();
        *known = if account.version() > 0 {
            Known::As(Box::new(account))
        } else {
            Known::Unseen
        };
        self.cache.note(user, listed, open.iter());
        outcomes
    }

    /// The same under the account's lock, for a step that others were always faster than.
    async fn step_locked(
        &self,
        known: &mut Known,
        user: &UserId,
        commands: &[Command<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(connect_error)?;
        let mut locked = connection.begin().await.map_err(step_error)?;
        let found = Found::User(user);
        let decided = self.under_lock(&mut locked, &found, commands).await?;
        let (decided, now) = decided.ok_or_else(|| corrupt("no state for a load"))?;
        if decided.session.writes.any {
            locked.commit().await.map_err(step_error)?;
        }
        Ok(self.done(known, user, decided, now))
    }

    /// Locks the account, decides the commands over it and writes what was decided, all in the
    /// transaction of `locked`; nothing when no account has the hold it is sought by.
    pub(super) async fn under_lock<'p>(
        &'p self,
        locked: &mut PgConnection,
        found: &Found<'_>,
        commands: &[Command<'_>],
    ) -> Result<Option<(Decided<'p>, Timestamp)>, StoreError> {
        let loaded = self.load_on(Some(&mut *locked), found, commands).await?;
        let Some(loaded) = loaded else {
            return Ok(None);
        };
        let mut seen = Seen::of(&loaded, None)?;
        // Under the lock only the clock moves on, past one deadline at most between two looks.
        for _ in 0..DECISIONS {
            let decided = match self.decide(commands, seen) {
                Ok(decided) => decided,
                Err(Undecided::Failed(error)) => return Err(error),
                Err(Undecided::Stale(_)) => break,
            };
            if !decided.session.writes.any {
                let now = decided.session.now();
                return Ok(Some((decided, now)));
            }
            let applied = self.apply(Some(&mut *locked), &decided.session, false);
            match applied.await? {
                Applied::Hit(now) => return Ok(Some((decided, now))),
                Applied::Miss(loaded) => seen = Seen::of(&loaded, None)?,
                Applied::Busy => break,
            }
        }
        Err(StoreError::new(StoreErrorKind::Contended))
    }
}

pub(super) struct Decided<'p> {
    pub(super) session: Session<'p>,
    made: Vec<(Outcome, bool)>,
}

impl Decided<'_> {
    /// What came of the commands, by the store's `now`.
    pub(super) fn told(self, now: Timestamp) -> Vec<Outcome> {
        let at = self.session.now();
        let made = self.made.into_iter();
        made.map(|made| told(made, at, now)).collect()
    }
}

pub(super) enum Undecided {
    /// The database must be asked; what was remembered stands if its version does.
    Stale(Option<Box<Account>>),
    Failed(StoreError),
}
