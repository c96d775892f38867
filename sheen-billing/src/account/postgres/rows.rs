//! Rows of the database as values, and back.

use std::time::Duration;

use serde::Deserialize;
use sheen_core::error::{StoreError, StoreErrorKind};
use sheen_core::id::{OperationId, PaymentId, ProjectId, ReservationId, UserId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{Day, Timestamp};

use crate::account::decide::{
    Account, Buckets, CommitRecord, Head, Hold, HoldState, LateGift, Payment, Record, RefundRecord,
    ReserveRecord, Slices,
};
use crate::account::ledger::{EntryKind, Place, Totals};
use crate::account::refund::{RefundOf, Refunded};
use crate::account::types::{Balance, Bucket, Committed, Overage, Released, Reserved, Terms};
use crate::price::{TableVersion, Tier};

pub(super) const COMMIT: &str = "commit";
pub(super) const RELEASE: &str = "release";
pub(super) const REFUND: &str = "refund";
/// The overage that is not the usual one.
pub(super) const REJECT: &str = "reject";

/// What the database holds cannot be read.
pub(super) fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

/// `credit_state_v1`'s answer.
#[derive(Debug, Deserialize)]
pub(super) struct StateRow {
    pub(super) user: UserId,
    account: Option<AccountRow>,
    next: Option<i64>,
    holds: Vec<HoldRow>,
    operations: Vec<OperationRow>,
    projects: Vec<ProjectRow>,
    payment: Option<PaymentRow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AccountRow {
    version: u64,
    welcomed: bool,
    gift_day: Option<i64>,
    day: Option<i64>,
    used_today: Seconds,
    reserved_today: Seconds,
    last_entry: u64,
    open_holds: usize,
    gift_granted: Seconds,
    gift_available: Seconds,
    gift_held: Seconds,
    gift_charged: Seconds,
    gift_breakage: Seconds,
    welcome_granted: Seconds,
    welcome_available: Seconds,
    welcome_held: Seconds,
    welcome_charged: Seconds,
    welcome_breakage: Seconds,
    paid_granted: Seconds,
    paid_available: Seconds,
    paid_held: Seconds,
    paid_charged: Seconds,
    paid_breakage: Seconds,
}

#[derive(Debug, Deserialize)]
pub(super) struct HoldRow {
    reservation_id: ReservationId,
    operation_id: OperationId,
    project_id: Option<ProjectId>,
    seconds: Seconds,
    ttl_ms: u64,
    day: i64,
    created_ms: i64,
    answer_gift: Seconds,
    answer_welcome: Seconds,
    answer_paid: Seconds,
    state: String,
    gift: Seconds,
    welcome: Seconds,
    paid: Seconds,
    expires_ms: Option<i64>,
    overage: Option<String>,
    tier: Option<String>,
    price_version: Option<u32>,
    package_version: Option<u32>,
    charged_gift: Option<Seconds>,
    charged_welcome: Option<Seconds>,
    charged_paid: Option<Seconds>,
    refunded_gift: Option<Seconds>,
    refunded_welcome: Option<Seconds>,
    refunded_paid: Option<Seconds>,
    late_gift: Option<Seconds>,
    late_day: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct OperationRow {
    kind: String,
    operation_id: OperationId,
    reservation_id: Option<ReservationId>,
    payment_id: Option<PaymentId>,
    seconds: Seconds,
    charged: Seconds,
    returned: Seconds,
    shortfall: Seconds,
    answer_gift: Seconds,
    answer_welcome: Seconds,
    answer_paid: Seconds,
}

#[derive(Debug, Deserialize)]
struct ProjectRow {
    project_id: ProjectId,
    day: i64,
    reserved: Seconds,
}

#[derive(Debug, Deserialize)]
struct PaymentRow {
    user_id: UserId,
    seconds: Seconds,
    refunded: Seconds,
}

impl StateRow {
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(corrupt)
    }

    /// The account with the holds, records and sums that came with it.
    pub(super) fn account(&self) -> Result<Account, StoreError> {
        let mut account = match &self.account {
            Some(row) => Account::load(self.user.clone(), row.version, row.head()),
            None => Account::untouched(self.user.clone()),
        };
        self.add_to(&mut account)?;
        Ok(account)
    }

    /// The version of the account.
    pub(super) fn version(&self) -> u64 {
        self.account.as_ref().map_or(0, |row| row.version)
    }

    /// Adds what was looked up to the account of the same version.
    pub(super) fn add_to(&self, account: &mut Account) -> Result<(), StoreError> {
        for row in &self.holds {
            account.put_hold(row.hold()?);
            account.put_record(row.record()?);
        }
        for row in &self.operations {
            account.put_record(row.record()?);
        }
        for row in &self.projects {
            if account.head().day == Some(Day::from_number(row.day)) {
                account.put_project(row.project_id.clone(), row.reserved);
            }
        }
        if let Some(row) = &self.account {
            let unlisted = row
                .open_holds
                .checked_sub(account.listed_holds())
                .ok_or_else(|| corrupt("more open holds than were counted"))?;
            account.put_unlisted(unlisted, self.next.map(Timestamp::from_millis));
        }
        Ok(())
    }

    pub(super) fn payment(&self) -> Option<Payment> {
        let row = self.payment.as_ref()?;
        Some(Payment {
            user: row.user_id.clone(),
            seconds: row.seconds,
            refunded: row.refunded,
        })
    }
}

impl AccountRow {
    pub(super) fn open_holds(&self) -> u64 {
        u64::try_from(self.open_holds).unwrap_or(u64::MAX)
    }

    pub(super) fn head(&self) -> Head {
        let totals = |granted, available, held, charged, breakage| Totals {
            granted,
            available,
            held,
            charged,
            breakage,
        };
        let daily_gift = totals(
            self.gift_granted,
            self.gift_available,
            self.gift_held,
            self.gift_charged,
            self.gift_breakage,
        );
        let welcome_bonus = totals(
            self.welcome_granted,
            self.welcome_available,
            self.welcome_held,
            self.welcome_charged,
            self.welcome_breakage,
        );
        let paid = totals(
            self.paid_granted,
            self.paid_available,
            self.paid_held,
            self.paid_charged,
            self.paid_breakage,
        );
        Head {
            welcomed: self.welcomed,
            gift_day: self.gift_day.map(Day::from_number),
            day: self.day.map(Day::from_number),
            used_today: self.used_today,
            reserved_today: self.reserved_today,
            buckets: Buckets {
                daily_gift,
                welcome_bonus,
                paid,
            },
            last_entry: self.last_entry,
        }
    }
}

fn balance(gift: Seconds, welcome: Seconds, paid: Seconds) -> Result<Balance, StoreError> {
    let sum = gift
        .checked_add(welcome)
        .and_then(|sum| sum.checked_add(paid));
    Ok(Balance {
        welcome_bonus: welcome,
        daily_gift: gift,
        paid,
        total: sum.ok_or_else(|| corrupt("a balance out of range"))?,
    })
}

impl HoldRow {
    fn terms(&self) -> Result<Option<Terms>, StoreError> {
        let Some((tier, prices)) = self.tier.as_ref().zip(self.price_version) else {
            return Ok(None);
        };
        let tier = Tier::parse(tier).ok_or_else(|| corrupt("the tier of a hold"))?;
        let mut terms = Terms::new(tier, TableVersion::new(prices));
        terms.packages = self.package_version.map(TableVersion::new);
        Ok(Some(terms))
    }

    fn overage(&self) -> Result<Overage, StoreError> {
        match self.overage.as_deref() {
            None | Some("top_up") => Ok(Overage::TopUp),
            Some(REJECT) => Ok(Overage::Reject),
            Some(_) => Err(corrupt("the overage of a hold")),
        }
    }

    pub(super) fn hold(&self) -> Result<Hold, StoreError> {
        let slices =
            |gift: Option<Seconds>, welcome: Option<Seconds>, paid: Option<Seconds>| Slices {
                daily_gift: gift.unwrap_or_default(),
                welcome_bonus: welcome.unwrap_or_default(),
                paid: paid.unwrap_or_default(),
            };
        let state = match (&*self.state, self.expires_ms) {
            ("open", Some(expires_ms)) => HoldState::Open {
                slices: Slices {
                    daily_gift: self.gift,
                    welcome_bonus: self.welcome,
                    paid: self.paid,
                },
                expires_at: Timestamp::from_millis(expires_ms),
            },
            ("committed", _) => HoldState::Committed {
                charged: slices(self.charged_gift, self.charged_welcome, self.charged_paid),
                refunded: slices(
                    self.refunded_gift,
                    self.refunded_welcome,
                    self.refunded_paid,
                ),
            },
            ("released", _) => HoldState::Released,
            ("expired", _) => HoldState::Expired,
            _ => return Err(corrupt("the state of a hold")),
        };
        let day = Day::from_number(self.day);
        let mut hold = Hold::new(self.reservation_id.clone(), self.seconds, day, state);
        hold.project.clone_from(&self.project_id);
        (hold.overage, hold.terms) = (self.overage()?, self.terms()?);
        let late = self.late_day.zip(self.late_gift);
        hold.late_gift = late.map(|(day, seconds)| LateGift {
            day: Day::from_number(day),
            seconds,
        });
        Ok(hold)
    }

    fn record(&self) -> Result<Record, StoreError> {
        let ttl = Duration::from_millis(self.ttl_ms);
        let answer = Reserved::new(
            self.reservation_id.clone(),
            self.seconds,
            Timestamp::from_millis(self.created_ms).plus(ttl),
            balance(self.answer_gift, self.answer_welcome, self.answer_paid)?,
        );
        let mut record = ReserveRecord::new(self.seconds, ttl, answer);
        record.project.clone_from(&self.project_id);
        (record.overage, record.terms) = (self.overage()?, self.terms()?);
        Ok(Record::Reserve(self.operation_id.clone(), record))
    }
}

impl OperationRow {
    fn record(&self) -> Result<Record, StoreError> {
        let balance = balance(self.answer_gift, self.answer_welcome, self.answer_paid)?;
        let operation = self.operation_id.clone();
        if self.kind == REFUND {
            let of = match (&self.reservation_id, &self.payment_id) {
                (Some(reservation), None) => RefundOf::Charge(reservation.clone()),
                (None, Some(payment)) => RefundOf::Purchase(payment.clone()),
                _ => return Err(corrupt("what a refund is of")),
            };
            let mut answer = Refunded::new(self.seconds, balance);
            answer.returned = self.returned;
            return Ok(Record::Refund(operation, RefundRecord::new(of, answer)));
        }
        let reservation = self.reservation_id.clone();
        let reservation = reservation.ok_or_else(|| corrupt("the hold of an operation"))?;
        match &*self.kind {
            COMMIT => {
                let mut answer = Committed::new(reservation, self.charged, balance);
                answer.returned = self.returned;
                answer.shortfall = self.shortfall;
                Ok(Record::Commit(
                    operation,
                    CommitRecord::new(self.seconds, answer),
                ))
            }
            RELEASE => {
                let answer = Released::new(reservation, self.returned, balance);
                Ok(Record::Release(operation, answer))
            }
            _ => Err(corrupt("the kind of an operation")),
        }
    }
}

pub(super) const fn state_text(state: &HoldState) -> &'static str {
    match state {
        HoldState::Open { .. } => "open",
        HoldState::Committed { .. } => "committed",
        HoldState::Released => "released",
        HoldState::Expired => "expired",
    }
}

pub(super) const fn bucket_text(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::DailyGift => "gift",
        Bucket::WelcomeBonus => "welcome",
        Bucket::Paid => "paid",
    }
}

pub(super) const PLACES: [Place; 5] = [
    Place::Granted,
    Place::Available,
    Place::Held,
    Place::Charged,
    Place::Breakage,
];

pub(super) const fn place_text(place: Place) -> &'static str {
    match place {
        Place::Granted => "granted",
        Place::Available => "available",
        Place::Held => "held",
        Place::Charged => "charged",
        Place::Breakage => "breakage",
    }
}

pub(super) const KINDS: [EntryKind; 10] = [
    EntryKind::DailyGift,
    EntryKind::WelcomeBonus,
    EntryKind::Purchase,
    EntryKind::Reserve,
    EntryKind::Commit,
    EntryKind::Release,
    EntryKind::Expire,
    EntryKind::Breakage,
    EntryKind::Refund,
    EntryKind::Reversal,
];

pub(super) const fn kind_text(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::DailyGift => "daily_gift",
        EntryKind::WelcomeBonus => "welcome_bonus",
        EntryKind::Purchase => "purchase",
        EntryKind::Reserve => "reserve",
        EntryKind::Commit => "commit",
        EntryKind::Release => "release",
        EntryKind::Expire => "expire",
        EntryKind::Breakage => "breakage",
        EntryKind::Refund => "refund",
        EntryKind::Reversal => "reversal",
    }
}

/// The one of `all` that `text` stands for.
pub(super) fn named<T: Copy>(
    all: &[T],
    text_of: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, StoreError> {
    let found = all.iter().copied().find(|one| text_of(*one) == text);
    found.ok_or_else(|| corrupt(format!("an unknown word: {text}")))
}

/// A whole number of seconds.
pub(super) fn seconds(number: i64) -> Result<Seconds, StoreError> {
    let number = u64::try_from(number).map_err(corrupt)?;
    Seconds::new(number).map_err(corrupt)
}
