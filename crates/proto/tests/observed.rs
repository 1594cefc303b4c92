//! What an observer reads of logins: who logs in and what that exposes, in every protocol, and never the secret.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    ClientMessage, Dialect, Identity, LoginExposure, OpeningFit, PROTOCOLS, PartOf, Protocol, ReplyTo,
    ServerMessage, Side, base64, http, imap, irc, ldap, mysql, nats, pop3, postgres, sieve, smtp, xmpp,
};

const NONCE: u64 = 0x5ec2_e75e_c2e7;

fn dialect(protocol: &Protocol) -> Box<dyn Dialect> {
    protocol.new_dialect(Identity::observer().with_nonce(NONCE))
}

/// Fails if the text contains the secret in any of the forms in which protocols write it, in any case.
fn check_hidden(text: &str, secret: &[u8], what: &str) {
    let text = text.to_ascii_uppercase();
    let encoded = (0..3).map(|skip| {
        let padded = base64::encode(&[&vec![0; skip], secret].concat());
        padded[4..padded.len() - 4].to_owned()
    });
    for form in encoded.chain([String::from_utf8_lossy(secret).into_owned(), format!("{secret:?}")]) {
        let form = form.trim_matches(['[', ']']).to_ascii_uppercase();
        assert!(!text.contains(&form), "{what}: {form} is in {text}");
    }
}

/// A dialect that reads logins without telling an observer about them would make its passwords invisible.
#[test]
fn the_login_of_every_protocol_is_read_without_its_secret() {
    let mut without = Vec::new();
    for protocol in PROTOCOLS {
        let (mut writer, mut reader, mut login) = (dialect(protocol), dialect(protocol), Vec::new());
        writer.write_client(ClientMessage::Credentials, &mut login);
        if login.is_empty() {
            without.push(protocol.name);
            continue;
        }
        assert_eq!(reader.read_client(&login), Ok(ClientMessage::Credentials), "{}", protocol.name);
        let part = reader.observed().login_part(&login);
        let part =
            part.unwrap_or_else(|| panic!("{}: the observer does not read its own login", protocol.name));
        assert!(!part.mechanism.is_empty(), "{}: {part:?}", protocol.name);
        if let Some(user) = &part.user {
            assert!(String::from_utf8_lossy(user).contains("starttls-probe"), "{}: {part:?}", protocol.name);
        }
        check_hidden(&format!("{part:?}"), format!("{NONCE:016x}").as_bytes(), protocol.name);
    }
    for name in without {
        let login = dialect(starttls_proto::protocol(name).unwrap()).into_login();
        assert!(login.is_none(), "{name} has logins, and writes none that an observer could read");
    }
}

/// Returns the first of the messages that the dialect has.
fn first_octets<T>(write: impl Fn(T, &mut Vec<u8>), messages: [T; 2]) -> Vec<u8> {
    let written = messages.map(|message| {
        let mut out = Vec::new();
        write(message, &mut out);
        out
    });
    written.into_iter().find(|it| !it.is_empty()).unwrap()
}

/// A protocol without it is found on its own port only.
#[test]
fn every_protocol_is_known_by_its_first_octets() {
    for protocol in PROTOCOLS {
        // A greeting may be a list of capabilities, and a client may begin with its request.
        let (from, first) = match protocol.flow.greeting {
            true => {
                let messages = [ServerMessage::Greeting, ServerMessage::Offer { starttls: true }];
                (
                    Side::Server,
                    first_octets(|message, out| dialect(protocol).write_server(message, out), messages),
                )
            }
            false => {
                let messages = [ClientMessage::Hello, ClientMessage::Request];
                (
                    Side::Client,
                    first_octets(|message, out| dialect(protocol).write_client(message, out), messages),
                )
            }
        };
        let fit = |it: &Protocol| dialect(it).observed().opening(from, &first);
        let own = fit(protocol);
        assert!(
            matches!(own, OpeningFit::Possible | OpeningFit::Certain),
            "{}: {own:?} for {first:02x?}",
            protocol.name
        );
        let certain: Vec<_> = PROTOCOLS.iter().filter(|it| fit(it) == OpeningFit::Certain).collect();
        let expected = if own == OpeningFit::Certain { vec![protocol] } else { Vec::new() };
        assert_eq!(certain, expected, "{} begins like one that is certain", protocol.name);
    }
}

/// Reads messages of a client, or of a server if they begin with `S `. Returns what the last one of the client contributes.
fn last_part(protocol: &Protocol, messages: &[&str]) -> Option<starttls_proto::LoginPart> {
    let mut dialect = dialect(protocol);
    let mut last = None;
    for message in messages {
        match message.strip_prefix("S ") {
            Some(answer) => {
                dialect.read_server(ReplyTo::Other, answer.as_bytes()).unwrap();
            }
            None => {
                dialect.read_client(message.as_bytes()).unwrap();
                last = dialect.observed().login_part(message.as_bytes());
            }
        }
    }
    last
}

#[test]
fn parts_name_the_mechanism_the_user_and_what_they_expose() {
    use LoginExposure::{Attempted, Guessable, Identity, Readable};
    let stream =
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let iq = |inner| format!("<iq type='set'><query xmlns='jabber:iq:auth'>{inner}</query></iq>");
    let (password, digest) = (
        iq("<username>alice</username><password>hunter2</password>"),
        iq("<digest>hunter2</digest><username>alice</username>"),
    );
    let sasl2 = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><user-agent/>\
                 <initial-response>AGFsaWNlAGh1bnRlcjI=</initial-response></authenticate>";
    let bearer = "CONNECT {\"jwt\":\"hunter2\"}\r\n";
    for (protocol, messages, mechanism, user, exposure) in [
        (&smtp::SMTP, &["AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n"][..], "PLAIN", "alice", Readable),
        (&smtp::SMTP, &["AUTH login\r\n"], "LOGIN", "", Attempted),
        (&smtp::SMTP, &["AUTH AGFsaWNlAGh1bnRlcjI=\r\n"], "", "", Readable),
        (&imap::IMAP, &["a LOGIN \"al ice\" hunter2\r\n"], "LOGIN", "", Readable),
        (&pop3::POP3, &["APOP alice 0123456789\r\n"], "APOP", "alice", Guessable),
        (
            &sieve::SIEVE,
            &["AUTHENTICATE \"SCRAM-SHA-1\" \"biwsbj1hbGljZSxyPWE=\"\r\n"],
            "SCRAM-SHA-1",
            "alice",
            Identity,
        ),
        // The second response of a mechanism has the form of a command that begins one.
        (&irc::IRC, &["AUTHENTICATE PLAIN\r\n", "AUTHENTICATE AGFsaWNlAGh1bnRlcjI=\r\n"], "", "", Readable),
        (
            &irc::IRC,
            &["AUTHENTICATE EXTERNAL\r\n", "S :a 904 * :failed\r\n", "AUTHENTICATE PLAIN\r\n"],
            "PLAIN",
            "",
            Attempted,
        ),
        (&irc::IRC, &["@label=1 OPER alice hunter2\r\n"], "OPER", "alice", Readable),
        (&xmpp::XMPP, &[stream, sasl2], "PLAIN", "alice", Readable),
        (&xmpp::XMPP, &[stream, &password], "jabber:iq:auth", "alice", Readable),
        (&xmpp::XMPP, &[stream, &digest], "jabber:iq:auth", "alice", Guessable),
        (
            &nats::NATS,
            &["CONNECT {\"user\":\"alice\",\"Pass\":\"hunter2\"}\r\n"],
            "CONNECT",
            "alice",
            Readable,
        ),
        (&nats::NATS, &["CONNECT {\"jwt\":\"hunter2\",\"sig\":\"a\"}\r\n"], "CONNECT", "", Identity),
        (&nats::NATS, &[bearer], "CONNECT", "", Readable),
        (
            &http::HTTP,
            &["GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6aHVudGVyMg==\r\n\r\n"],
            "Basic",
            "alice",
            Readable,
        ),
    ] {
        let part = last_part(protocol, messages).unwrap();
        let found = (part.mechanism.as_str(), part.user.as_deref().unwrap_or_default(), part.exposure);
        assert_eq!(found, (mechanism, user.as_bytes(), exposure), "{messages:?}");
        check_hidden(&format!("{part:?}"), b"hunter2", protocol.name);
    }
    // A server may read a password in a form that is not parsed here.
    assert_eq!(
        last_part(&nats::NATS, &["CONNECT {\"user\":\"alice\",\"p\\u0061ss\":\"hunter2\"}\r\n"]),
        None
    );
}

#[test]
fn a_response_names_the_user_once_and_an_abort_exposes_nothing() {
    let stream =
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let plain = base64::encode(b"\0alice\0hunter2");
    let in_xmpp = format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{plain}</response>");
    for (protocol, response, abort) in [
        (&smtp::SMTP, format!("{plain}\r\n"), "*\r\n"),
        (&imap::IMAP, format!("{plain}\r\n"), "*\r\n"),
        (&sieve::SIEVE, format!("\"{plain}\"\r\n"), "\"*\"\r\n"),
        (&irc::IRC, format!("AUTHENTICATE {plain}\r\n"), "AUTHENTICATE *\r\n"),
        (&xmpp::XMPP, in_xmpp, "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
    ] {
        let mut dialect = dialect(protocol);
        if protocol.name == "xmpp" {
            dialect.read_client(stream.as_bytes()).unwrap();
        }
        let observed = dialect.observed();
        let read = observed.login_response("PLAIN", 1, response.as_bytes());
        assert_eq!((read.user.as_deref(), read.exposure), (Some(&b"alice"[..]), LoginExposure::Readable));
        check_hidden(&format!("{read:?}"), b"hunter2", protocol.name);
        let read = observed.login_response("PLAIN", 1, abort.as_bytes());
        assert_eq!((read.user, read.exposure), (None, LoginExposure::Attempted), "{}", protocol.name);
    }
}

#[test]
fn the_servers_request_tells_what_a_message_of_postgresql_is() {
    let startup = "\0\0\0\x15\0\x03\0\0user\0alice\0\0";
    for (request, mechanism, exposure) in [
        ("R\0\0\0\x08\0\0\0\x03", "password", LoginExposure::Readable),
        ("R\0\0\0\x0c\0\0\0\x05salt", "md5", LoginExposure::Guessable),
    ] {
        let part =
            last_part(&postgres::POSTGRES, &[startup, &format!("S {request}"), "p\0\0\0\x0chunter2\0"])
                .unwrap();
        assert_eq!(
            (part.mechanism.as_str(), part.exposure, part.part_of),
            (mechanism, exposure, PartOf::LastLogin)
        );
    }
}

#[test]
fn a_server_of_mysql_that_asks_for_the_password_gets_it_readable() {
    let mut dialect = dialect(&mysql::MYSQL);
    let mut login = Vec::new();
    dialect.write_client(ClientMessage::Credentials, &mut login);
    for (request, exposure) in [
        (&b"\x2c\0\0\x02\xfemysql_native_password\0aaaaaaaaaaaaaaaaaaaaa"[..], LoginExposure::Guessable),
        (b"\x16\0\0\x02\xfemysql_clear_password\0", LoginExposure::Readable),
    ] {
        assert_eq!(dialect.read_client(&login), Ok(ClientMessage::Credentials));
        dialect.read_server(ReplyTo::Other, request).unwrap();
        let answer = b"\x08\0\0\x03hunter2\0";
        assert_eq!(dialect.read_client(answer), Ok(ClientMessage::Credentials));
        let part = dialect.observed().login_part(answer).unwrap();
        assert_eq!((part.exposure, part.part_of), (exposure, PartOf::LastLogin));
        check_hidden(&format!("{part:?}"), b"hunter2", "mysql");
    }
}

#[test]
fn each_bind_of_a_mechanism_is_a_response() {
    let bind = b"\x30\x1e\x02\x01\x01\x60\x19\x02\x01\x03\x04\x00\xa3\x12\x04\x08CRAM-MD5\x04\x06al abc";
    let mut dialect = dialect(&ldap::LDAP);
    assert_eq!(dialect.read_client(bind), Ok(ClientMessage::Credentials));
    let part = dialect.observed().login_part(bind).unwrap();
    assert_eq!(
        (part.part_of, part.steps, part.exposure),
        (PartOf::SameMechanism, 1, LoginExposure::Guessable)
    );
    let response = dialect.observed().login_response("CRAM-MD5", 2, bind);
    assert_eq!((response.user.as_deref(), response.exposure), (Some(&b"al"[..]), LoginExposure::Guessable));
}
