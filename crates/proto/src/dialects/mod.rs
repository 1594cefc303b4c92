//! The registry of protocols: each protocol is a file in this module and an entry in [`PROTOCOLS`].

use crate::Protocol;

pub mod ftp;
pub mod http;
pub mod imap;
pub mod irc;
pub mod ldap;
pub mod mysql;
pub mod mysqlx;
pub mod nats;
pub mod nbd;
pub mod nntp;
pub mod nut;
pub mod pop3;
pub mod postgres;
pub mod rdp;
pub mod sieve;
pub mod smtp;
pub mod vnc;
pub mod xmpp;

/// All protocols that this library implements.
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
    &irc::IRC,
    &nut::NUT,
    &xmpp::XMPP,
    &xmpp::XMPP_SERVER,
    &http::HTTP,
    &nbd::NBD,
    &mysqlx::MYSQLX,
    &rdp::RDP,
    &nats::NATS,
    &vnc::VNC,
];
