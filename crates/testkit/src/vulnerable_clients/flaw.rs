//! The flaws of vulnerable clients.

/// A flaw of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Continues in cleartext without an upgrade.
    FallsBack,
    /// Reads bytes that follow the acceptance as if they had arrived inside TLS.
    KeepsBuffer,
    /// Uses the capabilities from before TLS inside TLS.
    KeepsCapabilities,
    /// Continues in cleartext when the greeting states that it is logged in.
    BelievesPreauth,
    /// Follows redirects from before TLS.
    FollowsReferrals,
    /// Accepts an answer that arrived before the request.
    BelievesPresent,
    /// Does not verify the certificate.
    IgnoresNames,
    /// Waits without a timeout.
    NeverTimesOut,
    /// Prints received text unescaped.
    ShowsAnything,
    /// Falls back to TLS 1.0.
    OldTls,
    /// Accepts an ALPN protocol that it did not offer.
    TakesAnyAlpn,
    /// Reports success when the upgrade is refused, and delivers nothing.
    SwallowsRefusal,
    /// Accepts a truncated answer as complete.
    IgnoresTruncation,
    /// Transfers data on an unprotected data connection.
    LeavesDataClear,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: &'static [Self] = &[
        Self::FallsBack,
        Self::KeepsBuffer,
        Self::KeepsCapabilities,
        Self::BelievesPreauth,
        Self::FollowsReferrals,
        Self::BelievesPresent,
        Self::IgnoresNames,
        Self::NeverTimesOut,
        Self::ShowsAnything,
        Self::OldTls,
        Self::TakesAnyAlpn,
        Self::SwallowsRefusal,
        Self::IgnoresTruncation,
        Self::LeavesDataClear,
    ];
}
