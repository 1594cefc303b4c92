//! Odd but legal peers: the sound server in other words, at another pace, with other manners.

use std::time::Duration;

use starttls::proto::{Protocol, ReplyTo};

use super::manner::{Behind, Manner, Pace};
use super::twist::{How, Twist, in_lower_case, offer};
use super::{Rogue, certificate};
use crate::Error;
use crate::ca::{Authority, Surplus};

/// An odd but legal server, with which every client has to get along.
#[derive(Clone, Copy, Debug)]
pub struct Odd {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// It says some things in other words.
    Words(&'static [Twist]),
    /// It takes its time.
    Paced(Pace),
    /// It accepts what it does not offer.
    Unannounced,
    /// It has a way of its own with bytes behind the request.
    Reaction(Behind),
    /// Its port with TLS from the first byte has a certificate of its own.
    Apart,
    /// It sends an expired certificate that its path does not need.
    Chain(Surplus),
}

const SMTP: &[&str] = &["smtp", "submission", "lmtp"];
const XMPP: &[&str] = &["xmpp"];
const XMPP_SERVER: &[&str] = &["xmpp-server"];

const fn twist(protocols: &'static [&'static str], at: ReplyTo, how: How) -> Twist {
    Twist { protocols, at, how }
}

const fn words(name: &'static str, twists: &'static [Twist]) -> Odd {
    Odd { name, kind: Kind::Words(twists) }
}

const fn paced(name: &'static str, delay: u64, octets: usize, pause: u64) -> Odd {
    let pace = Pace { delay: Duration::from_millis(delay), octets, pause: Duration::from_millis(pause) };
    Odd { name, kind: Kind::Paced(pace) }
}

use ReplyTo::{Connect, Hello, Request};

#[rustfmt::skip] // One change a line.
const ALL: &[Odd] = &[
    paced("the first words come late", 400, 0, 0),
    paced("replies come in segments of a few octets", 0, 7, 2),
    paced("replies are dribbled an octet at a time", 0, 1, 1),
    Odd { name: "the upgrade is accepted and not offered", kind: Kind::Unannounced },
    words("the greeting has many lines", &[
        twist(&["smtp", "submission", "lmtp", "ftp"], Connect, How::Before("220-There is much\r\n220-\r\n220-to be said\r\n")),
    ]),
    words("the offer is in lower case", &[
        twist(&[], Connect, How::By(in_lower_case)),
        twist(&[], Hello, How::By(in_lower_case)),
    ]),
    words("replies have no text", &[
        twist(SMTP, Connect, How::Whole("220\r\n")),
        twist(SMTP, Hello, How::Whole("250-localhost\r\n250-STARTTLS\r\n250\r\n")),
        twist(SMTP, Request, How::Whole("220\r\n")),
        twist(&["pop3"], Connect, How::Whole("+OK\r\n")),
        twist(&["pop3"], Hello, How::Whole("+OK\r\nSTLS\r\n.\r\n")),
        twist(&["pop3"], Request, How::Whole("+OK\r\n")),
    ]),
    words("the go-ahead has many lines", &[
        twist(SMTP, Request, How::Before("220-Soon\r\n220-\r\n")),
        twist(&["ftp"], Request, How::Before("234-Soon\r\n not yet\r\n")),
    ]),
    words("the host is called STARTTLS", &[
        twist(SMTP, Connect, How::Replace("localhost", "STARTTLS")),
        twist(SMTP, Hello, How::Whole("250-STARTTLS\r\n250 8BITMIME\r\n")),
    ]),
    words("capabilities come in many untagged lines", &[
        twist(&["imap"], Hello, How::Replace("IMAP4rev1 STARTTLS", "IMAP4rev1\r\n* CAPABILITY STARTTLS\r\n* CAPABILITY")),
    ]),
    words("capabilities are in the greeting only", &[
        twist(&["imap"], Connect, How::Replace("OK ", "OK [CAPABILITY IMAP4rev1 STARTTLS] ")),
        twist(&["imap"], Hello, How::Replace("* CAPABILITY IMAP4rev1 STARTTLS ID LOGINDISABLED\r\n", "")),
    ]),
    words("IMAP4rev2 and nothing older", &[
        twist(&["imap"], Connect, How::Replace("rev1", "rev2")),
        twist(&["imap"], Hello, How::Replace("rev1", "rev2")),
    ]),
    words("untagged lines before the tagged one", &[
        twist(&["imap"], Hello, How::Before("* OK Still here\r\n")),
        twist(&["imap"], Request, How::Before("* 0 EXISTS\r\n* OK [UIDNEXT 1] Nearly\r\n")),
    ]),
    words("continued lines have no code", &[
        twist(&["ftp"], Connect, How::Whole("220-localhost\r\nis here\r\n 234 for you\r\n220 Go on\r\n")),
    ]),
    words("there is no list of features", &[
        twist(&["ftp"], Hello, How::Whole("500 FEAT is not known here\r\n")),
        twist(&["smtp", "submission"], Hello, How::Whole("502 5.5.1 EHLO is not known here\r\n")),
        twist(&["nntp"], Hello, How::Whole("500 CAPABILITIES is not known here\r\n")),
        twist(&["pop3"], Hello, How::Whole("-ERR CAPA is not known here\r\n")),
        twist(&["irc"], Hello, How::Whole(":localhost 421 * CAP :is not known here\r\n")),
        twist(&["imap"], Hello, How::By(bad)),
    ]),
    words("mechanisms are offered in a list", &[
        twist(&["ftp"], Hello, How::Whole("211-Features:\r\n AUTH SSL;TLS-C\r\n211 End\r\n")),
    ]),
    words("lengths take four octets", &[twist(&["ldap"], Request, How::By(long_lengths))]),
    words("the response has a name", &[twist(&["ldap"], Request, How::By(with_name))]),
    words("other prefixes, quotes and orders", &[
        twist(XMPP, Hello, How::Whole(concat!(
            "<s:stream xmlns:s=\"http://etherx.jabber.org/streams\" version=\"1.0\" from=\"localhost\" xmlns=\"jabber:client\" id=\"7\">",
            "<s:features ><t:starttls xmlns:t = \"urn:ietf:params:xml:ns:xmpp-tls\"></t:starttls></s:features>"))),
        twist(XMPP_SERVER, Hello, How::Whole(concat!(
            "<s:stream xmlns:s=\"http://etherx.jabber.org/streams\" version=\"1.0\" from=\"localhost\" xmlns=\"jabber:server\" id=\"7\">",
            "<s:features ><t:starttls xmlns:t = \"urn:ietf:params:xml:ns:xmpp-tls\"></t:starttls></s:features>"))),
        twist(&["xmpp", "xmpp-server"], Request, How::Whole("<t:proceed xmlns:t=\"urn:ietf:params:xml:ns:xmpp-tls\" />")),
    ]),
    words("an element that could be empty has an end tag", &[
        twist(&["xmpp", "xmpp-server"], Request, How::Whole("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>")),
    ]),
    words("the text is a literal", &[
        twist(&["sieve"], Request, How::Whole("OK {14}\r\nBegin\r\nTLS now\r\n")),
    ]),
    words("posting is prohibited", &[twist(&["nntp"], Connect, How::Replace("200 ", "201 "))]),
    words("notices between the lines", &[
        twist(&["irc"], Hello, How::Before(":localhost NOTICE * :*** Looking up your hostname\r\n")),
        twist(&["irc"], Request, How::Before("NOTICE AUTH :*** Found your hostname\r\n")),
    ]),
    words("a length where there is no body", &[
        twist(&["http"], Request, How::Replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n")),
    ]),
    Odd { name: "TLS from the first byte has another name", kind: Kind::Apart },
    Odd { name: "an expired twin of the intermediate comes first", kind: Kind::Chain(Surplus::Twin) },
    Odd { name: "an expired cross-signed root is sent", kind: Kind::Chain(Surplus::CrossSigned) },
    Odd { name: "an expired stranger is in the chain", kind: Kind::Chain(Surplus::Stranger) },
    reaction("bytes behind the request are discarded", Behind::Discard),
    reaction("bytes behind the request end the connection after the go-ahead", Behind::CloseAfter),
    reaction("bytes behind the request get it refused", Behind::Refuse),
    reaction("bytes behind the request are an error inside TLS", Behind::FatalInside),
    reaction("bytes behind the request are an error in cleartext", Behind::Close),
];

const fn reaction(name: &'static str, reaction: Behind) -> Odd {
    Odd { name, kind: Kind::Reaction(reaction) }
}

impl Odd {
    /// Every odd server.
    pub const ALL: &'static [Self] = ALL;

    /// A server whose first words come so late.
    pub fn delayed(delay: Duration) -> Self {
        Self { name: "the first words come late", kind: Kind::Paced(Pace { delay, ..Pace::AT_ONCE }) }
    }

    /// What is odd about it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a server of this protocol can be odd like that.
    pub fn applies_to(&self, protocol: &Protocol) -> bool {
        match self.kind {
            Kind::Words(twists) => {
                let lower = offer(protocol).is_some_and(|word| word != word.to_ascii_lowercase());
                twists.iter().any(|it| it.is_for(protocol) && (!it.protocols.is_empty() || lower))
            }
            Kind::Paced(_) | Kind::Chain(_) => true,
            Kind::Apart => protocol.implicit_tls.is_some(),
            Kind::Unannounced | Kind::Reaction(_) => protocol.flow.verdict,
        }
    }

    /// Starts such a server.
    ///
    /// # Errors
    /// When a port, a certificate or a thread cannot be had.
    pub fn start(&self, protocol: &'static Protocol, authority: &Authority) -> Result<Rogue, Error> {
        let sound = Manner::SOUND;
        let manner = match self.kind {
            Kind::Words(twists) => Manner { twists, ..sound },
            Kind::Paced(pace) => Manner { pace, ..sound },
            Kind::Unannounced => Manner { offers: false, ..sound },
            Kind::Apart | Kind::Chain(_) => sound,
            Kind::Reaction(behind) => Manner { behind, ..sound },
        };
        let doors = match self.kind {
            Kind::Apart => certificate::doors_apart(protocol, authority)?,
            Kind::Chain(surplus) => certificate::doors_with(protocol, authority, surplus)?,
            _ => certificate::doors(protocol, None, authority, None)?,
        };
        Rogue::with(protocol, manner, doors)
    }
}

/// The tagged answer alone, as an error.
fn bad(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let last = message.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let tag = last.split(|byte| *byte == b' ').next().unwrap_or_default();
    [tag, b" BAD CAPABILITY is not known here\r\n"].concat()
}

/// The same LDAPMessage with the lengths of itself and its operation in four octets (X.690 section 8.1.3.5).
fn long_lengths(_: &Protocol, message: &[u8]) -> Vec<u8> {
    let Some((id, operation, body)) = ldap(message) else { return message.to_vec() };
    let long = |tag, contents: &[u8]| {
        let length = u32::try_from(contents.len()).unwrap_or_default().to_be_bytes();
        [&[tag, 0x84][..], &length, contents].concat()
    };
    long(0x30, &[id, &long(operation, body)].concat())
}

/// The same ExtendedResponse with its name (RFC 4511 section 4.14.2).
fn with_name(_: &Protocol, message: &[u8]) -> Vec<u8> {
    ldap_with(message, None, b"\x8a\x161.3.6.1.4.1.1466.20037")
}

/// The same response with another result code, and with more at its end. All lengths take one octet.
pub(super) fn ldap_with(message: &[u8], code: Option<u8>, more: &[u8]) -> Vec<u8> {
    let Some((id, operation, body)) = ldap(message) else { return message.to_vec() };
    let mut body = [body, more].concat();
    if let (Some(code), Some(place)) = (code, body.get_mut(2)) {
        *place = code;
    }
    let short = |tag, contents: &[u8]| [&[tag, contents.len() as u8][..], contents].concat();
    short(0x30, &[id, &short(operation, &body)].concat())
}

/// The id, with its header, the operation's tag, and its contents; of a short message.
fn ldap(message: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let contents = message.get(2..)?;
    let (id, operation) = contents.split_at_checked(2 + usize::from(*contents.get(1)?))?;
    Some((id, *operation.first()?, operation.get(2..)?))
}
