//! One deadline for everything, from the lookup of the name to the end of the handshake (rule B6).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::{Error, Step};

/// A time limit and the moment from which it counts.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// Returns the deadline that is this far away.
    pub fn starting_now(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// Returns the earlier one of this deadline and `limit` from now.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self::starting_now(self.remaining().min(limit))
    }

    /// Returns the time that is left; zero after the deadline.
    pub fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// Returns whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns the time from the start to the deadline.
    #[cfg(feature = "submission")]
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn error(&self, step: Step) -> Error {
        Error::Timeout { step, limit: self.limit }
    }

    /// Returns the error for a broken connection, or the timeout if the deadline broke it.
    pub(crate) fn explain(&self, step: Step, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::TimedOut if self.is_over() => self.error(step),
            _ => Error::Io { step, source },
        }
    }

    /// Returns the error for an address that did not accept the connection.
    pub(crate) fn unconnected(&self, address: SocketAddr, tried: usize, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::TimedOut if self.is_over() => self.error(Step::Connect),
            _ => Error::Connect { address, tried, source },
        }
    }

    /// Runs one operation; returns `None` if the deadline passes first.
    #[cfg(feature = "tokio")]
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // `timeout` polls the work first, which would not stop a peer that always has something to read.
        if self.is_over() {
            return None;
        }
        tokio::time::timeout(self.remaining(), work).await.ok()
    }

    /// Runs one operation within the deadline.
    ///
    /// # Errors
    /// [`Error::Timeout`] and the errors of the operation.
    #[cfg(feature = "tokio")]
    pub(crate) async fn bound<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.within(work).await.unwrap_or_else(|| Err(self.error(step)))
    }
}

/// The number of octets that a peer may send until the end of a login or a delivery.
///
/// Each message has a limit of its own. This one is for a peer that sends many messages, none of which is the answer.
#[cfg(feature = "login")]
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    expected: &'static str,
}

#[cfg(feature = "login")]
impl Budget {
    /// Returns a budget of so many octets. Its error contains `expected`, a noun phrase.
    pub(crate) fn new(octets: usize, expected: &'static str) -> Self {
        Self { left: octets, expected }
    }

    /// Counts what a server has sent.
    ///
    /// # Errors
    /// If the server has sent more than the budget.
    pub(crate) fn spend(&mut self, received: &[u8]) -> Result<(), Box<starttls_proto::Error>> {
        use starttls_proto::{Error, ErrorKind};
        match self.left.checked_sub(received.len()) {
            Some(left) => self.left = left,
            None => return Err(Error::of_server(ErrorKind::TooLong, self.expected, received)),
        }
        Ok(())
    }
}
