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
pub mod nfs;
pub mod nntp;
pub mod nut;
pub mod pop3;
pub mod postgres;
pub mod rdp;
pub mod sieve;
pub mod smtp;
pub mod vnc;
pub mod xmpp;

/// Passes the registry to another macro, whose path comes first in parentheses, after the other arguments: a line for each
/// protocol, with the name of its tests and its constant.
// Hidden because it is for this crate, and for the tests of this workspace.
#[doc(hidden)]
#[macro_export]
#[rustfmt::skip] // One protocol a line, so that adding one changes one.
macro_rules! registry {
    (($($macro:tt)+) $($arguments:tt)*) => {
        $($macro)+! {
            $($arguments)*
            smtp: smtp::SMTP,
            submission: smtp::SUBMISSION,
            lmtp: smtp::LMTP,
            imap: imap::IMAP,
            pop3: pop3::POP3,
            sieve: sieve::SIEVE,
            nntp: nntp::NNTP,
            ldap: ldap::LDAP,
            ftp: ftp::FTP,
            postgres: postgres::POSTGRES,
            mysql: mysql::MYSQL,
            irc: irc::IRC,
            nut: nut::NUT,
            xmpp: xmpp::XMPP,
            xmpp_server: xmpp::XMPP_SERVER,
            http: http::HTTP,
            nbd: nbd::NBD,
            mysqlx: mysqlx::MYSQLX,
            rdp: rdp::RDP,
            nats: nats::NATS,
            vnc: vnc::VNC,
            nfs: nfs::NFS,
        }
    };
}

macro_rules! constants {
    ($($protocol:ident: $constant:path,)+) => { &[$(&$constant),+] };
}

/// All protocols that this library implements.
pub const PROTOCOLS: &[&Protocol] = registry! { (constants) };
