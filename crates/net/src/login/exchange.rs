//! What every mechanism implements, and what it depends on.

use starttls_proto::{ChannelBinding, Denial, OfferedMechanism};

use super::ChannelBindings;
use super::account::Account;
use super::error::{MechanismFault, RefusedMechanism};

/// The client's side of a mechanism.
pub(super) trait Exchange: Send + Sync {
    /// Returns the initial response; `None` if the mechanism waits for a challenge.
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault>;

    /// Returns the response to a challenge.
    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, MechanismFault>;

    /// Takes the last data of a server that granted the login. Returns whether the server proved its identity as far as the
    /// mechanism requires it.
    fn is_proven(&mut self, data: Option<&[u8]>) -> bool {
        let _ = data;
        true
    }

    /// Returns the reason if this challenge is an error that the mechanism itself defines, such as `e=` of SCRAM.
    fn refusal(&self, challenge: &[u8]) -> Option<Denial> {
        let _ = challenge;
        None
    }

    /// Returns the text that the server sent inside the mechanism, for people.
    fn details(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// What a mechanism depends on.
pub(super) struct Terms<'a> {
    pub(super) account: &'a Account,
    pub(super) offered: &'a [OfferedMechanism],
    pub(super) bindings: &'a ChannelBindings,
    pub(super) binding: ChannelBinding,
    /// The mechanisms that the server has refused.
    pub(super) refused: &'a [RefusedMechanism],
}
