//! The visible part of TLS: record headers, both hellos, alerts, and certificates up to TLS 1.2.

mod fingerprint;
mod handshake;
mod record;

pub(crate) use handshake::{TlsEnd, TlsWatch};
pub(crate) use record::{is_hello_record, is_record_start};
