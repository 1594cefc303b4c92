//! `openssl s_client -starttls` with each protocol that it supports, with a command inside TLS.

use crate::support::{Said, client, endpoint, lab, plain};
use starttls_lab::Lab;

/// Runs s_client with verification on a server of the lab. `protocol` is the name in s_client, `scheme` that in the
/// lab.
fn s_client(lab: &Lab, protocol: &str, scheme: &str, extra: &[&str], input: impl Into<Vec<u8>>) -> Said {
    client("openssl", "openssl")
        .args(["s_client", "-starttls", protocol, "-connect", &endpoint(lab, scheme).address.to_string()])
        .args(["-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error"])
        // With `-quiet`, s_client does not interpret its input as commands and waits for the server's end.
        .args(["-quiet", "-CAfile"])
        .args([lab.ca_file()])
        .args(extra)
        .input(input)
        .run()
}

#[test]
fn s_client_smtp() {
    let lab = lab();
    let input = "EHLO me\nMAIL FROM:<a@example.test>\nRCPT TO:<b@example.test>\nRSET\nDATA\nMAIL FROM:<>\n\
        RCPT TO:<b@example.test>\nDATA\nhello\n..dot\n.\nQUIT\n";
    s_client(&lab, "smtp", "smtp", &["-crlf"], input).with(&[
        "250-AUTH PLAIN LOGIN",
        "503 5.5.1 RCPT first",
        "Delivered as 2",
        "221 2.0.0",
    ]);
    assert_eq!(&*lab.store().mail()[1].text, b"hello\r\n.dot\r\n");
}

#[test]
fn s_client_lmtp_has_a_reply_for_each_recipient() {
    let lab = lab();
    let input = "LHLO me\nMAIL FROM:<>\nRCPT TO:<a@x>\nRCPT TO:<b@x>\nDATA\nhello\n.\nQUIT\n";
    let said = s_client(&lab, "lmtp", "lmtp", &["-crlf", "-name", "me"], input);
    said.with(&["221 2.0.0"]);
    assert_eq!(said.out.matches("Delivered as 2").count(), 2, "{}", said.out);
}

#[test]
fn s_client_imap() {
    let lab = lab();
    let message = "Subject: two\r\n\r\nappended\r\n";
    let input = format!(
        "a LOGIN {{4}}\r\ntest \"{}\"\r\nb SELECT INBOX\r\nc APPEND INBOX {{{}+}}\r\n{message}\r\n\
         d STATUS INBOX (MESSAGES)\r\ne UID SEARCH SUBJECT \"two\"\r\nf FETCH 2 (BODY.PEEK[TEXT])\r\nz LOGOUT\r\n",
        lab.password(),
        message.len()
    );
    s_client(&lab, "imap", "imap", &[], input).with(&[
        "a OK",
        "* 1 EXISTS",
        "* STATUS INBOX (MESSAGES 2)",
        "* SEARCH 2\r\n",
        "* 2 FETCH (BODY[TEXT] {10}\r\nappended\r\n)",
        "z OK",
    ]);
}

#[test]
fn s_client_pop3() {
    let lab = lab();
    let input = format!("AUTH PLAIN {}\nRETR 1\nDELE 1\nQUIT\n", plain(&lab));
    s_client(&lab, "pop3", "pop3", &["-crlf"], input).with(&["+OK Welcome", "\r\n..A line that starts"]);
    assert!(lab.store().mail().is_empty());
}

#[test]
fn s_client_sieve() {
    let lab = lab();
    let input = format!(
        "AUTHENTICATE \"PLAIN\" \"{}\"\r\nPUTSCRIPT \"mine\" {{7+}}\r\nkeep;\r\n\r\nSETACTIVE \"mine\"\r\n\
         LISTSCRIPTS\r\nGETSCRIPT \"mine\"\r\nLOGOUT\r\n",
        plain(&lab)
    );
    let said = s_client(&lab, "sieve", "sieve", &[], input);
    said.with(&["\"mine\" ACTIVE", "{7}\r\nkeep;\r\n\r\nOK"]);
    assert_eq!(lab.store().scripts(), ["mine"]);
}

#[test]
fn s_client_ldap() {
    let lab = lab();
    // An anonymous bind and an unbind.
    let input = b"\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00\x30\x05\x02\x01\x03\x42\x00";
    s_client(&lab, "ldap", "ldap", &[], input).with(&["0\u{c}\u{2}\u{1}\u{2}a\u{7}\n\u{1}\0\u{4}\0\u{4}\0"]);
}

#[test]
fn s_client_ftp() {
    let lab = lab();
    let input = format!("USER test\nPASS {}\nPBSZ 0\nPROT P\nPWD\nSIZE welcome.txt\nQUIT\n", lab.password());
    s_client(&lab, "ftp", "ftp", &["-crlf"], input).with(&["230 ", "257 \"/\"", "213 ", "221 "]);
}

#[test]
fn s_client_xmpp() {
    let lab = lab();
    let header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    let input = format!(
        "{header}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>{header}\
         <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq></stream:stream>",
        plain(&lab)
    );
    s_client(&lab, "xmpp", "xmpp", &["-xmpphost", "localhost"], input).with(&[
        "<mechanism>PLAIN</mechanism>",
        "<success ",
        "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session",
        "<jid>test@localhost/lab</jid>",
        "</stream:stream>",
    ]);
}

#[test]
fn s_client_xmpp_server() {
    let lab = lab();
    let input = "<stream:stream from='a.example.test' to='localhost' version='1.0' xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams'></stream:stream>";
    s_client(&lab, "xmpp-server", "xmpp-server", &["-xmpphost", "localhost"], input)
        .with(&["<mechanism>EXTERNAL</mechanism>", "</stream:stream>"]);
}

#[test]
fn s_client_nntp() {
    let lab = lab();
    let input = format!(
        "MODE READER\nGROUP lab.mail\nAUTHINFO USER test\nAUTHINFO PASS {}\nGROUP lab.mail\nOVER 1-\nBODY\nDATE\nQUIT\n",
        lab.password()
    );
    s_client(&lab, "nntp", "nntp", &["-crlf"], input).with(&[
        "201 ",
        "480 ",
        "281 ",
        "211 1 1 1 lab.mail",
        "1\tIt works\t",
        "222 1 <welcome@example.test>",
        "\r\n..A line that starts",
        "205 ",
    ]);
}

#[test]
fn s_client_postgres() {
    let lab = lab();
    let packet = |kind: &[u8], body: &[u8]| [kind, &(body.len() as u32 + 4).to_be_bytes(), body].concat();
    let input = [
        packet(b"", b"\0\x03\0\0user\0test\0\0"),
        packet(b"p", format!("{}\0", lab.password()).as_bytes()),
        packet(b"Q", b"select 1\0"),
        packet(b"X", b""),
    ];
    let input = input.concat();
    s_client(&lab, "postgres", "postgres", &[], &*input).with(&["server_version", "SELECT 1"]);
    // TLS from the first byte, as with `sslnegotiation=direct` of libpq 17.
    let direct = |alpn: &[&str]| {
        client("openssl", "openssl")
            .args(["s_client", "-connect", &endpoint(&lab, "postgress").address.to_string()])
            .args(["-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error"])
            .args(["-ign_eof", "-CAfile"])
            .args([lab.ca_file()])
            .args(alpn)
            .input(&*input)
            .run()
    };
    direct(&["-alpn", "postgresql"]).with(&["ALPN protocol: postgresql", "server_version", "SELECT 1"]);
    let without = direct(&[]);
    assert!(!without.out.contains("server_version"), "{}", without.out);
    let other = direct(&["-alpn", "imap"]);
    assert!(!other.ok && !other.out.contains("server_version"), "{}", other.out);
}

#[test]
fn s_client_mysql() {
    let lab = lab();
    // A login of an unknown user (HandshakeResponse41), which is refused inside TLS.
    let flags: u32 = 0x0008_0000 | 0x8000 | 0x0800 | 0x0200;
    let body = [&flags.to_le_bytes()[..], &[0, 0, 0, 1, 45], &[0; 23], b"nobody\0\0mysql_native_password\0"]
        .concat();
    let input = [&[body.len() as u8, 0, 0, 2][..], &body, &[0, 0, 0, 4]].concat();
    s_client(&lab, "mysql", "mysql", &[], input).with(&["caching_sha2_password", "#28000"]);
}

#[test]
fn s_client_irc() {
    let lab = lab();
    s_client(&lab, "irc", "irc", &["-crlf"], "NICK me\nUSER me 0 * :Me\nPING :x\nQUIT\n").with(&[
        ":localhost 001 me",
        ":localhost 004 me",
        "PONG localhost :x",
        "ERROR ",
    ]);
}

#[test]
fn s_client_refuses_an_authority_it_does_not_know() {
    let (lab, other) = (lab(), lab());
    let said = client("openssl", "openssl")
        .args(["s_client", "-connect", &endpoint(&lab, "smtp").address.to_string(), "-starttls", "smtp"])
        .args(["-verify_return_error", "-CAfile"])
        .args([other.ca_file()])
        .run();
    assert!(!said.ok && said.out.contains("unable to get local issuer certificate"), "{}", said.out);
}
