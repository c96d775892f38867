//! A working copy of an account's head, and what was written to it so far.

use std::collections::BTreeMap;

use sheen_core::id::{ProjectId, ReservationId};
use sheen_core::seconds::Seconds;
use sheen_core::time::{Day, Timestamp};

use super::super::ledger::{CreditPolicy, Entry, EntryKind, Place, Totals};
use super::super::types::{AccountView, Balance, Bucket, Usage};
use super::DecideError;
use super::state::{Account, Change, Head, Hold, HoldState, Record};
use super::sums::Slices;

/// What caused an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cause<'a> {
    pub(super) reservation: Option<&'a ReservationId>,
    pub(super) operation: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Draft<'a> {
    account: &'a Account,
    pub(super) now: Timestamp,
    pub(super) today: Day,
    head: Head,
    entries: Vec<Entry>,
    holds: Vec<Hold>,
    projects: BTreeMap<ProjectId, Seconds>,
    lapsed: usize,
}

impl<'a> Draft<'a> {
    /// The account with what time alone has done to it: at most `limit` lapsed holds gone back,
    /// a void gift gone, sums of a past day forgotten.
    pub(super) fn roll(
        account: &'a Account,
        now: Timestamp,
        limit: usize,
    ) -> Result<Self, DecideError> {
        let head = *account.head();
        // A clock that steps back stays on the last day seen: no day is entered twice.
        let today = head.day.map_or(now.day(), |day| day.max(now.day()));
        let mut draft = Self {
            account,
            now,
            today,
            head,
            entries: Vec::new(),
            holds: Vec::new(),
            projects: BTreeMap::new(),
            lapsed: 0,
        };
        if draft.head.day != Some(today) {
            draft.head.day = Some(today);
            draft.head.used_today = Seconds::ZERO;
            draft.head.reserved_today = Seconds::ZERO;
        }
        if draft.head.gift_day.is_some_and(|given| given < today) {
            let void = draft.head.buckets.daily_gift.available;
            draft.shift(
                EntryKind::Breakage,
                Bucket::DailyGift,
                (Place::Available, Place::Breakage),
                void,
                Cause::default(),
            )?;
        }
        for hold in account.lapsed(now).take(limit) {
            draft.close(
                hold,
                HoldState::Expired,
                EntryKind::Expire,
                Cause::default(),
            )?;
            draft.lapsed += 1;
        }
        Ok(draft)
    }

    /// [`Self::roll`], and the gifts that a touch gives.
    pub(super) fn touch(
        account: &'a Account,
        now: Timestamp,
        policy: &CreditPolicy,
    ) -> Result<Self, DecideError> {
        let mut draft = Self::roll(account, now, usize::MAX)?;
        if !draft.head.welcomed {
            draft.head.welcomed = true;
            draft.gift(
                EntryKind::WelcomeBonus,
                Bucket::WelcomeBonus,
                policy.welcome_bonus,
            )?;
        }
        // By the clock's own day too: a sweep by a clock that ran ahead is no reason for a second
        // gift once it was set right.
        if draft.head.gift_day.is_none_or(|given| given < now.day()) {
            draft.head.gift_day = Some(draft.today);
            draft.gift(EntryKind::DailyGift, Bucket::DailyGift, policy.daily_gift)?;
        }
        Ok(draft)
    }

    /// Gives, unless the account cannot hold it: a gift is no reason to refuse a step.
    fn gift(
        &mut self,
        kind: EntryKind,
        bucket: Bucket,
        seconds: Seconds,
    ) -> Result<(), DecideError> {
        if self.has_room_for(seconds)? {
            self.grant(kind, bucket, seconds, Cause::default())?;
        }
        Ok(())
    }

    /// Whether the account may be granted `seconds` more: all sums stay in range then.
    pub(super) fn has_room_for(&self, seconds: Seconds) -> Result<bool, DecideError> {
        let granted = self.sum()?.granted;
        Ok(granted.checked_add(seconds).is_some())
    }

    pub(super) fn grant(
        &mut self,
        kind: EntryKind,
        bucket: Bucket,
        seconds: Seconds,
        cause: Cause<'_>,
    ) -> Result<(), DecideError> {
        self.shift(
            kind,
            bucket,
            (Place::Granted, Place::Available),
            seconds,
            cause,
        )
    }

    /// Moves seconds and writes the entry; moving none writes none.
    pub(super) fn shift(
        &mut self,
        kind: EntryKind,
        bucket: Bucket,
        (from, to): (Place, Place),
        seconds: Seconds,
        cause: Cause<'_>,
    ) -> Result<(), DecideError> {
        if seconds.is_zero() {
            return Ok(());
        }
        let sums = self.head.buckets.of_mut(bucket);
        sums.shift(from, to, seconds).ok_or(DecideError::Corrupt)?;
        self.head.last_entry += 1;
        let number = self.head.last_entry;
        let user = self.account.user();
        let entry = Entry::new(user, number, kind, bucket, (from, to), seconds, self.now);
        self.entries.push(Entry {
            reservation: cause.reservation.cloned(),
            operation: cause.operation.map(str::to_owned),
            ..entry
        });
        Ok(())
    }

    /// Takes `seconds`, or as many as there are, from the buckets in the order they are spent.
    pub(super) fn take(
        &mut self,
        kind: EntryKind,
        to: Place,
        seconds: Seconds,
        cause: Cause<'_>,
    ) -> Result<Slices, DecideError> {
        let mut rest = seconds;
        let mut slices = Slices::default();
        for bucket in Bucket::ALL {
            let part = rest.min(self.head.buckets.of(bucket).available);
            self.shift(kind, bucket, (Place::Available, to), part, cause)?;
            *slices.of_mut(bucket) = part;
            rest = rest.saturating_sub(part);
        }
        Ok(slices)
    }

    /// Returns one slice of a hold to its bucket, or to breakage when it is of a gift that is
    /// void. Tells what can be spent again.
    pub(super) fn give_back(
        &mut self,
        hold: &Hold,
        kind: EntryKind,
        bucket: Bucket,
        seconds: Seconds,
        cause: Cause<'_>,
    ) -> Result<Seconds, DecideError> {
        if bucket == Bucket::DailyGift && hold.day < self.today {
            let void = (Place::Held, Place::Breakage);
            self.shift(EntryKind::Breakage, bucket, void, seconds, cause)?;
            return Ok(Seconds::ZERO);
        }
        self.shift(
            kind,
            bucket,
            (Place::Held, Place::Available),
            seconds,
            cause,
        )?;
        Ok(seconds)
    }

    /// Ends an open hold, all of it going back. Tells what can be spent again.
    pub(super) fn close(
        &mut self,
        hold: &Hold,
        state: HoldState,
        kind: EntryKind,
        cause: Cause<'_>,
    ) -> Result<Seconds, DecideError> {
        let HoldState::Open { slices, .. } = hold.state else {
            return Err(DecideError::Corrupt);
        };
        let cause = Cause {
            reservation: Some(&hold.reservation),
            ..cause
        };
        let mut returned = Seconds::ZERO;
        for bucket in Bucket::ALL {
            let back = self.give_back(hold, kind, bucket, slices.of(bucket), cause)?;
            returned = returned.checked_add(back).ok_or(DecideError::Corrupt)?;
        }
        let held = slices.sum().ok_or(DecideError::Corrupt)?;
        self.count(hold, held, Seconds::ZERO)?;
        self.put(hold, state);
        Ok(returned)
    }

    /// Counts a change of what a hold holds or charged towards the caps of its day.
    pub(super) fn count(
        &mut self,
        hold: &Hold,
        less: Seconds,
        more: Seconds,
    ) -> Result<(), DecideError> {
        if hold.day != self.today {
            return Ok(());
        }
        let adjust = |sum: Seconds| {
            sum.checked_sub(less)
                .and_then(|sum| sum.checked_add(more))
                .ok_or(DecideError::Corrupt)
        };
        self.head.reserved_today = adjust(self.head.reserved_today)?;
        if let Some(project) = &hold.project {
            let sum = adjust(self.project(project))?;
            self.projects.insert(project.clone(), sum);
        }
        Ok(())
    }

    /// Writes a hold in a new state.
    pub(super) fn put(&mut self, hold: &Hold, state: HoldState) {
        self.holds.push(Hold {
            state,
            ..hold.clone()
        });
    }

    pub(super) fn charge(&mut self, seconds: Seconds) -> Result<(), DecideError> {
        let used = self.head.used_today.checked_add(seconds);
        self.head.used_today = used.ok_or(DecideError::Corrupt)?;
        Ok(())
    }

    pub(super) const fn reserved_today(&self) -> Seconds {
        self.head.reserved_today
    }

    /// What the project's holds of today hold or charged.
    pub(super) fn project(&self, project: &ProjectId) -> Seconds {
        if let Some(sum) = self.projects.get(project) {
            return *sum;
        }
        if self.account.head().day == Some(self.today) {
            self.account.project(project)
        } else {
            Seconds::ZERO
        }
    }

    /// Open holds, without those that lapsed.
    pub(super) fn open_holds(&self) -> usize {
        self.account.open_holds().saturating_sub(self.lapsed)
    }

    pub(super) const fn lapsed(&self) -> usize {
        self.lapsed
    }

    fn sum(&self) -> Result<Totals, DecideError> {
        self.head.buckets.sum().ok_or(DecideError::Corrupt)
    }

    pub(super) fn balance(&self) -> Result<Balance, DecideError> {
        let buckets = &self.head.buckets;
        Ok(Balance {
            welcome_bonus: buckets.welcome_bonus.available,
            daily_gift: buckets.daily_gift.available,
            paid: buckets.paid.available,
            total: self.sum()?.available,
        })
    }

    pub(super) fn view(&self) -> Result<AccountView, DecideError> {
        Ok(AccountView {
            balance: self.balance()?,
            usage: Usage {
                today_used: self.head.used_today,
                lifetime_used: self.sum()?.charged,
            },
            daily_reset_at: self.today.end(),
        })
    }

    pub(super) fn finish(self, record: Option<Record>) -> Change {
        Change {
            version: self.account.version(),
            head: self.head,
            entries: self.entries,
            holds: self.holds,
            projects: self.projects,
            record,
            payment: None,
        }
    }

    pub(super) const fn available(&self, bucket: Bucket) -> Seconds {
        self.head.buckets.of(bucket).available
    }
}
