//! The vectors of `starttls-proto`, for an observer.

#[path = "../../../proto/tests/vectors/vector.rs"]
mod file;

pub(crate) use file::Vector;
use starttls_proto::Side;

impl Vector {
    /// Returns the turns as a capture is built from them.
    pub(crate) fn conversation(&self) -> Vec<(Side, Vec<u8>)> {
        self.turns.iter().map(|turn| (turn.from, turn.bytes.clone())).collect()
    }

    /// Returns what an observer must see.
    pub(crate) fn result(&self) -> &str {
        self.header("relay").or(self.header("result")).unwrap()
    }

    /// Returns whether the result holds for an observer.
    pub(crate) fn is_for_observers(&self) -> bool {
        let roles = self.header("roles").unwrap_or("relay");
        self.header("relay").is_some() || roles.split(' ').any(|role| role == "relay")
    }
}
