//! The registry: a protocol is one file here, and its line in [`PROTOCOLS`].

use crate::Protocol;

pub mod ftp;
pub mod http;
pub mod imap;
pub mod ldap;
pub mod mysql;
pub mod nntp;
pub mod pop3;
pub mod postgres;
pub mod sieve;
pub mod smtp;
pub mod xmpp;

/// Every protocol this library knows.
#[rustfmt::skip] // One protocol a line, so that adding one changes one.
pub const PROTOCOLS: &[&Protocol] = &[
    &smtp::SMTP,
    &smtp::SUBMISSION,
    &smtp::LMTP,
    &imap::IMAP,
    &pop3::POP3,
    &sieve::SIEVE,
    &nntp::NNTP,
    &ldap::LDAP,
    &ftp::FTP,
    &postgres::POSTGRES,
    &mysql::MYSQL,
    &xmpp::XMPP,
    &xmpp::XMPP_SERVER,
    &http::HTTP,
];
