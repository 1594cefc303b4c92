//! The proof that both sides agreed to TLS and that no cleartext is left.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::inbox::Inbox;
use crate::{Error, ErrorKind};

/// Proof that both sides agreed to TLS and that no octet of cleartext is left after the agreement.
///
/// A machine gives the proof when it gives itself up, and with itself the only buffer that held cleartext. It
/// fails if one octet is left there, whether it completes a message or not. The proof carries no capability, no
/// name and no state, so nothing that was learned in cleartext can cross the boundary.
///
/// ```compile_fail,E0451
/// let forged = starttls_proto::Upgrade { early: Vec::new() };
/// ```
#[must_use = "the peer now expects TLS; close the connection if you cannot go on"]
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    early: Vec<u8>,
}

impl Upgrade {
    /// Returns the proof, unless cleartext is left in `inbox` or in `rest`, the input that the inbox did not take.
    pub(crate) fn at_boundary(inbox: &Inbox, rest: &[u8]) -> Result<Self, Box<Error>> {
        let left = inbox.left_over(rest);
        if left.is_empty() {
            return Ok(Self { early: left });
        }
        Err(Error::new(ErrorKind::BeyondBoundary, inbox.from(), "nothing but TLS from here on", &left))
    }

    /// Returns the proof for a server. Octets of `space` that the client sent after its request are dropped; any other
    /// octet there is an error.
    pub(crate) fn after_request(inbox: &Inbox, rest: &[u8], space: &[u8]) -> Result<Self, Box<Error>> {
        let only_space = inbox.pending().iter().chain(rest).all(|octet| space.contains(octet));
        if only_space { Ok(Self { early: Vec::new() }) } else { Self::at_boundary(inbox, rest) }
    }

    /// Returns the proof for a request that the server does not answer (MySQL). The client may send its ClientHello
    /// right after it, so a TLS handshake record may be left; it is handed to TLS only.
    pub(crate) fn without_go_ahead(inbox: &Inbox, rest: &[u8]) -> Result<Self, Box<Error>> {
        let early = inbox.left_over(rest);
        const RECORD: [u8; 2] = [0x16, 0x03];
        if early.iter().zip(RECORD).all(|(&byte, expected)| byte == expected) {
            return Ok(Self { early });
        }
        Err(Error::new(ErrorKind::BeyondBoundary, inbox.from(), "a TLS ClientHello or nothing", &early))
    }

    /// Returns the start of the peer's ClientHello, if it came in one piece with its request.
    ///
    /// Give it to the TLS engine before anything that is read from the connection, and to nothing else. It is empty
    /// in every protocol in which the server answers the request.
    #[must_use]
    pub fn into_early_tls(self) -> Vec<u8> {
        self.early
    }
}
