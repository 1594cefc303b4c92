//! The flaws of vulnerable clients.

/// One way to be fooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Goes on in cleartext when there is no upgrade.
    FallsBack,
    /// Reads inside TLS what came behind the go-ahead.
    KeepsBuffer,
    /// Believes inside TLS what the server said of itself before.
    KeepsCapabilities,
    /// Goes on in cleartext when it is told that it is logged in.
    BelievesPreauth,
    /// Goes where it is told to go, before TLS.
    FollowsReferrals,
    /// Takes for an answer what was said before the question.
    BelievesPresent,
    /// Does not verify the certificate.
    IgnoresNames,
    /// Waits for ever.
    NeverTimesOut,
    /// Shows what it hears as it is.
    ShowsAnything,
    /// Tries TLS 1.0 when no later version will do.
    OldTls,
    /// Accepts a protocol by ALPN that it did not offer.
    TakesAnyAlpn,
    /// Reports success when the upgrade is refused, and delivers nothing.
    SwallowsRefusal,
    /// Takes an answer that ends in the middle for a whole one.
    IgnoresTruncation,
    /// Transfers data without protecting it, where data has connections of its own.
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
