//! Unusual servers that are correct: other texts, another pace, another reaction to bytes after the request.

use std::time::Duration;

use starttls::proto::{Protocol, ReplyTo};

use super::behavior::{AfterRequest, Behavior, Pace};
use super::certificate;
use super::ldap_response::{ldap, ldap_with};
use super::response_patch::{PatchKind, ResponsePatch, in_lower_case, offer};
use super::start::Rogue;
use crate::ca::{Authority, Surplus};
use crate::error::Error;
use crate::ocsp::Staple;

/// An unusual server that is correct, and that every client must support.
#[derive(Clone, Copy, Debug)]
pub struct Quirk {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// It sends other texts.
    Words(&'static [ResponsePatch]),
    /// It sends slowly.
    Paced(Pace),
    /// It accepts an upgrade that it does not offer.
    Unannounced,
    /// It reacts in another way to bytes after the request.
    Reaction(AfterRequest),
    /// Its port for implicit TLS has a certificate of its own.
    Apart,
    /// It sends an expired certificate that clients do not need.
    Chain(Surplus),
    /// An OCSP response is stapled.
    Stapled,
}

const SMTP: &[&str] = &["smtp", "submission", "lmtp"];
const XMPP: &[&str] = &["xmpp"];
const XMPP_SERVER: &[&str] = &["xmpp-server"];

const fn patch(protocols: &'static [&'static str], at: ReplyTo, how: PatchKind) -> ResponsePatch {
    ResponsePatch { protocols, at, how }
}

const fn words(name: &'static str, patches: &'static [ResponsePatch]) -> Quirk {
    Quirk { name, kind: Kind::Words(patches) }
}

const fn paced(name: &'static str, delay: u64, octets: usize, pause: u64) -> Quirk {
    let pace = Pace { delay: Duration::from_millis(delay), octets, pause: Duration::from_millis(pause) };
    Quirk { name, kind: Kind::Paced(pace) }
}

use ReplyTo::{Connect, Hello, Request};

#[rustfmt::skip] // One change per line.
const ALL: &[Quirk] = &[
    paced("the first bytes are late", 400, 0, 0),
    paced("replies arrive in segments of a few octets", 0, 7, 2),
    paced("replies arrive one octet at a time", 0, 1, 1),
    Quirk { name: "the upgrade is accepted and not offered", kind: Kind::Unannounced },
    words("the greeting has many lines", &[
        patch(&["smtp", "submission", "lmtp", "ftp"], Connect, PatchKind::Before("220-There is much\r\n220-\r\n220-to be said\r\n")),
    ]),
    words("the offer is in lower case", &[
        patch(&[], Connect, PatchKind::By(in_lower_case)),
        patch(&[], Hello, PatchKind::By(in_lower_case)),
    ]),
    words("replies have no text", &[
        patch(SMTP, Connect, PatchKind::Whole("220\r\n")),
        patch(SMTP, Hello, PatchKind::Whole("250-localhost\r\n250-STARTTLS\r\n250\r\n")),
        patch(SMTP, Request, PatchKind::Whole("220\r\n")),
        patch(&["pop3"], Connect, PatchKind::Whole("+OK\r\n")),
        patch(&["pop3"], Hello, PatchKind::Whole("+OK\r\nSTLS\r\n.\r\n")),
        patch(&["pop3"], Request, PatchKind::Whole("+OK\r\n")),
    ]),
    words("the go-ahead has many lines", &[
        patch(SMTP, Request, PatchKind::Before("220-Soon\r\n220-\r\n")),
        patch(&["ftp"], Request, PatchKind::Before("234-Soon\r\n not yet\r\n")),
    ]),
    words("the host is called STARTTLS", &[
        patch(SMTP, Connect, PatchKind::Replace("localhost", "STARTTLS")),
        patch(SMTP, Hello, PatchKind::Whole("250-STARTTLS\r\n250 8BITMIME\r\n")),
    ]),
    words("capabilities come in many untagged lines", &[
        patch(&["imap"], Hello, PatchKind::Replace("IMAP4rev1 STARTTLS", "IMAP4rev1\r\n* CAPABILITY STARTTLS\r\n* CAPABILITY")),
    ]),
    words("capabilities are in the greeting only", &[
        patch(&["imap"], Connect, PatchKind::Replace("OK ", "OK [CAPABILITY IMAP4rev1 STARTTLS] ")),
        patch(&["imap"], Hello, PatchKind::Replace("* CAPABILITY IMAP4rev1 STARTTLS ID LOGINDISABLED\r\n", "")),
    ]),
    words("IMAP4rev2 and nothing older", &[
        patch(&["imap"], Connect, PatchKind::Replace("rev1", "rev2")),
        patch(&["imap"], Hello, PatchKind::Replace("rev1", "rev2")),
    ]),
    words("untagged lines before the tagged one", &[
        patch(&["imap"], Hello, PatchKind::Before("* OK Still here\r\n")),
        patch(&["imap"], Request, PatchKind::Before("* 0 EXISTS\r\n* OK [UIDNEXT 1] Nearly\r\n")),
    ]),
    words("continued lines have no code", &[
        patch(&["ftp"], Connect, PatchKind::Whole("220-localhost\r\nis here\r\n 234 for you\r\n220 Go on\r\n")),
    ]),
    words("there is no list of features", &[
        patch(&["ftp"], Hello, PatchKind::Whole("500 FEAT is not known here\r\n")),
        patch(&["smtp", "submission"], Hello, PatchKind::Whole("502 5.5.1 EHLO is not known here\r\n")),
        patch(&["nntp"], Hello, PatchKind::Whole("500 CAPABILITIES is not known here\r\n")),
        patch(&["pop3"], Hello, PatchKind::Whole("-ERR CAPA is not known here\r\n")),
        patch(&["irc"], Hello, PatchKind::Whole(":localhost 421 * CAP :is not known here\r\n")),
        patch(&["imap"], Hello, PatchKind::By(bad)),
    ]),
    words("mechanisms are offered in a list", &[
        patch(&["ftp"], Hello, PatchKind::Whole("211-Features:\r\n AUTH SSL;TLS-C\r\n211 End\r\n")),
    ]),
    words("lengths take four octets", &[patch(&["ldap"], Request, PatchKind::By(long_lengths))]),
    words("the response has a name", &[patch(&["ldap"], Request, PatchKind::By(with_name))]),
    words("other prefixes, quotes and orders", &[
        patch(XMPP, Hello, PatchKind::Whole(concat!(
            "<s:stream xmlns:s=\"http://etherx.jabber.org/streams\" version=\"1.0\" from=\"localhost\" xmlns=\"jabber:client\" id=\"7\">",
            "<s:features ><t:starttls xmlns:t = \"urn:ietf:params:xml:ns:xmpp-tls\"></t:starttls></s:features>"))),
        patch(XMPP_SERVER, Hello, PatchKind::Whole(concat!(
            "<s:stream xmlns:s=\"http://etherx.jabber.org/streams\" version=\"1.0\" from=\"localhost\" xmlns=\"jabber:server\" id=\"7\">",
            "<s:features ><t:starttls xmlns:t = \"urn:ietf:params:xml:ns:xmpp-tls\"></t:starttls></s:features>"))),
        patch(&["xmpp", "xmpp-server"], Request, PatchKind::Whole("<t:proceed xmlns:t=\"urn:ietf:params:xml:ns:xmpp-tls\" />")),
    ]),
    words("an element that could be empty has an end tag", &[
        patch(&["xmpp", "xmpp-server"], Request, PatchKind::Whole("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>")),
    ]),
    words("the text is a literal", &[
        patch(&["sieve"], Request, PatchKind::Whole("OK {14}\r\nBegin\r\nTLS now\r\n")),
    ]),
    words("posting is prohibited", &[patch(&["nntp"], Connect, PatchKind::Replace("200 ", "201 "))]),
    words("notices between the lines", &[
        patch(&["irc"], Hello, PatchKind::Before(":localhost NOTICE * :*** Looking up your hostname\r\n")),
        patch(&["irc"], Request, PatchKind::Before("NOTICE AUTH :*** Found your hostname\r\n")),
    ]),
    words("a length where there is no body", &[
        patch(&["http"], Request, PatchKind::Replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n")),
    ]),
    Quirk { name: "TLS from the first byte has another name", kind: Kind::Apart },
    Quirk { name: "an expired twin of the intermediate comes first", kind: Kind::Chain(Surplus::Twin) },
    Quirk { name: "an expired cross-signed root is sent", kind: Kind::Chain(Surplus::CrossSigned) },
    Quirk { name: "an expired stranger is in the chain", kind: Kind::Chain(Surplus::Stranger) },
    Quirk { name: "an OCSP response is stapled", kind: Kind::Stapled },
    reaction("bytes after the request are discarded", AfterRequest::Discard),
    reaction("bytes after the request end the connection after the acceptance", AfterRequest::CloseAfter),
    reaction("bytes after the request cause a refusal", AfterRequest::Refuse),
    reaction("bytes after the request cause an error inside TLS", AfterRequest::FatalInside),
    reaction("bytes after the request cause an error in cleartext", AfterRequest::Close),
];

const fn reaction(name: &'static str, reaction: AfterRequest) -> Quirk {
    Quirk { name, kind: Kind::Reaction(reaction) }
}

impl Quirk {
    /// Every quirk.
    pub const ALL: &'static [Self] = ALL;

    /// Returns the quirk of a server that sends its first bytes after this delay.
    pub fn delayed(delay: Duration) -> Self {
        Self { name: "the first bytes are late", kind: Kind::Paced(Pace { delay, ..Pace::AT_ONCE }) }
    }

    /// Returns a description of the quirk.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether the quirk is a reaction to bytes that follow the request.
    pub fn is_reaction(&self) -> bool {
        matches!(self.kind, Kind::Reaction(_))
    }

    /// Returns whether the quirk applies to this protocol.
    pub fn applies_to(&self, protocol: &Protocol) -> bool {
        match self.kind {
            Kind::Words(patches) => {
                let lower = offer(protocol).is_some_and(|word| word != word.to_ascii_lowercase());
                patches.iter().any(|it| it.is_for(protocol) && (!it.protocols.is_empty() || lower))
            }
            Kind::Paced(_) | Kind::Chain(_) | Kind::Stapled => true,
            Kind::Apart => protocol.implicit_tls.is_some(),
            // A hello of several messages ends without an offer.
            Kind::Unannounced => protocol.flow.request_is_answered && protocol.flow.hello_rounds == 1,
            Kind::Reaction(_) => protocol.flow.request_is_answered,
        }
    }

    /// Starts a server with this quirk.
    ///
    /// # Errors
    /// Returns an error if a port, a certificate or a thread cannot be created.
    pub fn start(&self, protocol: &'static Protocol, authority: &Authority) -> Result<Rogue, Error> {
        let sound = Behavior::SOUND;
        let behavior = match self.kind {
            Kind::Words(patches) => Behavior { patches, ..sound },
            Kind::Paced(pace) => Behavior { pace, ..sound },
            Kind::Unannounced => Behavior { offers: false, ..sound },
            Kind::Apart | Kind::Chain(_) | Kind::Stapled => sound,
            Kind::Reaction(after_request) => Behavior { after_request, ..sound },
        };
        let acceptors = match self.kind {
            Kind::Apart => certificate::acceptors_with_other_name(protocol, authority)?,
            Kind::Chain(surplus) => certificate::acceptors_with_surplus(protocol, authority, surplus)?,
            Kind::Stapled => certificate::acceptors_with_staple(protocol, authority, Staple::Good)?,
            _ => certificate::acceptors(protocol, None, authority, None)?,
        };
        Rogue::with(protocol, behavior, acceptors)
    }
}

/// Returns only the tagged answer, as an error.
fn bad(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let last = message.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let tag = last.split(|byte| *byte == b' ').next().unwrap_or_default();
    [tag, b" BAD CAPABILITY is not known here\r\n"].concat()
}

/// Returns the LDAPMessage with its length and the length of its operation in four octets (X.690 section 8.1.3.5).
fn long_lengths(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let Some((id, operation, body)) = ldap(message) else { return message.to_vec() };
    let long = |tag, contents: &[u8]| {
        let length = u32::try_from(contents.len()).unwrap_or_default().to_be_bytes();
        [&[tag, 0x84][..], &length, contents].concat()
    };
    long(0x30, &[id, &long(operation, body)].concat())
}

/// Returns the ExtendedResponse with its name (RFC 4511 section 4.14.2).
fn with_name(_: &Protocol, message: &[u8]) -> Vec<u8> {
    ldap_with(message, None, b"\x8a\x161.3.6.1.4.1.1466.20037")
}
