//! Who logs in, and what a reader of the network learns from it. No secret leaves this file: it returns the mechanism
//! and the user, never a response.

use starttls_proto::{ProtocolFamily, base64};

use crate::facts::Exposure;

/// A part of a login that the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoginPart {
    pub(super) mechanism: String,
    pub(super) user: Option<Vec<u8>>,
    pub(super) exposure: Exposure,
    /// Whether it belongs to the login that the last part began: PASS after USER.
    pub(super) continues: bool,
    /// The number of responses of a SASL mechanism that were sent with it.
    pub(super) steps: u32,
}

impl LoginPart {
    pub(super) fn new(mechanism: &str, user: Option<&[u8]>, exposure: Exposure) -> Self {
        let user = user.filter(|user| !user.is_empty()).map(<[u8]>::to_vec);
        Self { mechanism: mechanism.to_owned(), user, exposure, continues: false, steps: 0 }
    }

    fn continuing(self) -> Self {
        Self { continues: true, ..self }
    }
}

/// Reads a message of a client that contains credentials. `auth_request` is the last authentication request of a
/// PostgreSQL server.
pub(super) fn part(family: ProtocolFamily, msg: &[u8], auth_request: Option<u32>) -> LoginPart {
    match family {
        ProtocolFamily::Ldap => ldap(msg),
        ProtocolFamily::Postgres => postgres(msg, auth_request),
        ProtocolFamily::Mysql => mysql(msg),
        ProtocolFamily::Mysqlx => mysqlx(msg),
        ProtocolFamily::Xmpp => xmpp(msg),
        ProtocolFamily::Http => http(msg),
        ProtocolFamily::Nats => Some(nats(msg)),
        _ => line(family, msg),
    }
    .unwrap_or_else(|| LoginPart::new("unknown", None, Exposure::Readable))
}

/// Reads a response to a challenge: the user that it names, and what it exposes. `step` is its number, from 1.
pub(super) fn response(
    family: ProtocolFamily,
    mechanism: &str,
    step: u32,
    msg: &[u8],
) -> (Option<Vec<u8>>, Exposure) {
    let line = msg.trim_ascii();
    let decoded = match family {
        ProtocolFamily::Xmpp => element_text(msg).and_then(base64::decode),
        ProtocolFamily::Irc => line.split(|octet| *octet == b' ').next_back().and_then(base64::decode),
        ProtocolFamily::Sieve => base64::decode(unquoted(line)),
        _ => base64::decode(line),
    };
    if line == b"*" {
        return (None, Exposure::Attempted);
    }
    let user = decoded.and_then(|response| sasl_user(mechanism, step, &response));
    (user, exposure(mechanism, step))
}

/// Returns what the response with this number exposes.
pub(super) fn exposure(mechanism: &str, step: u32) -> Exposure {
    let upper = mechanism.to_ascii_uppercase();
    match (upper.as_str(), step) {
        (_, 0) => Exposure::Attempted,
        ("ANONYMOUS" | "EXTERNAL" | "GSSAPI" | "GS2-KRB5", _) => Exposure::Identity,
        // The first response of these names the user.
        ("LOGIN", 1) => Exposure::Identity,
        (name, 1) if name.starts_with("SCRAM-") => Exposure::Identity,
        (name, _) if name.starts_with("SCRAM-") => Exposure::Guessable,
        (
            "CRAM-MD5" | "DIGEST-MD5" | "NTLM" | "GSS-SPNEGO" | "SRP" | "PASSDSS-3DES-1" | "MYSQL41"
            | "SHA256_MEMORY",
            _,
        ) => Exposure::Guessable,
        // PLAIN, LOGIN, XOAUTH2, OAUTHBEARER, and what is not known.
        _ => Exposure::Readable,
    }
}

/// Returns the user that a decoded response names. Only the field of the user is taken.
fn sasl_user(mechanism: &str, step: u32, response: &[u8]) -> Option<Vec<u8>> {
    let field = |start: &[u8], separator: u8| {
        let mut fields = response.split(|octet| *octet == separator);
        fields.find_map(|field| field.strip_prefix(start)).map(<[u8]>::to_vec)
    };
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            response.split(|octet| *octet == 0).nth(1).filter(|_| response.contains(&0)).map(<[u8]>::to_vec)
        }
        "LOGIN" if step == 1 => Some(response.to_vec()),
        "EXTERNAL" => Some(response.to_vec()),
        "XOAUTH2" => field(b"user=", 1),
        "OAUTHBEARER" => field(b"a=", b','),
        "CRAM-MD5" => {
            let end = response.iter().rposition(|octet| *octet == b' ')?;
            Some(response[..end].to_vec())
        }
        "DIGEST-MD5" => field(b"username=", b',').map(|user| unquoted(&user).to_vec()),
        name if name.starts_with("SCRAM-") && step == 1 => field(b"n=", b','),
        _ => None,
    }
    .filter(|user| !user.is_empty())
}

fn sasl(mechanism: &[u8], initial: Option<Vec<u8>>) -> LoginPart {
    let name = String::from_utf8_lossy(mechanism.get(..32).unwrap_or(mechanism)).to_ascii_uppercase();
    let steps = u32::from(initial.is_some());
    let user = initial.and_then(|initial| sasl_user(&name, 1, &initial));
    LoginPart { steps, ..LoginPart::new(&name, user.as_deref(), exposure(&name, steps)) }
}

/// Returns the initial response of a command. `=` is the empty response.
fn initial(word: Option<&[u8]>) -> Option<Vec<u8>> {
    match word? {
        b"=" => Some(Vec::new()),
        // What cannot be decoded was sent all the same.
        word => Some(base64::decode(word).unwrap_or_default()),
    }
}

fn unquoted(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\"")).unwrap_or(word)
}

/// Reads a command of a protocol of lines.
fn line(family: ProtocolFamily, msg: &[u8]) -> Option<LoginPart> {
    let first = msg.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii();
    let mut words: Vec<&[u8]> = first.split(|octet| *octet == b' ').filter(|word| !word.is_empty()).collect();
    if family == ProtocolFamily::Imap || (family == ProtocolFamily::Irc && first.starts_with(b":")) {
        // The tag, or the prefix.
        words.drain(..1.min(words.len()));
    }
    let verb = words.first()?.to_ascii_uppercase();
    let argument = |at: usize| words.get(at).copied();
    let rest = |at: usize| words.get(at..).map(|words| words.join(&b' ')).filter(|rest| !rest.is_empty());
    let user = |at| LoginPart::new("USER", rest(at).as_deref(), Exposure::Identity);
    let pass = || LoginPart::new("PASS", None, Exposure::Readable).continuing();
    Some(match (family, verb.as_slice()) {
        (ProtocolFamily::Imap, b"LOGIN") => {
            LoginPart::new("LOGIN", argument(1).map(imap_user), Exposure::Readable)
        }
        (ProtocolFamily::Sieve, b"AUTHENTICATE") => {
            sasl(unquoted(argument(1)?), initial(argument(2).map(unquoted)))
        }
        (ProtocolFamily::Nntp, b"AUTHINFO") => match argument(1)?.to_ascii_uppercase().as_slice() {
            b"USER" => user(2),
            b"PASS" => pass(),
            _ => sasl(argument(2)?, initial(argument(3))),
        },
        (ProtocolFamily::Irc, b"AUTHENTICATE") => sasl(argument(1)?, None),
        (ProtocolFamily::Irc, b"OPER") => LoginPart::new("OPER", argument(1), Exposure::Readable),
        (ProtocolFamily::Irc, b"PASS") => LoginPart::new("PASS", None, Exposure::Readable),
        (ProtocolFamily::Irc, _) => LoginPart::new("NickServ", None, Exposure::Readable),
        (_, b"AUTH" | b"AUTHENTICATE") => sasl(argument(1)?, initial(argument(2))),
        (_, b"APOP") => LoginPart::new("APOP", argument(1), Exposure::Guessable),
        (ProtocolFamily::Nut, b"USERNAME") => user(1),
        (ProtocolFamily::Nut, b"PASSWORD") => pass(),
        (_, b"USER") => user(1),
        (_, b"PASS") => pass(),
        (_, b"ACCT") => LoginPart::new("ACCT", None, Exposure::Readable).continuing(),
        (_, b"ADAT") => LoginPart::new("ADAT", None, Exposure::Guessable).continuing(),
        _ => return None,
    })
}

/// Reads the CONNECT of NATS, whose argument is a JSON object.
fn nats(msg: &[u8]) -> LoginPart {
    let member = |name: &str| {
        let name = format!("\"{name}\":").into_bytes();
        let start = msg.windows(name.len()).position(|it| it == name)? + name.len();
        let value = msg.get(start..)?.trim_ascii_start().strip_prefix(b"\"")?;
        value.split(|octet| *octet == b'"').next().filter(|value| !value.is_empty())
    };
    let exposure = match () {
        () if member("pass").is_some() || member("auth_token").is_some() => Exposure::Readable,
        // A signature of the server's nonce.
        () if member("sig").is_some() => Exposure::Identity,
        () => Exposure::Attempted,
    };
    LoginPart::new("CONNECT", member("user"), exposure)
}

/// Returns the name in NICK, the command of IRC.
pub(super) fn nick(msg: &[u8]) -> Option<&[u8]> {
    let mut words = msg.split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let is_nick = words.next()?.eq_ignore_ascii_case(b"NICK");
    words.next().filter(|_| is_nick)
}

/// Returns the user of an IMAP LOGIN. A literal or a quoted string with a space in it names none here, because what
/// follows could be a part of the password.
fn imap_user(word: &[u8]) -> &[u8] {
    let quoted = word.strip_prefix(b"\"");
    match quoted {
        Some(rest) => rest.strip_suffix(b"\"").filter(|user| !user.contains(&b'"')).unwrap_or_default(),
        None if word.contains(&b'"') || word.starts_with(b"{") => b"",
        None => word,
    }
}

/// Reads an LDAP bind (RFC 4511 section 4.2).
fn ldap(msg: &[u8]) -> Option<LoginPart> {
    let (_, message, _) = element(msg)?;
    let (_, _, rest) = element(message)?;
    let (kind, operation, _) = element(rest)?;
    if kind != 0x60 {
        // The password modify operation.
        return Some(LoginPart::new("password modify", None, Exposure::Readable));
    }
    let (_, _version, rest) = element(operation)?;
    let (_, name, rest) = element(rest)?;
    let (choice, credentials, _) = element(rest)?;
    if choice != 0xa3 {
        return Some(LoginPart::new("simple bind", Some(name), Exposure::Readable));
    }
    let (_, mechanism, rest) = element(credentials)?;
    let response = element(rest).map(|(_, response, _)| response.to_vec());
    let part = sasl(mechanism, response);
    let user = part.user.or_else(|| Some(name.to_vec()).filter(|name| !name.is_empty()));
    Some(LoginPart { user, ..part })
}

/// Splits off a BER element: its tag, its contents, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |len, octet| len << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((tag, contents, rest))
}

/// Reads a startup packet or a password message of PostgreSQL.
fn postgres(msg: &[u8], auth_request: Option<u32>) -> Option<LoginPart> {
    if let Some(body) = msg.strip_prefix(b"p").and_then(|rest| rest.get(4..)) {
        return Some(
            match auth_request {
                Some(3) => LoginPart::new("password", None, Exposure::Readable),
                Some(5) => LoginPart::new("md5", None, Exposure::Guessable),
                Some(7..=9) => LoginPart::new("GSSAPI", None, Exposure::Identity),
                Some(10) => {
                    let name = body.split(|octet| *octet == 0).next().unwrap_or_default();
                    LoginPart { user: None, ..sasl(name, Some(Vec::new())) }
                }
                Some(11 | 12) => LoginPart::new("", None, Exposure::Guessable),
                _ => LoginPart::new("password", None, Exposure::Readable),
            }
            .continuing(),
        );
    }
    let mut fields = msg.get(8..)?.split(|octet| *octet == 0);
    let mut user = None;
    while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
        if key == b"user" {
            user = Some(value);
        }
    }
    Some(LoginPart::new("startup packet", user, Exposure::Identity))
}

/// Reads the login of MySQL ("Protocol::HandshakeResponse41").
fn mysql(msg: &[u8]) -> Option<LoginPart> {
    const CONNECT_WITH_DB: u32 = 0x8;
    const PLUGIN_AUTH: u32 = 0x0008_0000;
    let guessable = |name: &str| LoginPart::new(name, None, Exposure::Guessable);
    let payload = msg.get(4..)?;
    if msg.get(3) != Some(&1) && payload.first() != Some(&0x11) {
        // A later packet of the exchange.
        return Some(guessable("").continuing());
    }
    if payload.first() == Some(&0x11) && msg.get(3) == Some(&0) {
        return Some(guessable("change user"));
    }
    let flags = u32::from_le_bytes(*payload.first_chunk()?);
    let rest = payload.get(32..)?;
    let end = rest.iter().position(|octet| *octet == 0)?;
    let (user, rest) = (&rest[..end], &rest[end + 1..]);
    let len = usize::from(*rest.first()?);
    let mut rest = rest.get(1 + len..).unwrap_or_default();
    if flags & CONNECT_WITH_DB != 0 {
        let end = rest.iter().position(|octet| *octet == 0).map_or(rest.len(), |end| end + 1);
        rest = &rest[end..];
    }
    let plugin = rest.split(|octet| *octet == 0).next().filter(|_| flags & PLUGIN_AUTH != 0);
    let known = ["mysql_native_password", "caching_sha2_password", "sha256_password", "client_ed25519"];
    let plugin = plugin.and_then(|plugin| str::from_utf8(plugin).ok());
    Some(match plugin {
        Some("mysql_clear_password" | "dialog") => {
            LoginPart::new("mysql_clear_password", Some(user), Exposure::Readable)
        }
        Some(name) if known.contains(&name) => LoginPart::new(name, Some(user), Exposure::Guessable),
        _ => LoginPart::new("mysql_native_password", Some(user), Exposure::Guessable),
    })
}

/// Reads AuthenticateStart (type 4) or AuthenticateContinue (type 5) of MySQL's X Protocol. Their first fields are strings of
/// at most 127 octets in all known mechanisms.
fn mysqlx(msg: &[u8]) -> Option<LoginPart> {
    let (&kind, body) = msg.get(4..)?.split_first()?;
    let field = |bytes: &[u8], key: u8| match bytes {
        [found, len @ 0..=0x7f, rest @ ..] if *found == key => {
            rest.split_at_checked(usize::from(*len)).map(|(value, rest)| (value.to_vec(), rest.to_vec()))
        }
        _ => None,
    };
    let (first, rest) = field(body, 0x0a)?;
    Some(match kind {
        4 => sasl(&first, field(&rest, 0x12).map(|(data, _)| data)),
        // The schema, the user and the hash of the password.
        _ => {
            let user = first.split(|octet| *octet == 0).nth(1);
            LoginPart::new("", user, Exposure::Guessable).continuing()
        }
    })
}

/// Reads the start of a login of XMPP: SASL, SASL2, jabber:iq:auth, dialback.
fn xmpp(msg: &[u8]) -> Option<LoginPart> {
    let text = String::from_utf8_lossy(msg);
    let attribute = |name: &str| {
        let (_, rest) = text.split_once(&format!(" {name}="))?;
        let quote = rest.chars().next().filter(|quote| "'\"".contains(*quote))?;
        rest[1..].split(quote).next()
    };
    if let Some(mechanism) = attribute("mechanism") {
        let response = element_text(msg).filter(|text| !text.trim_ascii().is_empty());
        return Some(sasl(mechanism.as_bytes(), initial(response)));
    }
    if text.contains("jabber:iq:auth") || text.contains("jabber:iq:register") {
        let inner = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split('<').next()
        };
        let exposure = match (inner("password"), inner("digest")) {
            (Some(_), _) => Exposure::Readable,
            (None, Some(_)) => Exposure::Guessable,
            (None, None) => Exposure::Identity,
        };
        return Some(LoginPart::new("jabber:iq:auth", inner("username").map(str::as_bytes), exposure));
    }
    if text.contains("jabber:server:dialback") || text.starts_with("<db:") {
        return Some(LoginPart::new("dialback", attribute("from").map(str::as_bytes), Exposure::Identity));
    }
    Some(LoginPart::new("", None, Exposure::Readable).continuing())
}

/// Returns the text of an element without children.
fn element_text(msg: &[u8]) -> Option<&[u8]> {
    let start = msg.iter().position(|octet| *octet == b'>')? + 1;
    let rest = msg.get(start..)?;
    let end = rest.iter().position(|octet| *octet == b'<')?;
    rest.get(..end)
}

/// Reads the fields of an HTTP request that log in.
fn http(msg: &[u8]) -> Option<LoginPart> {
    let fields = msg.split(|octet| *octet == b'\n').filter_map(|line| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        Some((line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii()))
    });
    for (name, value) in fields {
        if name != b"authorization" && name != b"proxy-authorization" {
            continue;
        }
        let mut words = value.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        let scheme = words.next()?.to_ascii_lowercase();
        return Some(match scheme.as_slice() {
            b"basic" => {
                let pair = words.next().and_then(base64::decode).unwrap_or_default();
                let user = pair.contains(&b':').then(|| pair.split(|octet| *octet == b':').next()).flatten();
                LoginPart::new("Basic", user, Exposure::Readable)
            }
            b"digest" => LoginPart::new("Digest", None, Exposure::Guessable),
            b"negotiate" | b"ntlm" => LoginPart::new("Negotiate", None, Exposure::Guessable),
            _ => LoginPart::new("Authorization", None, Exposure::Readable),
        });
    }
    Some(LoginPart::new("Cookie", None, Exposure::Readable))
}

/// Returns whether a server's message asks the client to continue its login.
pub(super) fn is_challenge(family: ProtocolFamily, msg: &[u8]) -> bool {
    match family {
        ProtocolFamily::Smtp => msg.starts_with(b"334"),
        ProtocolFamily::Imap | ProtocolFamily::Pop3 => matches!(msg, [b'+', b' ' | b'\r', ..]),
        ProtocolFamily::Nntp => msg.starts_with(b"383"),
        ProtocolFamily::Ftp => msg.starts_with(b"334") || msg.starts_with(b"335"),
        ProtocolFamily::Sieve => matches!(msg, [b'"' | b'{', ..]),
        ProtocolFamily::Irc => msg.windows(12).any(|word| word == b"AUTHENTICATE"),
        ProtocolFamily::Xmpp => msg.starts_with(b"<challenge"),
        // The parts of these logins are credentials of their own.
        _ => false,
    }
}

/// Returns whether a server's message accepts or refuses the login that the client has completed.
pub(super) fn verdict(family: ProtocolFamily, msg: &[u8]) -> Option<bool> {
    let has = |word: &[u8]| msg.windows(word.len()).any(|it| it == word);
    match family {
        ProtocolFamily::Smtp | ProtocolFamily::Ftp | ProtocolFamily::Nntp => match msg.first() {
            Some(b'2') => Some(true),
            Some(b'4' | b'5') => Some(false),
            _ => None,
        },
        ProtocolFamily::Imap => {
            let word = msg.split(|octet| *octet == b' ').nth(1)?;
            match word.to_ascii_uppercase().as_slice() {
                b"OK" => Some(true),
                b"NO" | b"BAD" => Some(false),
                _ => None,
            }
        }
        ProtocolFamily::Pop3 => Some(msg.starts_with(b"+OK")),
        ProtocolFamily::Sieve | ProtocolFamily::Nut => Some(msg.starts_with(b"OK")),
        ProtocolFamily::Nats if msg.starts_with(b"+OK") || msg.starts_with(b"PONG") => Some(true),
        ProtocolFamily::Nats if msg.starts_with(b"-ERR") => Some(false),
        ProtocolFamily::Xmpp if msg.starts_with(b"<success") => Some(true),
        ProtocolFamily::Xmpp if msg.starts_with(b"<failure") => Some(false),
        ProtocolFamily::Irc if has(b" 903 ") || has(b" 900 ") || has(b" 001 ") => Some(true),
        ProtocolFamily::Irc if has(b" 904 ") || has(b" 464 ") => Some(false),
        ProtocolFamily::Postgres => match *msg {
            [b'R', _, _, _, _, 0, 0, 0, 0, ..] => Some(true),
            [b'E', ..] => Some(false),
            _ => None,
        },
        ProtocolFamily::Mysql => match msg.get(4) {
            Some(0) => Some(true),
            Some(0xff) => Some(false),
            _ => None,
        },
        ProtocolFamily::Ldap => {
            let (_, message, _) = element(msg)?;
            let (_, _, rest) = element(message)?;
            let (kind, operation, _) = element(rest)?;
            let (_, code, _) = element(operation).filter(|_| kind == 0x61)?;
            match *code {
                [0] => Some(true),
                // saslBindInProgress.
                [14] => None,
                _ => Some(false),
            }
        }
        _ => None,
    }
}
