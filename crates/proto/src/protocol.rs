//! A protocol as data: its name, its ports, and the order in which its upgrade goes.

use alloc::boxed::Box;
use core::fmt;

use crate::{Dialect, DialectContext};

/// A protocol that upgrades to TLS in place.
pub struct Protocol {
    /// The scheme in a target: `smtp`, `imap`, `xmpp-server`…
    pub name: &'static str,
    /// Other names that people use for the same scheme: `managesieve`, `postgresql`…
    pub aliases: &'static [&'static str],
    /// Its name in prose: `SMTP`, `IMAP`, `XMPP (server to server)`…
    pub title: &'static str,
    /// The port where the cleartext negotiation starts.
    pub port: u16,
    /// The port and scheme where TLS starts at the first byte, if one is in use.
    pub implicit_tls: Option<ImplicitTls>,
    /// The family of protocols that share the form of their messages.
    pub family: ProtocolFamily,
    /// The registered ALPN protocol id (RFC 7301), if there is one.
    pub alpn: Option<&'static str>,
    /// The specification of the upgrade.
    pub spec: &'static str,
    /// The order of the negotiation.
    pub flow: Flow,
    /// Makes the dialect of one connection. Call [`Protocol::new_dialect`].
    pub dialect: fn(DialectContext) -> Box<dyn Dialect>,
}

impl Protocol {
    /// Returns the dialect of one connection: of a cleartext session for an [`Identity`](crate::Identity).
    pub fn new_dialect(&self, context: impl Into<DialectContext>) -> Box<dyn Dialect> {
        (self.dialect)(context.into())
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({})", self.name)
    }
}

impl PartialEq for Protocol {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Protocol {}

/// Protocols whose messages have the same form: SMTP, submission and LMTP are one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolFamily {
    /// SMTP, submission and LMTP.
    Smtp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// ManageSieve.
    Sieve,
    /// NNTP.
    Nntp,
    /// LDAP.
    Ldap,
    /// FTP.
    Ftp,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// IRC.
    Irc,
    /// Network UPS Tools.
    Nut,
    /// XMPP, of clients and between servers.
    Xmpp,
    /// HTTP with `Upgrade: TLS/1.0`.
    Http,
    /// The X Protocol of MySQL.
    Mysqlx,
    /// RDP, remote desktops.
    Rdp,
    /// NATS, messaging.
    Nats,
    /// The protocol of this name, which shares the form of its messages with no other, and whose messages only its dialect reads.
    Named(&'static str),
}

/// TLS from the first byte, usually on a port of its own (RFC 8314 and relatives).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImplicitTls {
    /// The scheme in a target: `smtps`, `imaps`…
    pub name: &'static str,
    /// Its port. PostgreSQL accepts both a ClientHello and an SSLRequest on its one port.
    pub port: u16,
    /// Whether each side refuses a peer that does not negotiate [`Protocol::alpn`]. PostgreSQL requires this because
    /// its implicit TLS has no port of its own ("SSL Session Encryption").
    pub alpn_required: bool,
}

impl Protocol {
    /// Returns the protocol whose implicit TLS serves this service; `None` if no protocol does. For SMTP it is submission:
    /// `smtps` is registered for submission (RFC 8314 section 7.3), but users mean either.
    pub fn with_implicit_tls(&'static self) -> Option<&'static Self> {
        let protocol = if *self == crate::smtp::SMTP { &crate::smtp::SUBMISSION } else { self };
        protocol.implicit_tls.is_some().then_some(protocol)
    }

    /// Returns the protocol of a service that upgrades on this port, if its implicit TLS is of this protocol: SMTP for
    /// submission on another port than its own.
    pub fn with_upgrade(&'static self, port: u16) -> &'static Self {
        if *self == crate::smtp::SUBMISSION && port != self.port { &crate::smtp::SMTP } else { self }
    }

    /// Returns the protocol of a service with this protocol's messages on this port: submission for SMTP on the port of submission
    /// (RFC 6409 section 3.1). No message shows the difference.
    pub fn on_port(&'static self, port: u16) -> &'static Self {
        let submission = &crate::smtp::SUBMISSION;
        let is_its_port =
            port == submission.port || submission.implicit_tls.is_some_and(|it| it.port == port);
        if *self == crate::smtp::SMTP && is_its_port { submission } else { self }
    }

    /// Returns the ALPN protocol id that a handshake at the first byte must negotiate, if the protocol requires one.
    pub fn required_alpn(&self) -> Option<&'static str> {
        self.alpn.filter(|_| self.implicit_tls.is_some_and(|tls| tls.alpn_required))
    }
}

/// The order in which a protocol's upgrade goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Whether the server speaks first.
    pub greeting: bool,
    /// Where the server offers the upgrade.
    pub offer: OfferPlace,
    /// How many messages the client's hello takes, each with an answer, where the answer to it is the offer. A server that
    /// offers no upgrade in one of its answers ends a hello of several messages, so that the client cannot ask.
    pub hello_rounds: u8,
    /// Whether the server answers the request (all but MySQL and NATS).
    pub request_is_answered: bool,
    /// Whether the client sends no request: its ClientHello is the request, and must be the first that it sends (NATS). The
    /// server does not answer it in cleartext.
    pub client_hello_is_request: bool,
    /// Whether the server closes after it has refused a command for lack of TLS.
    pub closes_when_tls_required: bool,
    /// Which side sends first inside TLS.
    pub after: AfterUpgrade,
    /// Whether a session has more connections than its first one (FTP).
    pub data_connections: bool,
    /// White space that a server drops between the client's request and its ClientHello (rule B2). Clients of XMPP are
    /// known to send it, although RFC 6120 section 5.3.3 forbids it. Anything else there ends the connection.
    pub space_before_tls: &'static [u8],
    /// What a client sends once in a connection before its first message, and not again inside TLS (NBD's flags). A
    /// gateway that terminates TLS sends it to a backend in cleartext.
    pub client_preamble: &'static [u8],
    /// Whether TLS may be optional: a client can do something without a login, and the protocol lists what
    /// ([`Dialect::cleartext_permission`]). Where the first message is a login (PostgreSQL, MySQL), or where a password may be in any
    /// message (IRC, XMPP), a client without TLS could do nothing.
    pub tls_may_be_optional: bool,
    /// Whether there are sessions in cleartext that a relay can pass on. Without TLS, a session of RDP has an encryption of its
    /// own, which the negotiation selects.
    pub has_cleartext_sessions: bool,
    /// Whether a session continues in the same way with and without a login, so that the gateway can log in for a client
    /// that does not.
    pub login_is_optional: bool,
    /// Whether a login depends on the greeting (MySQL's scramble, the nonce of NATS), so that a client needs the greeting of the
    /// server that it logs in to. A gateway then relays the greeting of its backend.
    pub login_needs_greeting: bool,
    /// Whether a command returns from TLS to cleartext: CCC in FTP (RFC 4217 section 12.3). A policy that requires TLS refuses it.
    pub may_leave_tls: bool,
    /// Whether servers take who is at the other end of a socket in the file system for the user that the socket
    /// belongs to, without a password: LDAP's EXTERNAL (RFC 4513 section 5.2.3), `peer` in PostgreSQL,
    /// `auth_socket` in MySQL, `PeerCred` in HTTP for printing.
    pub has_peer_credential_auth: bool,
}

impl Flow {
    /// How it goes with most protocols of lines: the server speaks first, lists the upgrade when asked, answers the
    /// request, and waits for the client inside TLS. A protocol says where it differs.
    pub const USUAL: Self = Self {
        greeting: true,
        offer: OfferPlace::AfterHello,
        hello_rounds: 1,
        request_is_answered: true,
        client_hello_is_request: false,
        closes_when_tls_required: false,
        after: AfterUpgrade::Silent,
        data_connections: false,
        space_before_tls: b"",
        client_preamble: b"",
        tls_may_be_optional: true,
        has_cleartext_sessions: true,
        login_is_optional: true,
        login_needs_greeting: false,
        may_leave_tls: false,
        has_peer_credential_auth: false,
    };
}

/// Where the server offers the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferPlace {
    /// Nowhere, or where asking is not worth a round trip: the client just asks.
    Unannounced,
    /// In its greeting.
    InGreeting,
    /// In its answer to the client's hello.
    AfterHello,
}

/// Which side sends first inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterUpgrade {
    /// The client, with a new hello or its first command.
    Silent,
    /// The server, with its capabilities (ManageSieve).
    ServerSpeaks,
    /// The server, with the answer to the request that asked for the upgrade (HTTP).
    AnswerPending,
    /// The client, with a new stream header (XMPP).
    StreamRestart,
    /// The client, and packet numbers go on from the cleartext part (MySQL).
    SequenceContinues,
}
