//! The client side of a login inside TLS.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::inbox::Inbox;
use crate::{
    AfterUpgrade, ChannelBinding, Denial, DialectContext, Error, ErrorKind, InvalidValue, LoginDialect,
    LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, Protocol, ReplyTo, ServerMessage,
    Side, UserName,
};

/// The state machine of a client that logs in.
///
/// The machine does no I/O and implements no mechanism. It asks for the mechanisms inside TLS with a fresh dialect, so
/// that nothing from the cleartext part counts. [`MechanismChoice::begin`] begins a mechanism, and
/// [`LoginChallenge::respond`] continues it. The caller sends the contents of the [`OutputBuffer`], and passes the
/// server's bytes to [`receive`](Self::receive).
///
/// ```
/// use starttls_proto::{Identity, LoginClient, LoginStep, OutputBuffer, smtp::SUBMISSION};
///
/// let mut output = OutputBuffer::default();
/// let identity = Identity::new("mail.example.com");
/// let login = LoginClient::new(&SUBMISSION, identity, &"test".parse()?, false, &mut output).unwrap();
/// assert_eq!(output.take_bytes(), b"EHLO [127.0.0.1]\r\n");
/// let LoginStep::Choose(choice) = login.receive(b"250-hi\r\n250 AUTH PLAIN\r\n", &mut output)? else { panic!() };
/// assert_eq!(choice.offered[0].name, "PLAIN");
/// let login = choice.begin("PLAIN", Some(b"\0test\0secret"), &mut output)?;
/// assert_eq!(output.take_bytes(), b"AUTH PLAIN AHRlc3QAc2VjcmV0\r\n");
/// let LoginStep::Granted(granted) = login.receive(b"235 2.7.0 Welcome\r\n", &mut output)? else { panic!() };
/// assert_eq!(granted.answer, b"235 2.7.0 Welcome\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a login does nothing until it is driven"]
pub struct LoginClient(Box<State>);

struct State {
    dialect: Box<dyn LoginDialect>,
    inbox: Inbox,
    /// Input for which the inbox had no room.
    rest: Vec<u8>,
    awaiting: Awaiting,
    user: UserName,
    /// The initial response, if the first command could not include it. It answers the first challenge.
    initial: Option<Vec<u8>>,
    /// The granted login, while the client asks for the user name of the session.
    granted: Option<LoginGranted>,
    /// The mechanisms that the server offers.
    offered: Vec<OfferedMechanism>,
    /// Whether the client has asked for the mechanisms.
    asked: bool,
    messages: u32,
}

/// The message that a server sends next in a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AwaitedLoginReply {
    /// The greeting.
    Greeting,
    /// The list of mechanisms.
    Mechanisms,
    /// A challenge, or the result of the login.
    Result,
    /// The name of the user that logged in.
    UserName,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    Greeting,
    /// The mechanisms are known without a command.
    Nothing,
    Mechanisms,
    Verdict,
    Name,
}

/// The next step of a login.
#[must_use = "the login, or what came of it, is in here"]
#[derive(Debug)]
pub enum LoginStep {
    /// The login continues: send the output, read, and call `receive` again.
    Continue(LoginClient),
    /// The server offers its mechanisms.
    Choose(MechanismChoice),
    /// The mechanism must answer a challenge.
    Challenge(LoginChallenge),
    /// The login succeeded.
    Granted(LoginGranted),
    /// The login failed.
    Refused(LoginRefused),
}

/// The mechanisms that the server offers inside TLS.
#[derive(Debug)]
pub struct MechanismChoice {
    /// The mechanisms in the server's order.
    pub offered: Vec<OfferedMechanism>,
    login: LoginClient,
}

/// A challenge that the client must answer.
#[derive(Debug)]
pub struct LoginChallenge {
    /// The server's challenge.
    pub data: Vec<u8>,
    login: LoginClient,
}

/// A successful login.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginGranted {
    /// The server's final data for the mechanism. It may be the proof that the server knows the secret.
    pub data: Option<Vec<u8>>,
    /// The user of the session, if the server reports it. It is not escaped.
    pub user: Option<String>,
    /// Whether the server has checked the name and the password. Some servers keep them unchecked until a command
    /// needs them.
    pub checked: bool,
    /// The server's answer as received, or a description of it in a binary protocol.
    pub answer: Vec<u8>,
    /// The bytes that the server sent after the answer, which start the session.
    pub unread: Vec<u8>,
}

/// A failed login.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoginRefused {
    /// The reason.
    pub denial: Denial,
    /// The mechanisms, if another mechanism can begin in the same session.
    pub again: Option<MechanismChoice>,
    /// The server's answer as received, or a description of it in a binary protocol.
    pub answer: Vec<u8>,
}

/// The most messages in a login.
const MESSAGES: u32 = 1024;

impl LoginClient {
    /// Starts a login at the start of a session inside TLS. Returns `None` if the protocol has no login.
    ///
    /// `greeted` is true if the server's greeting is still to come, inside TLS. This is the case with implicit TLS;
    /// after an upgrade the greeting was in cleartext.
    pub fn new(
        protocol: &Protocol,
        identity: impl Into<DialectContext>,
        user: &UserName,
        greeted: bool,
        out: &mut OutputBuffer,
    ) -> Option<Self> {
        let context = identity.into().inside_tls();
        let mut state = State {
            dialect: protocol.new_dialect(context).into_login()?,
            inbox: Inbox::endless(Side::Server, protocol),
            rest: Vec::new(),
            awaiting: Awaiting::Greeting,
            user: user.clone(),
            initial: None,
            granted: None,
            offered: Vec::new(),
            asked: false,
            messages: 0,
        };
        if !(greeted && protocol.flow.greeting) {
            match protocol.flow.after {
                AfterUpgrade::ServerSpeaks => state.awaiting = Awaiting::Mechanisms,
                _ => state.ask(out),
            }
        }
        Some(Self(Box::new(state)))
    }

    /// Asks for the mechanisms where the server should have listed them but has sent nothing. Some ManageSieve
    /// servers do not list them again inside TLS. Returns whether a command was written.
    pub fn prompt(&mut self, out: &mut OutputBuffer) -> bool {
        let state = &mut *self.0;
        let waits = state.awaiting == Awaiting::Mechanisms && !state.asked && state.messages == 0;
        if waits {
            state.ask(out);
        }
        waits
    }

    /// Returns what the server must send next, as a noun phrase for errors.
    pub fn awaits(&self) -> &'static str {
        match self.0.awaiting {
            Awaiting::Greeting => "the greeting",
            Awaiting::Nothing | Awaiting::Mechanisms => "the list of mechanisms",
            Awaiting::Verdict => "the answer to the login",
            Awaiting::Name => "the name of the user",
        }
    }

    /// Returns the message that the server sends next.
    pub fn awaited_reply(&self) -> AwaitedLoginReply {
        match self.0.awaiting {
            Awaiting::Greeting => AwaitedLoginReply::Greeting,
            Awaiting::Nothing | Awaiting::Mechanisms => AwaitedLoginReply::Mechanisms,
            Awaiting::Verdict => AwaitedLoginReply::Result,
            Awaiting::Name => AwaitedLoginReply::UserName,
        }
    }

    /// Returns the error for a connection that the server closed. It names the message that the server did not send.
    pub fn closed(self) -> Box<Error> {
        Error::new(ErrorKind::Closed, Side::Server, self.awaits(), b"")
    }

    /// Reads input from the server and appends the client's next bytes.
    ///
    /// # Errors
    /// [`Error`] if the server broke a rule. Close the connection.
    pub fn receive(mut self, input: &[u8], out: &mut OutputBuffer) -> Result<LoginStep, Box<Error>> {
        let state = &mut *self.0;
        let pending = [&*core::mem::take(&mut state.rest), input].concat();
        let mut input = &*pending;
        loop {
            input = state.inbox.push(input);
            if state.awaiting == Awaiting::Nothing {
                state.rest.extend_from_slice(input);
                let offered = state.dialect.mechanisms(b"");
                state.offered.clone_from(&offered);
                return Ok(LoginStep::Choose(MechanismChoice { offered, login: self }));
            }
            while let Some((reply, answer)) = state.next(out)? {
                let step = match (state.awaiting, reply) {
                    (Awaiting::Nothing, _) => break,
                    (_, LoginReply::Interim) => continue,
                    (_, LoginReply::Bye) => refused(Denial::Bye, answer),
                    (Awaiting::Mechanisms, LoginReply::Offer(offered)) => {
                        state.rest.extend_from_slice(input);
                        state.offered.clone_from(&offered);
                        return Ok(LoginStep::Choose(MechanismChoice { offered, login: self }));
                    }
                    (Awaiting::Verdict, LoginReply::Refused(denial))
                        if denial != Denial::Bye && state.dialect.can_begin_again() =>
                    {
                        state.rest.extend_from_slice(input);
                        state.initial = None;
                        let again = Some(MechanismChoice { offered: state.offered.clone(), login: self });
                        return Ok(LoginStep::Refused(LoginRefused { denial, again, answer }));
                    }
                    (Awaiting::Verdict, LoginReply::Challenge(data)) => match state.initial.take() {
                        Some(initial) => {
                            state.say(LoginMessage::Response(&initial), out);
                            continue;
                        }
                        None => {
                            state.rest.extend_from_slice(input);
                            return Ok(LoginStep::Challenge(LoginChallenge { data, login: self }));
                        }
                    },
                    // A server may accept a client without a mechanism, for example by its certificate.
                    (
                        Awaiting::Verdict | Awaiting::Mechanisms | Awaiting::Greeting,
                        LoginReply::Granted { data, user },
                    ) => {
                        let checked = state.dialect.is_checked();
                        let granted = LoginGranted { data, user, checked, answer, unread: Vec::new() };
                        if granted.user.is_none() && state.say(LoginMessage::WhoAmI, out) {
                            state.awaiting = Awaiting::Name;
                            state.granted = Some(granted);
                            continue;
                        }
                        LoginStep::Granted(granted)
                    }
                    (Awaiting::Verdict | Awaiting::Mechanisms, LoginReply::Refused(denial)) => {
                        refused(denial, answer)
                    }
                    // A server that does not report the identity has still accepted the login.
                    (Awaiting::Name, LoginReply::Granted { user, .. }) => state.granted.take().map_or_else(
                        || refused(Denial::Bye, answer),
                        |granted| LoginStep::Granted(LoginGranted { user, ..granted }),
                    ),
                    (Awaiting::Name, LoginReply::Refused(denial)) => match state.granted.take() {
                        Some(granted) if denial != Denial::Credentials => LoginStep::Granted(granted),
                        _ => refused(denial, answer),
                    },
                    _ => {
                        let cause = Malformed { expected: self.awaits() };
                        return Err(self.0.inbox.malformed(cause, &answer));
                    }
                };
                return Ok(match step {
                    LoginStep::Granted(granted) => {
                        let unread = [&*state.inbox.take(), input].concat();
                        LoginStep::Granted(LoginGranted { unread, ..granted })
                    }
                    step => step,
                });
            }
            if input.is_empty() && state.awaiting != Awaiting::Nothing {
                return Ok(LoginStep::Continue(self));
            }
        }
    }
}

fn refused(denial: Denial, answer: Vec<u8>) -> LoginStep {
    LoginStep::Refused(LoginRefused { denial, again: None, answer })
}

impl State {
    /// Asks for the mechanisms, if the protocol requires a command for that.
    fn ask(&mut self, out: &mut OutputBuffer) {
        self.asked = true;
        let user = core::mem::take(&mut self.user);
        let asked = self.say(LoginMessage::Hello { user: &user }, out);
        self.awaiting = if asked { Awaiting::Mechanisms } else { Awaiting::Nothing };
    }

    fn say(&mut self, message: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        let whole = self.dialect.write(message, out);
        if !out.is_invalid() {
            out.end_message();
        }
        whole
    }

    /// Returns the meaning of the server's next message, and the form in which it is shown.
    fn next(&mut self, out: &mut OutputBuffer) -> Result<Option<(LoginReply, Vec<u8>)>, Box<Error>> {
        let reply_to = match self.awaiting {
            Awaiting::Greeting => ReplyTo::Connect,
            Awaiting::Nothing | Awaiting::Mechanisms => ReplyTo::Hello,
            Awaiting::Verdict | Awaiting::Name => ReplyTo::Other,
        };
        let Some(message) = self.inbox.next(&*self.dialect, reply_to)? else { return Ok(None) };
        let bytes = self.inbox.bytes(&message).to_vec();
        self.messages += 1;
        if self.messages > MESSAGES {
            let expected = "the end of the login within 1,024 messages";
            return Err(Error::new(ErrorKind::TooLong, Side::Server, expected, &bytes));
        }
        let shown =
            self.dialect.describe(Side::Server, &bytes).map_or_else(|| bytes.clone(), String::into_bytes);
        out.record_received(&shown);
        let malformed = |cause| self.inbox.malformed(cause, &bytes);
        let reply = if self.awaiting == Awaiting::Greeting {
            let meaning = self.dialect.read_server(ReplyTo::Connect, &bytes).map_err(malformed)?;
            self.dialect.read(ReplyTo::Connect, &bytes).map_err(malformed)?;
            match meaning {
                ServerMessage::Greeting | ServerMessage::Offer { .. } => {
                    self.ask(out);
                    LoginReply::Interim
                }
                ServerMessage::Interim => LoginReply::Interim,
                ServerMessage::PreAuthenticated => LoginReply::Granted { data: None, user: None },
                ServerMessage::Bye => LoginReply::Bye,
                _ => return Err(malformed(Malformed { expected: "a greeting" })),
            }
        } else {
            self.dialect.read(reply_to, &bytes).map_err(malformed)?
        };
        Ok(Some((reply, shown)))
    }
}

impl MechanismChoice {
    /// Returns the type of channel binding that a mechanism with channel binding uses.
    pub fn binding(&self) -> ChannelBinding {
        self.login.0.dialect.binding()
    }

    /// Begins a mechanism with its initial response, if it has one. An initial response may be empty.
    ///
    /// # Errors
    /// [`InvalidValue`] if the protocol cannot express this in one command. Nothing was written then.
    pub fn begin(
        self,
        mechanism: &str,
        initial: Option<&[u8]>,
        out: &mut OutputBuffer,
    ) -> Result<LoginClient, InvalidValue> {
        let mut login = self.login;
        // RFC 4422 section 3.1, and the underscore in the names of MySQL's plugins.
        if mechanism.is_empty()
            || !mechanism.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
        {
            let expected = "letters, digits, hyphens and underscores";
            return Err(InvalidValue { kind: "mechanism", expected, value: mechanism.as_bytes().to_vec() });
        }
        login.0.awaiting = Awaiting::Verdict;
        if !login.0.say(LoginMessage::Begin { mechanism, initial }, out) {
            login.0.initial = initial.map(<[u8]>::to_vec);
        }
        login.unless_withdrawn(out)
    }
}

impl LoginChallenge {
    /// Answers the challenge.
    ///
    /// # Errors
    /// The errors of [`MechanismChoice::begin`].
    pub fn respond(self, response: &[u8], out: &mut OutputBuffer) -> Result<LoginClient, InvalidValue> {
        let mut login = self.login;
        login.0.say(LoginMessage::Response(response), out);
        login.unless_withdrawn(out)
    }

    /// Aborts the mechanism. The server normally answers with a refusal.
    pub fn abort(self, out: &mut OutputBuffer) -> LoginClient {
        let mut login = self.login;
        login.0.say(LoginMessage::Abort, out);
        login
    }
}

impl LoginClient {
    /// Returns the login, unless a value in its last message would have ended a line. The error does not contain the
    /// value, which may be a password.
    fn unless_withdrawn(self, out: &mut OutputBuffer) -> Result<Self, InvalidValue> {
        if !out.is_withdrawn() {
            return Ok(self);
        }
        let expected = "no CR, LF or NUL, which would end the command";
        Err(InvalidValue { kind: "name or password", expected, value: Vec::new() })
    }
}

impl fmt::Debug for LoginClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginClient").field("awaits", &self.awaits()).finish_non_exhaustive()
    }
}
