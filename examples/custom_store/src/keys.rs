//! Idempotency records: a row for each key, and an index by the end of its life.

use async_trait::async_trait;
use redb::{ReadableTable as _, TableDefinition};
use sheen_core::error::StoreError;
use sheen_core::idempotency::{
    BeginDecision, BeginOutcome, CompleteDecision, ExtendOutcome, Fingerprint, IdempotencyKey,
    IdempotencyStore, Lease, LeaseOutcome, Record, Scope, StoredAnswer, decide_abandon,
    decide_begin, decide_complete, decide_extend, decide_look,
};
use sheen_core::token::FencingToken;

use crate::rows::KeyRow;
use crate::{RedbStore, Step, read, unavailable, written};

/// By principal, user and key. No id holds a slash, so a name is read one way only.
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
/// Names by the end of their record, and its token, which no other has.
const ENDS: TableDefinition<'_, (i64, u64), &str> = TableDefinition::new("key_ends");

fn name(scope: &Scope, key: &IdempotencyKey) -> String {
    format!("{}/{}/{}", scope.principal, scope.user, key.as_str())
}

fn end(record: &Record) -> (i64, u64) {
    (record.ends_at().as_millis(), record.token.get())
}

impl Step<'_> {
    fn record(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let keys = self.transaction.open_table(KEYS).map_err(unavailable)?;
        let row = keys.get(name).map_err(unavailable)?;
        row.map(|row| read::<KeyRow>(row.value())?.record())
            .transpose()
    }

    /// Writes or removes a record, and its place in the index with it.
    fn replace(
        &self,
        name: &str,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), StoreError> {
        let mut keys = self.transaction.open_table(KEYS).map_err(unavailable)?;
        let mut ends = self.transaction.open_table(ENDS).map_err(unavailable)?;
        if let Some(before) = before {
            ends.remove(end(before)).map_err(unavailable)?;
        }
        if let Some(after) = after {
            ends.insert(end(after), name).map_err(unavailable)?;
            let row = written(&KeyRow::of(after))?;
            keys.insert(name, row.as_slice()).map_err(unavailable)?;
        } else {
            keys.remove(name).map_err(unavailable)?;
        }
        Ok(())
    }
}

#[async_trait]
impl IdempotencyStore for RedbStore {
    async fn begin(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<BeginOutcome, StoreError> {
        let (scope, key) = (scope.clone(), key.clone());
        self.step(move |step| {
            let name = name(&scope, &key);
            let before = step.record(&name)?;
            let fresh = FencingToken::from_u64(step.count("tokens")?);
            let decided = decide_begin(
                before.as_ref(),
                fingerprint,
                fresh,
                step.now,
                &step.lifetimes,
            );
            let taken = match decided {
                BeginDecision::Refuse(outcome) => return Ok(outcome),
                BeginDecision::Take(taken) => taken,
            };
            step.replace(&name, before.as_ref(), Some(&taken))?;
            let lease = Lease::new(scope, key, taken.token, taken.ends_at());
            Ok(BeginOutcome::Started(lease))
        })
        .await
    }

    async fn extend(&self, lease: &Lease) -> Result<ExtendOutcome, StoreError> {
        let mut lease = lease.clone();
        self.step(move |step| {
            let name = name(&lease.scope, &lease.key);
            let before = step.record(&name)?;
            let longer = decide_extend(before.as_ref(), lease.token, step.now, &step.lifetimes);
            let Some(longer) = longer else {
                return Ok(ExtendOutcome::Lost);
            };
            step.replace(&name, before.as_ref(), Some(&longer))?;
            lease.expires_at = longer.ends_at();
            Ok(ExtendOutcome::Extended(lease))
        })
        .await
    }

    async fn complete(
        &self,
        lease: &Lease,
        answer: StoredAnswer,
    ) -> Result<LeaseOutcome, StoreError> {
        let lease = lease.clone();
        self.step(move |step| {
            let name = name(&lease.scope, &lease.key);
            let before = step.record(&name)?;
            let (token, now) = (lease.token, step.now);
            let decided = decide_complete(before.as_ref(), token, answer, now, &step.lifetimes);
            match decided {
                CompleteDecision::Lost => Ok(LeaseOutcome::Lost),
                CompleteDecision::Repeat => Ok(LeaseOutcome::Done),
                CompleteDecision::Keep(done) => {
                    step.replace(&name, before.as_ref(), Some(&done))?;
                    Ok(LeaseOutcome::Done)
                }
            }
        })
        .await
    }

    async fn abandon(&self, lease: &Lease) -> Result<LeaseOutcome, StoreError> {
        let lease = lease.clone();
        self.step(move |step| {
            let name = name(&lease.scope, &lease.key);
            let before = step.record(&name)?;
            if !decide_abandon(before.as_ref(), lease.token) {
                return Ok(LeaseOutcome::Lost);
            }
            step.replace(&name, before.as_ref(), None)?;
            Ok(LeaseOutcome::Done)
        })
        .await
    }

    async fn look(
        &self,
        scope: &Scope,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
    ) -> Result<Option<BeginOutcome>, StoreError> {
        let name = name(scope, key);
        self.step(move |step| {
            let record = step.record(&name)?;
            Ok(decide_look(record.as_ref(), fingerprint, step.now))
        })
        .await
    }

    async fn reap(&self, limit: u32) -> Result<u32, StoreError> {
        self.step(move |step| {
            let mut reaped = 0;
            while reaped < limit {
                let first = {
                    let ends = step.transaction.open_table(ENDS).map_err(unavailable)?;
                    let first = ends.first().map_err(unavailable)?;
                    first.map(|(end, name)| (end.value().0, name.value().to_owned()))
                };
                match first {
                    Some((end, name)) if end <= step.now.as_millis() => {
                        let before = step.record(&name)?;
                        step.replace(&name, before.as_ref(), None)?;
                        reaped += 1;
                    }
                    _ => break,
                }
            }
            Ok(reaped)
        })
        .await
    }
}
