//! The PROXY protocol, with which a proxy reports the address of its client.
//!
//! The format is HAProxy's `proxy-protocol.txt` of 2020/03/05; section numbers refer to it. Both versions are read and
//! written. Headers are read from configured networks only, and are required from them ([`Listener::expects_proxy_header`](crate::config::Listener::expects_proxy_header)).
//!
//! No existing crate is used, because they do not guarantee where reading stops. This module reads no byte after the header.

mod format;
mod read;
mod write;

pub use format::{Header, HeaderError};
pub use read::read;
pub use write::{ProxiedClient, v1, v2};
