//! L8: hops from the right, every line, and one client however its address is written.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{ClientNet, ForwardedFor, parse_address};

fn net(text: &str) -> ClientNet {
    ClientNet::of(text.parse().unwrap(), 64)
}

fn client(hops: u8, lines: &[&str]) -> Option<ClientNet> {
    let lines = lines.iter().map(|line| line.as_bytes());
    ForwardedFor::new(hops).unwrap().client(lines)
}

#[test]
fn l08_hops_are_counted_from_the_right_over_all_lines() {
    for (hops, lines, expected) in [
        (1, &["203.0.113.9"][..], Some("203.0.113.9")),
        (1, &["6.6.6.6, 203.0.113.9"], Some("203.0.113.9")),
        (1, &["6.6.6.6", "203.0.113.9"], Some("203.0.113.9")),
        (2, &["6.6.6.6, 203.0.113.9, 10.0.0.1"], Some("203.0.113.9")),
        (2, &["6.6.6.6,203.0.113.9", "10.0.0.1"], Some("203.0.113.9")),
        (
            2,
            &["6.6.6.6", "203.0.113.9", "10.0.0.1"],
            Some("203.0.113.9"),
        ),
        (
            3,
            &["203.0.113.9", "10.0.0.2 ,\t10.0.0.1"],
            Some("203.0.113.9"),
        ),
        // What stands left of what the proxies wrote may be anything.
        (
            1,
            &["garbage, , \"x\", ::1]", "203.0.113.9"],
            Some("203.0.113.9"),
        ),
        (1, &["203.0.113.9, ", ",,"], Some("203.0.113.9")),
        // Too few entries: it did not come through all the proxies.
        (2, &["203.0.113.9"], None),
        (1, &[], None),
        (1, &["", " , ,"], None),
        // Something that is no address where the client should stand.
        (1, &["203.0.113.9, unknown"], None),
        (2, &["203.0.113.9, _hidden, 10.0.0.1"], None),
        (255, &["203.0.113.9"], None),
    ] {
        assert_eq!(
            client(hops, lines),
            expected.map(net),
            "{hops} hops: {lines:?}"
        );
    }
}

#[test]
fn l08_without_hops_nothing_is_read() {
    assert_eq!(ForwardedFor::new(0), None);
}

#[test]
fn l08_ports_and_brackets_are_understood_and_nothing_else_is() {
    for (text, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:65535", "2001:db8::1"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.9"),
        ("[::]:1", "::"),
    ] {
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(parse_address(text.as_bytes()), Some(expected), "{text}");
    }
    let long = format!("[{}::1]:80", "0".repeat(60));
    for bad in [
        "",
        "localhost",
        "unknown",
        "203.0.113",
        "203.0.113.9.1",
        "203.0.113.009",
        "0x7f.0.0.1",
        "3405803785",
        "203.0.113.9:",
        "203.0.113.9:65536",
        "203.0.113.9:+80",
        "203.0.113.9:1e3",
        "[203.0.113.9]",
        "[203.0.113.9]:80",
        "2001:db8::1]",
        "[2001:db8::1",
        "[2001:db8::1]:",
        "[2001:db8::1]x",
        "[[2001:db8::1]]",
        "fe80::1%eth0",
        "[fe80::1%1]:80",
        "\"[2001:db8::1]\"",
        "203.0.113.9 ",
        "203.0.113.9\0",
        "http://203.0.113.9",
        "for=203.0.113.9",
        &long,
    ] {
        assert_eq!(parse_address(bad.as_bytes()), None, "{bad:?}");
    }
    assert_eq!(parse_address(b"203.0.113.9\xff"), None);
}

#[test]
fn l08_one_v6_network_is_one_client_and_embedded_v4_is_v4() {
    assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:ffff:ffff:ffff"));
    assert_ne!(net("2001:db8:0:0::1"), net("2001:db8:0:1::1"));
    let v4 = net("203.0.113.9");
    for same in [
        "::ffff:203.0.113.9",
        "::ffff:cb00:7109",
        "0:0:0:0:0:FFFF:CB00:7109",
        "64:ff9b::203.0.113.9",
        "64:ff9b::cb00:7109",
    ] {
        assert_eq!(net(same), v4, "{same}");
    }
    // Near the ranges and not in them.
    for other in [
        "::203.0.113.9",
        "::fffe:203.0.113.9",
        "::1:ffff:cb00:7109",
        "64:ff9b:1::cb00:7109",
    ] {
        assert!(net(other).address().is_ipv6(), "{other}");
    }
    let whole = |bits| {
        let forwarded = ForwardedFor::new(1).unwrap().v6_prefix(bits);
        forwarded
            .client([&b"2001:db8:1:2:3:4:5:6"[..]])
            .unwrap()
            .address()
            .to_string()
    };
    assert_eq!(whole(0), "2001:db8::");
    assert_eq!(whole(56), "2001:db8:1::");
    assert_eq!(whole(64), "2001:db8:1:2::");
    assert_eq!(whole(128), "2001:db8:1:2:3:4:5:6");
    assert_eq!(whole(255), "2001:db8:1:2:3:4:5:6");
}

/// The same, slow and obvious: join, split, count.
fn obvious(hops: u8, lines: &[Vec<u8>]) -> Option<ClientNet> {
    let joined = lines.join(&b","[..]);
    let entries: Vec<String> = joined
        .split(|byte| *byte == b',')
        .map(|entry| {
            entry
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>()
        })
        .map(|entry| entry.trim_matches([' ', '\t']).to_owned())
        .filter(|entry| !entry.is_empty())
        .collect();
    let at = entries.len().checked_sub(usize::from(hops))?;
    let entry = &entries[at];
    if !entry.is_ascii() {
        return None;
    }
    parse_address(entry.as_bytes()).map(|address| ClientNet::of(address, 64))
}

fn entry() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(octets).to_string().into_bytes()),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(octets).to_string().into_bytes()),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(octets, port)| format!(
            "[{}]:{port}",
            IpAddr::from(octets)
        )
        .into_bytes()),
        "[0-9a-f:.\\[\\]%, \t\"]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #[test]
    fn l08_any_bytes_are_borne_and_read_as_the_obvious_reader_does(
        hops in 1_u8..5,
        lines in prop::collection::vec(prop::collection::vec(entry(), 0..5), 0..4),
    ) {
        let lines: Vec<Vec<u8>> = lines.into_iter().map(|line| line.join(&b", "[..])).collect();
        let read = ForwardedFor::new(hops).unwrap().client(lines.iter().map(Vec::as_slice));
        prop_assert_eq!(read, obvious(hops, &lines));
    }

    /// Whoever writes the front of the header does not choose what is read.
    #[test]
    fn l08_what_a_caller_writes_changes_nothing(
        forged in prop::collection::vec(entry(), 0..6),
        client in any::<[u8; 4]>(),
    ) {
        let truth = IpAddr::from(client).to_string();
        let mut lines = forged;
        lines.push(format!("{truth}, 10.0.0.1").into_bytes());
        let read = ForwardedFor::new(2).unwrap().client(lines.iter().map(Vec::as_slice));
        prop_assert_eq!(read, Some(ClientNet::of(IpAddr::from(client), 64)));
    }

    #[test]
    fn bytes_of_two_clients_differ(one in any::<[u8; 16]>(), two in any::<[u8; 16]>(), v4 in any::<[u8; 4]>()) {
        let (one, two) = (ClientNet::of(one.into(), 128), ClientNet::of(two.into(), 128));
        prop_assert_eq!(one == two, one.to_bytes() == two.to_bytes());
        let v4 = ClientNet::of(v4.into(), 64);
        prop_assert_eq!(one == v4, one.to_bytes() == v4.to_bytes());
    }
}
