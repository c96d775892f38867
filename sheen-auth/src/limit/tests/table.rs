//! The wire's table, row by row.

use std::time::Duration;

use sheen_core::id::{PrincipalId, UserId};

use crate::address::ClientNet;
use crate::limit::{LimitTable, PolicyName, Quota, Quotas, RouteClass, Subject, Who};

fn quota(burst: u32, seconds: u64) -> Quotas {
    Quota::new(burst, Duration::from_secs(seconds))
        .unwrap()
        .into()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_row_counts_whom_the_wire_says() {
    let (user, web) = (
        UserId::parse("u").unwrap(),
        PrincipalId::parse("web").unwrap(),
    );
    let net = ClientNet::of("203.0.113.9".parse().unwrap(), 64);
    let table = LimitTable::wire();
    let direct = Who::new().principal(Some(&web));
    let forwarded = direct.network(Some(net));
    let (of_user, of_net) = (Subject::User(&user), Subject::Network(net));
    for (class, who, subject, name, quotas) in [
        (
            RouteClass::Chat,
            direct.user(Some(&user)),
            of_user,
            "chat",
            quota(3, 60),
        ),
        (
            RouteClass::Chat,
            forwarded.user(Some(&user)),
            of_user,
            "chat",
            quota(3, 60),
        ),
        (
            RouteClass::ProjectFiles,
            direct.user(Some(&user)),
            of_user,
            "files",
            quota(30, 3600),
        ),
        (
            RouteClass::EventReads,
            forwarded.user(Some(&user)),
            of_user,
            "events",
            quota(60, 60),
        ),
        (
            RouteClass::Billing,
            forwarded.user(Some(&user)),
            of_net,
            "billing",
            quota(60, 60),
        ),
        (
            RouteClass::Billing,
            direct.user(Some(&user)),
            of_user,
            "billing",
            quota(60, 60),
        ),
        (
            RouteClass::Named,
            forwarded.user(Some(&user)),
            of_user,
            "user",
            quota(10, 10),
        ),
        (
            RouteClass::Nameless,
            forwarded,
            of_net,
            "nameless",
            quota(60, 60),
        ),
        (
            RouteClass::Nameless,
            direct,
            Subject::Principal(&web),
            "nameless",
            quota(600, 60),
        ),
        (
            RouteClass::Auth,
            Who::new().network(Some(net)),
            of_net,
            "auth",
            quota(5, 900),
        ),
        // A call that does not name the user whom its route counts.
        (
            RouteClass::Chat,
            direct,
            Subject::Principal(&web),
            "nameless",
            quota(600, 60),
        ),
        (
            RouteClass::Named,
            forwarded,
            of_net,
            "nameless",
            quota(60, 60),
        ),
        (
            RouteClass::Billing,
            direct,
            Subject::Principal(&web),
            "nameless",
            quota(600, 60),
        ),
        // Who cannot be told apart.
        (
            RouteClass::Auth,
            direct,
            Subject::Everyone,
            "auth",
            quota(5, 900),
        ),
        (
            RouteClass::Nameless,
            Who::new(),
            Subject::Everyone,
            "nameless",
            quota(600, 60),
        ),
    ] {
        let limit = table.limit(class, &who);
        assert_eq!(
            (limit.key.limit(), limit.key.subject()),
            (name, subject),
            "{class:?} {who:?}"
        );
        assert_eq!(limit.quotas, quotas, "{class:?} {who:?}");
    }
}

#[test]
fn a_row_can_be_changed_alone() {
    let stricter = Quotas::new(&[
        Quota::per_minute(5).unwrap(),
        Quota::new(100, Duration::from_secs(86_400)).unwrap(),
    ])
    .unwrap();
    let table = LimitTable::wire()
        .with(RouteClass::Named, stricter)
        .with_principal(Quota::per_minute(6000).unwrap());
    for class in RouteClass::ALL {
        let expected = match class {
            RouteClass::Named => stricter,
            _ => *LimitTable::wire().quotas(class),
        };
        assert_eq!(*table.quotas(class), expected, "{class:?}");
    }
    let web = PrincipalId::parse("web").unwrap();
    let limit = table.limit(RouteClass::Nameless, &Who::new().principal(Some(&web)));
    assert_eq!(limit.quotas.max_cost(), 6000);
}

#[test]
fn names_differ_and_can_stand_in_a_field() {
    let names: std::collections::BTreeSet<_> = RouteClass::ALL.map(RouteClass::name).into();
    assert_eq!(names.len(), RouteClass::ALL.len());
    assert!(
        names
            .into_iter()
            .all(|name| PolicyName::new(name).is_some())
    );
}
