//! What a protocol has to say for itself: how its messages are cut, recognised and written.

mod login;

use crate::{Capability, ClientName, Malformed, Scan, ServiceName, UrlAuthority};

pub use login::{
    ChannelBinding, Denial, LoginDialect, LoginMessage, LoginReply, OfferedMechanism, OutputBuffer,
    TranscriptEntry,
};

/// One end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that dialled, and that will send the TLS ClientHello.
    Client,
    /// The end that listened.
    Server,
}

impl Side {
    /// The other end.
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// "client" or "server".
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What the server's next message answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyTo {
    /// The connection itself: the greeting.
    Connect,
    /// [`ClientMessage::Hello`].
    Hello,
    /// [`ClientMessage::Request`].
    Request,
    /// Any other command, or nothing at all.
    Other,
}

/// What a client's message means to the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientMessage {
    /// Asks what the server can do (EHLO, CAPABILITY, CAPA, FEAT, a stream header…).
    Hello,
    /// Asks for TLS, in the exact form the specification gives.
    Request,
    /// Changes nothing and may be answered in cleartext: NOOP, HELP, a syntax error.
    Probe,
    /// Names the client that it speaks for (XCLIENT, XFORWARD, ID). Any client can deceive a server that believes it.
    ///
    /// [`Dialect::write_client`] writes nothing for it; [`ServerMessage::Other`] answers it.
    OnBehalf,
    /// Ends the session.
    Quit,
    /// Carries, or starts to carry, credentials.
    ///
    /// What [`Dialect::write_client`] writes for it is one attempt to log in that needs no answer to go on,
    /// can never succeed and holds no secret: the user `starttls-probe`, with a password that tells the
    /// [`Identity::nonce`]. Where name and password are two commands, it is the first.
    Credentials,
    /// Wants no answer: a keep-alive, an abandoned operation.
    Silent,
    /// A piece of something whose rest follows: a literal is announced, message data goes on.
    Partial,
    /// Anything else, known or not.
    ///
    /// What [`Dialect::write_client`] writes for it changes nothing and asks for nothing private, but is no
    /// business of anybody's before TLS: a server that requires TLS refuses it.
    Other,
}

/// Whether a client's message may pass to a server in cleartext, where TLS is optional (rule S4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleartextPermission {
    /// The protocol lists the message, and it has the one form that every server reads alike.
    Allowed,
    /// The message waits for TLS. The next command starts where it ends.
    NeedsTls,
    /// The message waits for TLS, and servers disagree about where it ends: the session ends with it, because its
    /// rest could be read as commands.
    Ambiguous,
}

/// Why, and for how long, a request for TLS is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not now: the same request may succeed later on the same connection (454, 431, `unavailable`).
    Temporary,
    /// Not here: unknown, not configured, or not allowed in this state.
    Permanent,
}

/// What a server's message means to the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerMessage {
    /// The connection is open; the message does not mention TLS.
    Greeting,
    /// The list of what the server can do, the upgrade among it or not.
    Offer {
        /// Whether the upgrade is in the list.
        starttls: bool,
    },
    /// The go-ahead: the server's next byte is TLS.
    Accept,
    /// The request was refused; the connection stays in cleartext.
    Refuse(Refusal),
    /// The command needs TLS first.
    TlsRequired,
    /// The session is authenticated already, so that no upgrade is possible (`* PREAUTH`, FTP 230).
    PreAuthenticated,
    /// The server is closing, throttling, or unable to serve.
    Bye,
    /// The server is unavailable and closes. A dialect only writes it: a reader gets
    /// [`Bye`](Self::Bye).
    Unavailable,
    /// Answers nothing: a provisional reply, an untagged line, a notice.
    Interim,
    /// Any other answer.
    Other,
}

/// A change to a list of capabilities, or to what a client reports about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapabilityRewrite {
    /// Takes the upgrade out of the server's list.
    DropUpgrade,
    /// Puts the upgrade into the server's list, where the protocol has one. The client may go on in cleartext, so the
    /// list keeps only what may pass there (no CHUNKING in SMTP, no LITERAL+ in IMAP).
    AddUpgrade,
    /// Removes the ways to log in.
    DropCredentials,
    /// Takes out the mechanisms that are bound to the TLS connection below (RFC 5802 section 6): they cannot
    /// work across somebody who ends it.
    DropChannelBinding,
    /// Takes out EXTERNAL (RFC 4422 appendix A), which logs in whomever the connection below belongs to: across
    /// somebody who ends it, that is not the client.
    DropExternal,
    /// Takes out what says on whose behalf a client speaks: the server's offer to believe it
    /// (XCLIENT), and the client's own word where it comes with every request (`Forwarded`).
    DropOnBehalf,
}

/// What ties an answer to its question, beyond the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Correlation {
    /// The question's own tag or id, which its answer repeats.
    Id(Vec<u8>),
    /// The kind of question, of which an answer tells that much.
    Kind(&'static str),
}

/// The names and the secrets that a dialect writes into the negotiation. No value can end a line.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The client's own name: the argument of EHLO, the `from` of a stream between servers. It travels in cleartext.
    pub client_name: ClientName,
    /// The name of the service: the domain of an XMPP stream, the name in a greeting.
    pub server_name: ServiceName,
    /// The authority of the URL that the client was given: `Host` in HTTP (RFC 9110 section 7.2). Without one, HTTP
    /// sends the name of the service.
    pub authority: Option<UrlAuthority>,
    /// What a server lists inside TLS beyond the protocol's own minimum, one entry per capability
    /// in the protocol's own words (`AUTH PLAIN`, `SASL-IR`). None is sent in cleartext.
    pub capabilities: Vec<Capability>,
    /// Whether the session runs inside TLS already; set by [`ServerSession`](crate::ServerSession).
    pub inside_tls: bool,
    /// Makes tags, message ids and stream ids hard to guess, so that an answer cannot be sent before
    /// its question. Drawn at random by [`Identity::new`]; fix it for reproducible transcripts only.
    /// A login that never succeeds ([`ClientMessage::Credentials`]) reveals it, so no answer after one counts.
    pub nonce: u64,
}

impl Identity {
    /// Returns an identity for the service called `server_name`, with a random nonce and the default client name.
    ///
    /// Characters that no name has are dropped, as by [`ServiceName::from_peer`]. Where a user chose the name, use
    /// [`Identity::of`].
    pub fn new(server_name: &str) -> Self {
        Self::of(ServiceName::from_peer(server_name))
    }

    /// Returns an identity for this service, with a random nonce and the default client name.
    pub fn of(server_name: ServiceName) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self {
            client_name: ClientName::default(),
            server_name,
            authority: None,
            capabilities: Vec::new(),
            inside_tls: false,
            nonce: RandomState::new().build_hasher().finish(),
        }
    }
}

/// A protocol's words: cuts, recognises and writes messages; decides nothing.
///
/// One dialect serves one connection and may remember what it needs to read the next message
/// (the tag that an answer must carry). It does not know its role: the same dialect reads for
/// [`Client`](crate::Client), [`Server`](crate::Server) and [`Relay`](crate::Relay).
pub trait Dialect: Send {
    /// The length of the message at the start of `buf`, or `None` while it is incomplete.
    ///
    /// `scan` is fresh at the start of each message and is handed back with the same, longer `buf`
    /// until the message is complete; what it remembers keeps the work linear in the input.
    ///
    /// # Errors
    /// [`Malformed`] when no continuation can make a message of these bytes.
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed>;

    /// The meaning of one whole message of the client's.
    ///
    /// # Errors
    /// [`Malformed`] when it means nothing in this protocol.
    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed>;

    /// The meaning of one whole message of the server's.
    ///
    /// # Errors
    /// [`Malformed`] when it means nothing in this protocol.
    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed>;

    /// Appends the client's message; nothing where the protocol has no such message.
    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>);

    /// Appends the server's message, an answer to the last one read by [`read_client`](Self::read_client);
    /// nothing where the protocol has no such message.
    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>);

    /// Appends an answer in these words, for a man in the middle: to the last message read by
    /// [`read_client`](Self::read_client), or to the one that will come so many behind it, as far as its tag, id
    /// or number can be guessed. Where nothing ties an answer to its question, the words are all.
    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let _ = ahead;
        out.extend_from_slice(words);
    }

    /// Returns the message with this change, still well-formed; unchanged where there is nothing to change.
    ///
    /// `reply_to` is the question that a message of the server answers. It tells a list of capabilities from other
    /// answers with the same form, and does not matter for a message of the client.
    fn rewrite(&self, from: Side, reply_to: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8>;

    /// Returns the service that the client's last hello names (the domain of a stream).
    fn service(&self) -> Option<String> {
        None
    }

    /// Returns the client that the last hello names, where servers rely on it (the domain of another server).
    fn client(&self) -> Option<String> {
        None
    }

    /// Whether what follows the client's last message may belong to it or be a command, depending on who reads it: a
    /// login with a literal or a body that will not be wanted, chunks. Who refuses such a message says goodbye
    /// and reads no more.
    fn has_ambiguous_continuation(&self) -> bool {
        false
    }

    /// Returns whether the client's last message, read by [`read_client`](Self::read_client), may pass to a server in
    /// cleartext. A dialect lists what may; everything else waits for TLS. The upgrade request and what says on whose
    /// behalf a client speaks never pass, whatever this returns.
    fn cleartext_permission(&self, _msg: &[u8]) -> CleartextPermission {
        CleartextPermission::NeedsTls
    }

    /// One message in words, for protocols that people cannot read; `None` where the bytes are text.
    fn describe(&self, _from: Side, _msg: &[u8]) -> Option<String> {
        None
    }

    /// Returns what ties this message to its question or its answer: the tag of an IMAP command, the id of an LDAP
    /// message or of a stanza. `None` where only the order tells, and for messages that answer nothing.
    fn correlation(&self, _from: Side, _msg: &[u8]) -> Option<Correlation> {
        None
    }

    /// The same dialect, if it knows how one logs in.
    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        None
    }
}
