//! The cases, one for each clause of [`Admission`](crate::admission::Admission).
#![expect(
    clippy::missing_panics_doc,
    reason = "a case panics when its clause does not hold"
)]
#![expect(missing_docs, reason = "a case is documented by its clause")]

mod admits;
mod runs;

pub use admits::*;
pub use runs::*;

use sheen_billing::account::{LedgerTotals, Purchase};
use sheen_core::build::{Authority, Claimed, Ending, FailureReason, Finish};
use sheen_core::id::{BuildId, PaymentId};
use sheen_core::seconds::Seconds;
use sheen_core::token::FencingToken;
use sheen_events::log::{Append, Event, EventType, NewEvent};

use super::{AdmissionHarness, GIFT, admit, call, project, user, worker};
use crate::admission::{Admit, AdmitOutcome, SettleOutcome};

impl AdmissionHarness {
    pub(crate) async fn admitted(&self, admit: Admit) -> AdmitOutcome {
        self.admission.admit(admit).await.expect("the store works")
    }

    pub(crate) async fn claimed(&self) -> Claimed {
        self.admission
            .claim(&worker("w1"))
            .await
            .expect("the store works")
            .expect("a queued build")
    }

    pub(crate) async fn settled(&self, finish: Finish) -> SettleOutcome {
        self.admission
            .settle(finish)
            .await
            .expect("the store works")
    }

    pub(crate) async fn available(&self, name: &str) -> u64 {
        let views = self
            .accounts
            .views(&[user(name)])
            .await
            .expect("the store works");
        views[0].balance.total.get()
    }

    pub(crate) async fn totals(&self) -> LedgerTotals {
        let totals = self.accounts.ledger_totals().await;
        let totals = totals.expect("the store works");
        assert!(totals.is_conserved(), "{totals:?}");
        totals
    }

    pub(crate) async fn events(&self, build: &str) -> Vec<Event> {
        let page = self
            .log
            .read(&id(build), 0, 100)
            .await
            .expect("the store works");
        page.map(|page| page.events).unwrap_or_default()
    }

    pub(crate) async fn stream_closed(&self, build: &str) -> bool {
        let page = self
            .log
            .read(&id(build), 0, 1)
            .await
            .expect("the store works");
        page.expect("a stream").stream.closed
    }

    pub(crate) async fn buy(&self, name: &str, seconds: u32) {
        let payment = PaymentId::parse(&format!("pay-{name}-{seconds}")).expect("a valid id");
        let purchase = Purchase::new(user(name), payment, Seconds::from_u32(seconds));
        self.grants.credit(purchase).await.expect("the store works");
    }
}

pub(crate) fn id(build: &str) -> BuildId {
    BuildId::parse(build).expect("a valid id")
}

pub(crate) fn deployed(build: &str, token: FencingToken, seconds: u32) -> Finish {
    let ending = Ending::Deployed {
        preview_url: "https://preview.test/b1/".into(),
        seconds: Seconds::from_u32(seconds),
    };
    Finish::new(id(build), Authority::Claim(token), ending)
}

pub(crate) fn failed(build: &str, by: Authority, reason: FailureReason) -> Finish {
    Finish::new(
        id(build),
        by,
        Ending::Failed {
            reason,
            error: "It broke.".into(),
        },
    )
}

pub(crate) fn line(build: &str, token: FencingToken) -> Append {
    let mut data = serde_json::Map::new();
    data.insert("message".to_owned(), "a line".into());
    let event = NewEvent::new(EventType::BUILD_LOG, &data).expect("a valid event");
    Append::new(id(build), token, vec![event])
}

pub(crate) fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// A task beside the others, so that steps really meet.
#[expect(clippy::disallowed_methods, reason = "a suite may have tasks")]
pub(crate) async fn spawned<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> T {
    tokio::spawn(task).await.expect("the task did not panic")
}
