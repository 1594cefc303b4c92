//! One deadline for everything, from the first look-up to the end of the handshake (rule B6).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Error;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn starting_now(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// The shorter of this deadline and `limit` from now.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self::starting_now(self.remaining().min(limit))
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// Returns whether no time is left.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns what remains, or the error of an operation that took too long.
    #[cfg(feature = "login")]
    pub(crate) fn check(&self) -> io::Result<Duration> {
        let remaining = self.remaining();
        if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }

    /// Runs one operation within this deadline, however many of them are ready at once.
    #[cfg(all(feature = "login", feature = "tokio"))]
    pub(crate) async fn within<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let done = tokio::time::timeout(self.check()?, work).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The time that the step had from its start.
    #[cfg(feature = "login")]
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn error(&self, step: &'static str) -> Error {
        Error::Timeout { step, limit: self.limit }
    }

    /// The error for a broken connection, or for the deadline if that is what broke it.
    pub(crate) fn explain(&self, step: &'static str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::TimedOut if self.remaining().is_zero() => self.error(step),
            _ => Error::Io { step, source },
        }
    }

    /// The error for an address that did not take the connection.
    pub(crate) fn unconnected(&self, address: SocketAddr, tried: usize, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::TimedOut if self.remaining().is_zero() => self.error("the connection"),
            _ => Error::Connect { address, tried, source },
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) async fn bound<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // `timeout` polls the work first: it would not stop a peer that always has something to read.
        if self.is_over() {
            return Err(self.error(step));
        }
        tokio::time::timeout(self.remaining(), work).await.unwrap_or_else(|_| Err(self.error(step)))
    }
}

/// How many octets a peer may send until a login or a delivery is over.
///
/// Each message has a bound of its own. This one is for a peer that sends many of them, none of which is the answer.
#[cfg(feature = "login")]
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    expected: &'static str,
}

#[cfg(feature = "login")]
impl Budget {
    /// Returns a budget of so many octets. Its error names `expected`, a noun phrase.
    pub(crate) fn new(octets: usize, expected: &'static str) -> Self {
        Self { left: octets, expected }
    }

    /// Counts what a server has sent.
    ///
    /// # Errors
    /// When the server has sent more than the budget.
    pub(crate) fn spend(&mut self, received: &[u8]) -> Result<(), Box<starttls_proto::Error>> {
        use starttls_proto::{Error, ErrorKind};
        match self.left.checked_sub(received.len()) {
            Some(left) => self.left = left,
            None => return Err(Error::of_server(ErrorKind::TooLong, self.expected, received)),
        }
        Ok(())
    }
}
