//! Commands that the relay refuses, commands that end the session, and commands that pass.

use starttls_proto::{
    CleartextPermission, ClientMessage, Identity, Protocol, ServerMessage, Side, each_protocol,
};

use crate::Session;

/// Commands of a client, and the start of the single answer. None of these commands reaches the server.
const REFUSED: &[(&str, &[u8], &str)] = &[
    ("smtp", b"AUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"auth\tPLAIN\tAHUAcA==\r\n", "530 "),
    ("smtp", b" \t\x0b AUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"AUTH=PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"\x01\x7f\xefAUTH PLAIN AHUAcA==\r\n", "530 "),
    ("smtp", b"XCLIENT\tADDR=192.0.2.1\r\n", "550 "),
    ("smtp", b" xforward ADDR=192.0.2.1\r\n", "550 "),
    ("smtp", b"XAUTH x\r\n", "530 "),
    ("smtp", b"BURL imap://joe;urlauth=submit:internal:0123 LAST\r\n", "530 "),
    ("smtp", b"X-EXPS LOGIN\r\n", "530 "),
    ("smtp", b"XEXCH50 1 2\r\n", "530 "),
    ("smtp", b"EHLO me\x7f\r\n", "530 "),
    ("smtp", b" MAIL FROM:<>\r\n", "530 "),
    ("smtp", b"MAIL\tFROM:<>\r\n", "530 "),
    ("smtp", b"MAIL FROM:<\xff>\r\n", "530 "),
    ("lmtp", b"AUTH\tPLAIN\tAHUAcA==\r\n", "530 "),
    ("pop3", b"USER\tjoe\r\n", "-ERR "),
    ("pop3", b" pass secret\r\n", "-ERR "),
    ("pop3", b"AUTH\tPLAIN AHUAcA==\r\n", "-ERR "),
    ("pop3", b"APOP\tjoe 0123\r\n", "-ERR "),
    ("pop3", b"XUSER joe\r\n", "-ERR "),
    ("pop3", b"STAT\r\n", "-ERR "),
    ("pop3", b"xclient ADDR=192.0.2.1\r\n", "-ERR This command is not accepted from clients"),
    ("nntp", b"AUTHINFO\tUSER\tjoe\r\n", "483 "),
    ("nntp", b"\tauthinfo PASS secret\r\n", "483 "),
    ("nntp", b"AUTHINFO\tSASL\tPLAIN\r\n", "483 "),
    ("nntp", b"POST\r\n", "483 "),
    ("nntp", b"IHAVE <a@b>\r\n", "483 "),
    ("nntp", b"COMPRESS DEFLATE\r\n", "483 "),
    ("nntp", b"XSECRET joe secret\r\n", "483 "),
    ("ftp", b"ABOR\r\n", "530 "),
    ("ftp", b"SITE PSWD old new\r\n", "530 "),
    ("ftp", b"PASS\tsecret\r\n", "530 "),
    ("ftp", b" USER joe\r\n", "530 "),
    ("ftp", b"\xff\xf4\xff\xf2USER joe\r\n", "530 "),
    ("ftp", b"US\xff\xf1ER joe\r\n", "530 "),
    ("ftp", b" \xff\xfdX\xff\xfb PASS secret\r\n", "530 "),
    ("ftp", b"\xff\xfaABOR \xff\xf0PASS secret\r\n", "530 "),
    ("irc", b"privmsg nickserv@services.example :identify secret\r\n", ":mail.example.com 451 "),
    ("irc", b"PRIVMSG X@channels.example :login joe secret\r\n", ":mail.example.com 451 "),
    ("irc", b"AUTHSERV AUTH joe secret\r\n", ":mail.example.com 451 "),
    ("irc", b"CHANSERV :identify #c secret\r\n", ":mail.example.com 451 "),
    ("irc", b"PONG :secret\r\n", ":mail.example.com 451 "),
    ("irc", b"NICK joe\r\n", ":mail.example.com 451 "),
    ("irc", b"NS IDENTIFY secret\r\n", ":mail.example.com 451 "),
    ("nut", b"username joe\n", "ERR ACCESS-DENIED"),
    ("nut", b"PASSWORD\tsecret\n", "ERR ACCESS-DENIED"),
    ("nut", b"  Login ups\n", "ERR ACCESS-DENIED"),
    ("nut", b"\"PASSWORD\" secret\n", "ERR ACCESS-DENIED"),
    ("nut", b"PA\\SS\x01WORD=secret\n", "ERR ACCESS-DENIED"),
    ("nut", b"SET VAR ups x \"secret\"\n", "ERR ACCESS-DENIED"),
    ("nut", b"GET VAR ups \"login\"\n", "ERR ACCESS-DENIED"),
    ("nut", b"LIST UPS\rPASSWORD secret\n", "ERR ACCESS-DENIED"),
    ("imap", b"a login\tjoe secret\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a  LOGIN joe secret\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b" a LOGIN joe secret\r\n", "* NO [PRIVACYREQUIRED]"),
    ("imap", b"a\tLOGIN joe secret\r\n", "* NO [PRIVACYREQUIRED]"),
    ("imap", b"a AUTHENTICATE\tPLAIN AHUAcA==\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a NOOP x\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a NAMESPACE\r\n", "a NO [PRIVACYREQUIRED]"),
    ("imap", b"a\x0bNOOP\r\n", "* NO [PRIVACYREQUIRED]"),
    ("imap", b"a}b NOOP\r\n", "a}b NO [PRIVACYREQUIRED]"),
    ("imap", b"a ID (\"x-originating-ip\" \"192.0.2.1\")\r\n", "* ID NIL\r\na OK "),
    ("imap", b"a ID\t(\"x-originating-ip\" \"192.0.2.1\")\r\n", "* ID NIL\r\na OK "),
    ("imap", b"a XCLIENT ADDR=192.0.2.1\r\n", "a NO "),
    ("sieve", b"AUTHENTICATE\t\"PLAIN\"\t\"AHUAcA==\"\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"LISTSCRIPTS\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"NOOP \"x\"\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"\"AUTHENTICATE\" \"PLAIN\" \"AHUAcA==\"\r\n", "NO (ENCRYPT-NEEDED)"),
    ("sieve", b"XCLIENT ADDR=192.0.2.1\r\n", "NO \"This command is not accepted"),
    ("http", b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n", "HTTP/1.1 426 "),
    ("http", b"GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: secret\r\n\r\n", "HTTP/1.1 426 "),
    ("http", b"GET /?key=secret HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "),
    ("http", b"GET http://joe:secret@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "),
    ("http", b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "),
    ("http", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 426 "),
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
            // The relay parses the next command as usual.
            let (again, passed) = session.says(Side::Client, said, chunk);
            assert_eq!((again, passed), (heard, Vec::new()), "{name}");
        }
    }
}

const IMAP_ENDS: &str =
    "a NO [PRIVACYREQUIRED] STARTTLS comes first\r\n* BYE mail.example.com is closing the connection\r\n";
const SIEVE_ENDS: &str = "NO (ENCRYPT-NEEDED) \"STARTTLS comes first\"\r\nBYE \"Closing the connection\"\r\n";
const HTTP_ENDS: &str = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n";

/// Messages whose rest would be commands after a refusal. The session ends with the single answer.
const ENDED: &[(&str, &[&[u8]], &str)] = &[
    ("imap", &[b"a NOOP {35+}\r\n", b"b LOGIN joe@example.test secret12\r\n", b"\r\n"], IMAP_ENDS),
    ("imap", &[b"a NOOP {28-}\r\n", b"b LOGIN joe secret\r\n"], IMAP_ENDS),
    ("imap", &[b"a NOOP ~{28}\r\n", b"b LOGIN joe secret\r\n"], IMAP_ENDS),
    ("imap", &[b"a NOOP {20} \r\n", b"b NOOP\r\n"], IMAP_ENDS),
    ("imap", &[b"a CAPABILITY {8}\r\n", b"b NOOP\r\n"], IMAP_ENDS),
    ("imap", &[b"a LOGIN {3+}\r\njoe {6+}\r\nsecret\r\n", b"b NOOP\r\n"], IMAP_ENDS),
    ("sieve", &[b"NOOP {26+}\r\n", b"AUTHENTICATE \"PLAIN\" \"x\"\r\n", b"\r\n"], SIEVE_ENDS),
    ("sieve", &[b"NOOP {26-}\r\n", b"AUTHENTICATE \"PLAIN\" \"x\"\r\n"], SIEVE_ENDS),
    ("sieve", &[b"NOOP {26}\r\n", b"NOOP\r\n"], SIEVE_ENDS),
    ("sieve", &[b"NOOP \"\r\n", b"NOOP\r\n", b"\"\r\n"], SIEVE_ENDS),
    ("sieve", &[b" Authenticate \"PLAIN\" {8+}\r\nAHUAcA==\r\n", b"NOOP\r\n"], SIEVE_ENDS),
    (
        "nntp",
        &[b"TAKETHIS <a@b>\r\n", b"DATE\r\n", b".\r\n"],
        "483 STARTTLS comes first\r\n400 mail.example.com is closing the connection\r\n",
    ),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        HTTP_ENDS,
    ),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"],
        HTTP_ENDS,
    ),
    ("imap", &[b"a LOGIN {3}\r\n", b"joe\r\n", b" secret\r\n"], IMAP_ENDS),
    ("imap", &[b"a LOGIN joe {6}\r\n", b"b NOOP\r\n"], IMAP_ENDS),
    ("imap", &[b"a LOGIN {3+}\r\njoe {6}\r\n", b"secret\r\n"], IMAP_ENDS),
    ("imap", &[b"a ID (\"x-originating-ip\" {9}\r\n", b"192.0.2.1)\r\n"], "* ID NIL\r\na OK Pleased\r\n* BYE mail.example.com is closing the connection\r\n"),
    ("sieve", &[b"AUTHENTICATE \"PLAIN\" {6}\r\n", b"secret\r\n"], SIEVE_ENDS),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nContent-Length: 30\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n123"],
        HTTP_ENDS,
    ),
    (
        "http",
        &[b"POST / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic dTpw\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"],
        HTTP_ENDS,
    ),
];

#[test]
fn s4_data_of_a_refused_login_is_not_forwarded() {
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

/// Listed commands, in forms that pass unchanged.
const PASSES: &[(&str, &[u8])] = &[
    ("smtp", b"EHLO me\r\nMAIL FROM:<auth@example.test> SIZE=5\r\nRCPT TO:<b@example.test>\r\nVRFY AUTH\r\nQUIT\r\n"),
    ("smtp", "MAIL FROM:<gr\u{fc}n@example.test> SMTPUTF8\r\nRSET\r\nNOOP\r\nHELO me\r\nHELP\r\n".as_bytes()),
    ("lmtp", b"LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\n"),
    ("imap", b"a CAPABILITY\r\na.1 noop\r\nb LOGOUT\r\n"),
    ("pop3", b"CAPA\r\nNOOP\r\nQUIT\r\n"),
    ("sieve", b"CAPABILITY\r\nNOOP\r\nLOGOUT\r\n"),
    ("nntp", b"MODE READER\r\nGROUP authinfo\r\nXOVER 1-5\r\nARTICLE <a@b>\r\nLIST ACTIVE *\r\nQUIT\r\n"),
    ("ftp", b"FEAT\r\nSYST\r\nQUIT\r\n"),
    ("nut", b"LIST UPS\nGET VAR ups battery.charge\nVER\r\nLOGOUT\n"),
    ("http", b"GET /a.html HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n"),
];

#[test]
fn what_is_listed_passes_as_it_is() {
    for (scheme, said) in PASSES {
        for chunk in [1, 7, said.len()] {
            let (heard, passed) = Session::new(scheme).says(Side::Client, said, chunk);
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            assert_eq!((heard, text(&passed)), (String::new(), text(said)), "{scheme} by {chunk}");
        }
    }
}

each_protocol! {
    a_protocol_lists_something_exactly_where_tls_may_be_optional
    s4_credentials_of_no_protocol_pass
}

/// Exactly the protocols in which TLS may be optional list commands that need no login.
fn a_protocol_lists_something_exactly_where_tls_may_be_optional(protocol: &'static Protocol) {
    let listed = PASSES.iter().any(|(scheme, _)| *scheme == protocol.name);
    let mut dialect = protocol.new_dialect(Identity::new("mail.example.com").with_nonce(0));
    let mut passes = false;
    for message in [ClientMessage::Hello, ClientMessage::Probe, ClientMessage::Other, ClientMessage::Quit] {
        let mut words = Vec::new();
        dialect.write_client(message, &mut words);
        passes |= !words.is_empty()
            && dialect.read_client(&words).is_ok()
            && dialect.cleartext_permission(&words) == CleartextPermission::Allowed;
        dialect.write_server(ServerMessage::TlsRequired, &mut Vec::new());
    }
    assert_eq!(passes, protocol.flow.tls_may_be_optional, "{}", protocol.name);
    let known = ["ldap", "submission"].contains(&protocol.name);
    assert!(listed == passes || known, "{} has no row in PASSES", protocol.name);
}

/// Credentials never pass, in any protocol.
fn s4_credentials_of_no_protocol_pass(protocol: &'static Protocol) {
    let mut words = Vec::new();
    protocol
        .new_dialect(Identity::new("mail.example.com"))
        .write_client(ClientMessage::Credentials, &mut words);
    if words.is_empty() {
        assert!(!protocol.flow.tls_may_be_optional, "{}", protocol.name);
        return;
    }
    for chunk in [1, 7, words.len()] {
        let (heard, passed) = Session::new(protocol.name).says_raw(Side::Client, &words, chunk);
        assert!(passed.is_empty() && !heard.is_empty(), "{} by {chunk}", protocol.name);
    }
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
        ("nntp", "CAPABILITIES\r\n", "500 no\r\n", "500 no\r\n"),
        ("nntp", "ARTICLE 1\r\n", "220 1\r\nAUTHINFO x\r\n.\r\n", "220 1\r\nAUTHINFO x\r\n.\r\n"),
        ("ftp", "FEAT\r\n", "500 no\r\n", "500 no\r\n"),
        ("ftp", "HELP\r\n", "211-Help\r\n fine\r\n211 End\r\n", "211-Help\r\n fine\r\n211 End\r\n"),
    ] {
        for chunk in [1, 4096] {
            let mut session = Session::new(scheme);
            assert_eq!(session.says(Side::Client, asked.as_bytes(), chunk).1, asked.as_bytes());
            let (heard, _) = session.says(Side::Server, answer.as_bytes(), chunk);
            assert_eq!(heard, amended, "{scheme}: {asked}");
        }
    }
}
