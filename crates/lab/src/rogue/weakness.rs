//! What can be wrong with a server, one thing at a time.

use starttls::proto::{AfterUpgrade, ClientMessage, Identity, Protocol, Refusal, ReplyTo, ServerMessage};

use super::behavior::{AfterRequest, Behavior, CleartextAccess, InnerOffer, SessionMode, SessionStart};
use super::response_patch::{PatchKind, ResponsePatch, mangled, offer, request_line, words};
use crate::profile::{LoginKind, profile};

/// One thing that is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weakness {
    /// Commands behind the request, in its segment, are answered inside TLS at once.
    Eager,
    /// The same when the client has said something inside TLS.
    Lazy,
    /// Whatever comes before the ClientHello is read inside TLS.
    Split,
    /// An incomplete command behind the request is joined with what comes inside TLS.
    Partial,
    /// Other forms of the request do as well, and commands behind those are answered inside TLS.
    Variants,
    /// A request in the data of another command is taken for one.
    Hidden,
    /// Commands behind the request are answered in cleartext behind the go-ahead.
    PlainAnswer,
    /// What was set before TLS is in force inside.
    Fixation,
    /// Credentials are asked for and judged in cleartext.
    CredentialsBefore,
    /// Mechanisms that send passwords are listed in cleartext, and refused.
    Listed,
    /// Everything is served in cleartext.
    NotEnforced,
    /// The upgrade is offered and accepted inside TLS.
    OfferInside,
    /// The capabilities inside TLS are those from before.
    CapsKept,
    /// A failed handshake leads back to cleartext.
    Fallback,
    /// The same, and what came instead of the handshake is lost.
    QuietFallback,
    /// The ClientHello is waited for without an end.
    Stall,
    /// Each octet of a ClientHello is waited for anew.
    Drip,
    /// Connections that were meant for another protocol are served.
    WrongAlpn,
    /// A port with TLS from the first byte has the same certificate.
    Shared,
    /// Sessions are authenticated when they start.
    Preauth,
    /// There is no upgrade, and cleartext is served.
    NotOffered,
    /// The upgrade is offered, and refused for now.
    RefusedForNow,
    /// The upgrade is offered and accepted, and every handshake fails.
    NoCertificate,
    /// A middlebox overwrites the offer and the request.
    Mangled,
    /// The first connection is served, and no other.
    Throttled,
    /// The client is sent elsewhere before TLS.
    Referral,
    /// Text for the user comes before TLS.
    Alert,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYet,
    /// The certificate expires in five days.
    SoonExpired,
    /// The certificate is for another name.
    WrongName,
    /// The certificate was signed with its own key.
    SelfSigned,
    /// The certificate comes from another authority.
    UnknownRoot,
    /// The chain lacks its intermediate.
    MissingIntermediate,
    /// The certificate is a client's.
    WrongUsage,
    /// The name is nowhere but in the subject.
    CommonNameOnly,
    /// The key is of RSA with 1024 bits.
    WeakKey,
    /// TLS 1.2 and nothing later.
    OldTlsOnly,
    /// Inside TLS nothing is answered.
    MuteInside,
    /// The session ends as soon as TLS is up.
    EndsInside,
    /// Whatever comes first inside TLS is answered with the protocol's word for "not now", and the session ends.
    TurnsAwayInside,
    /// A client certificate is required. In TLS 1.3 the client learns of it when its handshake is done.
    WantsCertificate,
    /// The same, and commands after the request are answered inside TLS at once.
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
    EagerLogin, EagerWantsCertificate, EndsInside, Expired, Fallback, Fixation, Hidden, Lazy, Listed,
    Mangled, MissingIntermediate, MuteInside, NoCertificate, NotEnforced, NotOffered, NotYet, OfferInside,
    OldTlsOnly, Partial, PlainAnswer, PlainBareHeader, Preauth, QuietFallback, Referral, RefusedForNow,
    SelfSigned, Shared, SoonExpired, Split, Stall, Throttled, TurnsAwayInside, UnknownRoot, Variants,
    WantsCertificate, WeakKey, WrongAlpn, WrongName, WrongUsage,
};

#[rustfmt::skip] // One weakness a line: its check, and the checks that may notice it as well.
const IDS: &[(Weakness, &str, &[&str])] = &[
    // A segment that comes late may come in time for what reads the first one.
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
    (OldTlsOnly, "tls-old", &[]),
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

    /// The check that must find it.
    pub fn id(self) -> &'static str {
        self.row().0
    }

    /// Checks that may find it too, since it cannot be had without something that they look for.
    pub fn also(self) -> &'static [&'static str] {
        self.row().1
    }

    /// Whether it has a meaning in this protocol.
    pub fn applies_to(self, protocol: &Protocol) -> bool {
        self.inapplicable(protocol).is_none()
    }

    /// Why it has no meaning in this protocol, if it has none.
    pub fn inapplicable(self, protocol: &Protocol) -> Option<&'static str> {
        let facts = profile(protocol);
        let unless = |holds: bool, why| (!holds).then_some(why);
        match self {
            Variants => unless(request_line(protocol).is_some(), "the request is no line of text"),
            Hidden => unless(facts.has_data_before_tls, "no harmless command carries data"),
            Shared if protocol.implicit_tls.is_none() => Some("no port has TLS from the first byte"),
            Shared => unless(
                protocol.flow.after == AfterUpgrade::AnswerPending,
                "no answer is left for a client that never asked, a greeting at most",
            ),
            EagerBareHeader | EagerDeclaredHeader | PlainBareHeader => unless(
                protocol.flow.after == AfterUpgrade::StreamRestart,
                "no session begins anew with a header",
            ),
            EagerLogin => unless(protocol.name == "xmpp", "no session begins anew with a login"),
            PlainAnswer => unless(protocol.flow.request_is_answered, "there is no go-ahead to answer behind"),
            OfferInside | RefusedForNow => {
                unless(protocol.flow.request_is_answered, "nobody answers the request")
            }
            Fixation => unless(facts.has_state_before_login, "nothing is set without a right password"),
            Listed => unless(facts.lists_mechanisms, "no list names what would send a password"),
            CredentialsBefore if facts.login == LoginKind::None => Some("nobody logs in"),
            CredentialsBefore | NotEnforced | NotOffered => {
                unless(facts.login != LoginKind::Certificate, "servers know each other by their certificates")
            }
            CapsKept if facts.has_fixed_capabilities => {
                Some("the list tells what the software can do, in cleartext and inside TLS")
            }
            CapsKept => {
                unless(!words(protocol, ClientMessage::Hello).is_empty(), "there is no list to be asked for")
            }
            Mangled => unless(offer(protocol).is_some(), "the offer is no word of the request's"),
            Preauth => {
                let mut greeting = Vec::new();
                let mut dialect = (protocol.dialect)(Identity::new("localhost"));
                dialect.write_server(ServerMessage::PreAuthenticated, &mut greeting);
                unless(!greeting.is_empty(), "no greeting says so")
            }
            Referral => unless(facts.has_referral, "nothing refers elsewhere"),
            Alert => unless(facts.has_alert, "no text is for the user"),
            _ => None,
        }
    }

    /// Whether a finding of this check shows the weakness.
    pub fn is_shown_by(self, id: &str) -> bool {
        match self {
            // Where all that is served needs a login, the login shows it.
            NotEnforced => [self.id(), "srv-auth-before"].contains(&id),
            // A refusal that does not say for how long is one for good.
            RefusedForNow => [self.id(), "srv-offered"].contains(&id),
            _ => id == self.id(),
        }
    }

    /// Whether an audit without a client certificate sees nothing inside TLS. It then cannot judge what crosses the
    /// boundary, and its verdict is inconclusive.
    pub fn hides_the_session(self) -> bool {
        matches!(self, MuteInside | EndsInside | TurnsAwayInside) || self.wants_certificate()
    }

    /// Whether it requires a client certificate, of any name, by the rogue's own authority.
    pub fn wants_certificate(self) -> bool {
        matches!(self, WantsCertificate | EagerWantsCertificate)
    }

    /// Whether it takes minutes to show.
    pub fn is_slow(self) -> bool {
        matches!(self, Stall | Drip)
    }

    /// Why nobody can tell this weakness from outside in this protocol, if nobody can.
    pub fn hidden(self, protocol: &Protocol) -> Option<&'static str> {
        match (self, protocol.name) {
            (NotEnforced, "smtp" | "lmtp") => {
                Some("mail between servers may be served in cleartext (RFC 3207 section 4)")
            }
            (NotEnforced | CredentialsBefore, "irc") => {
                Some("PASS and NICK are not answered, taken or not (RFC 2812 section 3.1.1)")
            }
            (Lazy | Split, "postgres") => {
                Some("a session begins once, with the same answer whoever began it")
            }
            (Fallback | QuietFallback, "mysql") => Some("a server answers no no-op before it knows the user"),
            (NotOffered, "http") => Some("a web server may ignore the request (RFC 9110 section 7.8)"),
            (RefusedForNow, "postgres") => {
                Some("an error ends the connection, and does not say for how long")
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
            Stall | WrongAlpn | Shared | NoCertificate | Expired | NotYet | SoonExpired | WrongName
            | SelfSigned | UnknownRoot | MissingIntermediate | WrongUsage | CommonNameOnly | WeakKey
            | OldTlsOnly | WantsCertificate => sound,
        }
    }
}

const fn patch(protocols: &'static [&'static str], at: ReplyTo, how: PatchKind) -> ResponsePatch {
    ResponsePatch { protocols, at, how }
}

/// A request that nobody knows, and what is left of an offer when a middlebox has seen it.
#[rustfmt::skip] // One change a line.
const UNKNOWN: &[ResponsePatch] = &[
    patch(&[], ReplyTo::Connect, PatchKind::By(mangled)),
    patch(&[], ReplyTo::Hello, PatchKind::By(mangled)),
    patch(&[], ReplyTo::Request, PatchKind::Replace("503 5.5.1 TLS is active already", "502 5.5.1 Command not implemented")),
    patch(&["ftp"], ReplyTo::Request, PatchKind::Replace("503 TLS is active already", "502 Command not implemented")),
    patch(&["nntp"], ReplyTo::Request, PatchKind::Replace("502 TLS is active already", "500 Unknown command")),
    patch(&["nut"], ReplyTo::Request, PatchKind::Replace("ALREADY-SSL-MODE", "FEATURE-NOT-CONFIGURED")),
    patch(&["http"], ReplyTo::Request, PatchKind::Replace("409 TLS Is Active Already", "200 OK")),
    // As long as what it replaces, for the protocols that count.
    patch(&[], ReplyTo::Request, PatchKind::Replace("TLS is active already", "TLS is not to be had.")),
];

#[rustfmt::skip] // One protocol a line.
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

#[rustfmt::skip] // One protocol a line.
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

/// The same message, of success, as a referral: its octets are few, so that lengths take one each.
fn ldap_referral(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let url = b"ldap://other.example.test";
    let mut referral = vec![0xa3, url.len() as u8 + 2, 0x04, url.len() as u8];
    referral.extend_from_slice(url);
    super::ldap_response::ldap_with(message, Some(10), &referral)
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
