//! A login over a stream.

use std::io::{self, ErrorKind};
use std::time::Duration;

use starttls_proto::{Identity, OutputBuffer, Protocol, ServiceName};

use super::{Account, LoggedIn, LoginError, LoginMachine, LoginProgress};
use crate::deadline::{Budget, Deadline};
use crate::machine::{Machine, Turn};
use crate::trace::Span;
use crate::{Encrypted, Step, TlsFacts, blocking};

impl Account {
    /// Logs in to a session in which nothing has been sent or received yet.
    ///
    /// # Errors
    /// [`LoginError`]. The caller closes the connection then.
    #[cfg(feature = "tokio")]
    pub async fn log_in<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
    ) -> Result<LoggedIn, LoginError> {
        let span = Span::login(protocol.name, stream.facts().address);
        let logging_in = async {
            let mut out = Vec::new();
            match self.start(protocol, stream, &mut out)? {
                Turn::Continue(login) => crate::asynchronous::drive(stream, login, &mut out).await,
                Turn::Done(done) => Ok(done),
            }
        };
        span.run(logging_in).await
    }

    /// Logs in to a session in which nothing has been sent or received yet, blocking.
    ///
    /// # Errors
    /// [`LoginError`]. The caller closes the connection then.
    pub fn log_in_blocking<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
    ) -> Result<LoggedIn, LoginError> {
        Span::login(protocol.name, stream.facts().address).run_blocking(|| {
            let mut out = Vec::new();
            let done = match self.start(protocol, stream, &mut out)? {
                Turn::Continue(login) => blocking::drive(stream, login, &mut out)?,
                Turn::Done(done) => done,
            };
            stream.remove_deadline().map_err(|source| LoginError::Io { step: Step::Session, source })?;
            Ok(done)
        })
    }

    fn start<IO>(
        &self,
        protocol: &Protocol,
        stream: &Encrypted<IO>,
        out: &mut Vec<u8>,
    ) -> Result<Turn<DrivenLogin<'_>>, LoginError> {
        let facts = stream.facts();
        let service = match &*self.service(facts) {
            "" => ServiceName::default(),
            name => name.parse()?,
        };
        let identity = Identity { client_name: self.client_name.clone(), ..Identity::of(service) };
        // Without a negotiation TLS started at the first byte, so the greeting comes inside TLS.
        let greeted = facts.timings.negotiation.is_none();
        let mut script = OutputBuffer::default();
        let machine = LoginMachine::new(
            protocol,
            identity,
            self.clone(),
            stream.channel_bindings(),
            greeted,
            &mut script,
        )?;
        let login = DrivenLogin {
            account: self,
            machine,
            script,
            deadline: Deadline::starting_now(self.timeout),
            budget: Budget::new(MAX_RECEIVED, "the end of the login within 1 MiB"),
            has_answered: false,
            has_prompted: false,
        };
        login.receive(b"", out)
    }

    fn service(&self, facts: &TlsFacts) -> String {
        let address = || facts.address.map(|address| address.ip().to_string());
        self.server_name.clone().or_else(|| facts.server_name.clone()).or_else(address).unwrap_or_default()
    }
}

/// How long a server may be silent before the client requests the list of mechanisms that the server should have sent.
/// Some servers of ManageSieve do not list their mechanisms again inside TLS.
const PROMPT_AFTER: Duration = Duration::from_secs(2);

/// More octets than any login takes: lists of mechanisms and challenges are short.
const MAX_RECEIVED: usize = 1024 * 1024;

/// A login with its clock.
struct DrivenLogin<'a> {
    account: &'a Account,
    machine: LoginMachine,
    script: OutputBuffer,
    deadline: Deadline,
    budget: Budget,
    /// Whether the client sent something after it last read.
    has_answered: bool,
    has_prompted: bool,
}

impl DrivenLogin<'_> {
    /// Moves the output of the machine to `out`, and its transcript to the listener.
    fn collect(account: &Account, script: &mut OutputBuffer, out: &mut Vec<u8>) -> bool {
        let entries = script.take_entries();
        if let Some(listener) = &account.listener {
            entries.iter().for_each(|entry| (listener.0)(entry));
        }
        let bytes = script.take_bytes();
        out.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    fn waits_for_list(&self) -> bool {
        !self.has_answered && !self.has_prompted
    }
}

impl Machine for DrivenLogin<'_> {
    type Done = LoggedIn;
    type Error = LoginError;
    const READS_AFTER_FAILED_WRITE: bool = true;

    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Turn<Self>, LoginError> {
        let Self { account, machine, mut script, deadline, mut budget, has_prompted, .. } = self;
        budget.spend(input)?;
        let progress = machine.receive(input, &mut script);
        let has_answered = Self::collect(account, &mut script, out);
        Ok(match progress? {
            LoginProgress::Continue(machine) => Turn::Continue(Self {
                account,
                machine,
                script,
                deadline,
                budget,
                has_answered,
                has_prompted,
            }),
            LoginProgress::Done(done) => Turn::Done(done),
        })
    }

    fn closed(self) -> LoginError {
        self.machine.closed()
    }

    fn broken(self, cause: io::Error, _deadline: &Deadline) -> LoginError {
        let step = self.machine.awaits();
        match cause.kind() {
            ErrorKind::TimedOut => LoginError::Timeout { step, limit: self.account.timeout },
            _ if is_end(&cause) => self.machine.closed(),
            _ => match crate::Error::from_session_io(&cause) {
                Some(error) => LoginError::Tls(Box::new(error)),
                None => LoginError::Io { step, source: cause },
            },
        }
    }

    fn deadline(&mut self, unsent: usize) -> Deadline {
        match unsent {
            0 if self.waits_for_list() => self.deadline.at_most(PROMPT_AFTER.min(self.account.timeout / 2)),
            _ => self.deadline,
        }
    }

    fn goes_on_after_deadline(&mut self, out: &mut Vec<u8>) -> bool {
        let waited_for_list = self.waits_for_list() && !self.deadline.is_over();
        if waited_for_list {
            self.has_prompted = true;
            self.machine.prompt(&mut self.script);
            Self::collect(self.account, &mut self.script, out);
        }
        waited_for_list
    }
}

/// Returns whether the error is the end of the connection. Servers often end without `close_notify`, and no decision here
/// depends on how they end.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
