//! A run of commands decided over one account, and what they write together.

use std::collections::{BTreeMap, BTreeSet};

use sheen_core::error::StoreError;
use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId};
use sheen_core::seconds::Seconds;
use sheen_core::time::Timestamp;

use super::rows::{COMMIT, REFUND, RELEASE, corrupt};
use crate::account::decide::{
    self, Account, Change, CommitRecord, Hold, HoldState, Payment, Record, RefundRecord,
    ReserveRecord, Window,
};
use crate::account::refund::{Refund, RefundOf, RefundOutcome};
use crate::account::types::{
    Commit, CreditCommand, CreditOutcome, Extend, ExtendOutcome, Purchase, PurchaseOutcome,
    Release, Released, Reserve, ReserveOutcome,
};
use crate::account::{CreditPolicy, Entry};

/// One step on an account.
#[derive(Debug, Clone, Copy)]
pub(super) enum Command<'a> {
    Credit(&'a CreditCommand),
    Purchase(&'a Purchase),
    Refund(&'a Refund),
    /// The oldest lapsed holds go back, at most so many.
    Expire(usize),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Credit(CreditOutcome),
    Purchase(PurchaseOutcome),
    Refund(RefundOutcome),
    Expired(usize),
}

/// An outcome, and whether the expiry it tells counts from the instant of the decision.
type Made = (Outcome, bool);

/// What the commands write together.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) any: bool,
    pub(super) entries: Vec<Entry>,
    pub(super) made: BTreeMap<ReservationId, (OperationId, ReserveRecord)>,
    pub(super) holds: BTreeMap<ReservationId, Hold>,
    pub(super) commits: Vec<(OperationId, CommitRecord)>,
    pub(super) releases: Vec<(OperationId, Released)>,
    pub(super) refunds: Vec<(OperationId, RefundRecord)>,
    pub(super) projects: BTreeMap<ProjectId, Seconds>,
    /// A payment as it becomes, and as it was where it was there.
    pub(super) payment: Option<(PaymentId, Payment, Option<Payment>)>,
}

/// Commands decided one after another over one account at one instant.
#[derive(Debug)]
pub(super) struct Session<'a> {
    policy: &'a CreditPolicy,
    account: Account,
    payment: Option<Payment>,
    now: Timestamp,
    /// The version all of it was decided from.
    pub(super) version: u64,
    pub(super) window: Window,
    /// Sums of projects that were looked at, as they were.
    pub(super) relied: BTreeMap<ProjectId, Seconds>,
    pub(super) absent_holds: Vec<ReservationId>,
    pub(super) absent_operations: Vec<(&'static str, OperationId)>,
    /// What else to look up when the state turns out to be another.
    pub(super) see_holds: Vec<ReservationId>,
    pub(super) see_operations: Vec<(&'static str, OperationId)>,
    pub(super) see_payment: Option<PaymentId>,
    pub(super) writes: Writes,
    counts_from_now: BTreeSet<ReservationId>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        policy: &'a CreditPolicy,
        account: Account,
        payment: Option<Payment>,
        now: Timestamp,
    ) -> Self {
        Self {
            policy,
            version: account.version(),
            window: Window::around(&account, now),
            account,
            payment,
            now,
            relied: BTreeMap::new(),
            absent_holds: Vec::new(),
            absent_operations: Vec::new(),
            see_holds: Vec::new(),
            see_operations: Vec::new(),
            see_payment: None,
            writes: Writes::default(),
            counts_from_now: BTreeSet::new(),
        }
    }

    pub(super) const fn account(&self) -> &Account {
        &self.account
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn decide(&mut self, command: &Command<'_>) -> Result<Made, StoreError> {
        match command {
            Command::Credit(CreditCommand::Reserve(wish)) => self.reserve(wish),
            Command::Credit(CreditCommand::Commit(wish)) => self.commit(wish),
            Command::Credit(CreditCommand::Release(wish)) => self.release(wish),
            Command::Credit(CreditCommand::Extend(wish)) => self.extend(wish),
            Command::Purchase(purchase) => self.credit(purchase),
            Command::Refund(refund) => self.refund(refund),
            Command::Expire(limit) => {
                let decision = decide::expire(&self.account, self.now, *limit)?;
                self.absorb(decision.change)?;
                Ok((Outcome::Expired(decision.outcome), false))
            }
        }
    }

    fn reserve(&mut self, wish: &Reserve) -> Result<Made, StoreError> {
        match self.account.reserved(&wish.operation) {
            Some(known) => self.see_holds.push(known.answer.reservation.clone()),
            None => self.absent_holds.push(wish.reservation_id()),
        }
        if let Some(project) = &wish.project {
            self.rely_on(project);
        }
        let decision = decide::reserve(&self.account, self.now, self.policy, wish)?;
        let counts = match &decision.outcome {
            ReserveOutcome::Reserved(held) => {
                self.counts_from_now.insert(held.reservation.clone());
                true
            }
            ReserveOutcome::AlreadyReserved(held) => {
                self.writes.made.contains_key(&held.reservation)
            }
            _ => false,
        };
        self.absorb(decision.change)?;
        Ok((
            Outcome::Credit(CreditOutcome::Reserve(decision.outcome)),
            counts,
        ))
    }

    fn commit(&mut self, wish: &Commit) -> Result<Made, StoreError> {
        let known = self.account.committed(&wish.operation).is_some();
        self.see_holds.push(wish.reservation.clone());
        self.look_up((COMMIT, &wish.operation), known);
        let decision = decide::commit(&self.account, self.now, self.policy, wish)?;
        self.absorb(decision.change)?;
        Ok((
            Outcome::Credit(CreditOutcome::Commit(decision.outcome)),
            false,
        ))
    }

    fn release(&mut self, wish: &Release) -> Result<Made, StoreError> {
        let known = self.account.released(&wish.operation).is_some();
        self.see_holds.push(wish.reservation.clone());
        self.look_up((RELEASE, &wish.operation), known);
        let decision = decide::release(&self.account, self.now, self.policy, wish)?;
        self.absorb(decision.change)?;
        Ok((
            Outcome::Credit(CreditOutcome::Release(decision.outcome)),
            false,
        ))
    }

    fn extend(&mut self, wish: &Extend) -> Result<Made, StoreError> {
        self.see_holds.push(wish.reservation.clone());
        let expires_at = self
            .account
            .hold(&wish.reservation)
            .and_then(|hold| hold.state.expires_at());
        let decision = decide::extend(&self.account, self.now, self.policy, wish)?;
        let extended = matches!(decision.outcome, ExtendOutcome::Extended { .. });
        if let Some(expires_at) = expires_at
            && extended
            && !self.counts_from_now.contains(&wish.reservation)
            && self
                .window
                .extend(expires_at, self.now, wish.ttl.min(Reserve::MAX_TTL))
        {
            self.counts_from_now.insert(wish.reservation.clone());
        }
        self.absorb(decision.change)?;
        let counts = extended && self.counts_from_now.contains(&wish.reservation);
        Ok((
            Outcome::Credit(CreditOutcome::Extend(decision.outcome)),
            counts,
        ))
    }

    fn credit(&mut self, purchase: &Purchase) -> Result<Made, StoreError> {
        let known = self.payment.as_ref();
        let decision = decide::credit(&self.account, known, self.now, self.policy, purchase)?;
        self.absorb(decision.change)?;
        Ok((Outcome::Purchase(decision.outcome), false))
    }

    fn refund(&mut self, wish: &Refund) -> Result<Made, StoreError> {
        let known = self.account.refunded(&wish.operation).is_some();
        match &wish.of {
            RefundOf::Charge(reservation) => self.see_holds.push(reservation.clone()),
            RefundOf::Purchase(payment) => self.see_payment = Some(payment.clone()),
        }
        self.look_up((REFUND, &wish.operation), known);
        let payment = self.payment.as_ref();
        let decision = decide::refund(&self.account, payment, self.now, self.policy, wish)?;
        self.absorb(decision.change)?;
        Ok((Outcome::Refund(decision.outcome), false))
    }

    fn look_up(&mut self, (kind, operation): (&'static str, &OperationId), known: bool) {
        let asked = (kind, operation.clone());
        if known {
            self.see_operations.push(asked);
        } else {
            self.absent_operations.push(asked);
        }
    }

    /// Notes a project's sum as it was before anything was decided.
    fn rely_on(&mut self, project: &ProjectId) {
        if self.relied.contains_key(project) {
            return;
        }
        let head = self.account.head();
        let of_today = head.day.is_some_and(|day| day >= self.now.day());
        let sum = if of_today {
            self.account.project(project)
        } else {
            Seconds::ZERO
        };
        self.relied.insert(project.clone(), sum);
    }

    fn absorb(&mut self, change: Option<Change>) -> Result<(), StoreError> {
        let Some(change) = change else { return Ok(()) };
        for project in change.projects.keys() {
            self.rely_on(project);
        }
        self.account.apply(&change).map_err(corrupt)?;
        let writes = &mut self.writes;
        writes.any = true;
        writes.entries.extend(change.entries);
        for hold in change.holds {
            writes.holds.insert(hold.reservation.clone(), hold);
        }
        writes.projects.extend(change.projects);
        match change.record {
            Some(Record::Reserve(operation, record)) => {
                let reservation = record.answer.reservation.clone();
                writes.made.insert(reservation, (operation, record));
            }
            Some(Record::Commit(operation, record)) => writes.commits.push((operation, record)),
            Some(Record::Release(operation, answer)) => writes.releases.push((operation, answer)),
            Some(Record::Refund(operation, record)) => writes.refunds.push((operation, record)),
            None => {}
        }
        if let Some((id, payment)) = change.payment {
            writes.payment = Some((id, payment, self.payment.take()));
        }
        Ok(())
    }

    /// Where the expiry of an open hold counts from the decision's instant, how long it lives.
    pub(super) fn lives(&self, hold: &Hold) -> Option<i64> {
        let expires_at = hold.state.expires_at()?;
        self.counts_from_now
            .contains(&hold.reservation)
            .then(|| expires_at.as_millis() - self.now.as_millis())
    }

    /// The account as it stands, nothing having been decided.
    pub(super) fn into_account(self) -> Account {
        self.account
    }

    /// Open holds that the commands made or named.
    pub(super) fn open_holds_named(&self) -> impl Iterator<Item = &ReservationId> {
        let named = self.writes.made.keys().chain(&self.see_holds);
        named.filter(|id| {
            let hold = self.account.hold(id);
            hold.is_some_and(|hold| hold.state.expires_at().is_some())
        })
    }

    /// The account as it was written at the store's `now`, with what need not be kept forgotten.
    pub(super) fn settled(self, now: Timestamp) -> Account {
        let Self {
            mut account,
            now: decided,
            counts_from_now,
            writes,
            see_holds,
            ..
        } = self;
        for reservation in counts_from_now {
            let Some(hold) = account.hold(&reservation) else {
                continue;
            };
            if let HoldState::Open { slices, expires_at } = hold.state {
                let mut hold = hold.clone();
                let expires_at = later(expires_at, decided, now);
                hold.state = HoldState::Open { slices, expires_at };
                account.put_hold(hold);
            }
        }
        for reservation in writes.holds.keys().chain(&see_holds) {
            account.forget_ended(reservation);
        }
        account.forget_records();
        account
    }
}

/// `at`, which counts from `decided`, counted from `now` instead.
fn later(at: Timestamp, decided: Timestamp, now: Timestamp) -> Timestamp {
    let off = now.as_millis().saturating_sub(decided.as_millis());
    Timestamp::from_millis(at.as_millis().saturating_add(off))
}

/// The outcome as it is by the store's `now`.
pub(super) fn told((mut outcome, counts): Made, decided: Timestamp, now: Timestamp) -> Outcome {
    if !counts {
        return outcome;
    }
    match &mut outcome {
        Outcome::Credit(CreditOutcome::Reserve(
            ReserveOutcome::Reserved(held) | ReserveOutcome::AlreadyReserved(held),
        )) => held.expires_at = later(held.expires_at, decided, now),
        Outcome::Credit(CreditOutcome::Extend(ExtendOutcome::Extended { expires_at })) => {
            *expires_at = later(*expires_at, decided, now);
        }
        _ => {}
    }
    outcome
}
