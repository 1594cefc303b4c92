//! The resolvers that the system is configured to use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::StubError;

/// The largest configuration that is read.
const MAX_CONFIG: usize = 64 << 10;
/// The C library uses three resolvers at most (resolv.conf(5)).
const MAX_RESOLVERS: usize = 3;

/// The resolvers in `/etc/resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemResolvers {
    /// The addresses.
    pub addresses: Vec<SocketAddr>,
    /// Whether the administrator has declared the resolvers trusted: `options trust-ad`.
    pub trust_ad: bool,
}

/// Reads `/etc/resolv.conf`. Without a resolver in it, the one on this machine is used, as the C library does.
///
/// # Errors
/// [`StubError::NoResolver`] if the file cannot be read.
pub fn system_resolvers() -> Result<SystemResolvers, StubError> {
    let path = "/etc/resolv.conf";
    let text =
        std::fs::read_to_string(path).map_err(|error| StubError::NoResolver(format!("{path}: {error}")))?;
    if text.len() > MAX_CONFIG {
        return Err(StubError::NoResolver(format!("{path} is larger than 64 KiB")));
    }
    Ok(parse(&text))
}

fn parse(text: &str) -> SystemResolvers {
    let mut found = SystemResolvers { addresses: Vec::new(), trust_ad: false };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                // A zone such as fe80::1%eth0 is not supported.
                let address = words.next().and_then(|it| it.parse::<IpAddr>().ok());
                found.addresses.extend(address.map(|it| SocketAddr::new(it, 53)));
            }
            Some("options") => found.trust_ad |= words.any(|it| it == "trust-ad"),
            _ => {}
        }
    }
    found.addresses.truncate(MAX_RESOLVERS);
    if found.addresses.is_empty() {
        found.addresses.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_system_is_read() {
        let text = "# comment\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.com\noptions edns0 trust-ad\n";
        let found = parse(text);
        assert_eq!(found.addresses, ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
        assert!(found.trust_ad);
        let empty = parse("; trust-ad\noptions edns0\nnameserver not-an-address\n");
        assert_eq!((empty.addresses, empty.trust_ad), (vec!["127.0.0.1:53".parse().unwrap()], false));
        assert_eq!(parse(&"nameserver 192.0.2.1\n".repeat(9)).addresses.len(), 3);
    }
}
