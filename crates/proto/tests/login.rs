//! Logins of every protocol, with recorded conversations that are cut into pieces, and with noise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use starttls_proto::{
    ChannelBinding, Denial, DialectContext, Identity, LoginClient, LoginGranted, LoginStep, OutputBuffer,
    Protocol, ReplyTo, Scan, Side, UserName, each_protocol, protocol,
};

/// A message of a conversation, with the side that sends it.
enum TranscriptEntry {
    Server(&'static [u8]),
    Client(&'static [u8]),
}
use TranscriptEntry::{Client as C, Server as S};

struct Conversation {
    protocol: &'static str,
    /// The name of the mechanism, and its initial response.
    mechanism: (&'static str, Option<&'static [u8]>),
    /// The challenges, and their responses.
    challenges: &'static [(&'static [u8], &'static [u8])],
    said: &'static [TranscriptEntry],
    ends: End,
}

#[derive(Clone, Copy)]
enum End {
    LoginGranted(Option<&'static [u8]>, Option<&'static str>),
    LoginRefused(Denial),
}
use End::{LoginGranted as G, LoginRefused as R};

const IN: End = G(None, None);
const PLAIN: (&str, Option<&[u8]>) = ("PLAIN", Some(b"\0u\0p"));
const USER: (&str, Option<&[u8]>) = ("USER", Some(b"\0u\0p"));
/// One challenge and its response, `c` and `r`.
const ONE: &[(&[u8], &[u8])] = &[(b"c", b"r")];
const PASSWORD: &[(&[u8], &[u8])] = &[(b"", b"p")];
const STREAM: &[u8] =
    b"<?xml version='1.0'?><stream:stream to='mail.example.com' version='1.0' xml:lang='en' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// The start of CONNECT in NATS.
macro_rules! connect {
    () => {
        concat!(
            "CONNECT {\"pedantic\":false,\"tls_required\":true,\"lang\":\"rust\",\"version\":\"",
            env!("CARGO_PKG_VERSION"),
            "\",\"protocol\":1,\"headers\":true,\"verbose\":false"
        )
    };
}

#[rustfmt::skip] // A turn a line.
const CONVERSATIONS: &[Conversation] = &[
    Conversation { protocol: "smtp", mechanism: PLAIN, challenges: &[], ends: IN, said: &[
        C(b"EHLO [127.0.0.1]\r\n"), S(b"250-AUTH BAD\r\n250-AUTH=PLAIN\r\n250 auth plain X\r\n"),
        C(b"AUTH PLAIN AHUAcA==\r\n"), S(b"235-in\r\n235 now\r\n") ] },
    Conversation { protocol: "lmtp", mechanism: ("M", None), challenges: ONE, ends: R(Denial::Credentials), said: &[
        C(b"LHLO [127.0.0.1]\r\n"), S(b"250-hi\r\n250 AUTH M\r\n"),
        C(b"AUTH M\r\n"), S(b"334 Yw==\r\n"), C(b"cg==\r\n"), S(b"535 no\r\n") ] },
    Conversation { protocol: "imap", mechanism: PLAIN, challenges: &[], ends: IN, said: &[
        C(b"a1 CAPABILITY\r\n"), S(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\na1 OK\r\n"),
        C(b"a2 AUTHENTICATE PLAIN AHUAcA==\r\n"), S(b"* OK wait\r\na2 OK [CAPABILITY X] in\r\n") ] },
    Conversation { protocol: "imap", mechanism: USER, challenges: &[], ends: R(Denial::Credentials), said: &[
        C(b"a1 CAPABILITY\r\n"), S(b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n"),
        C(b"a2 LOGIN \"u\" \"p\"\r\n"), S(b"a2 NO [AUTHENTICATIONFAILED] no\r\n") ] },
    Conversation { protocol: "imap", mechanism: PLAIN, challenges: &[], ends: R(Denial::Temporary), said: &[
        C(b"a1 CAPABILITY\r\n"), S(b"a1 OK [CAPABILITY AUTH=PLAIN]\r\n"),
        C(b"a2 AUTHENTICATE PLAIN\r\n"), S(b"+\r\n"), C(b"AHUAcA==\r\n"), S(b"a2 NO [UNAVAILABLE]\r\n") ] },
    Conversation { protocol: "pop3", mechanism: USER, challenges: PASSWORD, ends: IN, said: &[
        C(b"CAPA\r\n"), S(b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
        C(b"USER u\r\n"), S(b"+OK\r\n"), C(b"PASS p\r\n"), S(b"+OK\r\n") ] },
    Conversation { protocol: "pop3", mechanism: ("M", Some(b"")), challenges: ONE, ends: R(Denial::Temporary), said: &[
        C(b"CAPA\r\n"), S(b"+OK\r\nSASL M\r\n.\r\n"),
        C(b"AUTH M =\r\n"), S(b"+ Yw==\r\n"), C(b"cg==\r\n"), S(b"-ERR [SYS/TEMP] later\r\n") ] },
    Conversation { protocol: "sieve", mechanism: ("M", Some(b"i")), challenges: ONE, ends: G(Some(b"v"), None), said: &[
        S(b"\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"M\"\r\nOK\r\n"),
        C(b"AUTHENTICATE \"M\" \"aQ==\"\r\n"), S(b"{4}\r\nYw==\r\n"), C(b"\"cg==\"\r\n"), S(b"OK (SASL \"dg==\") \"in\"\r\n") ] },
    Conversation { protocol: "nntp", mechanism: USER, challenges: PASSWORD, ends: IN, said: &[
        C(b"CAPABILITIES\r\n"), S(b"101 hi\r\nVERSION 2\r\nAUTHINFO USER SASL\r\n.\r\n"),
        C(b"AUTHINFO USER u\r\n"), S(b"381 more\r\n"), C(b"AUTHINFO PASS p\r\n"), S(b"281 in\r\n") ] },
    Conversation { protocol: "nntp", mechanism: ("M", Some(b"i")), challenges: &[(b"", b"")], ends: G(Some(b"v"), None), said: &[
        C(b"CAPABILITIES\r\n"), S(b"101 hi\r\nVERSION 2\r\nSASL M\r\n.\r\n"),
        C(b"AUTHINFO SASL M aQ==\r\n"), S(b"383 =\r\n"), C(b"=\r\n"), S(b"283 dg==\r\n") ] },
    Conversation { protocol: "ftp", mechanism: USER, challenges: PASSWORD, ends: R(Denial::Credentials), said: &[
        C(b"USER u\r\n"), S(b"331-and\r\nmore\r\n331 so\r\n"), C(b"PASS p\r\n"), S(b"530 no\r\n") ] },
    Conversation { protocol: "nut", mechanism: USER, challenges: PASSWORD, ends: IN, said: &[
        C(b"USERNAME u\n"), S(b"OK\n"), C(b"PASSWORD p\n"), S(b"OK\n") ] },
    Conversation { protocol: "irc", mechanism: PLAIN, challenges: &[], ends: G(None, Some("acc")), said: &[
        C(b"CAP LS 302\r\n"), S(b":s NOTICE * :x\r\n:s CAP * LS * :sasl=PLAIN,M\r\n:s CAP * LS :tls\r\n"),
        C(b"CAP REQ :sasl\r\nAUTHENTICATE PLAIN\r\n"), S(b":s CAP * ACK :sasl\r\nAUTHENTICATE +\r\n"),
        C(b"AUTHENTICATE AHUAcA==\r\n"), S(b":s 900 * *!*@* acc :in\r\n:s 903 * :ok\r\n") ] },
    Conversation { protocol: "irc", mechanism: ("PASSWORD", Some(b"p")), challenges: &[], ends: R(Denial::Credentials), said: &[
        C(b"CAP LS 302\r\n"), S(b":s 421 * CAP :what\r\n"),
        C(b"PASS :p\r\nNICK u\r\nUSER u 0 * :u\r\nCAP END\r\n"), S(b":s 464 * :no\r\n") ] },
    Conversation { protocol: "ldap", mechanism: ("SIMPLE", Some(b"\0u\0p")), challenges: &[], ends: G(None, Some("u:x")), said: &[
        C(b"\x30\x3e\x02\x01\x01\x63\x39\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x19\x04\x17supportedSASLMechanisms"),
        S(b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),
        C(b"\x30\x0e\x02\x01\x02\x60\x09\x02\x01\x03\x04\x01u\x80\x01p"),
        S(b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
        C(b"\x30\x1e\x02\x01\x03\x77\x19\x80\x171.3.6.1.4.1.4203.1.11.3"),
        S(b"\x30\x11\x02\x01\x03\x78\x0c\x0a\x01\x00\x04\x00\x04\x00\x8b\x03u:x") ] },
    Conversation { protocol: "ldap", mechanism: ("M", Some(b"i")), challenges: ONE, ends: R(Denial::Credentials), said: &[
        C(b"\x30\x3e\x02\x01\x01\x63\x39\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x19\x04\x17supportedSASLMechanisms"),
        S(b"\x30\x29\x02\x01\x01\x64\x24\x04\x00\x30\x20\x30\x1e\x04\x17supportedSASLMechanisms\x31\x03\x04\x01M\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),
        C(b"\x30\x12\x02\x01\x02\x60\x0d\x02\x01\x03\x04\x00\xa3\x06\x04\x01M\x04\x01i"),
        S(b"\x30\x0f\x02\x01\x02\x61\x0a\x0a\x01\x0e\x04\x00\x04\x00\x87\x01c"),
        C(b"\x30\x12\x02\x01\x03\x60\x0d\x02\x01\x03\x04\x00\xa3\x06\x04\x01M\x04\x01r"),
        S(b"\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x31\x04\x00\x04\x00") ] },
    Conversation { protocol: "postgres", mechanism: ("M", Some(b"i")), challenges: ONE, ends: G(Some(b"v"), Some("u")), said: &[
        C(b"\0\0\0\x22\0\x03\0\0user\0u\0database\0postgres\0\0"), S(b"R\0\0\0\x0b\0\0\0\x0aM\0\0"),
        C(b"p\0\0\0\x0bM\0\0\0\0\x01i"), S(b"R\0\0\0\x09\0\0\0\x0bc"), C(b"p\0\0\0\x05r"),
        S(b"R\0\0\0\x09\0\0\0\x0cvR\0\0\0\x08\0\0\0\0S\0\0\0\x1csession_authorization\0u\0Z\0\0\0\x05I") ] },
    Conversation { protocol: "postgres", mechanism: ("MD5", Some(b"md5x")), challenges: &[], ends: R(Denial::Credentials), said: &[
        C(b"\0\0\0\x22\0\x03\0\0user\0u\0database\0postgres\0\0"), S(b"R\0\0\0\x0c\0\0\0\x05salt"),
        C(b"p\0\0\0\x09md5x\0"), S(b"E\0\0\0\x0cC28P01\0\0") ] },
    Conversation { protocol: "mysql", mechanism: ("CACHING_SHA2_PASSWORD", Some(b"x")), challenges: &[(b"\x04", b"p\0")], ends: IN, said: &[
        C(b"\x31\0\0\x02\0\x8a\x08\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0u\0\0starttls_asks\0"),
        S(b"\x1c\0\0\x03\xfecaching_sha2_password\0salt\0"), C(b"\x01\0\0\x04x"), S(b"\x02\0\0\x05\x01\x04"),
        C(b"\x02\0\0\x06p\0"), S(b"\x07\0\0\x07\0\0\0\x02\0\0\0") ] },
    Conversation { protocol: "mysql", mechanism: ("MYSQL_NATIVE_PASSWORD", Some(b"x")), challenges: &[], ends: R(Denial::Credentials), said: &[
        C(b"\x31\0\0\x02\0\x8a\x08\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0u\0\0starttls_asks\0"),
        S(b"\x1c\0\0\x03\xfemysql_native_password\0salt\0"), C(b"\x01\0\0\x04x"), S(b"\x0a\0\0\x05\xff\x15\x04#28000n") ] },
    Conversation { protocol: "mysqlx", mechanism: PLAIN, challenges: &[], ends: IN, said: &[
        C(b"\x01\0\0\0\x01"),
        S(b"5\0\0\0\x02\x0a2\x0a\x19authentication.mechanisms\x12\x15\x08\x03\x22\x11\x0a\x0f\x08\x01\x12\x0b\x08\x08J\x07\x0a\x05PLAIN"),
        C(b"\x0e\0\0\0\x04\x0a\x05PLAIN\x12\x04\0u\0p"),
        S(b"\x05\0\0\0\x0b\x08\x05\x1a\0\x01\0\0\0\x04") ] },
    Conversation { protocol: "mysqlx", mechanism: ("M", None), challenges: ONE, ends: IN, said: &[
        C(b"\x01\0\0\0\x01"),
        S(b"B\0\0\0\x02\x0a?\x0a\x19authentication.mechanisms\x12\x22\x08\x03\x22\x1e\x0a\x0b\x08\x01\x12\x07\x08\x08J\x03\x0a\x01M\x0a\x0f\x08\x01\x12\x0b\x08\x08J\x07\x0a\x05PLAIN"),
        C(b"\x04\0\0\0\x04\x0a\x01M"),
        S(b"\x04\0\0\0\x03\x0a\x01c"),
        C(b"\x04\0\0\0\x05\x0a\x01r"),
        S(b"\x01\0\0\0\x04") ] },
    Conversation { protocol: "mysqlx", mechanism: PLAIN, challenges: &[], ends: R(Denial::Credentials), said: &[
        C(b"\x01\0\0\0\x01"),
        S(b"5\0\0\0\x02\x0a2\x0a\x19authentication.mechanisms\x12\x15\x08\x03\x22\x11\x0a\x0f\x08\x01\x12\x0b\x08\x08J\x07\x0a\x05PLAIN"),
        C(b"\x0e\0\0\0\x04\x0a\x05PLAIN\x12\x04\0u\0p"),
        S(b"\x10\0\0\0\x01\x08\0\x10\x95\x08\x1a\x01n\x22\x05HY000") ] },
    Conversation { protocol: "nats", mechanism: ("SIMPLE", Some(b"\0u\0p")), challenges: &[], ends: IN, said: &[
        C(concat!(connect!(), ",\"user\":\"u\",\"pass\":\"p\"}\r\nPING\r\n").as_bytes()),
        S(b"INFO {\"connect_urls\":[]} \r\nPING\r\nPONG\r\n") ] },
    Conversation { protocol: "nats", mechanism: ("TOKEN", Some(b"p")), challenges: &[], ends: R(Denial::Credentials), said: &[
        C(concat!(connect!(), ",\"auth_token\":\"p\"}\r\nPING\r\n").as_bytes()),
        S(b"-ERR 'Authorization Violation'\r\n") ] },
    Conversation { protocol: "xmpp", mechanism: ("M", Some(b"")), challenges: ONE, ends: G(Some(b"v"), None), said: &[
        C(STREAM), S(b"<stream:stream from='mail.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
            <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>M</mechanism></mechanisms></stream:features>"),
        C(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='M'>=</auth>"),
        S(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yw==</challenge>"),
        C(b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cg==</response>"),
        S(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dg==</success>") ] },
    Conversation { protocol: "xmpp", mechanism: PLAIN, challenges: &[], ends: R(Denial::Mechanism), said: &[
        C(STREAM), S(b"<stream:stream version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
            <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"),
        C(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHUAcA==</auth>"),
        S(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism-too-weak/></failure>") ] },
];

fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(0)
}

fn user() -> UserName {
    "u".parse().unwrap()
}

/// Runs a conversation with the server's messages in pieces of this size. Returns its outcome.
fn run(it: &Conversation, piece: usize) -> (End, Vec<u8>) {
    let mut script = OutputBuffer::default();
    let mut login =
        LoginClient::new(protocol(it.protocol).unwrap(), identity(), &user(), false, &mut script).unwrap();
    let (mut challenges, mut said) = (it.challenges.iter(), it.said.iter().peekable());
    let mut input = Vec::new();
    loop {
        let mut step = login.receive(&input, &mut script).unwrap();
        input.clear();
        step = match step {
            LoginStep::Choose(choice) => {
                let (name, initial) = it.mechanism;
                let known = choice.offered.iter().any(|offered| offered.name == name);
                assert!(known, "{}: no {name} in {:?}", it.protocol, choice.offered);
                assert_eq!(choice.binding() == ChannelBinding::ServerEndPoint, it.protocol == "postgres");
                login = choice.begin(name, initial, &mut script).unwrap();
                continue;
            }
            LoginStep::Challenge(challenge) => {
                let (told, answer) = challenges.next().unwrap();
                assert_eq!(&challenge.data, told, "{}", it.protocol);
                login = challenge.respond(answer, &mut script).unwrap();
                continue;
            }
            step => step,
        };
        match step {
            LoginStep::Continue(machine) => login = machine,
            LoginStep::Granted(granted) => {
                assert!(said.next().is_none(), "{}: it ended early", it.protocol);
                let LoginGranted { data, user, unread, .. } = granted;
                assert!(unread.is_empty());
                let data: Option<&'static [u8]> = data.map(|data| &*data.leak());
                let user: Option<&'static str> = user.map(|user| &*user.leak());
                return (G(data, user), shown(&mut script));
            }
            LoginStep::Refused(refused) => {
                assert!(said.next().is_none(), "{}: it ended early", it.protocol);
                return (R(refused.denial), shown(&mut script));
            }
            _ => panic!("{}: asked again", it.protocol),
        }
        let mut sent = script.take_bytes();
        while let Some(C(expected)) = said.peek() {
            assert!(
                sent.starts_with(expected),
                "{}: {:?} instead of {:?}",
                it.protocol,
                text(&sent),
                text(expected)
            );
            sent.drain(..expected.len());
            said.next();
        }
        assert!(sent.is_empty(), "{}: {:?} besides", it.protocol, text(&sent));
        let Some(S(bytes)) = said.next() else { panic!("{}: it waits", it.protocol) };
        // This passes all pieces except the last, which the outer loop passes.
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        let (last, before) = pieces.split_last().unwrap();
        for piece in before {
            login = match login.receive(piece, &mut script).unwrap() {
                LoginStep::Continue(login) => login,
                // A client must not take a list for complete before its last line.
                LoginStep::Choose(_) | LoginStep::Challenge(_) => panic!("{}: too soon", it.protocol),
                other => panic!("{}: {other:?}", it.protocol),
            };
        }
        input.extend_from_slice(last);
    }
}

fn shown(script: &mut OutputBuffer) -> Vec<u8> {
    script.take_entries().into_iter().flat_map(|said| said.text).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_conversation_at_every_cut() {
    for it in CONVERSATIONS {
        for piece in [1, 2, 3, 7, 1000] {
            let (end, shown) = run(it, piece);
            match (end, it.ends) {
                (G(data, user), G(wanted, name)) => {
                    assert_eq!((data, user), (wanted, name), "{}", it.protocol)
                }
                (R(why), R(wanted)) => assert_eq!(why, wanted, "{}", it.protocol),
                _ => panic!("{} ends otherwise", it.protocol),
            }
            for secret in ["AHUAcA==", "PASS p", "PASSWORD p", "PASS :p", "cg==", "md5x", "\"p\""] {
                assert!(
                    !text(&shown).contains(secret),
                    "{}: {secret} is told in {:?}",
                    it.protocol,
                    text(&shown)
                );
            }
        }
    }
}

each_protocol! {
    every_login_has_a_conversation
}

fn every_login_has_a_conversation(protocol: &'static Protocol) {
    let has_login =
        LoginClient::new(protocol, identity(), &user(), false, &mut OutputBuffer::default()).is_some();
    let told = CONVERSATIONS.iter().any(|it| it.protocol == protocol.name);
    // Submission uses the dialect of SMTP, and XMPP between servers that of XMPP for clients.
    let same = ["submission", "xmpp-server"].contains(&protocol.name);
    assert_eq!(has_login, told || same, "{protocol:?}");
}

#[test]
fn a_reply_with_another_tag_is_refused() {
    let mut script = OutputBuffer::default();
    let login = LoginClient::new(protocol("imap").unwrap(), identity(), &user(), false, &mut script).unwrap();
    assert!(login.receive(b"a2 OK [CAPABILITY AUTH=PLAIN] early\r\n", &mut script).is_err());
}

/// Runs a conversation up to the choice of a mechanism, and begins it with this name and password.
fn begun(it: &Conversation, name: &str, password: &str) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut script = OutputBuffer::default();
    let mut login =
        LoginClient::new(protocol(it.protocol).unwrap(), identity(), &user(), false, &mut script).unwrap();
    let mut servers = it.said.iter().filter_map(|said| if let S(bytes) = said { Some(*bytes) } else { None });
    let mut input: &[u8] = b"";
    let choice = loop {
        login = match login.receive(input, &mut script).unwrap() {
            LoginStep::Continue(login) => login,
            LoginStep::Choose(choice) => break choice,
            other => panic!("{}: {other:?}", it.protocol),
        };
        input = servers.next().unwrap();
    };
    script.take_bytes();
    let initial = match it.mechanism.0 {
        "PASSWORD" | "APOP" => password.to_owned(),
        _ => format!("\0{name}\0{password}"),
    };
    let mut login = choice.begin(it.mechanism.0, Some(initial.as_bytes()), &mut script).ok()?;
    let first = script.take_bytes();
    let challenge = loop {
        let Some(input) = servers.next() else { return Some((first, None)) };
        login = match login.receive(input, &mut script).ok()? {
            LoginStep::Continue(login) => login,
            LoginStep::Challenge(challenge) => break challenge,
            _ => return Some((first, None)),
        };
        script.take_bytes();
    };
    let _login = challenge.respond(password.as_bytes(), &mut script).ok()?;
    Some((first, Some(script.take_bytes())))
}

#[test]
fn a_line_end_in_a_name_or_a_password_is_never_a_second_command() {
    let commands = |it: &Conversation, bytes: &[u8]| {
        let dialect = protocol(it.protocol).unwrap().new_dialect(identity());
        let (mut rest, mut count) = (bytes, 0);
        while !rest.is_empty() {
            let cut = dialect.frame(Side::Client, ReplyTo::Other, rest, &mut Scan::default());
            // PostgreSQL messages start with their length, and have another form before the login, so they are not
            // counted.
            let Ok(Some(length)) = cut else { return usize::MAX };
            rest = &rest[length..];
            count += 1;
        }
        count
    };
    for it in CONVERSATIONS {
        let Some((first, second)) = begun(it, "u", "p") else { panic!("{}", it.protocol) };
        let usual = (commands(it, &first), second.map(|bytes| commands(it, &bytes)));
        for bad in ["a\r\nNOOP", "a\nNOOP", "a\rNOOP", "a\r\n", "\0", "a\0b", "{3}\r\nabc", "\"\r\n"] {
            for (name, password) in [(bad, "p"), ("u", bad)] {
                // A refusal of the value is also correct.
                let Some((first, second)) = begun(it, name, password) else { continue };
                let chosen = (commands(it, &first), second.map(|bytes| commands(it, &bytes)));
                assert_eq!(chosen, usual, "{}: {name:?} {password:?}", it.protocol);
            }
        }
    }
}

/// Sends noise from a linear congruential generator, after a prefix that makes it part of a conversation.
#[test]
fn noise_never_panics() {
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for it in CONVERSATIONS {
        for _ in 0..200 {
            let mut script = OutputBuffer::default();
            let mut login = LoginClient::new(
                protocol(it.protocol).unwrap(),
                identity(),
                &user(),
                next() & 1 == 0,
                &mut script,
            )
            .unwrap();
            for said in it.said {
                let S(bytes) = said else { continue };
                let mut bytes = bytes.to_vec();
                let at = usize::from(next()) % bytes.len();
                bytes[at] = next();
                login = match login.receive(&bytes, &mut script) {
                    Ok(LoginStep::Continue(login)) => login,
                    Ok(LoginStep::Choose(choice)) => {
                        choice.begin(it.mechanism.0, it.mechanism.1, &mut script).unwrap()
                    }
                    Ok(LoginStep::Challenge(challenge)) if next() & 3 == 0 => challenge.abort(&mut script),
                    Ok(LoginStep::Challenge(challenge)) => match challenge.respond(&bytes, &mut script) {
                        Ok(login) => login,
                        // Noise that contains a line end cannot be a password.
                        Err(_) => break,
                    },
                    _ => break,
                };
            }
        }
    }
}
