//! The PROXY protocol: who the client is, said by whoever connects on its behalf.
//!
//! The format is the work of HAProxy's authors, `proxy-protocol.txt` of 2020/03/05; sections are cited
//! from there. Both versions are read and written. What is read comes from listed networks only, and is
//! required from them ([`Listener::expects_proxy_header`](crate::config::Listener::expects_proxy_header)).
//!
//! Written by hand, since the crates for it do not say who reads how far: this one takes not a single
//! byte beyond the header, whatever follows it.

mod format;
mod read;
mod write;

pub use format::{Header, HeaderError};
pub use read::read;
pub use write::{ProxiedClient, v1, v2};
