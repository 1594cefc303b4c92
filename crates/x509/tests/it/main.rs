//! The crate against certificates of rcgen, with x509-parser and rustls as second opinions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundles;
mod certificates;
mod names;
mod ocsp;
mod samples;
mod vectors;
