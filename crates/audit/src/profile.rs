//! What the auditor knows about each protocol, as a table. Only this file names protocols.

use starttls::proto::{ClientMessage, Escaped, PROTOCOLS, Protocol};

use crate::check::id::is_same;

/// What the auditor knows about a protocol: how its servers answer, and what the probes send.
///
/// Texts that answers begin with are compared after a tag or an id; one after a `*` may stand anywhere in the answer.
pub(crate) struct ProtocolProfile {
    scheme: &'static str,
    /// Beginnings of answers that show that the server processed credentials: it asks for more, accepts or rejects them.
    pub(crate) took_credentials: &'static [&'static str],
    /// Beginnings of answers that show that the server did what needs TLS.
    pub(crate) served: &'static [&'static str],
    /// How a report names a capability that allows a name and a password in commands of their own.
    pub(crate) user: &'static str,
    /// State that a client can set in cleartext, and how to look for it inside TLS.
    pub(crate) fixation: Option<Fixation>,
    /// Commands that carry data before TLS.
    pub(crate) data: &'static [Data],
    /// Why the service may serve cleartext too, if it may.
    pub(crate) may_serve_cleartext: Option<&'static str>,
    /// Whether the list of capabilities may contain the upgrade inside TLS too: it lists what the software supports
    /// rather than what the server accepts now.
    pub(crate) may_repeat_offer: bool,
    /// The rule that allows a server to ignore the request, if there is one.
    pub(crate) may_ignore_request: Option<&'static str>,
    /// The harmless command, where the no-op is not available before the login.
    pub(crate) harmless: ClientMessage,
    /// Whether that command begins the session, if it is not a login.
    harmless_begins_session: bool,
    /// Whether a session has begun only once, and continues with other commands: a client can then continue inside TLS what
    /// injected bytes have begun.
    pub(crate) begins_once: bool,
    /// The mechanism of the probe's login, where it is a challenge-response.
    pub(crate) login: Option<&'static str>,
    /// Beginnings of messages that ask for more of a login, where the dialect does not read them as answers.
    pub(crate) asks_for_more: &'static [&'static str],
    /// Beginnings of refusals of a login that may be for lack of TLS, or for a wrong name or password.
    pub(crate) rejections: &'static [&'static str],
    /// Beginnings of answers that turn every client away, where the dialect does not recognize them.
    pub(crate) turned_away: &'static [&'static str],
    /// The number of connections without a whole session after which servers block the address of a client. A whole session
    /// ends the count.
    pub(crate) patience: Option<u32>,
    /// Beginnings of messages that report in cleartext that the handshake failed.
    pub(crate) failed_handshake: &'static [&'static str],
    /// Beginnings of answers that refuse the request although they end the connection.
    refusals: &'static [&'static str],
    /// Other ways to begin a session inside TLS again than the hello alone.
    pub(crate) restarts: &'static [Restart],
}

/// State that a client can set before TLS.
#[derive(Clone, Copy)]
pub(crate) struct Fixation {
    /// The command that sets the state in cleartext.
    pub(crate) state: &'static str,
    /// The command inside TLS whose answer shows whether the state is still there.
    pub(crate) question: &'static str,
    /// Whether state and question together are a login, which fails.
    pub(crate) is_login: bool,
}

/// A way to begin a session again.
pub(crate) struct Restart {
    pub(crate) name: &'static str,
    /// Writes it from the hello and a login that cannot succeed.
    pub(crate) written: fn(&[u8], &[u8]) -> Vec<u8>,
}

/// A command that changes nothing, with data that may contain a request without requesting anything.
pub(crate) struct Data {
    /// What contains the request.
    pub(crate) name: &'static str,
    /// Writes the command around this request, in pieces. After each but the last the server has to ask for more (`+`).
    pub(crate) around: fn(&[u8]) -> Vec<Vec<u8>>,
}

/// Writes a command on one line that contains the line of the request.
fn in_line(before: &str, request: &[u8], after: &str) -> Vec<Vec<u8>> {
    vec![[before.as_bytes(), b"x ", request.trim_ascii_end(), b" x", after.as_bytes()].concat()]
}

impl ProtocolProfile {
    /// Returns a profile with what every protocol has to state. A row states where its protocol differs from the rest.
    const fn new(
        scheme: &'static str,
        took_credentials: &'static [&'static str],
        served: &'static [&'static str],
    ) -> Self {
        Self {
            scheme,
            took_credentials,
            served,
            user: "USER",
            fixation: None,
            data: &[],
            may_serve_cleartext: None,
            may_repeat_offer: false,
            may_ignore_request: None,
            harmless: ClientMessage::Probe,
            harmless_begins_session: false,
            begins_once: false,
            login: None,
            asks_for_more: &[],
            rejections: &[],
            turned_away: &[],
            patience: None,
            failed_handshake: &[],
            refusals: &[],
            restarts: &[],
        }
    }
}

const SMTP: ProtocolProfile = ProtocolProfile {
    fixation: Some(Fixation {
        state: "MAIL FROM:<>\r\n",
        question: "RCPT TO:<postmaster@invalid>\r\n",
        is_login: false,
    }),
    data: &[Data { name: "a quoted string", around: |it| in_line("NOOP \"", it, "\"\r\n") }],
    may_serve_cleartext: Some("as RFC 3207 section 4 requires of a public mail server"),
    ..ProtocolProfile::new("smtp", &["235", "334", "535", "432", "534"], &["250"])
};

/// Streams of clients and of servers.
const XMPP: ProtocolProfile = ProtocolProfile {
    data: IN_XML,
    rejections: &["<failure"],
    restarts: RESTARTS,
    ..ProtocolProfile::new(
        "xmpp",
        &["<success", "<challenge", "*<not-authorized"],
        &["<?xml", "<stream:stream", "*type='result'", "*type=\"result\""],
    )
};

const TABLE: &[ProtocolProfile] = &[
    SMTP,
    ProtocolProfile { scheme: "submission", may_serve_cleartext: None, ..SMTP },
    ProtocolProfile {
        scheme: "lmtp",
        may_serve_cleartext: Some("as between the servers of one site"),
        ..SMTP
    },
    ProtocolProfile {
        rejections: &["NO"],
        user: "LOGIN, since LOGINDISABLED is missing",
        // RFC 2971: a client describes itself with ID.
        data: &[
            Data { name: "a quoted string", around: |it| in_line("x1 ID (\"name\" \"", it, "\")\r\n") },
            Data {
                name: "a literal",
                around: |request| {
                    let first = format!("x2 ID (\"name\" {{{}}}\r\n", 3 + request.len());
                    vec![first.into_bytes(), [b"x\r\n", request, b")\r\n"].concat()]
                },
            },
        ],
        ..ProtocolProfile::new(
            "imap",
            &["OK", "+", "NO [AUTHENTICATIONFAILED]", "NO [AUTHORIZATIONFAILED]"],
            // A list that breaks off was still served.
            &["OK", "** LIST "],
        )
    },
    ProtocolProfile {
        rejections: &["-ERR"],
        // RFC 1939 section 5: NOOP belongs to the transaction state.
        harmless: ClientMessage::Hello,
        fixation: Some(Fixation {
            state: "USER starttls-probe\r\n",
            question: "PASS starttls-probe\r\n",
            is_login: true,
        }),
        ..ProtocolProfile::new("pop3", &["+"], &["+OK"])
    },
    ProtocolProfile {
        // RFC 5804 section 2.1: a challenge is a string of its own.
        asks_for_more: &["\"", "{"],
        data: &[
            Data { name: "a quoted string", around: |it| in_line("NOOP \"", it, "\"\r\n") },
            Data {
                name: "a literal",
                around: |request| {
                    let first = format!("NOOP {{{}+}}\r\nx\r\n", 3 + request.len());
                    vec![[first.as_bytes(), request, b"\r\n"].concat()]
                },
            },
        ],
        ..ProtocolProfile::new("sieve", &["OK", "NO"], &["OK"])
    },
    ProtocolProfile {
        rejections: &["482", "502"],
        user: "AUTHINFO USER",
        fixation: Some(Fixation {
            state: "AUTHINFO USER starttls-probe\r\n",
            question: "AUTHINFO PASS starttls-probe\r\n",
            is_login: true,
        }),
        ..ProtocolProfile::new("nntp", &["381", "281", "481", "383"], &["215", "211"])
    },
    ProtocolProfile {
        rejections: &["530"],
        // RFC 2389 section 3: FEAT lists what the server supports.
        may_repeat_offer: true,
        fixation: Some(Fixation {
            state: "USER starttls-probe\r\n",
            question: "PASS starttls-probe\r\n",
            is_login: true,
        }),
        ..ProtocolProfile::new("ftp", &["331", "230", "332"], &["257"])
    },
    ProtocolProfile {
        data: &[Data { name: "an octet string", around: in_a_filter }],
        may_repeat_offer: true,
        ..ProtocolProfile::new(
            "ldap",
            &["*BindResponse", "*invalidCredentials"],
            &["*SearchResultEntry", "*: 0"],
        )
    },
    XMPP,
    ProtocolProfile { scheme: "xmpp-server", ..XMPP },
    ProtocolProfile {
        // The capability is the name of an extension, and stays in the list.
        may_repeat_offer: true,
        data: &[Data { name: "a trailing parameter", around: |it| in_line("PING :", it, "\r\n") }],
        fixation: Some(Fixation {
            state: "NICK stprobe\r\n",
            question: "CAP END\r\nUSER visitor 0 * :visitor\r\n",
            is_login: false,
        }),
        // The protocol has no login of its own, and no command before registration that needs TLS.
        ..ProtocolProfile::new("irc", &[], &[])
    },
    ProtocolProfile {
        turned_away: &["HTTP/1.1 503", "HTTP/1.1 429", "HTTP/1.0 503", "HTTP/1.0 429"],
        refusals: &["HTTP/1.1 ", "HTTP/1.0 "],
        data: &[Data { name: "a body", around: in_a_body }],
        may_ignore_request: Some("RFC 9110 section 7.8"),
        ..ProtocolProfile::new(
            "http",
            &["HTTP/1.1 401", "HTTP/1.1 403", "HTTP/1.1 2", "HTTP/1.0 401", "HTTP/1.0 403", "HTTP/1.0 2"],
            // A server that answers 404 has looked for the resource.
            &["HTTP/1.1 2", "HTTP/1.1 404", "HTTP/1.0 2", "HTTP/1.0 404"],
        )
    },
    ProtocolProfile {
        data: &[Data { name: "a quoted string", around: |it| in_line("VER \"", it, "\"\n") }],
        fixation: Some(Fixation {
            state: "USERNAME starttls-probe\n",
            question: "USERNAME starttls-probe\n",
            is_login: false,
        }),
        ..ProtocolProfile::new("nut", &["OK"], &["BEGIN LIST"])
    },
    ProtocolProfile {
        harmless: ClientMessage::Other,
        // Inside TLS, clients authenticate with certificates. A server that answers NBD_REP_ERR_UNKNOWN has looked for the
        // export.
        ..ProtocolProfile::new("nbd", &[], &["NBD_REP_ACK", "NBD_REP_INFO", "NBD_REP_ERR_UNKNOWN"])
    },
    ProtocolProfile {
        harmless: ClientMessage::Other,
        harmless_begins_session: true,
        failed_handshake: &["MCS disconnect"],
        // Clients authenticate inside the session. In cleartext, a server that selects Standard RDP Security serves them.
        ..ProtocolProfile::new("rdp", &[], &["connection confirm of Standard", "MCS connect response"])
    },
    ProtocolProfile {
        harmless: ClientMessage::Other,
        // A server with users ends a session that begins with anything but a login.
        harmless_begins_session: true,
        turned_away: &["-ERR 'maximum"],
        ..ProtocolProfile::new(
            "nats",
            &["+OK", "-ERR 'Authorization Violation", "-ERR 'User Authentication"],
            &["PONG"],
        )
    },
    ProtocolProfile {
        harmless: ClientMessage::Other,
        harmless_begins_session: true,
        begins_once: true,
        turned_away: &["failed"],
        // TigerVNC blocks an address after five connections without a session.
        patience: Some(4),
        // In cleartext, the client selects another security type. A challenge asks for the response that is the login.
        ..ProtocolProfile::new("vnc", &[], &["SecurityResult OK", "challenge", "ServerInit"])
    },
    // Every call carries credentials of its own, which RPC-with-TLS does not change. A COMPOUND in cleartext is served where it has a
    // status without an error.
    ProtocolProfile::new("nfs", &[], &["reply with results, status 0"]),
    ProtocolProfile {
        rejections: &["ErrorResponse"],
        harmless: ClientMessage::Credentials,
        // Classes 53 and 57: too many connections, starting up, shutting down. 08P01: the session ends with any message.
        turned_away: &["ErrorResponse FATAL 53", "ErrorResponse FATAL 57P", "ErrorResponse FATAL 08P01"],
        ..ProtocolProfile::new("postgres", &["message R", "*28P01"], &["message R"])
    },
    ProtocolProfile {
        login: Some("MYSQL_NATIVE_PASSWORD"),
        // Too many connections in total or of this user, shutting down, blocked.
        turned_away: &["ERR 1040", "ERR 1053", "ERR 1129", "ERR 1130", "ERR 1203", "ERR 1226"],
        // The server does nothing before a login.
        ..ProtocolProfile::new("mysql", &["ERR 1045", "packet"], &[])
    },
    ProtocolProfile {
        harmless: ClientMessage::Hello,
        login: Some("SHA256_MEMORY"),
        // As of `mysql`: the codes are the same.
        turned_away: &["Error 1040", "Error 1053", "Error 1129", "Error 1130", "Error 1203", "Error 1226"],
        // The server does nothing before a login.
        ..ProtocolProfile::new("mysqlx", &["AuthenticateContinue", "AuthenticateOk", "Error 1045"], &[])
    },
];

/// A protocol that is registered without a profile does not compile.
const _: () = {
    let mut index = 0;
    while index < PROTOCOLS.len() {
        let (name, mut row) = (PROTOCOLS[index].name.as_bytes(), 0);
        while row < TABLE.len() && !is_same(TABLE[row].scheme.as_bytes(), name) {
            row += 1;
        }
        assert!(row < TABLE.len(), "a registered protocol has no row in the table of profiles");
        index += 1;
    }
};

/// RFC 6120 section 11.1 allows CDATA sections: nothing in them is an element.
const IN_XML: &[Data] = &[Data {
    name: "character data",
    around: |request| {
        let (before, after) =
            (&b"<iq type='get' id='x'><ping xmlns='urn:xmpp:ping'><![CDATA["[..], b"]]></ping></iq>");
        vec![[before, request, after].concat()]
    },
}];

/// RFC 6120 section 4.2: the XML declaration of a stream header is optional, and a parser that continues from the
/// cleartext accepts no declaration in the middle of its document.
const RESTARTS: &[Restart] = &[
    Restart {
        name: "a stream header without an XML declaration, and a login",
        written: |hello, login| [undeclared(hello), login].concat(),
    },
    Restart { name: "a stream header and a login", written: |hello, login| [hello, login].concat() },
    Restart { name: "a login in the stream before", written: |_, login| login.to_vec() },
];

/// Returns what follows an XML declaration.
fn undeclared(header: &[u8]) -> &[u8] {
    let declared = header.strip_prefix(b"<?xml").map_or(0, |it| header.len() - it.len());
    let end = header.iter().skip(declared).position(|&byte| byte == b'>').filter(|_| declared > 0);
    end.and_then(|end| header.get(declared + end + 1..)).unwrap_or(header)
}

/// Writes a search that finds nothing: the root DSE, if its class is the request (RFC 4511 section 4.5.1).
fn in_a_filter(request: &[u8]) -> Vec<Vec<u8>> {
    // All lengths take one octet.
    let element = |tag: u8, contents: &[u8]| [&[tag, contents.len() as u8][..], contents].concat();
    let filter = [element(0x04, b"objectClass"), element(0x04, request)].concat();
    let head = b"\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00";
    let search = element(0x63, &[&head[..], &element(0xa3, &filter), b"\x30\x00"].concat());
    vec![element(0x30, &[&b"\x02\x01\x01"[..], &search].concat())]
}

/// Writes an OPTIONS request with a body, which RFC 9110 section 9.3.7 allows and gives no use.
fn in_a_body(request: &[u8]) -> Vec<Vec<u8>> {
    let host = request.split_inclusive(|&byte| byte == b'\n').find(|line| line.starts_with(b"Host:"));
    let length = format!("Content-Length: {}\r\n\r\n", request.len());
    vec![[b"OPTIONS * HTTP/1.1\r\n", host.unwrap_or_default(), length.as_bytes(), request].concat()]
}

impl ProtocolProfile {
    /// Returns the profile of a registered protocol.
    ///
    /// # Panics
    /// If the protocol is not in the registry.
    pub(crate) fn of(protocol: &Protocol) -> &'static Self {
        let row = TABLE.iter().find(|row| row.scheme == protocol.name);
        row.unwrap_or_else(|| panic!("the protocol {} is not in the registry", protocol.name))
    }

    /// Returns whether the harmless command begins the session, so that a session accepts it once.
    pub(crate) fn begins_session(&self) -> bool {
        self.harmless_begins_session || self.harmless == ClientMessage::Credentials
    }

    /// Returns whether this answer, which ends the connection, refuses the request. A server that turns every client away
    /// has not refused the request.
    pub(crate) fn refuses(&self, answer: &[u8]) -> bool {
        let text = Escaped(answer.get(..100).unwrap_or(answer)).to_string();
        begins(&text, self.refusals) && !begins(&text, self.turned_away)
    }
}

/// Returns the URL of the same service with implicit TLS on this port.
pub(crate) fn tls_url(protocol: &'static Protocol, host: &str, port: u16) -> Option<String> {
    let scheme = protocol.with_implicit_tls()?.implicit_tls?.name;
    Some(url(scheme, host, port))
}

/// Returns the URL of the same service with the upgrade on this port.
pub(crate) fn upgrade_url(protocol: &'static Protocol, host: &str, port: u16) -> String {
    url(protocol.with_upgrade(port).name, host, port)
}

/// Returns the URL of a service on this port, with an IPv6 address in brackets.
pub(crate) fn url(scheme: &str, host: &str, port: u16) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{scheme}://{open}{host}{close}:{port}")
}

/// Beginnings of answers whose third word is the code, because the severity comes before it.
pub(crate) const CODE_COMES_THIRD: &[&str] = &["ErrorResponse "];

/// Texts that send clients to another server, in any protocol (RFC 2221, RFC 5804 section 1.3, RFC 6120
/// section 4.9.3.19, RFC 5321 section 4.2.3, RFC 4511 section 4.1.10, RFC 9110 section 15.4).
const REFERRALS: &[&str] = &["[REFERRAL ", "(REFERRAL ", "<see-other-host", "\\r\\nLocation: "];

/// Texts that mark a message for the user (RFC 9051 section 7.1).
const ALERTS: &[&str] = &["[ALERT]", " NOTICE "];

/// Returns whether this sends clients to another server. `text` is escaped, or a description in words.
pub(crate) fn refers(text: &str) -> bool {
    let ldap = text.contains("ExtendedResponse") && text.contains(": 10");
    // A code counts at the start of a line only: a tag may end with the same digits.
    let smtp = text.starts_with("551 ") || text.contains("\\r\\n551 ");
    ldap || smtp || REFERRALS.iter().any(|it| text.contains(it))
}

/// Returns whether the server does not serve the requested name (RFC 6120 section 4.9.3.6).
pub(crate) fn is_unknown_host(text: &str) -> bool {
    text.contains("<host-unknown")
}

/// Returns whether this is a message for the user.
pub(crate) fn alerts(text: &str) -> bool {
    ALERTS.iter().any(|it| text.contains(it))
}

/// Returns whether this is an error that ends the session (RFC 6120 section 4.9.2). It answers no command.
pub(crate) fn is_final(text: &str) -> bool {
    text.contains("urn:ietf:params:xml:ns:xmpp-streams")
}

/// Returns whether an answer begins like one of these, or contains the text after a `*`. A tag or an id before the
/// answer does not count.
pub(crate) fn begins(answer: &str, beginnings: &[&str]) -> bool {
    let untagged = answer.split_once(' ').map_or("", |(_, rest)| rest);
    beginnings.iter().any(|start| match start.strip_prefix('*') {
        Some(part) => answer.contains(part),
        None => answer.starts_with(start) || untagged.starts_with(start),
    })
}

/// Like [`begins`], for an answer and everything that came with it: the text after a `*` may be in any of it.
pub(crate) fn shows(own: &str, all: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|start| begins(if start.starts_with('*') { all } else { own }, &[start]))
}
