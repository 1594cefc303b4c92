//! The server's session inside TLS, limited to the commands that relate to the upgrade.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::inbox::Inbox;
use crate::{
    AfterUpgrade, ClientMessage, Dialect, DialectContext, Error, Protocol, Refusal, ReplyTo, ServerMessage,
    Side,
};

/// Reads commands inside TLS and answers those that relate to the upgrade: hellos, whose answer no longer lists the
/// upgrade, upgrade requests, which are refused (rule S4), and no-ops. The application answers all other commands.
///
/// The session uses a fresh dialect, so nothing that was sent in cleartext affects it (rule B3).
pub struct ServerSession {
    dialect: Box<dyn Dialect>,
    inbox: Inbox,
}

impl core::fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerSession").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

/// A command of the client for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCommand {
    /// A complete message, with its line ending.
    Message(Vec<u8>),
    /// A hello, an upgrade request or a no-op, which the session has answered. The application may need to know about
    /// it: EHLO and RSET abort a mail transaction (RFC 5321 section 4.1.4).
    Answered(Vec<u8>),
    /// The client quit, and the goodbye was written. Flush and close.
    Quit,
}

impl ServerSession {
    /// Starts the session. Appends the message that the server sends first inside TLS, if the protocol has one (the
    /// capabilities in ManageSieve, the answer to the request in HTTP).
    pub fn new(protocol: &Protocol, identity: impl Into<DialectContext>, out: &mut Vec<u8>) -> Self {
        let mut dialect = protocol.new_dialect(identity.into().inside_tls());
        match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => dialect.write_server(ServerMessage::Offer { starttls: false }, out),
            AfterUpgrade::AnswerPending => dialect.write_server(ServerMessage::Other, out),
            AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => {}
        }
        Self { dialect, inbox: Inbox::endless(Side::Client, protocol) }
    }

    /// Takes decrypted input, up to 64 KiB of unread bytes, and returns the rest. Call [`next`](Self::next) until it
    /// returns `None`, then pass the rest again.
    #[must_use = "what is returned was not taken"]
    pub fn receive<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        self.inbox.push(input)
    }

    /// Returns the unread input, for data that is not a command, such as a message or a file.
    pub fn take_unread(&mut self) -> Vec<u8> {
        self.inbox.take()
    }

    /// Returns the next command for the application, or `None` if more input is necessary.
    ///
    /// # Errors
    /// [`Error`] if the client's bytes are not a command, or exceed a limit. `out` then ends with a goodbye.
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
