//! The interface of a protocol: how its messages are framed, parsed and written.

mod login;
mod observation;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Capability, ClientName, Malformed, Scan, ServiceName, UrlAuthority};

pub use login::{
    ChannelBinding, Denial, LoginDialect, LoginMessage, LoginReply, OfferedMechanism, OutputBuffer,
    TranscriptEntry,
};
pub use observation::{
    AwaitedInput, HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf,
};

/// One end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the connection, and that sends the TLS ClientHello.
    Client,
    /// The end that accepted the connection.
    Server,
}

impl Side {
    /// Returns the other end.
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Returns "client" or "server".
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// The message that the server's next message answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyTo {
    /// The connection itself. The answer is the greeting.
    Connect,
    /// [`ClientMessage::Hello`].
    Hello,
    /// [`ClientMessage::Request`].
    Request,
    /// Any other command, or no command.
    Other,
}

/// The meaning of a client's message for the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientMessage {
    /// Asks for the server's capabilities (EHLO, CAPABILITY, CAPA, FEAT, a stream header…).
    Hello,
    /// Asks for TLS, in the exact form of the specification.
    Request,
    /// Changes nothing and may be answered in cleartext: NOOP, HELP, a syntax error.
    Probe,
    /// Names the client on whose behalf it was sent (XCLIENT, XFORWARD, ID). Any client can deceive a server that
    /// trusts it.
    ///
    /// [`Dialect::write_client`] writes nothing for it. [`ServerMessage::Other`] answers it.
    OnBehalf,
    /// Ends the session.
    Quit,
    /// Contains credentials, or starts a login.
    ///
    /// For this, [`Dialect::write_client`] writes one login attempt that needs no further message, cannot succeed and
    /// contains no secret: the user `starttls-probe`, with a password that contains [`DialectContext::nonce`]. Where name
    /// and password are two commands, it writes the first.
    Credentials,
    /// Expects no answer: a keep-alive, an abandoned operation.
    Silent,
    /// A part of a message whose rest follows, such as an announced literal or message data.
    Partial,
    /// Any other message, known or unknown.
    ///
    /// For this, [`Dialect::write_client`] writes a command that changes nothing and requests nothing private, but
    /// that a server must refuse before TLS if it requires TLS.
    Other,
}

/// Whether a client's message may pass to a server in cleartext, where TLS is optional (rule S4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleartextPermission {
    /// The message is in the protocol's list, in the form that every server reads in the same way.
    Allowed,
    /// The message requires TLS. The next command starts at its end.
    NeedsTls,
    /// The message requires TLS, and servers disagree about its end. It ends the session, because a server could read
    /// its rest as commands.
    Ambiguous,
}

/// The kind of a refusal of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The same request may succeed later on the same connection (454, 431, `unavailable`).
    Temporary,
    /// The request is unknown, not configured, or not allowed in this state.
    Permanent,
}

/// The meaning of a server's message for the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerMessage {
    /// The connection is open. The message does not mention TLS.
    Greeting,
    /// The server's capability list.
    Offer {
        /// Whether the list contains the upgrade.
        starttls: bool,
    },
    /// The go-ahead: the server's next byte is TLS.
    Accept,
    /// The request was refused. The connection stays in cleartext.
    Refuse(Refusal),
    /// The command requires TLS.
    TlsRequired,
    /// The session is already authenticated, so that no upgrade is possible (`* PREAUTH`, FTP 230).
    PreAuthenticated,
    /// The server is closing, throttling, or unable to serve.
    Bye,
    /// The server is unavailable and closes. A dialect only writes this. It reads such a message as
    /// [`Bye`](Self::Bye).
    Unavailable,
    /// Answers no command: a provisional reply, an untagged line, a notice.
    Interim,
    /// Any other answer.
    Other,
}

/// A change to a capability list, or to the information that a client reports about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CapabilityRewrite {
    /// Removes the upgrade from the server's list.
    DropUpgrade,
    /// Adds the upgrade to the server's list, if the protocol has a list. The client may continue in cleartext, so
    /// the list keeps only capabilities that may be used there (no CHUNKING in SMTP, no LITERAL+ in IMAP).
    AddUpgrade,
    /// Removes the ways to log in.
    DropCredentials,
    /// Removes the mechanisms that are bound to the TLS connection (RFC 5802 section 6). They fail if a gateway
    /// terminates TLS.
    DropChannelBinding,
    /// Removes EXTERNAL (RFC 4422 appendix A), which logs in the owner of the TLS connection. If a gateway terminates
    /// TLS, that is not the client.
    DropExternal,
    /// Removes the information on whose behalf a client speaks: the server's offer to accept it (XCLIENT), and the
    /// client's field if each request contains it (`Forwarded`).
    DropOnBehalf,
}

/// The link between an answer and its question, in addition to their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Correlation {
    /// The tag or id of the question, which its answer repeats.
    Id(Vec<u8>),
    /// The kind of question, which the answer reveals.
    Kind(&'static str),
}

/// The names that a dialect writes into the negotiation, and what a server announces. No value can end a line.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The client's own name: the argument of EHLO, the `from` of a stream between servers. It is sent in cleartext.
    pub client_name: ClientName,
    /// The name of the service: the domain of an XMPP stream, the name in a greeting.
    pub server_name: ServiceName,
    /// The authority of the URL that the client was given: `Host` in HTTP (RFC 9110 section 7.2). If it is missing,
    /// HTTP sends the name of the service.
    pub authority: Option<UrlAuthority>,
    /// The entries that a server lists inside TLS in addition to the protocol's minimum, in the protocol's own syntax
    /// (`AUTH PLAIN`, `SASL-IR`). The server never sends them in cleartext.
    pub capabilities: Vec<Capability>,
    /// Whether the upgrade may include a login that is bound to the server's key (CredSSP in RDP). A client then offers it
    /// beside TLS alone, and a server accepts a client that insists on it; the program does that login inside TLS. A gateway
    /// does not set it, because it terminates TLS with another key than the server's, so that such a login fails.
    pub bound_login: bool,
}

impl Identity {
    /// Returns an identity for the service called `server_name`, with the default client name.
    ///
    /// Characters that are not valid in a name are dropped, as by [`ServiceName::from_peer`]. For a name that a user
    /// chose, use [`Identity::of`].
    pub fn new(server_name: &str) -> Self {
        Self::of(ServiceName::from_peer(server_name))
    }

    /// Returns an identity for this service, with the default client name.
    pub fn of(server_name: ServiceName) -> Self {
        let (client_name, authority, capabilities) = (ClientName::default(), None, Vec::new());
        Self { client_name, server_name, authority, capabilities, bound_login: false }
    }

    /// Returns the identity of an observer, which has no names and reads every form of the upgrade.
    pub fn observer() -> Self {
        Self { bound_login: true, ..Self::new("") }
    }

    /// Returns the context of a session inside TLS, with a random nonce.
    #[cfg(feature = "std")]
    pub fn inside_tls(self) -> DialectContext {
        self.in_phase(Phase::InsideTls)
    }

    /// Returns the context of a session in this phase, with a random nonce.
    #[cfg(feature = "std")]
    pub fn in_phase(self, phase: Phase) -> DialectContext {
        DialectContext::from(self).in_phase(phase)
    }

    /// Returns the context of a cleartext session with this nonce.
    ///
    /// The nonce must come from a source that an attacker cannot predict, and differ for each connection. With the nonce 0,
    /// tags and stream ids are counted, for transcripts that do not change.
    pub fn with_nonce(self, nonce: u64) -> DialectContext {
        DialectContext { identity: self, phase: Phase::Cleartext, nonce }
    }
}

/// The two parts of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the upgrade.
    Cleartext,
    /// After the TLS handshake.
    InsideTls,
}

/// What a dialect knows of its session: the names, the phase and a nonce. With the feature `std`,
/// an [`Identity`] converts into the context of a cleartext session with a random nonce.
#[derive(Clone, Debug)]
pub struct DialectContext {
    /// The names of both sides.
    pub identity: Identity,
    /// Whether the session runs in cleartext or inside TLS.
    pub phase: Phase,
    /// Makes tags, message ids and stream ids hard to guess, so that an attacker cannot send an answer before its
    /// question. The login that never succeeds ([`ClientMessage::Credentials`]) reveals it, so no answer after that
    /// login counts.
    pub nonce: u64,
}

impl DialectContext {
    /// Returns the context of the same session inside TLS.
    pub fn inside_tls(self) -> Self {
        self.in_phase(Phase::InsideTls)
    }

    /// Returns the context with another phase.
    pub fn in_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// Returns the context with this nonce; see [`Identity::with_nonce`].
    pub fn with_nonce(self, nonce: u64) -> Self {
        Self { nonce, ..self }
    }

    /// Returns whether the session runs inside TLS.
    pub fn is_inside_tls(&self) -> bool {
        self.phase == Phase::InsideTls
    }

    /// Returns the capabilities that a server may list in this phase: none in cleartext.
    pub(crate) fn capabilities(&self) -> &[Capability] {
        if self.is_inside_tls() { &self.identity.capabilities } else { &[] }
    }
}

#[cfg(feature = "std")]
impl From<Identity> for DialectContext {
    fn from(identity: Identity) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        identity.with_nonce(RandomState::new().build_hasher().finish())
    }
}

/// The messages of a protocol: a dialect frames, parses and writes them, but makes no decisions.
///
/// A dialect serves one connection, and may keep the state that it needs to read the next message (the tag that an
/// answer must repeat). It does not know its role: [`Client`](crate::Client), [`Server`](crate::Server) and
/// [`Relay`](crate::Relay) use the same dialect.
///
/// The trait is sealed: only this crate implements it. What keeps commands and responses from crossing the boundary depends on
/// the framing, so a dialect is trusted code, which the vectors and the fuzz targets of this crate test. And a protocol that
/// needs another method or another message can be added without a new major version.
pub trait Dialect: sealed::Sealed + Send {
    /// Returns the length of the message at the start of `buf`, or `None` while it is incomplete.
    ///
    /// `scan` is zero at the start of each message. Until the message is complete, the same `scan` is passed with the
    /// same, longer `buf`. Its state keeps the work linear in the input.
    ///
    /// # Errors
    /// [`Malformed`] if no continuation can make these bytes a message.
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed>;

    /// Returns the meaning of one complete message of the client.
    ///
    /// # Errors
    /// [`Malformed`] if the message has no meaning in this protocol.
    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed>;

    /// Returns the meaning of one complete message of the server.
    ///
    /// # Errors
    /// [`Malformed`] if the message has no meaning in this protocol.
    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed>;

    /// Appends the client's message, or nothing if the protocol has no such message.
    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>);

    /// Appends the server's message, as the answer to the last message read by [`read_client`](Self::read_client), or
    /// nothing if the protocol has no such message.
    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>);

    /// Appends an answer with this text, for an attacker in the middle. It answers the last message read by
    /// [`read_client`](Self::read_client), or the message that many commands later, if its tag, id or number can be
    /// guessed. In a protocol without such a link, only the text is written.
    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let _ = ahead;
        out.extend_from_slice(words);
    }

    /// Returns the message with this change, still well-formed, or unchanged if the change does not apply.
    ///
    /// `reply_to` is the question that a message of the server answers. It distinguishes a capability list from other
    /// answers with the same form. It is not used for a message of the client.
    fn rewrite(&self, from: Side, reply_to: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8>;

    /// Returns the service that the client's last hello names (the domain of a stream).
    fn service(&self) -> Option<String> {
        None
    }

    /// Returns the client that the last hello names, if servers rely on it (the domain of another server).
    fn client(&self) -> Option<String> {
        None
    }

    /// Returns whether the bytes after the client's last message are ambiguous: a reader may take them as a part of
    /// it or as commands. Examples are a literal or body of a login that is refused, and chunks. A caller that
    /// refuses such a message must send a goodbye and stop reading.
    fn has_ambiguous_continuation(&self) -> bool {
        false
    }

    /// Returns whether the client's last message, read by [`read_client`](Self::read_client), may pass to a server in
    /// cleartext. A dialect lists the messages that may pass; all other messages require TLS. The upgrade request and
    /// [`ClientMessage::OnBehalf`] never pass, regardless of the result.
    fn cleartext_permission(&self, _msg: &[u8]) -> CleartextPermission {
        CleartextPermission::NeedsTls
    }

    /// Returns a message as readable text, or `None` if the protocol is text.
    fn describe(&self, _from: Side, _msg: &[u8]) -> Option<String> {
        None
    }

    /// Returns the link between this message and its question or answer: the tag of an IMAP command, the id of an
    /// LDAP message or of a stanza. Returns `None` if only the order links them, and for messages that answer
    /// nothing.
    fn correlation(&self, _from: Side, _msg: &[u8]) -> Option<Correlation> {
        None
    }

    /// Returns the facts of the protocol for an observer of its cleartext.
    fn observed(&self) -> &dyn ObservedDialect {
        &observation::Unobserved
    }

    /// Returns the same dialect if it implements logins.
    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        None
    }
}

/// Not part of the interface: what seals [`Dialect`]. The tests of `starttls` use it.
#[doc(hidden)]
pub mod sealed {
    /// Only this crate implements it.
    pub trait Sealed {}
}
