//! The arguments of `hello`.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use starttls::proto::ClientName;
use starttls_hello::Version;

use super::common::{Format, Output, Peer, Way, client_name, duration};
use crate::candidates;

/// Send one ClientHello after the upgrade and show what the server answers
///
/// Negotiates the upgrade, sends exactly this hello, reads the server's first flight and closes. No handshake is
/// finished, no certificate is verified, nothing secret is sent. Versions and suites that no TLS library offers any
/// more can be asked for. The conversation goes to standard error, the answer to standard output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls hello smtp://mail.example.com                      TLS 1.2 with common suites
  starttls hello imaps://mail.example.com --version 1.3       which suite, which group?
  starttls hello smtp://mail.example.com --version 1.0
  starttls hello smtp://mail.example.com --suites export,rc4  does it take any of them?
  starttls hello pop3://mail.example.com --suites 0xc02f,AES128-SHA --groups x448,P-256
  starttls hello ldap://ldap.example.com --version ssl2 --format json

Exit codes:
  0   the server agreed to something that was offered
  2   wrong usage; nothing was dialled
  3   unreachable
  4   declined: the upgrade was not offered, or refused
  5   the server refused the hello with an alert, or closed the connection
  6   the server broke the rules, or sent something that is not TLS
  7   inconclusive: turned away before the hello, or no answer in time")]
pub(crate) struct Hello {
    /// PROTO://HOST[:PORT], or HOST:PORT with a well-known port
    #[arg(add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) target: String,

    /// The newest version that is offered: ssl2, ssl3, 1.0, 1.1, 1.2 or 1.3
    ///
    /// TLS 1.3 is offered alone, with an empty key share. Every other version includes the older ones.
    #[arg(long, value_name = "VERSION", default_value = "1.2", value_parser = version, add = ArgValueCandidates::new(candidates::versions))]
    pub(crate) version: Version,

    /// Suites in this order: IANA or OpenSSL names, codes such as 0xc02f, or classes
    ///
    /// The classes are null, anon, export, rc4, des, block64, static, dhe, cbc, ccm8 and aead.
    /// [default: what common clients offer at this version]
    #[arg(long, value_name = "SUITE,…", value_delimiter = ',')]
    pub(crate) suites: Vec<String>,

    /// Groups in this order: names such as x25519 or P-256, or codes such as 0x11ec [default: all that fit]
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    pub(crate) groups: Vec<String>,

    /// json: one object on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) dialing: Dialing,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// How to connect, for a command that verifies no certificate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Dialing {
    /// The name that is sent (SNI) [default: HOST]
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// The client's own name (EHLO), a domain or an address literal [default: [127.0.0.1]]
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    pub(crate) client_name: Option<ClientName>,

    /// Dial this instead of HOST: ADDR[:PORT] or unix:/PATH
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub(crate) connect: Option<String>,

    /// For everything from the dial to the end of the answer: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// IPv6 only
    #[arg(short = '6')]
    pub(crate) ipv6: bool,

    #[command(flatten)]
    pub(crate) way: Way,
}

impl Dialing {
    /// The same as the options that the other commands have.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            server_name: self.server_name.clone(),
            client_name: self.client_name.clone(),
            connect: self.connect.clone(),
            ca_file: None,
            no_system_roots: true,
            cert: None,
            key: None,
            timeout: self.timeout,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            way: self.way.clone(),
        }
    }
}

/// Reads a version: its short form, or its name with or without the space.
fn version(text: &str) -> Result<Version, String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '.', '-', '_', 'v'], "");
    let wanted = plain(text);
    let found = Version::ALL.iter().find(|version| {
        let name = plain(version.name());
        name == wanted || name.strip_prefix("tls") == Some(&wanted) || name.strip_suffix('0') == Some(&wanted)
    });
    found.copied().ok_or_else(|| String::from("expected ssl2, ssl3, 1.0, 1.1, 1.2 or 1.3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_their_usual_spellings() {
        for (text, expected) in [
            ("ssl2", Version::Ssl2),
            ("SSLv2", Version::Ssl2),
            ("ssl3", Version::Ssl3),
            ("SSL 3.0", Version::Ssl3),
            ("1.0", Version::Tls10),
            ("tls1", Version::Tls10),
            ("TLSv1.1", Version::Tls11),
            ("TLS 1.2", Version::Tls12),
            ("1.3", Version::Tls13),
        ] {
            assert_eq!(version(text), Ok(expected), "{text}");
        }
        for wrong in ["", "1", "2", "1.4", "ssl", "tls", "0x0303"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
    }
}
