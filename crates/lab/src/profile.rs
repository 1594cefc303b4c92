//! The facts about a protocol that the lab needs beyond its dialect. A protocol without a row has no login and no session of its
//! own: the dialect answers its commands.

use starttls::Acceptor;
use starttls::proto::Protocol;

use crate::apps::context::{AppContext, Application, World, answers_only, hello_only};
use crate::apps::{
    ftp, http, imap, irc, ldap, mysql, mysqlx, nats, nbd, nntp, nut, pop3, postgres, rdp, sieve, smtp, vnc,
    xmpp,
};
use crate::session::{Session, SessionError};

/// The facts about one protocol.
pub(crate) struct LabProfile {
    /// The name of the protocol in the registry.
    pub(crate) protocol: &'static str,
    /// Serves sessions inside TLS.
    pub(crate) application: Application,
    /// The capabilities that a server lists inside TLS beyond the protocol's minimum.
    pub(crate) capabilities: &'static [&'static str],
    /// How users log in.
    pub(crate) login: LoginKind,
    /// Whether a client can set something before a login: a sender, a user, a nickname.
    pub(crate) has_state_before_login: bool,
    /// Whether a list names login mechanisms.
    pub(crate) lists_mechanisms: bool,
    /// Whether the list names features of the software, which are the same in cleartext and inside TLS.
    pub(crate) has_fixed_capabilities: bool,
    /// Whether a harmless command before TLS can carry data.
    pub(crate) has_data_before_tls: bool,
    /// Whether a server can refer a client to another server before TLS.
    pub(crate) has_referral: bool,
    /// Whether a server can send a text for the user before TLS.
    pub(crate) has_alert: bool,
    /// What an endless server sends.
    pub(crate) noise: NoiseText,
}

/// How users log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginKind {
    /// With a password.
    Password,
    /// The peers are servers and authenticate each other by their certificates.
    Certificate,
    /// The protocol is used without a login.
    None,
}

/// The parts of an endless answer.
#[derive(Clone, Copy)]
pub(crate) struct NoiseText {
    /// The start, which is sent once.
    pub(crate) prefix: &'static [u8],
    /// A message that answers no command where the protocol has one, or else a line of a list. It is repeated.
    pub(crate) interim: Interim,
    /// The start of a message with the largest length that the protocol allows.
    pub(crate) unfinished: &'static [u8],
}

/// A message that can be repeated.
#[derive(Clone, Copy)]
pub(crate) enum Interim {
    /// The same bytes each time.
    Same(&'static [u8]),
    /// Bytes with a sequence number.
    Numbered(fn(u32) -> Vec<u8>),
    /// An answer to no command, as the dialect writes it.
    Written,
}

const fn lines(interim: &'static [u8]) -> NoiseText {
    NoiseText { prefix: b"", interim: Interim::Same(interim), unfinished: b"" }
}

/// A row for a protocol with passwords and nothing special. Each row of [`PROFILES`] adds its own facts.
const fn row(protocol: &'static str, application: Application, noise: NoiseText) -> LabProfile {
    LabProfile {
        protocol,
        application,
        capabilities: &[],
        login: LoginKind::Password,
        has_state_before_login: false,
        lists_mechanisms: false,
        has_fixed_capabilities: false,
        has_data_before_tls: false,
        has_referral: false,
        has_alert: false,
        noise,
    }
}

const SMTP_NOISE: NoiseText = lines(b"250-Still here\r\n");
const XMPP_NOISE: NoiseText = NoiseText { unfinished: b"<a b='", ..lines(b" ") };

const PROFILES: &[LabProfile] = &[
    LabProfile {
        capabilities: &["AUTH PLAIN LOGIN", "SIZE 1048576"],
        has_state_before_login: true,
        has_data_before_tls: true,
        has_referral: true,
        ..row("smtp", smtp::serve, SMTP_NOISE)
    },
    LabProfile {
        capabilities: &["AUTH PLAIN LOGIN", "SIZE 1048576"],
        has_state_before_login: true,
        lists_mechanisms: true,
        has_data_before_tls: true,
        has_referral: true,
        ..row("submission", smtp::serve_submission, SMTP_NOISE)
    },
    LabProfile {
        capabilities: &["SIZE 1048576"],
        login: LoginKind::None,
        has_state_before_login: true,
        has_data_before_tls: true,
        has_referral: true,
        ..row("lmtp", smtp::serve_lmtp, SMTP_NOISE)
    },
    LabProfile {
        capabilities: &["AUTH=PLAIN", "SASL-IR", "ID", "IDLE", "NAMESPACE", "UNSELECT"],
        lists_mechanisms: true,
        has_data_before_tls: true,
        has_referral: true,
        has_alert: true,
        ..row("imap", imap::serve, lines(b"* OK Still here\r\n"))
    },
    LabProfile {
        capabilities: &["USER", "SASL PLAIN", "TOP", "UIDL", "RESP-CODES"],
        has_state_before_login: true,
        lists_mechanisms: true,
        ..row("pop3", pop3::serve, NoiseText { prefix: b"+OK\r\n", ..lines(b"STILL-HERE\r\n") })
    },
    LabProfile {
        capabilities: &["\"SASL\" \"PLAIN\""],
        lists_mechanisms: true,
        has_data_before_tls: true,
        has_referral: true,
        ..row("sieve", sieve::serve, lines(b"\"STILL\" \"here\"\r\n"))
    },
    LabProfile {
        capabilities: &[
            "READER",
            "AUTHINFO USER SASL",
            "SASL PLAIN",
            "LIST ACTIVE NEWSGROUPS OVERVIEW.FMT",
            "OVER",
        ],
        has_state_before_login: true,
        lists_mechanisms: true,
        ..row("nntp", nntp::serve, NoiseText { prefix: b"101 Capabilities\r\n", ..lines(b"STILL here\r\n") })
    },
    LabProfile {
        capabilities: &["supportedExtension: 1.3.6.1.4.1.4203.1.11.3", "namingContexts: dc=example,dc=test"],
        has_fixed_capabilities: true,
        has_data_before_tls: true,
        has_referral: true,
        // An intermediate response to no request (RFC 4511 section 4.13), and a length of almost 2 GiB.
        ..row(
            "ldap",
            ldap::serve,
            NoiseText { unfinished: b"\x30\x84\x7f\xff\xff\xff", ..lines(b"\x30\x05\x02\x01\x00\x79\x00") },
        )
    },
    LabProfile {
        capabilities: &["EPSV", "SIZE", "MDTM", "MLST type*;size*;modify*;", "UTF8"],
        has_state_before_login: true,
        has_fixed_capabilities: true,
        ..row("ftp", ftp::serve, lines(b"120 Still here\r\n"))
    },
    LabProfile {
        has_data_before_tls: true,
        has_referral: true,
        ..row("http", http::serve, lines(b"HTTP/1.1 100 Continue\r\n\r\n"))
    },
    LabProfile {
        ..row(
            "mysql",
            mysql::serve,
            // A length of almost 16 MiB.
            NoiseText {
                prefix: b"",
                interim: Interim::Numbered(mysql_more),
                unfinished: b"\xff\xff\xff\x03",
            },
        )
    },
    LabProfile {
        capabilities: &["authentication.mechanisms=PLAIN,SHA256_MEMORY", "node_type=mysql"],
        lists_mechanisms: true,
        // A notice without contents, and a length of almost 4 GiB.
        ..row(
            "mysqlx",
            mysqlx::serve,
            NoiseText { unfinished: b"\xff\xff\xff\xff\x0b", ..lines(b"\x05\0\0\0\x0b\x08\x05\x1a\0") },
        )
    },
    LabProfile {
        capabilities: &["PLAIN"],
        lists_mechanisms: true,
        has_data_before_tls: true,
        has_referral: true,
        ..row("xmpp", xmpp::serve, XMPP_NOISE)
    },
    LabProfile {
        capabilities: &["EXTERNAL"],
        login: LoginKind::Certificate,
        has_data_before_tls: true,
        has_referral: true,
        ..row("xmpp-server", hello_only, XMPP_NOISE)
    },
    LabProfile {
        // A length of almost 2 GiB.
        ..row(
            "postgres",
            postgres::serve,
            NoiseText { unfinished: b"R\x7f\xff\xff\xff", ..lines(b"N\0\0\0\x0cMstill\0\0") },
        )
    },
    LabProfile {
        capabilities: &["sasl=PLAIN"],
        has_state_before_login: true,
        lists_mechanisms: true,
        has_fixed_capabilities: true,
        has_data_before_tls: true,
        has_alert: true,
        ..row("irc", irc::serve, lines(b":localhost NOTICE * :Still here\r\n"))
    },
    LabProfile {
        has_state_before_login: true,
        has_data_before_tls: true,
        ..row("nut", nut::serve, lines(b"VAR still here \"\"\n"))
    },
    LabProfile {
        login: LoginKind::None,
        // There is no list inside TLS.
        has_fixed_capabilities: true,
        // A list with one unknown security type, and a reason of almost 4 GiB.
        ..row("vnc", vnc::serve, NoiseText { unfinished: b"\0\xff\xff\xff\xff", ..lines(b"\x01\xff") })
    },
    LabProfile {
        login: LoginKind::None,
        // An entry of a list, and a length of almost 4 GiB.
        ..row(
            "nbd",
            nbd::serve,
            NoiseText {
                unfinished: b"\x00\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x03\0\0\0\x02\xff\xff\xff\xff",
                ..lines(b"\x00\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x03\0\0\0\x02\0\0\0\x08\0\0\0\x04more")
            },
        )
    },
    row("nats", nats::serve, lines(b"PING\r\n")),
    LabProfile {
        login: LoginKind::None,
        // X.224 data, and the start of a packet of 65,535 octets.
        ..row(
            "rdp",
            rdp::serve,
            NoiseText { unfinished: b"\x03\0\xff\xff\x02\xf0\x80", ..lines(b"\x03\0\0\x0b\x02\xf0\x80more") },
        )
    },
];

/// The profile of a protocol without a row.
const USUAL: &LabProfile = &LabProfile {
    login: LoginKind::None,
    ..row("", answers_only, NoiseText { prefix: b"", interim: Interim::Written, unfinished: b"" })
};

/// Returns the profile of a protocol.
pub(crate) fn profile(protocol: &Protocol) -> &'static LabProfile {
    PROFILES.iter().find(|row| row.protocol == protocol.name).unwrap_or(USUAL)
}

/// Returns the capabilities that a server of this protocol lists inside TLS.
pub(crate) fn capabilities(protocol: &Protocol) -> Vec<String> {
    profile(protocol).capabilities.iter().map(ToString::to_string).collect()
}

/// Serves a session to its end.
pub(crate) async fn serve(
    session: &mut Session,
    world: &World,
    acceptor: &Acceptor,
) -> Result<(), SessionError> {
    let application = profile(acceptor.protocol()).application;
    application(AppContext { session, world, acceptor }).await
}

/// The packet of caching_sha2_password that the hash was right and OK follows. MySQL numbers its packets.
fn mysql_more(number: u32) -> Vec<u8> {
    vec![2, 0, 0, (number as u8).wrapping_add(3), 1, 3]
}

#[cfg(test)]
mod tests {
    use starttls::login::Account;
    use starttls::proto::PROTOCOLS;

    use super::*;

    #[test]
    fn every_protocol_with_a_login_has_one_profile() {
        for protocol in PROTOCOLS {
            let rows = PROFILES.iter().filter(|row| row.protocol == protocol.name).count();
            let is_right = rows == 1 || (rows == 0 && !Account::supports(protocol));
            assert!(is_right, "{} needs one row in PROFILES", protocol.name);
        }
        let is_known = |row: &LabProfile| PROTOCOLS.iter().any(|protocol| protocol.name == row.protocol);
        for row in PROFILES {
            assert!(is_known(row), "{} is not registered", row.protocol);
        }
    }
}
