//! The table of wire.md §11 as data.

use std::time::Duration;

use sheen_core::id::{PrincipalId, UserId};

use super::types::{LimitKey, Quota, Quotas, Subject};
use crate::address::ClientNet;

/// A kind of route with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RouteClass {
    /// `/v1/chat`.
    Chat,
    /// A project's files.
    ProjectFiles,
    /// Event polls and stream opens.
    EventReads,
    /// `/v1/billing/*`.
    Billing,
    /// Everything else that names a user. Commit and release are here under the user of their
    /// reservation.
    Named,
    /// What names no user.
    Nameless,
    /// A service's own sign-in routes; no route of the worker is one.
    Auth,
}

impl RouteClass {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::ProjectFiles,
        Self::EventReads,
        Self::Billing,
        Self::Named,
        Self::Nameless,
        Self::Auth,
    ];

    /// A name for keys, policies and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ProjectFiles => "files",
            Self::EventReads => "events",
            Self::Billing => "billing",
            Self::Named => "user",
            Self::Nameless => "nameless",
            Self::Auth => "auth",
        }
    }

    /// Whether the address a call comes from is all that it counts, where addresses are known. All
    /// other classes count whom a call is for, or by.
    #[must_use]
    pub const fn is_by_address(self) -> bool {
        matches!(self, Self::Nameless | Self::Auth)
    }
}

/// What is known of who calls when the limit is asked.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Who<'a> {
    /// The user the call is for, verified.
    pub user: Option<&'a UserId>,
    /// The client's network, forwarded through trusted hops.
    pub network: Option<ClientNet>,
    /// The front end that signed.
    pub principal: Option<&'a PrincipalId>,
}

impl<'a> Who<'a> {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            user: None,
            network: None,
            principal: None,
        }
    }

    /// The same for `user`.
    #[must_use]
    pub const fn user(mut self, user: Option<&'a UserId>) -> Self {
        self.user = user;
        self
    }

    /// The same from `network`.
    #[must_use]
    pub const fn network(mut self, network: Option<ClientNet>) -> Self {
        self.network = network;
        self
    }

    /// The same by `principal`.
    #[must_use]
    pub const fn principal(mut self, principal: Option<&'a PrincipalId>) -> Self {
        self.principal = principal;
        self
    }
}

/// A limit that holds for a call: its name, whom it counts, and how much that one may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit<'a> {
    /// What is counted apart.
    pub key: LimitKey<'a>,
    /// How much.
    pub quotas: Quotas,
}

/// The quotas of each class of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitTable {
    /// In the order of [`RouteClass::ALL`].
    quotas: [Quotas; RouteClass::ALL.len()],
    /// What names no user and comes from no known address, per principal.
    principal: Quotas,
}

const MINUTE: Duration = Duration::from_secs(60);

/// A quota of the table below; a wrong one does not compile.
const fn quota(burst: u32, period: Duration) -> Quota {
    match Quota::new(burst, period) {
        Ok(quota) => quota,
        Err(_) => panic!("a quota of the table is none"),
    }
}

const CHAT: Quota = quota(3, MINUTE);
const FILES: Quota = quota(30, Duration::from_secs(3600));
const EVENTS: Quota = quota(60, MINUTE);
const BILLING: Quota = quota(60, MINUTE);
const NAMED: Quota = quota(10, Duration::from_secs(10));
const NAMELESS: Quota = quota(60, MINUTE);
const NAMELESS_OF_A_PRINCIPAL: Quota = quota(600, MINUTE);
const AUTH: Quota = quota(5, Duration::from_secs(15 * 60));

impl LimitTable {
    /// The table of wire.md §11.
    #[must_use]
    pub fn wire() -> Self {
        Self {
            quotas: [CHAT, FILES, EVENTS, BILLING, NAMED, NAMELESS, AUTH].map(Quotas::from),
            principal: NAMELESS_OF_A_PRINCIPAL.into(),
        }
    }

    /// The same with other quotas for `class`.
    #[must_use]
    pub fn with(mut self, class: RouteClass, quotas: impl Into<Quotas>) -> Self {
        self.quotas[place(class)] = quotas.into();
        self
    }

    /// The same with other quotas for calls that name no user and come from no known address, per
    /// principal.
    #[must_use]
    pub fn with_principal(mut self, quotas: impl Into<Quotas>) -> Self {
        self.principal = quotas.into();
        self
    }

    /// The quotas of `class`.
    #[must_use]
    pub fn quotas(&self, class: RouteClass) -> &Quotas {
        &self.quotas[place(class)]
    }

    /// The limit of a call of `class` by `who`.
    ///
    /// Classes count the user; [`Billing`](RouteClass::Billing) counts the network where it is
    /// known, [`Nameless`](RouteClass::Nameless) and [`Auth`](RouteClass::Auth) always do. A call
    /// without the user that its class counts is `Nameless`. Who cannot be told apart at all
    /// shares one count with all the others like it.
    #[must_use]
    pub fn limit<'a>(&self, class: RouteClass, who: &Who<'a>) -> Limit<'a> {
        let of = |class: RouteClass, subject| Limit {
            key: LimitKey::new(class.name(), subject),
            quotas: *self.quotas(class),
        };
        match (class, who.network, who.user) {
            (RouteClass::Auth | RouteClass::Billing | RouteClass::Nameless, Some(network), _) => {
                of(class, Subject::Network(network))
            }
            (RouteClass::Auth, None, _) => of(class, Subject::Everyone),
            (RouteClass::Nameless, None, _) => self.nameless(who),
            (_, _, Some(user)) => of(class, Subject::User(user)),
            (_, Some(network), None) => of(RouteClass::Nameless, Subject::Network(network)),
            (_, None, None) => self.nameless(who),
        }
    }

    /// Without an address.
    fn nameless<'a>(&self, who: &Who<'a>) -> Limit<'a> {
        let subject = who.principal.map_or(Subject::Everyone, Subject::Principal);
        Limit {
            key: LimitKey::new(RouteClass::Nameless.name(), subject),
            quotas: self.principal,
        }
    }
}

impl Default for LimitTable {
    fn default() -> Self {
        Self::wire()
    }
}

const fn place(class: RouteClass) -> usize {
    match class {
        RouteClass::Chat => 0,
        RouteClass::ProjectFiles => 1,
        RouteClass::EventReads => 2,
        RouteClass::Billing => 3,
        RouteClass::Named => 4,
        RouteClass::Nameless => 5,
        RouteClass::Auth => 6,
    }
}
