//! The order and the pace of attempts to the addresses of one host (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

/// The time from one attempt to the next (RFC 8305 section 8).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Returns the addresses in the order of the attempts: the families alternate, beginning with that of the first address, and
/// within a family the order stays (RFC 8305 section 4).
pub(crate) fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_alternate() {
        let read = |text: &str| text.split(' ').map(|it| it.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (given, expected) in [
            ("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 1.1.1.2:1", "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1"),
            ("1.1.1.1:1 [::1]:1 [::2]:1", "1.1.1.1:1 [::1]:1 [::2]:1"),
            ("1.1.1.2:1 1.1.1.1:1", "1.1.1.2:1 1.1.1.1:1"),
        ] {
            assert_eq!(interleaved(read(given).into_iter()), read(expected));
        }
        assert!(interleaved(std::iter::empty()).is_empty());
    }
}
