//! A login without I/O.

use std::fmt;

use starttls_proto::{
    AwaitedLoginReply, ChannelBinding, Denial, Identity, LoginRefused, LoginStep, MechanismChoice,
    OutputBuffer, Protocol, UserName,
};

use super::ChannelBindings;
use super::account::Account;
use super::error::{LoginError, MechanismFault, RefusedMechanism};
use super::exchange::{Exchange, Terms};
use super::mechanism;
use crate::Step;

/// A login inside TLS, without I/O: [`starttls_proto::LoginClient`] with its mechanisms.
///
/// The caller sends what it appends to the buffer, and passes on what the server sends.
#[must_use = "a login does nothing until it is driven"]
pub struct LoginMachine {
    machine: starttls_proto::LoginClient,
    choices: Box<Choices>,
}

/// The mechanisms that were tried, and the current one.
struct Choices {
    account: Account,
    bindings: ChannelBindings,
    mechanism: &'static str,
    exchange: Option<Box<dyn Exchange>>,
    offered: Vec<String>,
    binding: Option<ChannelBinding>,
    /// The mechanisms that the server has refused.
    refused: Vec<RefusedMechanism>,
    /// The error that the server reported inside the current mechanism, such as `e=` of SCRAM.
    reported: Option<Denial>,
}

/// How a login continues.
#[must_use = "it contains the login, or its result"]
#[derive(Debug)]
pub enum LoginProgress {
    /// Send the output, read, and call [`receive`](LoginMachine::receive) again.
    Continue(LoginMachine),
    /// The login succeeded.
    Done(LoggedIn),
}

/// The result of a login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// The mechanism; empty if the server granted the login without one.
    pub mechanism: &'static str,
    /// The channel binding that ties the login to the TLS connection, if it has one.
    pub binding: Option<ChannelBinding>,
    /// The mechanisms that the server offered inside TLS.
    pub offered: Vec<String>,
    /// The mechanisms that the server refused before, for another reason than the password.
    pub refused: Vec<RefusedMechanism>,
    /// The user that the server reports, as received.
    pub user: Option<String>,
    /// Whether the server has checked the user name and the password. Some servers only store them for a later command.
    pub checked: bool,
    /// The server's answer, as received; a description, if the protocol is binary.
    pub answer: Vec<u8>,
    /// What the server sent after its answer: the start of the session.
    pub unread: Vec<u8>,
}

impl LoginMachine {
    /// Starts a login in a session in which nothing has been sent or received yet. `greeted` is whether the server will send
    /// its greeting, which it does if TLS started at the first byte.
    ///
    /// # Errors
    /// [`LoginError::NoLogin`]; [`LoginError::Account`] for a user name that a command cannot contain.
    pub fn new(
        protocol: &Protocol,
        identity: Identity,
        account: Account,
        bindings: ChannelBindings,
        greeted: bool,
        out: &mut OutputBuffer,
    ) -> Result<Self, LoginError> {
        let names =
            account.authorization_id.iter().chain([&account.user]).map(|name| name.parse::<UserName>());
        names.collect::<Result<Vec<_>, _>>()?;
        let user = account.user.parse()?;
        let machine = starttls_proto::LoginClient::new(protocol, identity, &user, greeted, out)
            .ok_or(LoginError::NoLogin { protocol: protocol.title })?;
        let choices = Choices {
            account,
            bindings,
            mechanism: "",
            exchange: None,
            offered: Vec::new(),
            binding: None,
            refused: Vec::new(),
            reported: None,
        };
        Ok(Self { machine, choices: Box::new(choices) })
    }

    /// Returns what the login is waiting for.
    pub fn awaits(&self) -> Step {
        match self.machine.awaited_reply() {
            AwaitedLoginReply::Greeting => Step::Greeting,
            AwaitedLoginReply::Mechanisms => Step::Mechanisms,
            AwaitedLoginReply::Result => Step::Login,
            AwaitedLoginReply::UserName => Step::UserName,
        }
    }

    /// Requests the list of mechanisms from a server that should have sent it without a request, and has been silent for a
    /// while. Returns whether the protocol has such a request.
    pub fn prompt(&mut self, out: &mut OutputBuffer) -> bool {
        self.machine.prompt(out)
    }

    /// Returns the error for a server that closed the connection.
    pub fn closed(self) -> LoginError {
        self.machine.closed().into()
    }

    /// Takes what the server sent, nothing at first, and appends the next output.
    ///
    /// # Errors
    /// [`LoginError`]. The caller closes the connection then.
    pub fn receive(self, input: &[u8], out: &mut OutputBuffer) -> Result<LoginProgress, LoginError> {
        let Self { machine, mut choices } = self;
        let mut step = machine.receive(input, out)?;
        loop {
            let machine = match step {
                LoginStep::Continue(machine) => {
                    return Ok(LoginProgress::Continue(Self { machine, choices }));
                }
                LoginStep::Choose(choice) => {
                    choices.offered = choice.offered.iter().map(|it| it.name.clone()).collect();
                    choices.begin(choice, out)?
                }
                LoginStep::Challenge(challenge) => {
                    let mechanism = choices.mechanism;
                    let Some(exchange) = &mut choices.exchange else {
                        return Err(LoginError::mechanism(mechanism, MechanismFault::UnexpectedChallenge));
                    };
                    if let Some(denial) = exchange.refusal(&challenge.data) {
                        choices.reported = Some(denial);
                        challenge.abort(out)
                    } else {
                        let response = exchange.respond(&challenge.data);
                        challenge.respond(
                            &response.map_err(|fault| LoginError::mechanism(mechanism, fault))?,
                            out,
                        )?
                    }
                }
                LoginStep::Granted(granted) => {
                    let proven =
                        choices.exchange.as_mut().is_none_or(|it| it.is_proven(granted.data.as_deref()));
                    if !proven {
                        return Err(LoginError::Unproven { mechanism: choices.mechanism.to_owned() });
                    }
                    return Ok(LoginProgress::Done(LoggedIn {
                        mechanism: choices.mechanism,
                        binding: choices.binding,
                        offered: choices.offered,
                        refused: choices.refused,
                        user: granted.user,
                        checked: granted.checked,
                        answer: granted.answer,
                        unread: granted.unread,
                    }));
                }
                LoginStep::Refused(LoginRefused { denial, again, answer, .. }) => {
                    let denial = choices.reported.take().unwrap_or(denial);
                    let refused =
                        RefusedMechanism { mechanism: choices.mechanism.to_owned(), denial, answer };
                    match choices.begin_again(&refused, again, out)? {
                        Some(machine) => machine,
                        None => return Err(choices.ended(refused)),
                    }
                }
            };
            step = machine.receive(b"", out)?;
        }
    }
}

impl Choices {
    /// Begins the best mechanism that the server has not refused.
    fn begin(
        &mut self,
        choice: MechanismChoice,
        out: &mut OutputBuffer,
    ) -> Result<starttls_proto::LoginClient, LoginError> {
        let terms = Terms {
            account: &self.account,
            offered: &choice.offered,
            bindings: &self.bindings,
            binding: choice.binding(),
            refused: &self.refused,
        };
        let (name, mut exchange) = mechanism::choose(&terms)?;
        let initial = exchange.begin().map_err(|fault| LoginError::mechanism(name, fault))?;
        self.mechanism = name;
        self.binding = name.ends_with("-PLUS").then(|| choice.binding());
        self.exchange = Some(exchange);
        Ok(choice.begin(name, initial.as_deref(), out)?)
    }

    /// Begins another mechanism in the same session. Returns `None` after a wrong password, since the server would count
    /// another failure; if the user chose the mechanism; after [`MAX_MECHANISMS`] refusals; and if the server offers no
    /// other mechanism.
    fn begin_again(
        &mut self,
        refused: &RefusedMechanism,
        choice: Option<MechanismChoice>,
        out: &mut OutputBuffer,
    ) -> Result<Option<starttls_proto::LoginClient>, LoginError> {
        let chosen = self.account.mechanism.is_some() || self.mechanism.is_empty();
        let is_last = self.refused.len() + 1 >= MAX_MECHANISMS;
        let may = refused.denial != Denial::Credentials && !chosen && !is_last;
        let Some(choice) = choice.filter(|_| may) else { return Ok(None) };
        self.refused.push(refused.clone());
        match self.begin(choice, out) {
            Err(LoginError::NotOffered { .. }) => {
                self.refused.pop();
                Ok(None)
            }
            begun => begun.map(Some),
        }
    }

    /// Returns the error after the last refusal.
    fn ended(self, RefusedMechanism { mechanism, denial, answer }: RefusedMechanism) -> LoginError {
        let details = self.exchange.map(|it| it.details()).unwrap_or_default();
        LoginError::Refused { mechanism, denial, answer, before: self.refused, details }
    }
}

/// The number of mechanisms that are tried in one session, because servers count failures.
const MAX_MECHANISMS: usize = 3;

impl fmt::Debug for LoginMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("machine", &self.machine)
            .field("mechanism", &self.choices.mechanism)
            .finish_non_exhaustive()
    }
}
