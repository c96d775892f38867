//! Recomputing the accounts of one process.

use std::ops::Bound;

use sheen_core::id::UserId;
use sheen_core::seconds::Seconds;

use super::super::audit::{Audit, Books, Drift};
use super::super::decide::{Account, HoldState};
use super::super::ledger::Entry;
use super::super::types::Bucket;
use super::CreditState;

fn drifts(account: &Account, entries: &[Entry]) -> Vec<Drift> {
    let mut books = Books::default();
    for entry in entries {
        let seconds = entry.seconds.get();
        books
            .moved
            .push((entry.bucket, entry.from, entry.to, seconds));
        books.entries += 1;
        books.last_number = books.last_number.max(entry.number);
    }
    for hold in account.holds() {
        if let HoldState::Open { slices, .. } = hold.state {
            books.open_holds += 1;
            for bucket in Bucket::ALL {
                let held = books.held.of_mut(bucket);
                *held = held.checked_add(slices.of(bucket)).unwrap_or(Seconds::MAX);
            }
        }
    }
    let open = u64::try_from(account.open_holds()).unwrap_or(u64::MAX);
    books.compare(account.user(), account.head(), open)
}

impl CreditState {
    /// What in the account of `user` its entries and holds do not give.
    #[must_use]
    pub fn verify(&self, user: &UserId) -> Vec<Drift> {
        let account = self.account(user);
        account.map_or_else(Vec::new, |account| drifts(account, self.entries(user, 0)))
    }

    /// The same for at most `limit` accounts after the one named, at least one.
    #[must_use]
    pub fn verify_all(&self, after: Option<&UserId>, limit: u32) -> Audit {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut accounts = self.accounts_from(from).peekable();
        let mut audit = Audit::default();
        while audit.accounts < limit.max(1)
            && let Some(account) = accounts.next()
        {
            audit.accounts += 1;
            let entries = self.entries(account.user(), 0);
            audit.drifts.extend(drifts(account, entries));
            audit.next = accounts.peek().map(|_| account.user().clone());
        }
        audit
    }
}
