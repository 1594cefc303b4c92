//! A login over a stream.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use starttls_proto::{Identity, OutputBuffer, Protocol, ServiceName};

use super::{Account, LoggedIn, LoginError, LoginMachine, LoginProgress};
use crate::deadline::{Budget, Deadline};
use crate::{Encrypted, TlsFacts, blocking};

impl Account {
    /// Logs in, in a session in which nothing was said yet.
    ///
    /// # Errors
    /// [`LoginError`]; close the connection.
    #[cfg(feature = "tokio")]
    pub async fn log_in<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
    ) -> Result<LoggedIn, LoginError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut script = OutputBuffer::default();
        let mut login = self.start(protocol, stream, &mut script)?;
        let mut chunk = vec![0; 4096];
        let mut count = 0;
        let (deadline, mut budget) = (Deadline::starting_now(self.timeout), budget());
        let mut prompted = false;
        loop {
            let received = login.receive(&chunk[..count], &mut script);
            self.notify_listener(&mut script);
            login = match received? {
                LoginProgress::Continue(login) => login,
                LoginProgress::Done(done) => return Ok(done),
            };
            let step = login.awaits();
            let bytes = script.take_bytes();
            let listens = bytes.is_empty() && !prompted;
            let moved = async {
                let sent = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                // A server that closes may have sent the reason before.
                let sent = sent.await;
                match stream.read(&mut chunk).await {
                    Ok(count) if count > 0 => Ok(count),
                    read => sent.and(read),
                }
            };
            // Some servers of ManageSieve do not list their mechanisms again inside TLS.
            let reply_timeout =
                if listens { deadline.at_most(PROMPT.min(self.timeout / 2)) } else { deadline };
            let moved = reply_timeout.within(moved).await;
            if listens && matches!(&moved, Err(error) if error.kind() == ErrorKind::TimedOut) {
                prompted = true;
                count = 0;
                login.prompt(&mut script);
                continue;
            }
            count = match moved {
                Err(error) if is_end(&error) => 0,
                done => done.map_err(|source| self.broken(step, source))?,
            };
            if count == 0 {
                return Err(login.closed());
            }
            budget.spend(&chunk[..count])?;
        }
    }

    /// Logs in, in a session in which nothing was said yet, blocking.
    ///
    /// # Errors
    /// [`LoginError`]; close the connection.
    pub fn log_in_blocking<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
    ) -> Result<LoggedIn, LoginError> {
        stream.tapped.deadline = Some(Deadline::starting_now(self.timeout));
        let done = self.run(protocol, stream)?;
        stream.tapped.deadline = None;
        stream
            .tapped
            .io
            .set_timeout(None)
            .map_err(|source| LoginError::Io { step: "the session", source })?;
        Ok(done)
    }

    fn run<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
    ) -> Result<LoggedIn, LoginError> {
        let mut output = OutputBuffer::default();
        let mut login = self.start(protocol, stream, &mut output)?;
        let mut chunk = vec![0; 4096];
        let (mut count, mut budget) = (0, budget());
        loop {
            let received = login.receive(&chunk[..count], &mut output);
            self.notify_listener(&mut output);
            login = match received? {
                LoginProgress::Continue(login) => login,
                LoginProgress::Done(done) => return Ok(done),
            };
            let step = login.awaits();
            let sent = stream.write_all(&output.take_bytes()).and_then(|()| stream.flush());
            // A server that closes may have sent the reason before.
            let moved = match stream.read(&mut chunk) {
                Ok(count) if count > 0 => Ok(count),
                read => sent.and(read),
            };
            count = match moved {
                Err(error) if is_end(&error) => 0,
                done => done.map_err(|source| self.broken(step, source))?,
            };
            if count == 0 {
                return Err(login.closed());
            }
            budget.spend(&chunk[..count])?;
        }
    }

    fn start<IO>(
        &self,
        protocol: &Protocol,
        stream: &Encrypted<IO>,
        output: &mut OutputBuffer,
    ) -> Result<LoginMachine, LoginError> {
        let facts = stream.facts();
        let service = match &*self.service(facts) {
            "" => ServiceName::default(),
            name => name.parse()?,
        };
        let identity = Identity { client_name: self.client_name.clone(), ..Identity::of(service) };
        // Where nothing was negotiated, TLS started at the first byte.
        let greeted = facts.timings.negotiation.is_none();
        LoginMachine::new(protocol, identity, self.clone(), stream.channel_bindings(), greeted, output)
    }

    fn service(&self, facts: &TlsFacts) -> String {
        let address = || facts.address.map(|address| address.ip().to_string());
        self.server_name.clone().or_else(|| facts.server_name.clone()).or_else(address).unwrap_or_default()
    }

    fn notify_listener(&self, output: &mut OutputBuffer) {
        let said = output.take_entries();
        if let Some(listener) = &self.listener {
            said.iter().for_each(|said| (listener.0)(said));
        }
    }

    fn broken(&self, step: &'static str, source: io::Error) -> LoginError {
        match source.kind() {
            ErrorKind::TimedOut => LoginError::Timeout { step, limit: self.timeout },
            _ => match crate::Error::from_session_io(&source) {
                Some(error) => LoginError::Tls(Box::new(error)),
                None => LoginError::Io { step, source },
            },
        }
    }
}

/// How long a server may be silent before the client asks for the list that the server should have sent.
const PROMPT: Duration = Duration::from_secs(2);

/// More than any login takes: lists of mechanisms and challenges are short.
fn budget() -> Budget {
    Budget::new(1024 * 1024, "the end of the login within 1 MiB")
}

/// Servers that end without a goodbye are common, and nothing here depends on how they end.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
