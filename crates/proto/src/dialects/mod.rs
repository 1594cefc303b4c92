//! The registry: a protocol is one file here, and its line in [`PROTOCOLS`].

use crate::Protocol;

pub mod ftp;
pub mod irc;
pub mod nut;
pub mod smtp;
pub mod xmpp;

/// Every protocol this library knows.
#[rustfmt::skip] // One protocol a line, so that adding one changes one.
pub const PROTOCOLS: &[&Protocol] = &[
    &smtp::SMTP,
    &smtp::SUBMISSION,
    &smtp::LMTP,
    &ftp::FTP,
    &irc::IRC,
    &nut::NUT,
    &xmpp::XMPP,
    &xmpp::XMPP_SERVER,
];
