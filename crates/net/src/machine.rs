//! The two machines of the core, as a driver sees them: alike.

use starttls_proto::{Client, Declined, Progress, Quit, Server, Upgrade};

pub(crate) trait Machine: Sized {
    /// What it ends with when it does not upgrade.
    type End;
    /// Whether what it has to say after an error is worth sending.
    const SAYS_GOODBYE: bool;

    fn receive(
        self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<Self, Self::End>, Box<starttls_proto::Error>>;

    fn closed(self) -> Box<starttls_proto::Error>;

    /// What the peer owes, as a noun phrase.
    fn awaits(&self) -> &'static str;
}

impl Machine for Client {
    type End = Declined;
    const SAYS_GOODBYE: bool = false;

    fn receive(
        self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<Self, Declined>, Box<starttls_proto::Error>> {
        self.receive(input, out)
    }

    fn closed(self) -> Box<starttls_proto::Error> {
        self.closed()
    }

    fn awaits(&self) -> &'static str {
        self.awaits()
    }
}

impl Machine for Server {
    type End = Quit;
    const SAYS_GOODBYE: bool = true;

    fn receive(
        self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<Self, Quit>, Box<starttls_proto::Error>> {
        self.receive(input, out)
    }

    fn closed(self) -> Box<starttls_proto::Error> {
        self.closed()
    }

    fn awaits(&self) -> &'static str {
        "the upgrade request"
    }
}

/// How a negotiation ends in good order.
pub(crate) enum NegotiationEnd<E> {
    Upgrade(Upgrade),
    Otherwise(E),
}
