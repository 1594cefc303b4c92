//! The weaknesses of rogue servers.

use starttls::proto::{
    AfterUpgrade, ClientMessage, Identity, Protocol, Refusal, ReplyTo, ServerMessage, xmpp,
};

use super::behavior::{AfterRequest, Behavior, CleartextAccess, InnerOffer, SessionMode, SessionStart};
use super::response_patch::{PatchKind, ResponsePatch, mangled, offer, request_line, words};
use crate::ocsp::Staple;
use crate::profile::{LoginKind, profile};

/// A weakness of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weakness {
    /// The server answers commands that follow the request in its segment inside TLS at once.
    Eager,
    /// As [`Eager`](Self::Eager), after the client has sent a message inside TLS.
    Lazy,
    /// The server reads everything before the ClientHello inside TLS.
    Split,
    /// The server joins an incomplete command after the request with the first command inside TLS.
    Partial,
    /// The server accepts other forms of the request, and answers commands after those inside TLS.
    Variants,
    /// The server accepts a request inside the data of another command.
    Hidden,
    /// The server answers commands that follow the request in cleartext after the acceptance.
    PlainAnswer,
    /// State from before TLS is in force inside TLS.
    Fixation,
    /// The server accepts logins in cleartext.
    CredentialsBefore,
    /// The server lists password mechanisms in cleartext, and refuses them.
    Listed,
    /// The server serves everything in cleartext.
    NotEnforced,
    /// The server offers and accepts the upgrade inside TLS.
    OfferInside,
    /// The capabilities inside TLS are those from before TLS.
    CapsKept,
    /// The server returns to cleartext after a failed handshake.
    Fallback,
    /// As [`Fallback`](Self::Fallback), and the server discards the bytes that arrived instead of the handshake.
    QuietFallback,
    /// The server waits for the ClientHello without a timeout.
    Stall,
    /// Each octet of the ClientHello restarts the timeout.
    Drip,
    /// The server accepts the ALPN id of another protocol.
    WrongAlpn,
    /// A port for implicit TLS has the same certificate.
    Shared,
    /// The greeting states that the client is logged in.
    Preauth,
    /// The server has no upgrade, and serves in cleartext.
    NotOffered,
    /// The server offers the upgrade, and refuses it temporarily.
    RefusedForNow,
    /// The server offers and accepts the upgrade, and every handshake fails.
    NoCertificate,
    /// A middlebox overwrites the offer and the request.
    Mangled,
    /// The server serves only the first connection.
    Throttled,
    /// The server refers the client to another server before TLS.
    Referral,
    /// The server sends a text for the user before TLS.
    Alert,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYet,
    /// The certificate expires in five days.
    SoonExpired,
    /// The certificate is for another name.
    WrongName,
    /// The certificate is signed with its own key.
    SelfSigned,
    /// The certificate is from another authority.
    UnknownRoot,
    /// The chain lacks its intermediate.
    MissingIntermediate,
    /// The certificate is for clients.
    WrongUsage,
    /// The name is in the subject only.
    CommonNameOnly,
    /// The key is an RSA key of 1024 bits.
    WeakKey,
    /// The certificate is of X.509 version 1, so it contains no names.
    VersionOne,
    /// The certificate has a critical extension that no client knows.
    UnknownExtension,
    /// The stapled OCSP response reports that the certificate is revoked.
    RevokedStaple,
    /// The stapled OCSP response has ended.
    OutdatedStaple,
    /// The stapled OCSP response is not signed by the authority.
    ForgedStaple,
    /// The certificate requires a stapled OCSP response, and the server sends none.
    MissingStaple,
    /// TLS 1.2 and nothing later.
    OldTlsOnly,
    /// Session tickets permit early data (0-RTT). The server speaks TLS 1.3 only.
    EarlyData,
    /// The server does not answer inside TLS.
    MuteInside,
    /// The session ends as soon as TLS is up.
    EndsInside,
    /// The server answers the first message inside TLS with the protocol's temporary error, and closes.
    TurnsAwayInside,
    /// The server requires a client certificate. In TLS 1.3 the client learns so after its handshake.
    WantsCertificate,
    /// As [`WantsCertificate`](Self::WantsCertificate) and [`Eager`](Self::Eager).
    EagerWantsCertificate,
    /// As [`Eager`](Self::Eager), for a stream header without an XML declaration only.
    EagerBareHeader,
    /// As [`Eager`](Self::Eager), for a stream header with an XML declaration only.
    EagerDeclaredHeader,
    /// As [`Eager`](Self::Eager), for a login without a stream header only.
    EagerLogin,
    /// As [`PlainAnswer`](Self::PlainAnswer), for a stream header without an XML declaration only.
    PlainBareHeader,
}

use Weakness::{
    Alert, CapsKept, CommonNameOnly, CredentialsBefore, Drip, Eager, EagerBareHeader, EagerDeclaredHeader,
    EagerLogin, EagerWantsCertificate, EarlyData, EndsInside, Expired, Fallback, Fixation, ForgedStaple,
    Hidden, Lazy, Listed, Mangled, MissingIntermediate, MissingStaple, MuteInside, NoCertificate,
    NotEnforced, NotOffered, NotYet, OfferInside, OldTlsOnly, OutdatedStaple, Partial, PlainAnswer,
    PlainBareHeader, Preauth, QuietFallback, Referral, RefusedForNow, RevokedStaple, SelfSigned, Shared,
    SoonExpired, Split, Stall, Throttled, TurnsAwayInside, UnknownExtension, UnknownRoot, Variants,
    VersionOne, WantsCertificate, WeakKey, WrongAlpn, WrongName, WrongUsage,
};

#[rustfmt::skip] // One weakness per line: its check, and other checks that may report it.
const IDS: &[(Weakness, &str, &[&str])] = &[
    // A late segment may arrive in time for a server that reads the first segment only.
    (Eager, "srv-inject-eager", &["srv-inject-lazy", "srv-inject-split"]),
    (Lazy, "srv-inject-lazy", &["srv-inject-split"]),
    (Split, "srv-inject-split", &["srv-inject-eager", "srv-inject-lazy", "srv-inject-partial"]),
    (Partial, "srv-inject-partial", &[]),
    (Variants, "srv-inject-variants", &[]),
    (Hidden, "srv-inject-variants", &[]),
    (PlainAnswer, "srv-reply-plain", &["srv-inject-eager", "srv-inject-lazy", "srv-inject-split"]),
    (Fixation, "srv-fixation", &["srv-not-enforced", "srv-auth-before"]),
    (CredentialsBefore, "srv-auth-before", &[]),
    (Listed, "srv-auth-before", &["srv-caps-kept"]),
    (NotEnforced, "srv-not-enforced", &["srv-auth-before", "srv-caps-kept"]),
    (OfferInside, "srv-offer-inside", &["srv-caps-kept"]),
    (CapsKept, "srv-caps-kept", &["srv-offer-inside"]),
    (Fallback, "srv-hs-fallback", &[]),
    (QuietFallback, "srv-hs-fallback", &[]),
    (Stall, "srv-stall", &[]),
    (Drip, "srv-stall", &[]),
    (WrongAlpn, "srv-alpn", &["tls-alpn"]),
    (Shared, "srv-xproto", &[]),
    (Preauth, "srv-preauth", &["srv-offered", "srv-upgrade", "srv-not-enforced", "srv-auth-before"]),
    (NotOffered, "srv-offered", &["srv-upgrade", "srv-not-enforced", "srv-auth-before"]),
    (RefusedForNow, "srv-upgrade", &[]),
    (NoCertificate, "srv-upgrade", &[]),
    (Mangled, "srv-mangled", &["srv-offered", "srv-upgrade"]),
    (Throttled, "srv-throttled", &[]),
    (Referral, "srv-referral", &["srv-offered", "srv-upgrade"]),
    (Alert, "srv-alert", &[]),
    (Expired, "cert-dates", &[]),
    (NotYet, "cert-dates", &[]),
    (SoonExpired, "cert-expiry", &[]),
    (WrongName, "cert-name", &[]),
    (SelfSigned, "cert-self-signed", &["cert-usage"]),
    (UnknownRoot, "cert-chain", &[]),
    (MissingIntermediate, "cert-incomplete", &["cert-chain"]),
    (WrongUsage, "cert-usage", &[]),
    (CommonNameOnly, "cert-san", &["cert-name"]),
    (WeakKey, "cert-key", &[]),
    (VersionOne, "cert-chain", &["cert-name", "cert-san"]),
    (UnknownExtension, "cert-chain", &[]),
    (RevokedStaple, "cert-ocsp", &[]),
    (OutdatedStaple, "cert-ocsp", &[]),
    (ForgedStaple, "cert-ocsp", &[]),
    (MissingStaple, "cert-ocsp", &[]),
    (OldTlsOnly, "tls-old", &[]),
    (EarlyData, "tls-early-data", &[]),
    (MuteInside, "srv-upgrade", &[]),
    (EndsInside, "srv-upgrade", &[]),
    (TurnsAwayInside, "srv-upgrade", &[]),
    (WantsCertificate, "srv-upgrade", &[]),
    (EagerWantsCertificate, "srv-upgrade", &[]),
    (EagerBareHeader, "srv-inject-eager", &["srv-inject-lazy"]),
    (EagerDeclaredHeader, "srv-inject-eager", &["srv-inject-lazy", "srv-inject-split"]),
    (EagerLogin, "srv-inject-eager", &["srv-inject-lazy"]),
    (PlainBareHeader, "srv-reply-plain", &[]),
];

impl Weakness {
    /// Every weakness.
    pub const ALL: &'static [Self] = &{
        let mut all = [Eager; IDS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = IDS[at].0;
            at += 1;
        }
        all
    };

    fn row(self) -> (&'static str, &'static [&'static str]) {
        IDS.iter().find(|row| row.0 == self).map_or(("", &[]), |row| (row.1, row.2))
    }

    /// Returns the check that must report the weakness.
    pub fn id(self) -> &'static str {
        self.row().0
    }

    /// Returns other checks that may report it, since it implies a problem of theirs.
    pub fn also(self) -> &'static [&'static str] {
        self.row().1
    }

    /// Returns whether the weakness applies to this protocol.
    pub fn applies_to(self, protocol: &Protocol) -> bool {
        self.inapplicable(protocol).is_none()
    }

    /// Returns why the weakness does not apply to this protocol, or `None` if it applies.
    pub fn inapplicable(self, protocol: &Protocol) -> Option<&'static str> {
        let facts = profile(protocol);
        let unless = |holds: bool, why| (!holds).then_some(why);
        match self {
            Partial => unless(!first_is_one_octet(protocol), "the first message inside TLS has one octet"),
            Variants => unless(request_line(protocol).is_some(), "the request is not a line of text"),
            Hidden => unless(facts.has_data_before_tls, "no harmless command carries data"),
            Shared if protocol.implicit_tls.is_none() => Some("the protocol has no port for implicit TLS"),
            Shared => unless(
                protocol.flow.after == AfterUpgrade::AnswerPending,
                "after the upgrade the server sends no answer to the request",
            ),
            EagerBareHeader | EagerDeclaredHeader | PlainBareHeader => unless(
                protocol.flow.after == AfterUpgrade::StreamRestart,
                "the session does not restart with a header",
            ),
            EagerLogin => unless(*protocol == xmpp::XMPP, "the session does not restart with a login"),
            PlainAnswer => unless(protocol.flow.request_is_answered, "the request has no answer"),
            OfferInside if protocol.flow.hello_rounds > 1 => Some("the hello is not repeated inside TLS"),
            OfferInside | RefusedForNow => {
                unless(protocol.flow.request_is_answered, "the request has no answer")
            }
            Fixation => unless(facts.has_state_before_login, "clients can set nothing before a login"),
            Listed => unless(facts.lists_mechanisms, "no list names login mechanisms"),
            CredentialsBefore if facts.login == LoginKind::None => Some("the protocol has no login"),
            CredentialsBefore | NotEnforced | NotOffered => unless(
                facts.login != LoginKind::Certificate,
                "servers authenticate each other by their certificates",
            ),
            CapsKept if facts.has_fixed_capabilities => Some(
                "the list names features of the software, which are the same in cleartext and inside TLS",
            ),
            CapsKept => {
                unless(!words(protocol, ClientMessage::Hello).is_empty(), "clients cannot request a list")
            }
            Mangled => unless(offer(protocol).is_some(), "the offer is not a keyword of the request"),
            Preauth => {
                let mut greeting = Vec::new();
                let mut dialect = protocol.new_dialect(Identity::new("localhost"));
                dialect.write_server(ServerMessage::PreAuthenticated, &mut greeting);
                unless(!greeting.is_empty(), "no greeting can state that the client is logged in")
            }
            Referral => unless(facts.has_referral, "no response can refer to another server"),
            Alert => unless(facts.has_alert, "no response contains a text for the user"),
            _ => None,
        }
    }

    /// Returns whether a finding of this check shows the weakness.
    pub fn is_shown_by(self, id: &str) -> bool {
        match self {
            // Where every command needs a login, the login shows it.
            NotEnforced => [self.id(), "srv-auth-before"].contains(&id),
            // Where a refusal does not state that it is temporary, it counts as permanent.
            RefusedForNow => [self.id(), "srv-offered"].contains(&id),
            _ => id == self.id(),
        }
    }

    /// Returns whether an audit without a client certificate has no session inside TLS. Its verdict is then inconclusive.
    pub fn hides_the_session(self) -> bool {
        matches!(self, MuteInside | EndsInside | TurnsAwayInside) || self.wants_certificate()
    }

    /// Returns whether the server requires a client certificate, of any name, from the authority of the rogue.
    pub fn wants_certificate(self) -> bool {
        matches!(self, WantsCertificate | EagerWantsCertificate)
    }

    /// Returns what the server staples; `None` for a server without OCSP.
    pub(super) fn staple(self) -> Option<Staple> {
        match self {
            RevokedStaple => Some(Staple::Revoked),
            OutdatedStaple => Some(Staple::Outdated),
            ForgedStaple => Some(Staple::Forged),
            MissingStaple => Some(Staple::Missing),
            _ => None,
        }
    }

    /// Returns whether the weakness takes minutes to detect.
    pub fn is_slow(self) -> bool {
        matches!(self, Stall | Drip)
    }

    /// Returns why the weakness cannot be detected from outside in this protocol, or `None` if it can.
    pub fn hidden(self, protocol: &Protocol) -> Option<&'static str> {
        match (self, protocol.name) {
            (NotEnforced, "smtp" | "lmtp") => {
                Some("servers may exchange mail in cleartext (RFC 3207 section 4)")
            }
            (NotEnforced | CredentialsBefore, "irc") => {
                Some("PASS and NICK have no answer, accepted or not (RFC 2812 section 3.1.1)")
            }
            (Lazy, "postgres") => {
                Some("a session starts once, with the same answer for injected and own messages")
            }
            (Fallback | QuietFallback, "mysql") => {
                Some("a server answers no harmless command before the login")
            }
            (CapsKept, "mysqlx") => Some("the list before TLS is the offer, which another check reports"),
            (NotOffered, "http") => Some("a web server may ignore the request (RFC 9110 section 7.8)"),
            (EarlyData, "http") => Some("RFC 8470 defines how HTTP uses early data"),
            (RefusedForNow, "postgres") => {
                Some("an error ends the connection, and does not state whether it is temporary")
            }
            _ => None,
        }
    }

    pub(super) fn behavior(self) -> Behavior {
        let sound = Behavior::SOUND;
        let reacting = |after_request| Behavior { after_request, ..sound };
        match self {
            Eager | EagerWantsCertificate => reacting(AfterRequest::Eager),
            EagerBareHeader => {
                Behavior { restart: Some(SessionStart::BareHeader), ..reacting(AfterRequest::Eager) }
            }
            EagerDeclaredHeader => {
                Behavior { restart: Some(SessionStart::DeclaredHeader), ..reacting(AfterRequest::Eager) }
            }
            EagerLogin => Behavior { restart: Some(SessionStart::Login), ..reacting(AfterRequest::Eager) },
            PlainBareHeader => {
                Behavior { restart: Some(SessionStart::BareHeader), ..reacting(AfterRequest::Plain) }
            }
            MuteInside => Behavior { session: SessionMode::Mute, ..sound },
            EndsInside => Behavior { session: SessionMode::Ends, ..sound },
            TurnsAwayInside => Behavior { session: SessionMode::TurnedAway, ..sound },
            Lazy => reacting(AfterRequest::Lazy),
            Split => reacting(AfterRequest::Split),
            Partial => reacting(AfterRequest::Partial),
            Variants => Behavior { sloppy: true, ..reacting(AfterRequest::EagerIfSloppy) },
            Hidden => Behavior { hunts: true, ..reacting(AfterRequest::Discard) },
            PlainAnswer => reacting(AfterRequest::Plain),
            Fixation => Behavior { gate: CleartextAccess::Open, keeps_state: true, ..sound },
            CredentialsBefore => Behavior { gate: CleartextAccess::Credentials, lists: true, ..sound },
            Listed => Behavior { lists: true, ..sound },
            NotEnforced => Behavior { gate: CleartextAccess::Open, lists: true, ..sound },
            OfferInside => Behavior { inside: InnerOffer::Offered, ..sound },
            CapsKept => Behavior { inside: InnerOffer::Kept, ..sound },
            Fallback => Behavior { falls_back: true, ..sound },
            QuietFallback => Behavior { falls_back: true, swallows: true, ..sound },
            Preauth => Behavior {
                gate: CleartextAccess::Open,
                offers: false,
                refuses: Some(Refusal::Permanent),
                preauth: true,
                patches: UNKNOWN,
                ..sound
            },
            NotOffered => Behavior {
                gate: CleartextAccess::Open,
                offers: false,
                refuses: Some(Refusal::Permanent),
                patches: UNKNOWN,
                ..sound
            },
            RefusedForNow => Behavior { refuses: Some(Refusal::Temporary), ..sound },
            Mangled => Behavior { refuses: Some(Refusal::Permanent), patches: UNKNOWN, ..sound },
            Throttled => Behavior { throttles: true, ..sound },
            Referral => Behavior { patches: REFERRAL, ..sound },
            Alert => Behavior { patches: ALERT, ..sound },
            Drip => Behavior { restless: true, ..sound },
            Stall => Behavior { stalls: true, ..sound },
            WrongAlpn | Shared | NoCertificate | Expired | NotYet | SoonExpired | WrongName | SelfSigned
            | UnknownRoot | MissingIntermediate | WrongUsage | CommonNameOnly | WeakKey | VersionOne
            | UnknownExtension | RevokedStaple | OutdatedStaple | ForgedStaple | MissingStaple
            | OldTlsOnly | EarlyData | WantsCertificate => sound,
        }
    }
}

const fn patch(protocols: &'static [&'static str], at: ReplyTo, how: PatchKind) -> ResponsePatch {
    ResponsePatch { protocols, at, how }
}

/// An unknown request, and an offer that a middlebox has overwritten.
#[rustfmt::skip] // One change per line.
const UNKNOWN: &[ResponsePatch] = &[
    patch(&[], ReplyTo::Connect, PatchKind::By(mangled)),
    patch(&[], ReplyTo::Hello, PatchKind::By(mangled)),
    patch(&[], ReplyTo::Request, PatchKind::Replace("503 5.5.1 TLS is active already", "502 5.5.1 Command not implemented")),
    patch(&["ftp"], ReplyTo::Request, PatchKind::Replace("503 TLS is active already", "502 Command not implemented")),
    patch(&["nntp"], ReplyTo::Request, PatchKind::Replace("502 TLS is active already", "500 Unknown command")),
    patch(&["nut"], ReplyTo::Request, PatchKind::Replace("ALREADY-SSL-MODE", "FEATURE-NOT-CONFIGURED")),
    patch(&["http"], ReplyTo::Request, PatchKind::Replace("409 TLS Is Active Already", "200 OK")),
    // As long as the text it replaces, for protocols that count octets.
    patch(&[], ReplyTo::Request, PatchKind::Replace("TLS is active already", "TLS is not to be had.")),
];

#[rustfmt::skip] // One protocol per line.
const REFERRAL: &[ResponsePatch] = &[
    // RFC 2221 section 4.2.
    patch(&["imap"], ReplyTo::Connect, PatchKind::Replace("OK ", "OK [REFERRAL imap://other.example.test/] ")),
    // RFC 5804 section 1.3.
    patch(&["sieve"], ReplyTo::Connect, PatchKind::Whole("BYE (REFERRAL \"sieve://other.example.test\") \"Go there\"\r\n")),
    // RFC 6120 section 4.9.3.19.
    patch(&["xmpp", "xmpp-server"], ReplyTo::Hello, PatchKind::By(see_other_host)),
    // RFC 9110 section 15.4.8.
    patch(&["http"], ReplyTo::Request, PatchKind::Whole("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://other.example.test/\r\nContent-Length: 0\r\n\r\n")),
    // RFC 4511 section 4.1.10.
    patch(&["ldap"], ReplyTo::Request, PatchKind::By(ldap_referral)),
    // RFC 5321 section 4.2.3.
    patch(&["smtp", "submission", "lmtp"], ReplyTo::Request, PatchKind::Whole("551 5.1.6 Go to other.example.test\r\n")),
];

#[rustfmt::skip] // One protocol per line.
const ALERT: &[ResponsePatch] = &[
    // RFC 9051 section 7.1.
    patch(&["imap"], ReplyTo::Connect, PatchKind::Replace("OK ", "OK [ALERT] Call 555 0100 now ")),
    patch(&["irc"], ReplyTo::Hello, PatchKind::Before(":localhost NOTICE * :\u{2}Call 555 0100 now\r\n")),
];

fn see_other_host(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let end = message.windows(16).position(|window| window == b"<stream:features").unwrap_or(message.len());
    let error = "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
        other.example.test</see-other-host></stream:error></stream:stream>";
    [&message[..end], error.as_bytes()].concat()
}

/// Returns a successful response as a referral.
fn ldap_referral(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let url = b"ldap://other.example.test";
    let mut referral = vec![0xa3, url.len() as u8 + 2, 0x04, url.len() as u8];
    referral.extend_from_slice(url);
    super::ldap_response::ldap_with(message, Some(10), &referral)
}

/// Returns whether the first message of a client inside TLS has one octet, of which no part can be sent.
fn first_is_one_octet(protocol: &Protocol) -> bool {
    let mut dialect = protocol.new_dialect(Identity::new("localhost").inside_tls());
    [ClientMessage::Hello, ClientMessage::Probe, ClientMessage::Other].into_iter().any(|message| {
        let mut words = Vec::new();
        dialect.write_client(message, &mut words);
        words.len() == 1
    })
}

#[cfg(test)]
mod tests {
    use starttls::proto::PROTOCOLS;

    use super::*;

    #[test]
    fn patches_exist_for_the_protocols_that_need_them() {
        for protocol in PROTOCOLS {
            let facts = profile(protocol);
            let has = |patches: &[ResponsePatch]| patches.iter().any(|it| it.is_for(protocol));
            assert_eq!(has(REFERRAL), facts.has_referral, "REFERRAL for {}", protocol.name);
            assert_eq!(has(ALERT), facts.has_alert, "ALERT for {}", protocol.name);
        }
    }
}
