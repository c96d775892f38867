//! Where a call comes from, when something in front of us says so (wire.md §11).
//!
//! 1. Anybody can send `X-Forwarded-For`. What the last proxies appended is true; what stands left
//!    of that is whatever somebody wrote. So hops are counted from the right, over all lines of the
//!    header joined, and there is no reading without a number of hops.
//! 2. With one hop the last entry is the client, with two the one before it, and so on. Fewer
//!    entries than hops, or an entry there that is no address: nothing is known.
//! 3. Whoever has one IPv6 address has its /64, so that is what counts. IPv4 in IPv6
//!    (`::ffff:0:0/96`) and behind the well-known translator (`64:ff9b::/96`) is IPv4.
//!
//! ```
//! use sheen_auth::address::{ClientNet, ForwardedFor};
//!
//! let one_proxy = ForwardedFor::new(1).expect("at least one hop");
//! let lines = [&b"6.6.6.6, 198.51.100.7"[..], b"203.0.113.9:4711"];
//! let client = one_proxy.client(lines).expect("an address");
//! assert_eq!(client, ClientNet::of("203.0.113.9".parse().unwrap(), 64));
//! // Without hops there is nothing to trust.
//! assert!(ForwardedFor::new(0).is_none());
//! ```

mod decide;
#[cfg(test)]
mod tests;

pub use decide::{ClientNet, ForwardedFor, parse_address};
