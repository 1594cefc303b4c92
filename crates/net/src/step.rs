//! The steps of a connection, for errors.

use std::fmt;

use starttls_proto::ReplyTo;

/// What a connection was waiting for when it timed out or broke. `Display` writes a noun phrase: "the greeting".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The addresses of the host, from the resolver.
    Resolve,
    /// The transport connection.
    Connect,
    /// The proxy's choice of a login method (SOCKS5).
    ProxyMethod,
    /// The proxy's answer to the login.
    ProxyLogin,
    /// The proxy's answer to the request to connect.
    ProxyConnect,
    /// The server, to accept the PROXY header.
    ProxyHeader,
    /// The server's greeting.
    Greeting,
    /// The server's answer to the client's hello (EHLO, CAPABILITY, a stream header).
    Hello,
    /// The server's answer to the upgrade request.
    Request,
    /// The client's upgrade request.
    ClientRequest,
    /// The pause before the client repeats a request that the server refused temporarily.
    RetryPause,
    /// The peer, to accept the last message in cleartext.
    LastCleartext,
    /// The end of the TLS handshake.
    Handshake,
    /// Application data inside TLS.
    Session,
    /// The server's list of login mechanisms.
    Mechanisms,
    /// The server's answer to the login.
    Login,
    /// The user name that the server derived from the login.
    UserName,
    /// The server's list of SMTP extensions.
    Extensions,
    /// The server's answer to MAIL.
    Mail,
    /// The server's answer to RCPT.
    Recipient,
    /// The server's answer to DATA.
    Data,
    /// The server's answer to the message.
    Message,
    /// A step of the caller's own, as a noun phrase.
    Other(&'static str),
}

impl Step {
    /// Returns the noun phrase that `Display` writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "the addresses of the host",
            Self::Connect => "the connection",
            Self::ProxyMethod => "the proxy's choice of a login method",
            Self::ProxyLogin => "the proxy's answer to the login",
            Self::ProxyConnect => "the proxy's answer to the request to connect",
            Self::ProxyHeader => "the server to accept the PROXY header",
            Self::Greeting => "the greeting",
            Self::Hello => "the answer to the hello",
            Self::Request => "the answer to the upgrade request",
            Self::ClientRequest => "the upgrade request",
            Self::RetryPause => "the pause before the next request",
            Self::LastCleartext => "the peer to accept the last message before TLS",
            Self::Handshake => "the TLS handshake",
            Self::Session => "the session",
            Self::Mechanisms => "the list of mechanisms",
            Self::Login => "the answer to the login",
            Self::UserName => "the name of the user",
            Self::Extensions => "the list of extensions",
            Self::Mail => "the answer to MAIL",
            Self::Recipient => "the answer to RCPT",
            Self::Data => "the answer to DATA",
            Self::Message => "the answer to the message",
            Self::Other(noun_phrase) => noun_phrase,
        }
    }

    /// Returns the step of a negotiation in which the server answers this.
    pub(crate) fn of_reply(reply_to: ReplyTo) -> Self {
        match reply_to {
            ReplyTo::Connect => Self::Greeting,
            ReplyTo::Hello => Self::Hello,
            ReplyTo::Request | ReplyTo::Other => Self::Request,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
