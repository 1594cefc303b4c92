//! The server's session inside TLS, as far as the upgrade is concerned.

use crate::inbox::Inbox;
use crate::{
    AfterUpgrade, ClientMessage, Dialect, Error, Identity, Protocol, Refusal, ReplyTo, ServerMessage, Side,
};

/// Reads commands inside TLS and answers those that are the upgrade's business: the second hello, which no
/// longer lists the upgrade, a second request, which is refused (rule S4), and no-ops. The rest is the
/// application's.
///
/// A fresh dialect serves it, so nothing that was sent in cleartext is known here (rule B3).
pub struct ServerSession {
    dialect: Box<dyn Dialect>,
    inbox: Inbox,
}

impl std::fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSession").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

/// What the application has to deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCommand {
    /// One whole message of the client's, with its line ending.
    Message(Vec<u8>),
    /// A hello, a second request for TLS or a no-op, which was answered already. Told since it may matter
    /// to the application: EHLO and RSET abort a mail transaction (RFC 5321 section 4.1.4).
    Answered(Vec<u8>),
    /// The client said goodbye and was answered: flush and close.
    Quit,
}

impl ServerSession {
    /// Starts the session; appends what the server says first inside TLS, where it does
    /// (ManageSieve's capabilities, the answer to the HTTP request).
    pub fn new(protocol: &Protocol, identity: Identity, out: &mut Vec<u8>) -> Self {
        let mut dialect = (protocol.dialect)(Identity { inside_tls: true, ..identity });
        match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => dialect.write_server(ServerMessage::Offer { starttls: false }, out),
            AfterUpgrade::AnswerPending => dialect.write_server(ServerMessage::Other, out),
            AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => {}
        }
        Self { dialect, inbox: Inbox::endless(Side::Client, protocol) }
    }

    /// Takes what came out of TLS, up to 64 KiB of unread input, and returns the rest: call
    /// [`next`](Self::next) until it has nothing, then give the rest again.
    #[must_use = "what is returned was not taken"]
    pub fn receive<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        self.inbox.push(input)
    }

    /// Takes the unread input back, for data that is no command (a message, a file).
    pub fn take_unread(&mut self) -> Vec<u8> {
        self.inbox.take()
    }

    /// The next command for the application; `None` when more input is needed.
    ///
    /// # Errors
    /// [`Error`] when the client's bytes are no command or too long; `out` ends with a goodbye.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<SessionCommand>, Box<Error>> {
        loop {
            let cut = self.inbox.next(&*self.dialect, ReplyTo::Other);
            let read = cut.and_then(|message| {
                let Some(message) = message else { return Ok(None) };
                let bytes = self.inbox.bytes(&message);
                let meaning = self.dialect.read_client(bytes);
                meaning
                    .map(|meaning| Some((meaning, bytes)))
                    .map_err(|cause| self.inbox.malformed(cause, bytes))
            });
            let (meaning, bytes) = match read {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.dialect.write_server(ServerMessage::Bye, out);
                    return Err(error);
                }
            };
            let answer = match meaning {
                ClientMessage::Hello => ServerMessage::Offer { starttls: false },
                ClientMessage::Request => ServerMessage::Refuse(Refusal::Permanent),
                ClientMessage::Probe => ServerMessage::Other,
                ClientMessage::Quit => {
                    self.dialect.write_server(ServerMessage::Bye, out);
                    return Ok(Some(SessionCommand::Quit));
                }
                ClientMessage::Silent => continue,
                ClientMessage::Credentials
                | ClientMessage::OnBehalf
                | ClientMessage::Partial
                | ClientMessage::Other => {
                    return Ok(Some(SessionCommand::Message(bytes.to_vec())));
                }
            };
            let bytes = bytes.to_vec();
            self.dialect.write_server(answer, out);
            return Ok(Some(SessionCommand::Answered(bytes)));
        }
    }
}
