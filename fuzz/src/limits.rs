//! Targets of sheen-auth's limits: whose address a call comes from, and what its answer says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sheen_auth::address::{ClientNet, ForwardedFor};
use sheen_auth::limit::{
    LimitFigures, LimitState, PolicyField, PolicyName, Quota, Quotas, RateLimitField, Standing,
    TakeOutcome, take,
};

/// The entry of a hop the slow way: all lines as one, cut at commas, counted from the right.
fn slow_client(lines: &str, hops: usize, bits: u8) -> Option<ClientNet> {
    let joined = lines.replace('\n', ",");
    let is_space = |c: char| c == ' ' || c == '\t';
    let entries: Vec<&str> = joined
        .split(',')
        .map(|entry| entry.trim_matches(is_space))
        .filter(|entry| !entry.is_empty())
        .collect();
    let at = entries.len().checked_sub(hops)?;
    Some(ClientNet::of(slow_address(entries[at])?, bits))
}

fn slow_address(entry: &str) -> Option<IpAddr> {
    let with_port = || {
        let (_, port) = entry.rsplit_once(':')?;
        let is_port = !port.is_empty() && port.len() <= 5 && port.parse::<u16>().is_ok();
        let plain = port.chars().all(|c| c.is_ascii_digit());
        entry
            .parse::<SocketAddr>()
            .ok()
            .filter(|_| is_port && plain)
    };
    let in_brackets = || {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
    };
    // Zones name an interface of another machine.
    if entry.contains('%') {
        return None;
    }
    let bare = entry.parse::<IpAddr>().ok();
    bare.or_else(|| in_brackets().map(IpAddr::V6))
        .or_else(|| with_port().map(|socket| socket.ip()))
}

/// The lines of `X-Forwarded-For` after two bytes: how many hops are trusted, and the bits that make
/// an IPv6 client. What is found is what the slow reader finds, and nothing that stands before the
/// trusted entries changes it.
pub fn client_address(data: &[u8]) {
    let [hops, bits, lines @ ..] = data else {
        return;
    };
    let hops = hops % 4;
    let Some(forwarded) = ForwardedFor::new(hops) else {
        return;
    };
    let bits = 32 + bits % 97;
    let forwarded = forwarded.v6_prefix(bits);
    let found = forwarded.client(lines.split(|byte| *byte == b'\n'));
    match std::str::from_utf8(lines) {
        Ok(text) => assert_eq!(
            found,
            slow_client(text, usize::from(hops), bits),
            "{text:?}"
        ),
        Err(_) => assert!(lines.len() > 1 || found.is_none()),
    }
    // A caller can write what it likes in front of what its proxies append.
    let forged = [b"198.51.100.1, unknown\n".as_slice(), lines].concat();
    let again = forwarded.client(forged.split(|byte| *byte == b'\n'));
    assert!(found.is_none() || again == found, "{lines:?}");
    if let Some(client) = found {
        let first = client.address();
        // A wide network may begin where the translator's range does, whose addresses are IPv4.
        if ClientNet::of(first, 128).address() == first {
            let other = ClientNet::of(first, bits);
            assert_eq!(
                other.to_bytes(),
                client.to_bytes(),
                "a network is its own network"
            );
        }
    }
}

fn numbers(data: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let number = |piece: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..piece.len()].copy_from_slice(piece);
        u64::from_le_bytes(bytes)
    };
    data.chunks(8).map(number)
}

/// Items of a structured field's list: a quoted name, then integer parameters.
fn items(field: &str) -> Vec<(String, Vec<(String, u64)>)> {
    field
        .split(", ")
        .map(|item| {
            let mut parts = item.split(';');
            let name = parts.next().expect("a name");
            let name = name
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let parameters = parts.map(|parameter| {
                let (key, value) = parameter.split_once('=').expect("a value");
                let value = value.parse::<u64>().expect("an integer");
                // RFC 8941 §3.3.1.
                assert!(value <= 999_999_999_999_999, "{field}");
                (key.to_owned(), value)
            });
            (name.expect("in quotes").to_owned(), parameters.collect())
        })
        .collect()
}

/// Eight bytes a number: how many quotas there are, burst and period of each, then calls, as how
/// long after the last one each comes and what it costs. Whatever a limit says in its headers can be
/// read, agrees with itself, and is true: a refused call passes after `Retry-After`, the earliest
/// second not before its wait is over.
pub fn limit_headers(data: &[u8]) {
    let mut numbers = numbers(data);
    let mut next = || numbers.next().unwrap_or(0);
    let count = usize::try_from(next() % 4).expect("small") + 1;
    let quotas: Vec<_> = (0..count)
        .filter_map(|_| {
            let burst = u32::try_from(next() >> 32).expect("it fits");
            Quota::new(burst, Duration::from_micros(next())).ok()
        })
        .collect();
    let Ok(quotas) = Quotas::new(&quotas) else {
        return;
    };
    let (mut state, mut now) = (LimitState::default(), 0_u64);
    for _ in 0..16 {
        now = now.saturating_add(next() % (1 << 40));
        let cost = u32::try_from(next() >> 40).expect("it fits");
        match take(&state, now, &quotas, cost) {
            TakeOutcome::TooCostly { max_cost } => assert!(cost > max_cost),
            TakeOutcome::Admitted(standing) => {
                assert!(standing.wait().is_zero());
                told(&quotas, &standing);
                state = LimitState::of(now, &standing);
            }
            TakeOutcome::Limited(standing) => {
                let after = told(&quotas, &standing).expect("it says how long to wait");
                let wait = u64::try_from(standing.wait().as_micros()).expect("it fits");
                let at = |micros: u64| take(&state, now.saturating_add(micros), &quotas, cost);
                let passes = matches!(at(after * 1_000_000), TakeOutcome::Admitted(_));
                assert!(passes, "after {after} s, of {quotas:?}");
                assert!(matches!(at(wait - 1), TakeOutcome::Limited(_)));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Reads what the headers of a standing say, and gives `Retry-After`.
fn told(quotas: &Quotas, standing: &Standing) -> Option<u64> {
    let figures = LimitFigures::of(standing);
    assert!(figures.reset_seconds >= 1);
    assert!(figures.remaining <= figures.limit);
    assert_eq!(
        figures.retry_after_seconds.is_some(),
        !standing.wait().is_zero()
    );
    let name = PolicyName::new("user").expect("a name");
    let policies = items(&PolicyField(name, quotas).to_string());
    let remains = items(&RateLimitField(name, standing).to_string());
    assert_eq!(policies.len(), quotas.as_slice().len());
    assert_eq!(remains.len(), policies.len());
    for ((policy, allowed), (of, left)) in policies.iter().zip(&remains) {
        assert_eq!(policy, of);
        let [(q, burst), (w, period)] = allowed.as_slice() else {
            panic!("a policy says q and w: {allowed:?}");
        };
        assert_eq!((q.as_str(), w.as_str()), ("q", "w"));
        assert!(*burst >= 1 && *period >= 1);
        assert!(
            left[0].0 == "r" && left[0].1 <= *burst,
            "{left:?} of {burst}"
        );
        if let Some((t, seconds)) = left.get(1) {
            assert_eq!(t, "t");
            assert!(*seconds >= 1);
            // No field asks for less patience than Retry-After, and none for more.
            assert!(
                figures
                    .retry_after_seconds
                    .is_none_or(|after| *seconds <= after)
            );
        }
    }
    figures.retry_after_seconds
}
