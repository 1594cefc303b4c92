//! What the servers do, by address.

use std::net::IpAddr;

use super::mix_address;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behavior {
    /// Upgrades and serves.
    Sound,
    /// The same, with TLS 1.2 only.
    Tls12,
    /// The same, after a pause before the greeting.
    Slow,
    /// Does not offer the upgrade.
    NoOffer,
    /// Offers the upgrade and refuses it.
    Refuses,
    /// Turns every client away with 421.
    TurnsAway,
    /// Accepts the connection and sends nothing.
    Silent,
    /// Closes the connection at once.
    Closes,
    /// Closes the connection after the hello.
    ClosesAfterHello,
    /// Accepts the upgrade and sends cleartext after the go-ahead.
    Injects,
    /// Accepts the upgrade and closes the connection.
    NoHandshake,
    /// Greets with something that is not SMTP.
    Garbage,
}

impl Behavior {
    /// Of a hundred servers, how many do what.
    const SHARES: [(u64, Self); 12] = [
        (66, Self::Sound),
        (5, Self::Tls12),
        (3, Self::Slow),
        (7, Self::NoOffer),
        (3, Self::Refuses),
        (4, Self::TurnsAway),
        (2, Self::Silent),
        (2, Self::Closes),
        (2, Self::ClosesAfterHello),
        (2, Self::Injects),
        (2, Self::NoHandshake),
        (2, Self::Garbage),
    ];

    /// Returns what the server at an address does. The large providers, at the addresses with the last octet 1 in the networks 127.1
    /// to 127.24, are sound.
    pub fn of(address: IpAddr) -> Self {
        if matches!(address, IpAddr::V4(v4) if matches!(v4.octets(), [127, 1..=29, 1, 1])) {
            return Self::Sound;
        }
        let mut number = mix_address(address) % 100;
        for (share, behavior) in Self::SHARES {
            if number < share {
                return behavior;
            }
            number -= share;
        }
        Self::Sound
    }
}

/// Returns the reach and the outcome that a survey must report of an endpoint in the simulated Internet, if it trusts the root
/// certificate and asks for certificates. `reach` is what it reported: some servers may be left alone because of their neighbors.
pub fn expected_result(address: IpAddr, server_name: &str, reach: &str) -> (&'static str, &'static str) {
    if !address.is_loopback() {
        return ("blocked", "inconclusive");
    }
    // A network with a server that turns clients away is left alone, so that its other servers are left to the next pass.
    if reach == "throttled" {
        return ("throttled", "inconclusive");
    }
    let has_certificate = [".whale.test", ".five.test"].iter().any(|it| server_name.ends_with(it));
    let upgraded = if has_certificate || server_name.starts_with("mx.h") { "sound" } else { "findings" };
    match Behavior::of(address) {
        Behavior::Sound | Behavior::Tls12 | Behavior::Slow => ("answered", upgraded),
        Behavior::NoOffer | Behavior::Refuses => ("answered", "declined"),
        Behavior::TurnsAway => ("throttled", "inconclusive"),
        Behavior::Silent => ("silent", "unreachable"),
        Behavior::Closes => ("closed", "inconclusive"),
        Behavior::ClosesAfterHello => ("answered", "unreachable"),
        Behavior::NoHandshake => ("answered", "tls-failed"),
        Behavior::Injects | Behavior::Garbage => ("answered", "violation"),
    }
}
