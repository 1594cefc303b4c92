//! Properties that must hold for any input. The first octet chooses the protocol.
#![forbid(unsafe_code)]

mod dialects;
mod front;
mod hello;
mod inspect;
mod login;
mod machines;
mod policy;
mod relay;
mod x509;

pub use dialects::dialects;
pub use front::front;
pub use hello::hello;
pub use inspect::{capture, conversation, flow, peel};
pub use login::login;
pub use machines::{client, server};
pub use policy::policy;
pub use relay::relay;
pub use x509::x509;

use starttls_proto::{DialectContext, Identity, PROTOCOLS, Protocol};

/// Returns the protocol and the size that the first octet chooses, and the rest of the input.
fn choose(input: &[u8]) -> Option<(&'static Protocol, usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    let first = usize::from(first);
    Some((PROTOCOLS[first % PROTOCOLS.len()], first / PROTOCOLS.len(), rest))
}

/// Returns the identity of the vectors, so that the answers in the seeds match the questions.
fn identity() -> DialectContext {
    let mut identity = Identity::new("mail.example.com");
    identity.client_name = "client.example".parse().unwrap();
    identity.with_nonce(0)
}
