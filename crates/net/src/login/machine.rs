//! The login without I/O.

use std::fmt;

use starttls_proto::{Binding, Identity, LoginStep, Protocol, Script, UserName};

use super::account::Account;
use super::binding::Bindings;
use super::error::Error;
use super::mechanism::{self, Exchange, Terms};

/// A login inside TLS, without I/O: [`starttls_proto::Login`] with its mechanisms.
///
/// Send what it appends to the script, and give it what the server sends.
#[must_use = "a login does nothing until it is driven"]
pub struct Login {
    machine: starttls_proto::Login,
    account: Account,
    bindings: Bindings,
    mechanism: &'static str,
    exchange: Option<Box<dyn Exchange>>,
    offered: Vec<String>,
    binding: Option<Binding>,
}

/// How a login goes on.
#[must_use = "the login, or what came of it, is in here"]
#[derive(Debug)]
pub enum Progress {
    /// Send, read, and call again.
    Continue(Login),
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
    pub binding: Option<Binding>,
    /// What the server offered, inside TLS.
    pub offered: Vec<String>,
    /// As whom, where the server says so; as it came.
    pub user: Option<String>,
    /// Whether that means that name and password are right; some servers only keep them until they matter.
    pub checked: bool,
    /// What the server said, as it came; in words, where the protocol is not text.
    pub answer: Vec<u8>,
    /// What the server said behind it: the start of the session.
    pub unread: Vec<u8>,
}

impl Login {
    /// Starts a login in a session in which nothing was said yet; `greeted` is whether the server's greeting
    /// is still to come, which it is where TLS started at the first byte.
    ///
    /// # Errors
    /// [`Error::NoLogin`]; [`Error::Account`] for a name that cannot be written into a command.
    pub fn new(
        protocol: &Protocol,
        identity: Identity,
        account: Account,
        bindings: Bindings,
        greeted: bool,
        out: &mut Script,
    ) -> Result<Self, Error> {
        let names = account.as_whom.iter().chain([&account.user]).map(|name| name.parse::<UserName>());
        names.collect::<Result<Vec<_>, _>>()?;
        let user = account.user.parse()?;
        let machine = starttls_proto::Login::new(protocol, identity, &user, greeted, out)
            .ok_or(Error::NoLogin { protocol: protocol.title })?;
        Ok(Self {
            machine,
            account,
            bindings,
            mechanism: "",
            exchange: None,
            offered: Vec::new(),
            binding: None,
        })
    }

    /// What the server owes now, as a noun phrase for errors.
    pub fn awaits(&self) -> &'static str {
        self.machine.awaits()
    }

    /// The server closed the connection: the error that says in the middle of what.
    pub fn closed(self) -> Error {
        self.machine.closed().into()
    }

    /// Takes what the server sent, nothing at first, and appends what is to be sent next.
    ///
    /// # Errors
    /// [`Error`]; close the connection.
    pub fn receive(mut self, input: &[u8], out: &mut Script) -> Result<Progress, Error> {
        let mut step = self.machine.receive(input, out)?;
        loop {
            let machine = match step {
                LoginStep::Continue(machine) => {
                    self.machine = machine;
                    return Ok(Progress::Continue(self));
                }
                LoginStep::Choose(choice) => {
                    self.offered = choice.offered.iter().map(|it| it.name.clone()).collect();
                    let terms = Terms {
                        account: &self.account,
                        offered: &choice.offered,
                        bindings: &self.bindings,
                        binding: choice.binding(),
                    };
                    let (name, mut exchange) = mechanism::choose(&terms)?;
                    let initial = exchange.begin().map_err(|reason| Error::mechanism(name, reason))?;
                    self.mechanism = name;
                    self.binding = name.ends_with("-PLUS").then(|| choice.binding());
                    self.exchange = Some(exchange);
                    choice.begin(name, initial.as_deref(), out)?
                }
                LoginStep::Challenge(challenge) => {
                    let response = match &mut self.exchange {
                        Some(exchange) => exchange.respond(&challenge.data),
                        None => Err(String::from("the server asks before anything was begun")),
                    };
                    let response = response.map_err(|reason| Error::mechanism(self.mechanism, reason))?;
                    challenge.respond(&response, out)?
                }
                LoginStep::Granted(granted) => {
                    let proven =
                        self.exchange.as_mut().is_none_or(|it| it.is_proven(granted.data.as_deref()));
                    if !proven {
                        return Err(Error::Unproven { mechanism: self.mechanism.to_owned() });
                    }
                    return Ok(Progress::Done(LoggedIn {
                        mechanism: self.mechanism,
                        binding: self.binding,
                        offered: self.offered,
                        user: granted.user,
                        checked: granted.checked,
                        answer: granted.answer,
                        unread: granted.unread,
                    }));
                }
                LoginStep::Refused(refused) => {
                    return Err(Error::Refused {
                        mechanism: self.mechanism.to_owned(),
                        denial: refused.denial,
                        answer: refused.answer,
                        details: self.exchange.map(|it| it.details()).unwrap_or_default(),
                    });
                }
            };
            step = machine.receive(b"", out)?;
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("machine", &self.machine)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}
