//! Reading `X-Forwarded-For`. Nothing here allocates.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

/// How far `X-Forwarded-For` is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedFor {
    hops: NonZeroU8,
    v6_prefix: u8,
}

/// One client as far as limits care: an IPv4 address, or an IPv6 network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientNet(IpAddr);

impl ForwardedFor {
    /// Trusts this many proxies, each of which appends the address it was called from. `None` for
    /// zero: then nothing may be trusted, and nothing is read.
    #[must_use]
    pub const fn new(hops: u8) -> Option<Self> {
        match NonZeroU8::new(hops) {
            Some(hops) => Some(Self {
                hops,
                v6_prefix: ClientNet::V6_PREFIX,
            }),
            None => None,
        }
    }

    /// The same, one IPv6 client being a network with a prefix of so many bits: 32 to 128, what is
    /// outside is taken for the nearer one.
    #[must_use]
    pub const fn v6_prefix(mut self, bits: u8) -> Self {
        self.v6_prefix = match bits {
            0..32 => 32,
            32..=128 => bits,
            _ => 128,
        };
        self
    }

    /// The client, of all lines of the header in the order in which they came.
    pub fn client<'a, L>(&self, lines: L) -> Option<ClientNet>
    where
        L: IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
    {
        // An empty entry is none (RFC 9110 §5.6.1.2).
        let entries = lines
            .into_iter()
            .rev()
            .flat_map(|line| line.rsplit(|byte| *byte == b','));
        let mut entries = entries.map(trimmed).filter(|entry| !entry.is_empty());
        let entry = entries.nth(usize::from(self.hops.get()) - 1)?;
        Some(ClientNet::of(parse_address(entry)?, self.v6_prefix))
    }
}

fn trimmed(entry: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = entry.iter().position(|byte| !is_space(byte));
    let end = entry.iter().rposition(|byte| !is_space(byte));
    match (start, end) {
        (Some(start), Some(end)) => &entry[start..=end],
        _ => &[],
    }
}

/// The address in `203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1`, `[2001:db8::1]` or
/// `[2001:db8::1]:4711`. Anything else is none: names, zones, quotes, ports that are none.
#[must_use]
pub fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    /// `[`, 45 characters of address, `]`, `:` and a port.
    const LONGEST: usize = 53;
    if entry.len() > LONGEST || entry.contains(&b'%') {
        return None;
    }
    let text = std::str::from_utf8(entry).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(bare) = bare {
        return bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let port = text.rsplit_once(':')?.1;
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_port {
        return None;
    }
    text.parse::<SocketAddr>().ok().map(|socket| socket.ip())
}

impl ClientNet {
    /// The bits of an IPv6 address that make one client, unless told otherwise.
    pub const V6_PREFIX: u8 = 64;

    /// The client at `address`; `v6_prefix` bits of an IPv6 address count.
    #[must_use]
    pub fn of(address: IpAddr, v6_prefix: u8) -> Self {
        let v6 = match address {
            IpAddr::V4(_) => return Self(address),
            IpAddr::V6(v6) => v6,
        };
        if let Some(v4) = embedded_v4(v6) {
            return Self(IpAddr::V4(v4));
        }
        let kept = u128::MAX.checked_shl(128 - u32::from(v6_prefix.min(128)));
        let network = v6.to_bits() & kept.unwrap_or(0);
        Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
    }

    /// The address, or the first one of the network.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.0
    }

    /// Bytes that no other client has.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 17] {
        let mut bytes = [0; 17];
        match self.0 {
            IpAddr::V4(v4) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&v6.octets());
            }
        }
        bytes
    }
}

/// By range, not by how it is written: `::ffff:0:0/96` (RFC 4291) and `64:ff9b::/96` (RFC 6052).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    const MAPPED: u128 = 0xffff;
    const TRANSLATED: u128 = 0x0064_ff9b << 64;
    let bits = v6.to_bits();
    let prefix = bits >> 32;
    let low = u32::try_from(bits & u128::from(u32::MAX)).ok()?;
    (prefix == MAPPED || prefix == TRANSLATED).then(|| Ipv4Addr::from_bits(low))
}

impl fmt::Debug for ClientNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientNet({})", self.0)
    }
}
