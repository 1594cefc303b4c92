//! What the protocols' own answers mean to the auditor, as a table: the only place here that names protocols.

use starttls::proto::{ClientMessage, Escaped, Protocol};

/// One row.
pub(crate) struct ProtocolProfile {
    scheme: &'static str,
    /// Beginnings of answers by which a server shows that it took credentials for what they are, be it
    /// to ask for more, to accept or to reject them.
    pub(crate) took_credentials: &'static [&'static str],
    /// Beginnings of answers by which it shows that it did what needs TLS.
    pub(crate) served: &'static [&'static str],
    /// What it means for people that a list allows a name and a password in commands of their own.
    pub(crate) user: &'static str,
    /// State that is set in cleartext, and the command inside TLS that shows whether it is still there.
    pub(crate) fixation: Option<(&'static str, &'static str)>,
    /// What carries data before TLS.
    pub(crate) data: &'static [Data],
    /// Why the service may serve cleartext all the same, if it may.
    pub(crate) may_serve_cleartext: Option<&'static str>,
    /// Whether the list of capabilities may name the upgrade inside TLS too: it tells what the software
    /// can do rather than what it will do now.
    pub(crate) may_repeat_offer: bool,
    /// The rule that allows a server to ignore the request, if there is one: such a server is not at fault.
    pub(crate) may_ignore_request: Option<&'static str>,
    /// What serves as the harmless command, where the no-op tells nothing.
    pub(crate) harmless: ClientMessage,
    /// The mechanism of the login that the probe tries, where it is a challenge-response.
    pub(crate) login: Option<&'static str>,
    /// Beginnings of messages by which a server asks for more of a login, where they are no answers otherwise.
    pub(crate) asks_for_more: &'static [&'static str],
    /// Beginnings of refusals of a login that may be for want of TLS, or for a wrong name or password.
    pub(crate) rejections: &'static [&'static str],
    /// Beginnings of answers by which it turns everybody away, where the dialect cannot tell.
    pub(crate) turned_away: &'static [&'static str],
    /// Beginnings of answers to the request that refuse it although the connection ends with them.
    refusals: &'static [&'static str],
    /// Other ways to begin a session inside TLS anew than the hello alone.
    pub(crate) restarts: &'static [Restart],
}

/// A way to begin a session anew.
pub(crate) struct Restart {
    pub(crate) name: &'static str,
    /// How it is written, with the hello and a login that cannot succeed.
    pub(crate) written: fn(&[u8], &[u8]) -> Vec<u8>,
}

/// A command that changes nothing, with data in which a request is none.
pub(crate) struct Data {
    /// What the request stands in.
    pub(crate) name: &'static str,
    /// The command around this request, in pieces; behind each but the last the server has to ask for more (`+`).
    pub(crate) around: fn(&[u8]) -> Vec<Vec<u8>>,
}

/// One command on one line, with the request's line in it.
fn in_line(before: &str, request: &[u8], behind: &str) -> Vec<Vec<u8>> {
    vec![[before.as_bytes(), b"x ", request.trim_ascii_end(), b" x", behind.as_bytes()].concat()]
}

const NOTHING: ProtocolProfile = ProtocolProfile {
    scheme: "",
    took_credentials: &[],
    served: &[],
    user: "USER",
    fixation: None,
    data: &[],
    may_serve_cleartext: None,
    may_repeat_offer: false,
    may_ignore_request: None,
    harmless: ClientMessage::Probe,
    login: None,
    asks_for_more: &[],
    rejections: &[],
    turned_away: &[],
    refusals: &[],
    restarts: &[],
};

const SMTP: ProtocolProfile = ProtocolProfile {
    scheme: "smtp",
    took_credentials: &["235", "334", "535", "432", "534"],
    served: &["250"],
    fixation: Some(("MAIL FROM:<>\r\n", "RCPT TO:<postmaster@invalid>\r\n")),
    data: &[Data { name: "a quoted string", around: |it| in_line("NOOP \"", it, "\"\r\n") }],
    may_serve_cleartext: Some("as RFC 3207 section 4 demands of a public mail server"),
    ..NOTHING
};

/// Both kinds of stream.
const XMPP: ProtocolProfile = ProtocolProfile {
    scheme: "xmpp",
    took_credentials: &["<success", "<challenge", "*<not-authorized"],
    served: &["<?xml", "<stream:stream", "*type='result'", "*type=\"result\""],
    data: IN_XML,
    rejections: &["<failure"],
    restarts: RESTARTS,
    ..NOTHING
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
        scheme: "imap",
        took_credentials: &["OK", "+", "NO [AUTHENTICATIONFAILED]", "NO [AUTHORIZATIONFAILED]"],
        rejections: &["NO"],
        // A list that breaks off has listed all the same.
        served: &["OK", "** LIST "],
        user: "LOGIN, since LOGINDISABLED is missing",
        // RFC 2971: what a client says of itself.
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
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "pop3",
        rejections: &["-ERR"],
        // RFC 1939 section 5: NOOP belongs to the transaction state.
        harmless: ClientMessage::Hello,
        took_credentials: &["+"],
        served: &["+OK"],
        fixation: Some(("USER starttls-probe\r\n", "PASS starttls-probe\r\n")),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "sieve",
        took_credentials: &["OK", "NO"],
        served: &["OK"],
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
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "nntp",
        rejections: &["482", "502"],
        user: "AUTHINFO USER",
        took_credentials: &["381", "281", "481", "383"],
        served: &["215", "211"],
        fixation: Some(("AUTHINFO USER starttls-probe\r\n", "AUTHINFO PASS starttls-probe\r\n")),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "ftp",
        rejections: &["530"],
        took_credentials: &["331", "230", "332"],
        served: &["257"],
        // RFC 2389 section 3: FEAT lists what the server supports.
        may_repeat_offer: true,
        fixation: Some(("USER starttls-probe\r\n", "PASS starttls-probe\r\n")),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "ldap",
        took_credentials: &["*BindResponse", "*invalidCredentials"],
        served: &["*SearchResultEntry", "*: 0"],
        data: &[Data { name: "an octet string", around: in_a_filter }],
        may_repeat_offer: true,
        ..NOTHING
    },
    XMPP,
    ProtocolProfile { scheme: "xmpp-server", ..XMPP },
    ProtocolProfile {
        scheme: "irc",
        // The token names an extension of the server's, and stays.
        may_repeat_offer: true,
        data: &[Data { name: "a trailing parameter", around: |it| in_line("PING :", it, "\r\n") }],
        fixation: Some(("NICK stprobe\r\n", "CAP END\r\nUSER visitor 0 * :visitor\r\n")),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "http",
        took_credentials: &[
            "HTTP/1.1 401",
            "HTTP/1.1 403",
            "HTTP/1.1 2",
            "HTTP/1.0 401",
            "HTTP/1.0 403",
            "HTTP/1.0 2",
        ],
        // What is not there was looked for.
        served: &["HTTP/1.1 2", "HTTP/1.1 404", "HTTP/1.0 2", "HTTP/1.0 404"],
        turned_away: &["HTTP/1.1 503", "HTTP/1.1 429", "HTTP/1.0 503", "HTTP/1.0 429"],
        refusals: &["HTTP/1.1 ", "HTTP/1.0 "],
        data: &[Data { name: "a body", around: in_a_body }],
        may_ignore_request: Some("RFC 9110 section 7.8"),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "nut",
        took_credentials: &["OK"],
        served: &["BEGIN LIST"],
        data: &[Data { name: "a quoted string", around: |it| in_line("VER \"", it, "\"\n") }],
        fixation: Some(("USERNAME starttls-probe\n", "USERNAME starttls-probe\n")),
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "postgres",
        rejections: &["ErrorResponse"],
        harmless: ClientMessage::Credentials,
        took_credentials: &["message R", "*28P01"],
        served: &["message R"],
        // Classes 53 and 57: too many connections, starting up, shutting down. 08P01: the session ends with what it is.
        turned_away: &["ErrorResponse FATAL 53", "ErrorResponse FATAL 57P", "ErrorResponse FATAL 08P01"],
        ..NOTHING
    },
    ProtocolProfile {
        scheme: "mysql",
        took_credentials: &["ERR 1045", "packet"],
        login: Some("MYSQL_NATIVE_PASSWORD"),
        // Too many connections of all or of this user, shutting down, blocked.
        turned_away: &["ERR 1040", "ERR 1053", "ERR 1129", "ERR 1130", "ERR 1203", "ERR 1226"],
        ..NOTHING
    },
];

/// RFC 6120 section 11.1 knows CDATA sections as any XML does: nothing in them is an element.
const IN_XML: &[Data] = &[Data {
    name: "character data",
    around: |request| {
        let (before, behind) =
            (&b"<iq type='get' id='x'><ping xmlns='urn:xmpp:ping'><![CDATA["[..], b"]]></ping></iq>");
        vec![[before, request, behind].concat()]
    },
}];

/// RFC 6120 section 4.2: the XML declaration of a stream header is optional, and a parser that goes on from the
/// cleartext takes none in the middle of its document.
const RESTARTS: &[Restart] = &[
    Restart {
        name: "a stream header without an XML declaration, and a login",
        written: |hello, login| [undeclared(hello), login].concat(),
    },
    Restart { name: "a stream header and a login", written: |hello, login| [hello, login].concat() },
    Restart { name: "a login in the stream before", written: |_, login| login.to_vec() },
];

/// What follows an XML declaration.
fn undeclared(header: &[u8]) -> &[u8] {
    let declared = header.strip_prefix(b"<?xml").map_or(0, |it| header.len() - it.len());
    let end = header.iter().skip(declared).position(|&byte| byte == b'>').filter(|_| declared > 0);
    end.and_then(|end| header.get(declared + end + 1..)).unwrap_or(header)
}

/// A search that finds nothing: the root DSE, if its class is the request (RFC 4511 section 4.5.1).
fn in_a_filter(request: &[u8]) -> Vec<Vec<u8>> {
    // All lengths take one octet.
    let element = |tag: u8, contents: &[u8]| [&[tag, contents.len() as u8][..], contents].concat();
    let filter = [element(0x04, b"objectClass"), element(0x04, request)].concat();
    let head = b"\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00";
    let search = element(0x63, &[&head[..], &element(0xa3, &filter), b"\x30\x00"].concat());
    vec![element(0x30, &[&b"\x02\x01\x01"[..], &search].concat())]
}

/// RFC 9110 section 9.3.7: OPTIONS may have a body, for which nobody has defined a use.
fn in_a_body(request: &[u8]) -> Vec<Vec<u8>> {
    let host = request.split_inclusive(|&byte| byte == b'\n').find(|line| line.starts_with(b"Host:"));
    let length = format!("Content-Length: {}\r\n\r\n", request.len());
    vec![[b"OPTIONS * HTTP/1.1\r\n", host.unwrap_or_default(), length.as_bytes(), request].concat()]
}

impl ProtocolProfile {
    pub(crate) fn of(protocol: &Protocol) -> &'static Self {
        TABLE.iter().find(|row| row.scheme == protocol.name).unwrap_or(&NOTHING)
    }

    /// Whether this answer to the request, with which the connection ends, refuses it: a server that turns everybody
    /// away has refused nothing.
    pub(crate) fn refuses(&self, answer: &[u8]) -> bool {
        let text = Escaped(answer.get(..100).unwrap_or(answer)).to_string();
        begins(&text, self.refusals) && !begins(&text, self.turned_away)
    }
}

/// The URL of the same service with TLS from the first byte, on this port.
pub(crate) fn tls_url(protocol: &Protocol, host: &str, port: u16) -> Option<String> {
    // The scheme `smtps` belongs to submission (RFC 8314 section 7.3), and administrators use it for both.
    let named = if protocol.name == "smtp" { starttls::proto::protocol("submission") } else { None };
    let scheme = named.unwrap_or(protocol).implicit_tls?.name;
    Some(url(scheme, host, port))
}

/// The URL of the same service with the upgrade, on this port.
pub(crate) fn upgrade_url(protocol: &Protocol, host: &str, port: u16) -> String {
    let is_mail = protocol.name == "submission" && port != protocol.port;
    url(if is_mail { "smtp" } else { protocol.name }, host, port)
}

/// The URL of a service on this port; an address of IPv6 is put in brackets.
pub(crate) fn url(scheme: &str, host: &str, port: u16) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{scheme}://{open}{host}{close}:{port}")
}

/// Beginnings of answers whose third word is their code: the severity comes before it.
pub(crate) const CODE_COMES_THIRD: &[&str] = &["ErrorResponse "];

/// What a server says that sends clients elsewhere, in any protocol (RFC 2221, RFC 5804 section 1.3, RFC 6120
/// section 4.9.3.19, RFC 5321 section 4.2.3, RFC 4511 section 4.1.10, RFC 9110 section 15.4).
const REFERRALS: &[&str] = &["[REFERRAL ", "(REFERRAL ", "<see-other-host", "\\r\\nLocation: "];

/// What a server says for people to read at once (RFC 9051 section 7.1).
const ALERTS: &[&str] = &["[ALERT]", " NOTICE "];

/// Whether this sends clients elsewhere; `text` is escaped, or in words.
pub(crate) fn refers(text: &str) -> bool {
    let ldap = text.contains("ExtendedResponse") && text.contains(": 10");
    // A code counts at the start of a line only: a tag may end with the same digits.
    let smtp = text.starts_with("551 ") || text.contains("\\r\\n551 ");
    ldap || smtp || REFERRALS.iter().any(|it| text.contains(it))
}

/// Whether the server says that it is not the one that was asked for (RFC 6120 section 4.9.3.6).
pub(crate) fn is_somebody_else(text: &str) -> bool {
    text.contains("<host-unknown")
}

/// Whether this is for people to read.
pub(crate) fn alerts(text: &str) -> bool {
    ALERTS.iter().any(|it| text.contains(it))
}

/// Whether this ends the session with an error, which is no answer, however it begins (RFC 6120 section 4.9.2).
pub(crate) fn is_final(text: &str) -> bool {
    text.contains("urn:ietf:params:xml:ns:xmpp-streams")
}

/// Whether an answer begins like one of these, or has in it what stands behind a `*`; a tag or an id in front
/// does not count.
pub(crate) fn begins(answer: &str, beginnings: &[&str]) -> bool {
    let untagged = answer.split_once(' ').map_or("", |(_, rest)| rest);
    beginnings.iter().any(|start| match start.strip_prefix('*') {
        Some(part) => answer.contains(part),
        None => answer.starts_with(start) || untagged.starts_with(start),
    })
}

/// The same for an answer and everything that came with it: a `*` looks into all of it.
pub(crate) fn shows(own: &str, all: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|start| begins(if start.starts_with('*') { all } else { own }, &[start]))
}
