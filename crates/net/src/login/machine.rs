//! The login without I/O.

use std::fmt;

use starttls_proto::{
    ChannelBinding, Denial, Identity, LoginRefused, LoginStep, MechanismChoice, OutputBuffer, Protocol,
    UserName,
};

use super::account::Account;
use super::binding::ChannelBindings;
use super::error::{LoginError, RefusedMechanism};
use super::mechanism::{self, Exchange, Terms};

/// A login inside TLS, without I/O: [`starttls_proto::LoginClient`] with its mechanisms.
///
/// Send what it appends to the script, and give it what the server sends.
#[must_use = "a login does nothing until it is driven"]
pub struct LoginMachine {
    machine: starttls_proto::LoginClient,
    choices: Box<Choices>,
}

/// Which mechanisms were tried, and the one that runs.
struct Choices {
    account: Account,
    bindings: ChannelBindings,
    mechanism: &'static str,
    exchange: Option<Box<dyn Exchange>>,
    offered: Vec<String>,
    binding: Option<ChannelBinding>,
    /// The mechanisms that the server refused so far.
    refused: Vec<RefusedMechanism>,
    /// The error that the server reported inside the mechanism that runs, such as `e=` of SCRAM.
    reported: Option<Denial>,
}

/// How a login goes on.
#[must_use = "the login, or what came of it, is in here"]
#[derive(Debug)]
pub enum LoginProgress {
    /// Send, read, and call again.
    Continue(LoginMachine),
    /// Logged in.
    Done(LoggedIn),
}

/// What came of a login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// The mechanism; empty where the server let the client in without.
    pub mechanism: &'static str,
    /// What the login is tied to the TLS connection by, if it is.
    pub binding: Option<ChannelBinding>,
    /// What the server offered, inside TLS.
    pub offered: Vec<String>,
    /// The mechanisms that the server refused before, for a reason that is not the password.
    pub refused: Vec<RefusedMechanism>,
    /// As whom, where the server says so; as it came.
    pub user: Option<String>,
    /// Whether that means that name and password are right; some servers only keep them until they matter.
    pub checked: bool,
    /// What the server said, as it came; in words, where the protocol is not text.
    pub answer: Vec<u8>,
    /// What the server said behind it: the start of the session.
    pub unread: Vec<u8>,
}

impl LoginMachine {
    /// Starts a login in a session in which nothing was said yet; `greeted` is whether the server's greeting
    /// is still to come, which it is where TLS started at the first byte.
    ///
    /// # Errors
    /// [`LoginError::NoLogin`]; [`LoginError::Account`] for a name that cannot be written into a command.
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

    /// What the server owes now, as a noun phrase for errors.
    pub fn awaits(&self) -> &'static str {
        self.machine.awaits()
    }

    /// Asks for the mechanisms where the server should have listed them by itself, and has been silent for a while.
    /// Returns whether there was something to ask.
    pub fn prompt(&mut self, out: &mut OutputBuffer) -> bool {
        self.machine.prompt(out)
    }

    /// The server closed the connection: the error that says in the middle of what.
    pub fn closed(self) -> LoginError {
        self.machine.closed().into()
    }

    /// Takes what the server sent, nothing at first, and appends what is to be sent next.
    ///
    /// # Errors
    /// [`LoginError`]; close the connection.
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
                        return Err(LoginError::mechanism(
                            mechanism,
                            "the server asks before anything was begun",
                        ));
                    };
                    if let Some(denial) = exchange.refusal(&challenge.data) {
                        choices.reported = Some(denial);
                        challenge.abort(out)
                    } else {
                        let response = exchange.respond(&challenge.data);
                        challenge.respond(
                            &response.map_err(|reason| LoginError::mechanism(mechanism, reason))?,
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
                LoginStep::Refused(LoginRefused { denial, again, answer }) => {
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
    /// Begins the best mechanism that was not refused yet.
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
        let initial = exchange.begin().map_err(|reason| LoginError::mechanism(name, reason))?;
        self.mechanism = name;
        self.binding = name.ends_with("-PLUS").then(|| choice.binding());
        self.exchange = Some(exchange);
        Ok(choice.begin(name, initial.as_deref(), out)?)
    }

    /// Begins another mechanism in the same session. Returns `None` after a wrong password, which would be tried, and
    /// counted, again; where the user chose the mechanism; after [`MECHANISMS`] refusals; and where nothing else is offered.
    fn begin_again(
        &mut self,
        refused: &RefusedMechanism,
        choice: Option<MechanismChoice>,
        out: &mut OutputBuffer,
    ) -> Result<Option<starttls_proto::LoginClient>, LoginError> {
        let chosen = self.account.mechanism.is_some() || self.mechanism.is_empty();
        let is_last = self.refused.len() + 1 >= MECHANISMS;
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

    /// The error after the last refusal.
    fn ended(self, RefusedMechanism { mechanism, denial, answer }: RefusedMechanism) -> LoginError {
        let details = self.exchange.map(|it| it.details()).unwrap_or_default();
        LoginError::Refused { mechanism, denial, answer, before: self.refused, details }
    }
}

/// Mechanisms that are tried in one session: servers count failures.
const MECHANISMS: usize = 3;

impl fmt::Debug for LoginMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("machine", &self.machine)
            .field("mechanism", &self.choices.mechanism)
            .finish_non_exhaustive()
    }
}
