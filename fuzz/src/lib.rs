//! What must hold for any input at all. The first octet chooses the protocol.
#![forbid(unsafe_code)]

mod dialects;
mod front;
mod hello;
mod login;
mod machines;
mod relay;

pub use dialects::dialects;
pub use front::front;
pub use hello::hello;
pub use login::login;
pub use machines::{client, server};
pub use relay::relay;

use starttls_proto::{Identity, PROTOCOLS, Protocol};

/// The protocol that the first octet chooses, and what else it says.
fn choose(input: &[u8]) -> Option<(&'static Protocol, usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    let first = usize::from(first);
    Some((PROTOCOLS[first % PROTOCOLS.len()], first / PROTOCOLS.len(), rest))
}

/// The names and numbers of the vectors, so that the seeds' answers are answers to our questions.
fn identity() -> Identity {
    let mut identity = Identity::new("mail.example.com");
    identity.client_name = "client.example".parse().unwrap();
    identity.nonce = 0;
    identity
}
