//! The contract between a driver and the machines that it drives: the two sides of a negotiation, a login, a delivery.

use std::io;

use starttls_proto::{Client, Declined, Progress, Quit, Server, Upgrade};

use crate::deadline::Deadline;
use crate::{Error, Step, trace};

/// One side of a conversation, without I/O. Both drivers have one loop each for all machines.
pub(crate) trait Machine: Sized {
    /// The result of the conversation.
    type Done;
    /// Why there is no result.
    type Error;
    /// Whether the machine takes what the peer sent before the connection broke while writing. A server that closes a
    /// session may have sent the reason before.
    const READS_AFTER_FAILED_WRITE: bool;

    /// Takes what the peer sent, and appends the next output.
    ///
    /// `out` may contain earlier output that is not sent yet: what arrived by then cannot be an answer to it (rule C3).
    fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Turn<Self>, Self::Error>;

    /// Returns the error for a peer that closed the connection.
    fn closed(self) -> Self::Error;

    /// Returns the error for a connection that broke, or for a deadline that passed
    /// ([`TimedOut`](io::ErrorKind::TimedOut)).
    fn broken(self, cause: io::Error, deadline: &Deadline) -> Self::Error;

    /// Returns the deadline of the next read or write. `unsent` is the number of octets of output that are not sent.
    fn deadline(&mut self, unsent: usize) -> Deadline;

    /// Handles a deadline that has passed. Returns whether the conversation goes on.
    fn goes_on_after_deadline(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }
}

/// How a conversation continues.
pub(crate) enum Turn<M: Machine> {
    /// Send the output, and read.
    Continue(M),
    /// The conversation is over.
    Done(M::Done),
}

/// A side of the negotiation, [`Client`] or [`Server`], with the deadline of the connection.
pub(crate) struct Negotiation<S> {
    pub(crate) side: S,
    pub(crate) deadline: Deadline,
}

/// How a negotiation ends in good order.
pub(crate) enum NegotiationEnd<E> {
    Upgrade(Upgrade),
    Otherwise(E),
}

macro_rules! negotiation {
    ($side:ty, $end:ty, $step:expr) => {
        impl Machine for Negotiation<$side> {
            type Done = NegotiationEnd<$end>;
            type Error = Error;
            // After a failed write the peer has not received everything, so nothing that it sent is an answer.
            const READS_AFTER_FAILED_WRITE: bool = false;

            fn receive(self, input: &[u8], out: &mut Vec<u8>) -> Result<Turn<Self>, Error> {
                let Self { side, deadline } = self;
                let step: fn(&$side) -> Step = $step;
                let before = step(&side);
                Ok(match side.receive(input, out)? {
                    Progress::Continue(side) => {
                        trace::step_changed(before, step(&side));
                        Turn::Continue(Self { side, deadline })
                    }
                    Progress::End(end) => Turn::Done(NegotiationEnd::Otherwise(end)),
                    Progress::Upgrade(upgrade) => Turn::Done(NegotiationEnd::Upgrade(upgrade)),
                })
            }

            fn closed(self) -> Error {
                self.side.closed().into()
            }

            fn broken(self, cause: io::Error, deadline: &Deadline) -> Error {
                let step: fn(&$side) -> Step = $step;
                deadline.explain(step(&self.side), cause)
            }

            fn deadline(&mut self, _unsent: usize) -> Deadline {
                self.deadline
            }
        }
    };
}

negotiation!(Client, Declined, |client| Step::of_reply(client.awaited_reply()));
negotiation!(Server, Quit, |_| Step::ClientRequest);
