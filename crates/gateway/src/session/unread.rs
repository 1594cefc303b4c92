//! What a filter has received and cannot read yet.

use starttls::proto::Side;

/// The incomplete message of each side.
#[derive(Debug, Default)]
pub(super) struct UnreadBytes {
    client: Vec<u8>,
    server: Vec<u8>,
}

impl UnreadBytes {
    /// Returns what this side has sent.
    pub(super) fn of(&mut self, from: Side) -> &mut Vec<u8> {
        match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}
