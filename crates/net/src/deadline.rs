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
        tokio::time::timeout(self.remaining(), work).await.unwrap_or_else(|_| Err(self.error(step)))
    }
}
