//! Cleartext from a client that may do without an upgrade: whatever it makes of a command, none that logs in and none
//! that speaks for others gets through (rules S4 and G3).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    Amend, ClientMessage, Edit, Event, Identity, Moment, Outgoing, Relay, Rule, ServerMessage, Side, What,
    protocol,
};

fn rules() -> Vec<Rule> {
    let rule = |(at, edit)| Rule { at, edit };
    [
        (Moment::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
        (Moment::Client(ClientMessage::Credentials), Edit::AnswerInTurn(ServerMessage::TlsRequired)),
        (Moment::Client(ClientMessage::Request), Edit::Grant),
        (Moment::Ambiguous, Edit::AnswerInTurn(ServerMessage::TlsRequired)),
        (Moment::Any(Side::Client), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropOnBehalf)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::DropCredentials)),
        (Moment::Any(Side::Server), Edit::Amend(Amend::AddUpgrade)),
    ]
    .map(rule)
    .into()
}

struct Session {
    relay: Relay,
    events: Vec<Event>,
}

impl Session {
    fn new(scheme: &str) -> Self {
        let identity = Identity { nonce: 0, ..Identity::new("mail.example.com") };
        Self { relay: Relay::within(protocol(scheme).unwrap(), identity, rules()), events: Vec::new() }
    }

    /// What the client hears, and what the server does.
    fn says(&mut self, from: Side, said: &[u8], chunk: usize) -> (String, Vec<u8>) {
        let mut out = Outgoing::default();
        for piece in said.chunks(chunk) {
            self.relay.receive(from, piece, &mut out, &mut self.events);
        }
        (String::from_utf8(out.to_client).unwrap(), out.to_server)
    }

    fn is_lost(&self) -> bool {
        self.events.iter().any(|event| matches!(event.what, What::Lost { .. }))
    }
}

const STREAM: &str = "<stream:stream to='mail.example.com' xmlns='jabber:client' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

/// What a client says, and how the one answer to it starts. Whatever it says, the server hears nothing of it.
const REFUSED: &[(&str, &[u8], &str)] = &[
    ("smtp", b"AUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"auth\tPLAIN\tAHUAcA==\r\n", "530 "),
    ("smtp", b" \t\x0b AUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"AUTH=PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"\x01\x7f\xefAUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"XCLIENT\tADDR=192.0.2.1\r\n", "550 "),
    ("smtp", b" xforward ADDR=192.0.2.1\r\n", "550 "),
    ("lmtp", b"AUTH\tPLAIN\tAHUAcA==\r\n", "530 "),
    ("pop3", b"USER\tjoe\r\n", "-ERR "),
    ("pop3", b" pass secret\r\n", "-ERR "),
    ("pop3", b"AUTH\tPLAIN AHUAcA==\r\n", "-ERR "),
    ("pop3", b"APOP\tjoe 0123\r\n", "-ERR "),
    ("pop3", b"xclient ADDR=192.0.2.1\r\n", "-ERR Nobody speaks for others here"),
    ("nntp", b"AUTHINFO\tUSER\tjoe\r\n", "483 "),
    ("nntp", b"\tauthinfo PASS secret\r\n", "483 "),
    ("nntp", b"AUTHINFO\tSASL\tPLAIN\r\n", "483 "),
    ("ftp", b"PASS\tsecret\r\n", "530 "),
    ("ftp", b" USER joe\r\n", "530 "),
    ("ftp", b"\xff\xf4\xff\xf2USER joe\r\n", "530 "),
    ("ftp", b"US\xff\xf1ER joe\r\n", "530 "),
    ("ftp", b" \xff\xfdX\xff\xfb PASS secret\r\n", "530 "),
    ("ftp", b"\xff\xfaABOR \xff\xf0PASS secret\r\n", "530 "),
    ("irc", b"privmsg nickserv@services.example :identify secret\r\n", ":mail.example.com 451 "),
    ("irc", b"NS IDENTIFY secret\r\n", ":mail.example.com 451 "),
    ("nut", b"username joe\n", "ERR ACCESS-DENIED"),
    ("nut", b"PASSWORD\tsecret\n", "ERR ACCESS-DENIED"),
    ("nut", b"  Login ups\n", "ERR ACCESS-DENIED"),
    ("nut", b"\"PASSWORD\" secret\n", "ERR ACCESS-DENIED"),
    ("nut", b"PA\\SS\x01WORD=secret\n", "ERR ACCESS-DENIED"),
    ("imap", b"a login\tjoe secret\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a  LOGIN joe secret\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b" a LOGIN joe secret\r\n", "* NO [PRIVACYREQUIRED]"),
    ("imap", b"a\tLOGIN joe secret\r\n", "* NO [PRIVACYREQUIRED]"),
    ("imap", b"a AUTHENTICATE\tPLAIN AHUAcA==\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a LOGIN {3+}\r\njoe {6+}\r\nsecret\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a ID (\"x-originating-ip\" \"192.0.2.1\")\r\n", "* ID NIL\r\na OK "),
    ("imap", b"a ID\t(\"x-originating-ip\" \"192.0.2.1\")\r\n", "* ID NIL\r\na OK "),
    ("imap", b"a XCLIENT ADDR=192.0.2.1\r\n", "a NO "),
    ("sieve", b"AUTHENTICATE\t\"PLAIN\"\t\"AHUAcA==\"\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b" Authenticate \"PLAIN\" {8+}\r\nAHUAcA==\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"\"AUTHENTICATE\" \"PLAIN\" \"AHUAcA==\"\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"XCLIENT ADDR=192.0.2.1\r\n", "NO \"Nobody"),
    ("http", b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n", "HTTP/1.1 426 "),
];

#[test]
fn s4_no_spelling_of_a_login_reaches_the_server() {
    for (scheme, said, answer) in REFUSED {
        for chunk in [1, 7, said.len()] {
            let mut session = Session::new(scheme);
            let (heard, passed) = session.says(Side::Client, said, chunk);
            let name = format!("{scheme}: {} by {chunk}: {heard}", said.escape_ascii());
            assert_eq!(passed.escape_ascii().to_string(), "", "{name}");
            assert!(heard.starts_with(answer) && !session.is_lost() && !session.relay.is_over(), "{name}");
            // What comes next is read as ever.
            let (again, passed) = session.says(Side::Client, said, chunk);
            assert_eq!((again, passed), (heard, Vec::new()), "{name}");
        }
    }
}

/// What would be commands once the beginning is refused: the session ends with the one answer.
const ENDED: &[(&str, &[&[u8]], &str)] = &[
    ("imap", &[b"a LOGIN {3}\r\n", b"joe\r\n", b" secret\r\n"], "a NO [PRIVACYREQUIRED] STARTTLS comes first\r\n* BYE mail.example.com is closing the connection\r\n"),
    ("imap", &[b"a LOGIN joe {6}\r\n", b"b NOOP\r\n"], "a NO [PRIVACYREQUIRED] STARTTLS comes first\r\n* BYE mail.example.com is closing the connection\r\n"),
    ("imap", &[b"a LOGIN {3+}\r\njoe {6}\r\n", b"secret\r\n"], "a NO [PRIVACYREQUIRED] STARTTLS comes first\r\n* BYE mail.example.com is closing the connection\r\n"),
    ("imap", &[b"a ID (\"x-originating-ip\" {9}\r\n", b"192.0.2.1)\r\n"], "* ID NIL\r\na OK Pleased\r\n* BYE mail.example.com is closing the connection\r\n"),
    ("sieve", &[b"AUTHENTICATE \"PLAIN\" {6}\r\n", b"secret\r\n"], "NO (ENCRYPT-NEEDED) \"STARTTLS comes first\"\r\nBYE \"Closing the connection\"\r\n"),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nContent-Length: 30\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n123"],
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic dTpw\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"],
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n",
    ),
];

#[test]
fn s4_what_belongs_to_a_refused_login_reaches_nobody() {
    for (scheme, said, answer) in ENDED {
        let whole = said.concat();
        for chunk in [1, 7, whole.len()] {
            let mut session = Session::new(scheme);
            let (heard, passed) = session.says(Side::Client, &whole, chunk);
            let name = format!("{scheme}: {} by {chunk}: {heard}", whole.escape_ascii());
            assert_eq!(passed.escape_ascii().to_string(), "", "{name}");
            assert!(session.relay.is_over() && !session.is_lost(), "{name}");
            assert_eq!(heard, *answer, "{name}");
        }
    }
}

#[test]
fn s4_no_stanza_that_logs_in_or_sets_a_password_passes() {
    for (stanza, condition) in [
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHUAcA==</auth>",
            "encryption-required",
        ),
        (
            "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><password>secret</password></query></iq>",
            "policy-violation",
        ),
        (
            "<iq type='set' id='1'><x xmlns='y'/><query xmlns='jabber:iq:auth'><password>secret</password></query></iq>",
            "policy-violation",
        ),
        (
            "<iq type='set' id='1'><x xmlns='y'><query xmlns='jabber:iq:register'><password>secret</password></query></x></iq>",
            "policy-violation",
        ),
    ] {
        for chunk in [1, 7, 4096] {
            let mut session = Session::new("xmpp");
            let (_, passed) = session.says(Side::Client, STREAM.as_bytes(), chunk);
            assert_eq!(passed, STREAM.as_bytes());
            let answer = STREAM.replace(" to=", " from=")
                + "<stream:features><register xmlns='http://jabber.org/features/iq-register'/>\
                   <auth xmlns='http://jabber.org/features/iq-auth'/></stream:features>";
            let (offered, _) = session.says(Side::Server, answer.as_bytes(), chunk);
            assert!(offered.contains("starttls") && !offered.contains("iq-"), "{offered}");
            let (heard, passed) = session.says(Side::Client, stanza.repeat(2).as_bytes(), chunk);
            assert_eq!(passed, b"", "{stanza} by {chunk}");
            assert_eq!(heard.matches(condition).count(), 1, "{stanza} by {chunk}: {heard}");
            assert!(heard.ends_with("</stream:stream>") && session.relay.is_over(), "{heard}");
        }
    }
}

#[test]
fn what_is_no_login_passes_as_it_is() {
    for (scheme, said) in [
        ("smtp", b"MAIL FROM:<auth@example.test>\r\nVRFY AUTH\r\nXAUTH x\r\n".as_slice()),
        ("imap", b"a NAMESPACE\r\na LIST \"\" LOGIN\r\n"),
        ("pop3", b"XUSER joe\r\n"),
        ("nntp", b"GROUP authinfo\r\nLISTGROUP\tx\r\n"),
        ("ftp", b"\xff\xf4\xff\xf2ABOR\r\nSTOR USER\xff\xff\r\n"),
        ("nut", b"LIST UPS\nGET VAR ups \"login\"\n"),
        ("sieve", b"LISTSCRIPTS\r\n"),
        ("http", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\nForwarded"),
    ] {
        for chunk in [1, 7, said.len()] {
            let (heard, passed) = Session::new(scheme).says(Side::Client, said, chunk);
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            assert_eq!((heard, text(&passed)), (String::new(), text(said)), "{scheme} by {chunk}");
        }
    }
}

#[test]
fn g3_a_request_with_a_body_says_no_more_of_its_origin_than_one_without() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    let origin = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
    for (extent, body) in
        [("Content-Length: 3\r\n", "a:b"), ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n")]
    {
        let said = format!("{head}{origin}{extent}\r\n{body}");
        let wanted = format!("{head}{extent}Connection: close\r\n\r\n{body}");
        for chunk in [1, 7, 4096] {
            let (heard, passed) = Session::new("http").says(Side::Client, said.as_bytes(), chunk);
            assert_eq!((heard, String::from_utf8(passed).unwrap()), (String::new(), wanted.clone()));
        }
    }
}

/// An answer to DATA, and commands and their answers before it, are told apart: data is data, commands are commands.
#[test]
fn s4_message_data_begins_where_the_server_says_so() {
    type Step = (Side, &'static str);
    const C: Side = Side::Client;
    const S: Side = Side::Server;
    // Behind each AUTH the server is at its commands again.
    let sessions: [(&str, &[Step]); 6] = [
        (
            "smtp",
            &[(C, "DATA\r\n.\r\nDATA\r\nAUTH PLAIN secret\r\n"), (S, "354 go on\r\n250 ok\r\n503 no\r\n")],
        ),
        (
            "smtp",
            &[
                (C, "DATA\r\n.\r\nDATA\r\n"),
                (S, "354 go on\r\n"),
                (S, "250 ok\r\n503 no\r\n"),
                (C, "AUTH PLAIN secret\r\n"),
            ],
        ),
        ("smtp", &[(C, "XEXCH50 1 2\r\nDATA\r\nAUTH PLAIN secret\r\n"), (S, "354 binary\r\n503 no\r\n")]),
        (
            "smtp",
            &[(C, "MAIL\r\nDATA\r\n"), (S, "250 ok\r\n"), (S, "503 no\r\n"), (C, "AUTH PLAIN secret\r\n")],
        ),
        (
            "smtp",
            &[
                (C, "MAIL\r\nRCPT\r\nDATA\r\nAUTH x\r\n.\r\nAUTH PLAIN secret\r\n"),
                (S, "250 ok\r\n250 ok\r\n354 go on\r\n250 ok\r\n"),
            ],
        ),
        (
            "lmtp",
            &[
                (
                    C,
                    "MAIL\r\nRCPT\r\nRCPT\r\nRCPT\r\nDATA\r\nAUTH x\r\n.\r\nMAIL\r\nDATA\r\nAUTH PLAIN secret\r\n",
                ),
                (
                    S,
                    "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go on\r\n250 one\r\n250 two\r\n250 mail\r\n503 no\r\n",
                ),
            ],
        ),
    ];
    for (scheme, steps) in sessions {
        for chunk in [1, 7, 4096] {
            let (mut session, mut heard, mut passed) = (Session::new(scheme), String::new(), String::new());
            // The server answers what it has heard, and no more.
            let each =
                |step: &Step| step.1.split_inclusive('\n').map(|line| (step.0, line)).collect::<Vec<_>>();
            let whole = |step: &Step| if step.0 == S { each(step) } else { vec![*step] };
            for (from, said) in steps.iter().flat_map(whole) {
                let (to_client, to_server) = session.says(from, said.as_bytes(), chunk);
                heard += &to_client;
                passed += &String::from_utf8(to_server).unwrap();
            }
            let name = format!("{steps:?} by {chunk}: {heard:?} and {passed:?}");
            let said: String = steps.iter().filter(|(from, _)| *from == C).map(|(_, said)| *said).collect();
            assert_eq!(passed, said.replace("AUTH PLAIN secret\r\n", ""), "{name}");
            let ours = "530 5.7.0 Must issue a STARTTLS command first\r\n";
            let theirs: String = steps.iter().filter(|(from, _)| *from == S).map(|(_, said)| *said).collect();
            assert_eq!(heard, theirs + ours, "{name}");
        }
    }
}

#[test]
fn message_data_of_any_kind_passes_and_ends_where_the_specification_says() {
    let long = [&b"x"[..]; 70_000].concat();
    let cr = [&b"\r"[..]; 40_000].concat();
    let kinds: [&[u8]; 8] = [b"", b"a\nb", b"\0", b"a\rb", &long, &cr, b"..\r\n.a", b"a\r\n.\0x\r\nAUTH x"];
    for data in kinds {
        for chunk in [1, 7, 4096, 100_000] {
            let mut session = Session::new("smtp");
            let _ = session.says(Side::Client, b"DATA\r\n", chunk);
            let _ = session.says(Side::Server, b"354 go on\r\n", chunk);
            let whole = [data, b"\r\n.\r\n"].concat();
            let (heard, passed) =
                session.says(Side::Client, &[&whole[..], b"AUTH x\r\nNOOP\r\n"].concat(), chunk);
            assert!(passed == [&whole[..], b"NOOP\r\n"].concat(), "{chunk}: {}", passed[..30].escape_ascii());
            assert!(heard.is_empty() && !session.is_lost(), "{heard}");
            let (heard, _) = session.says(Side::Server, b"250 ok\r\n250 noop\r\n", chunk);
            assert!(heard.starts_with("250 ok\r\n530 ") && heard.ends_with("\r\n250 noop\r\n"), "{heard}");
        }
    }
}

/// Some servers would find commands behind it: the session ends, and they hear nothing of what follows.
#[test]
fn s4_what_could_be_the_end_of_a_message_is_not_passed_on() {
    let long = [&b"x"[..]; 16 * 1024 - 1].concat();
    for end in [
        &b"\n.\n"[..],
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r.\n",
        b"\r.\r",
        b"\r\n\0.\r\n",
        &[&long[..], b"\r.\r"].concat(),
        &[&long[1..], b"\r.\r"].concat(),
        &[&long[2..], b"\r.\r"].concat(),
    ] {
        for chunk in [1, 7, 100_000] {
            let mut session = Session::new("smtp");
            let _ = session.says(Side::Client, b"DATA\r\n", chunk);
            let _ = session.says(Side::Server, b"354 go on\r\n", chunk);
            let said = [b"text", end, b"AUTH PLAIN secret\r\n.\r\n"].concat();
            let (heard, passed) = session.says(Side::Client, &said, chunk);
            let name = format!("{} by {chunk}", said[said.len() - 40.min(said.len())..].escape_ascii());
            assert!(!passed.windows(4).any(|it| it == b"AUTH"), "{name}");
            assert!(
                heard.starts_with("530 ") && heard.contains("\r\n421 ") && session.relay.is_over(),
                "{name}: {heard}"
            );
        }
    }
}

#[test]
fn s4_chunks_are_neither_offered_nor_taken() {
    let mut session = Session::new("smtp");
    let _ = session.says(Side::Client, b"EHLO me\r\n", 4096);
    let list = b"250-a\r\n250-chunking\r\n250-BINARYMIME\r\n250 SIZE\r\n";
    assert_eq!(session.says(Side::Server, list, 4096).0, "250-a\r\n250-SIZE\r\n250 STARTTLS\r\n");
    let said = b"MAIL FROM:<>\r\n bdat\t25 LAST\r\nAUTH PLAIN secret\r\nNOOP\r\n";
    assert_eq!(session.says(Side::Client, said, 7), (String::new(), b"MAIL FROM:<>\r\n".to_vec()));
    let (heard, _) = session.says(Side::Server, b"250 ok\r\n", 4096);
    assert!(heard.starts_with("250 ok\r\n530 ") && heard.contains("\r\n421 "), "{heard}");
    assert!(session.relay.is_over() && !session.is_lost());
}

#[test]
fn an_upgrade_is_put_into_lists_only() {
    for (scheme, asked, answer, amended) in [
        ("smtp", "EHLO me\r\n", "250 a\r\n", "250-a\r\n250 STARTTLS\r\n"),
        ("smtp", "EHLO me\r\n", "502 no\r\n", "502 no\r\n"),
        ("smtp", "HELO me\r\n", "250 a\r\n", "250 a\r\n"),
        (
            "smtp",
            "RCPT TO:<a>\r\n",
            "250-2.1.5 ok\r\n250-AUTH by policy\r\n250 queued\r\n",
            "250-2.1.5 ok\r\n250-AUTH by policy\r\n250 queued\r\n",
        ),
        ("pop3", "CAPA\r\n", "-ERR no\r\n", "-ERR no\r\n"),
        ("pop3", "LIST\r\n", "+OK\r\nUSER 1\r\n.\r\n", "+OK\r\nUSER 1\r\n.\r\n"),
        ("nntp", "CAPABILITIES\r\n", "500 no\r\n", "500 no\r\n"),
        ("nntp", "ARTICLE 1\r\n", "220 1\r\nAUTHINFO x\r\n.\r\n", "220 1\r\nAUTHINFO x\r\n.\r\n"),
        ("ftp", "FEAT\r\n", "500 no\r\n", "500 no\r\n"),
        ("ftp", "STAT\r\n", "211-Status\r\n fine\r\n211 End\r\n", "211-Status\r\n fine\r\n211 End\r\n"),
    ] {
        for chunk in [1, 4096] {
            let mut session = Session::new(scheme);
            assert_eq!(session.says(Side::Client, asked.as_bytes(), chunk).1, asked.as_bytes());
            let (heard, _) = session.says(Side::Server, answer.as_bytes(), chunk);
            assert_eq!(heard, amended, "{scheme}: {asked}");
        }
    }
}
