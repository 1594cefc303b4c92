//! The addresses that a program may dial on behalf of a list or of a visitor.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use crate::{IpPrefix, PrefixMap};

/// An address that may be dialed. [`Permitted::new`] is the only way to make one.
///
/// DNS answers are under the control of strangers, so a program that dials what they contain could be made to connect to
/// the network that it runs in. A function that takes this type cannot dial an address that was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permitted(SocketAddr);

impl Permitted {
    /// Checks an address: special-purpose addresses are refused, and what the policy blocks. Of an IPv6 address that contains an
    /// IPv4 address, both are checked.
    ///
    /// # Errors
    /// [`NotPermitted`] with the reason.
    pub fn new(address: SocketAddr, policy: &DialPolicy) -> Result<Self, NotPermitted> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        policy.check(address.ip())?;
        if let Some(inner) = embedded(address.ip()) {
            policy.check(inner.into())?;
        }
        Ok(Self(address))
    }

    /// Returns the address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// What may be dialed besides public addresses, and what may not be dialed at all. The default permits public addresses.
#[derive(Clone, Debug, Default)]
pub struct DialPolicy {
    exceptions: PrefixMap<Exception>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exception {
    Allowed,
    Blocked,
}

impl DialPolicy {
    /// Returns the policy that also permits this prefix, for simulations and for networks of one's own.
    #[must_use]
    pub fn allow(mut self, prefix: IpPrefix) -> Self {
        self.exceptions.insert(prefix, Exception::Allowed);
        self
    }

    /// Returns the policy that does not permit this prefix.
    #[must_use]
    pub fn block(mut self, prefix: IpPrefix) -> Self {
        self.exceptions.insert(prefix, Exception::Blocked);
        self
    }

    fn check(&self, address: IpAddr) -> Result<(), NotPermitted> {
        match self.exceptions.get(address) {
            Some((_, Exception::Allowed)) => return Ok(()),
            Some((prefix, Exception::Blocked)) => {
                return Err(NotPermitted { address, prefix, reason: BLOCKED });
            }
            None => {}
        }
        match special_purpose().get(address) {
            Some((prefix, reason)) if *reason != GLOBAL => Err(NotPermitted { address, prefix, reason }),
            _ => Ok(()),
        }
    }
}

/// The mark of exceptions in the table.
const GLOBAL: &str = "global";
/// The reason for a prefix of the policy.
const BLOCKED: &str = "blocked";

/// Why an address may not be dialed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPermitted {
    address: IpAddr,
    prefix: IpPrefix,
    reason: &'static str,
}

impl NotPermitted {
    /// Returns whether the policy blocks the address. Otherwise the address is not a public one.
    pub fn is_blocked(&self) -> bool {
        self.reason == BLOCKED
    }
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, prefix, reason } = self;
        match self.is_blocked() {
            true => write!(f, "{address} is in the blocked network {prefix}"),
            false => write!(f, "{address} is not a public address: {prefix} is {reason}"),
        }
    }
}

impl std::error::Error for NotPermitted {}

/// Returns the IPv4 address that an IPv6 address leads to: 6to4 (RFC 3056 section 2), NAT64 (RFC 6052 section 2.1),
/// IPv4-compatible addresses (RFC 4291 section 2.5.5.1) and ISATAP (RFC 5214 section 6.1). Mapped addresses are IPv4 already,
/// and Teredo is refused as a whole.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let segments = v6.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        [0x2002, high, low, ..] => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => of(high, low),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => of(high, low),
        _ => None,
    }
}

fn special_purpose() -> &'static PrefixMap<&'static str> {
    static TABLE: OnceLock<PrefixMap<&'static str>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = PrefixMap::default();
        for line in include_str!("special_purpose.txt").lines().filter(|line| !line.starts_with('#')) {
            let (prefix, rest) = line.split_once(' ').unwrap_or((line, ""));
            let reason = rest.trim().split("  ").next().unwrap_or_default();
            // A test checks that every line is a prefix.
            if let Ok(prefix) = prefix.parse() {
                table.insert(prefix, reason);
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, policy: &DialPolicy) -> Result<Permitted, NotPermitted> {
        Permitted::new(SocketAddr::new(address.parse().unwrap(), 25), policy)
    }

    #[test]
    fn every_line_of_the_table_is_a_prefix() {
        let lines = include_str!("special_purpose.txt").lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), special_purpose().len());
    }

    #[test]
    fn only_public_addresses_are_permitted() {
        for address in [
            "8.8.8.8",
            "192.0.0.9",
            "193.0.0.1",
            "2a00:1450::1",
            "2001:4860::8888",
            "64:ff9b::808:808",
            "2620:4f:8000::1",
            "::ffff:8.8.8.8",
            "2001:20::1",
        ] {
            assert!(check(address, &DialPolicy::default()).is_ok(), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0:0",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:c0a8:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2a00::5efe:127.0.0.1",
            "2a00::200:5efe:10.0.0.1",
            "4000::1",
            "c000::1",
        ] {
            let refused = check(address, &DialPolicy::default());
            assert!(refused.as_ref().is_err_and(|it| !it.is_blocked()), "{address}: {refused:?}");
        }
    }

    #[test]
    fn a_policy_permits_and_blocks_prefixes_and_the_longest_decides() {
        let policy = DialPolicy::default()
            .allow("127.0.0.0/8".parse().unwrap())
            .block("127.9.0.0/16".parse().unwrap())
            .block("193.0.0.0/24".parse().unwrap());
        assert!(check("127.0.0.1", &policy).is_ok() && check("193.0.1.1", &policy).is_ok());
        assert!(check("::ffff:127.0.0.1", &policy).is_ok_and(|it| it.address().is_ipv4()));
        for address in ["127.9.1.1", "193.0.0.200", "64:ff9b::c100:1"] {
            assert!(check(address, &policy).is_err_and(|it| it.is_blocked()), "{address}");
        }
        assert!(check("10.0.0.1", &policy).is_err_and(|it| !it.is_blocked()));
    }
}
