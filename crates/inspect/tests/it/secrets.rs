//! Passwords, tokens and responses are in no output.

use starttls_inspect::{ReportLine, SCHEMA_VERSION, eve, zeek};
use starttls_proto::{Identity, PROTOCOLS, Side, base64};

use crate::packets::{connection, frames, inspect, pcap};
use crate::vector::Vector;

const SECRET: &str = "hunter2-SecretOfTheTest";

/// Logins that contain the secret, in every protocol of lines.
fn logins() -> Vec<(u16, Vec<(Side, String)>)> {
    let plain = base64::encode(format!("\0alice\0{SECRET}").as_bytes());
    let secret = base64::encode(SECRET.as_bytes());
    let alice = base64::encode(b"alice");
    let (c, s) = (Side::Client, Side::Server);
    let said = |turns: &[(Side, &str)]| {
        turns.iter().map(|(side, text)| (*side, format!("{text}\r\n"))).collect::<Vec<_>>()
    };
    let smtp = [(s, "220 mail.example.com ESMTP"), (c, "EHLO client"), (s, "250-mail\r\n250 STARTTLS")];
    let with = |start: &[(Side, &str)], rest: &[(Side, &str)]| said(&[start, rest].concat());
    vec![
        (25, with(&smtp, &[(c, &format!("AUTH PLAIN {plain}")), (s, &format!("535 no {plain} {SECRET}"))])),
        (25, with(&smtp, &[(c, "AUTH PLAIN"), (s, "334 "), (c, &plain), (s, "235 ok")])),
        (
            25,
            with(
                &smtp,
                &[
                    (c, "AUTH LOGIN"),
                    (s, "334 VXNlcg=="),
                    (c, &alice),
                    (s, "334 UGFzcw=="),
                    (c, &secret),
                    (s, "235 ok"),
                ],
            ),
        ),
        (
            25,
            with(
                &smtp,
                &[
                    (
                        c,
                        &format!(
                            "AUTH XOAUTH2 {}",
                            base64::encode(format!("user=alice\x01auth=Bearer {SECRET}\x01\x01").as_bytes())
                        ),
                    ),
                    (s, "235 ok"),
                ],
            ),
        ),
        // Pipelined after the command, against the rules.
        (
            25,
            with(
                &smtp,
                &[
                    (c, &format!("AUTH LOGIN\r\n{alice}\r\n{secret}\r\nMAIL FROM:<{SECRET}>")),
                    (s, "334 a"),
                    (s, "334 b"),
                    (s, "235 c"),
                ],
            ),
        ),
        (
            143,
            said(&[
                (s, "* OK IMAP4rev1"),
                (c, &format!("a LOGIN alice {SECRET}")),
                (s, &format!("a NO bad {SECRET}")),
            ]),
        ),
        (
            143,
            said(&[
                (s, "* OK IMAP4rev1"),
                (c, &format!("a LOGIN \"al ice\" \"{SECRET}\"")),
                (s, "a OK done"),
            ]),
        ),
        (
            143,
            said(&[
                (s, "* OK IMAP4rev1"),
                (c, &format!("a LOGIN {{5}}\r\nalice {{{}}}\r\n{SECRET}", SECRET.len())),
                (s, "+ go"),
                (s, "+ go"),
                (s, "a OK done"),
            ]),
        ),
        (
            143,
            said(&[(s, "* OK IMAP4rev1"), (c, &format!("a AUTHENTICATE PLAIN {plain}")), (s, "a OK done")]),
        ),
        (
            143,
            said(&[
                (s, "* OK IMAP4rev1"),
                (c, "a AUTHENTICATE LOGIN"),
                (s, "+ "),
                (c, &alice),
                (s, "+ "),
                (c, &secret),
                (s, "a OK done"),
            ]),
        ),
        (
            110,
            said(&[
                (s, "+OK <1@a>"),
                (c, "USER alice"),
                (s, "+OK"),
                (c, &format!("PASS {SECRET}")),
                (s, "+OK in"),
            ]),
        ),
        (110, said(&[(s, "+OK <1@a>"), (c, &format!("APOP alice {SECRET}")), (s, "+OK in")])),
        (110, said(&[(s, "+OK <1@a>"), (c, "AUTH PLAIN"), (s, "+ "), (c, &plain), (s, "+OK in")])),
        (
            119,
            said(&[
                (s, "200 news"),
                (c, "AUTHINFO USER alice"),
                (s, "381 more"),
                (c, &format!("AUTHINFO PASS {SECRET}")),
                (s, "281 in"),
            ]),
        ),
        (
            21,
            said(&[
                (s, "220 ftp"),
                (c, "USER alice"),
                (s, "331 more"),
                (c, &format!("PASS {SECRET}")),
                (s, "230 in"),
            ]),
        ),
        (
            4190,
            said(&[
                (s, "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"PLAIN\"\r\nOK"),
                (c, &format!("AUTHENTICATE \"PLAIN\" \"{plain}\"")),
                (s, "OK"),
            ]),
        ),
        (
            6667,
            said(&[
                (c, &format!("PASS {SECRET}\r\nNICK alice\r\nUSER alice 0 * :Alice")),
                (s, ":srv 001 alice :Welcome"),
            ]),
        ),
        (
            6667,
            said(&[
                (c, "CAP REQ :sasl"),
                (s, ":srv CAP * ACK :sasl"),
                (c, "AUTHENTICATE PLAIN"),
                (s, "AUTHENTICATE +"),
                (c, &format!("AUTHENTICATE {plain}")),
                (s, ":srv 903 alice :ok"),
            ]),
        ),
        // Without waiting for the server, and in two parts (IRCv3 SASL 3.1). A response has the form of the command with the
        // mechanism.
        (
            6667,
            said(&[
                (c, &format!("AUTHENTICATE PLAIN\r\nAUTHENTICATE {plain}")),
                (s, "AUTHENTICATE +\r\n:srv 903 alice :ok"),
            ]),
        ),
        (
            6667,
            said(&[
                (c, "AUTHENTICATE PLAIN"),
                (s, "AUTHENTICATE +"),
                (c, &format!("AUTHENTICATE {}\r\nAUTHENTICATE {plain}", "A".repeat(400))),
                (s, ":srv 904 alice :no"),
            ]),
        ),
        (
            6667,
            said(&[
                (c, "NICK alice"),
                (c, &format!("PRIVMSG NickServ :IDENTIFY {SECRET}")),
                (s, ":srv 001 alice :Welcome"),
            ]),
        ),
        (3493, vec![(c, format!("USERNAME alice\nPASSWORD {SECRET}\n")), (s, String::from("OK\nOK\n"))]),
        (
            80,
            said(&[
                (
                    c,
                    &format!(
                        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {}\r\n",
                        base64::encode(format!("alice:{SECRET}").as_bytes())
                    ),
                ),
                (s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
            ]),
        ),
        (
            80,
            said(&[
                (c, &format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: session={SECRET}\r\n")),
                (s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
            ]),
        ),
        (
            5222,
            vec![
                (
                    c,
                    String::from(
                        "<stream:stream to='a' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
                    ),
                ),
                (
                    s,
                    String::from(
                        "<stream:stream from='a' version='1.0' id='1' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:features/>",
                    ),
                ),
                (
                    c,
                    format!(
                        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
                    ),
                ),
                (s, String::from("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")),
            ],
        ),
        (
            5222,
            vec![
                (
                    c,
                    String::from(
                        "<stream:stream to='a' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
                    ),
                ),
                (
                    s,
                    String::from(
                        "<stream:stream from='a' version='1.0' id='1' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:features/>",
                    ),
                ),
                (
                    c,
                    format!(
                        "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>alice</username><password>{SECRET}</password></query></iq>"
                    ),
                ),
                (s, String::from("<iq type='result' id='1'/>")),
            ],
        ),
    ]
}

/// Returns everything that the command can print about a capture.
fn outputs(file: &[u8]) -> String {
    let reports = inspect(file);
    let json = reports.iter().map(|connection| {
        ReportLine::Connection { schema_version: SCHEMA_VERSION, connection }.to_json().unwrap()
    });
    let others = reports.iter().flat_map(|report| [eve(report), vec![zeek(report)]]).flatten();
    json.chain(others).collect::<String>() + &format!("{reports:?}")
}

fn check(output: &str, secret: &[u8], what: &str) {
    let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let text = String::from_utf8_lossy(secret).into_owned();
    // Base64 depends on the position of the secret in what is encoded.
    let encoded = (0..3).map(|skip| {
        let padded = base64::encode(&[&vec![0; skip], secret].concat());
        padded.get(4..padded.len() - 4).unwrap_or_default().to_owned()
    });
    // Names of mechanisms are written in upper case.
    let upper = output.to_ascii_uppercase();
    for form in [text, hex].into_iter().chain(encoded).filter(|form| form.len() > 6) {
        assert!(!upper.contains(&form.to_ascii_uppercase()), "{what}: {form} is in {output}");
    }
}

#[test]
fn a_secret_is_in_no_output() {
    for (port, turns) in logins() {
        let turns: Vec<_> = turns.into_iter().map(|(side, text)| (side, text.into_bytes())).collect();
        for segment in [1448, 1] {
            let output = outputs(&pcap(1, &frames(&connection(&turns, [1, 2], segment), port)));
            let what = format!("port {port}: {:?}", String::from_utf8_lossy(&turns.last().unwrap().1));
            check(&output, SECRET.as_bytes(), &what);
            assert!(output.contains("\"credentials\":[{"), "{what}: no login was noticed: {output}");
        }
    }
}

#[test]
fn the_login_of_every_dialect_is_noticed_and_its_password_is_not_shown() {
    for protocol in PROTOCOLS {
        let mut dialect = (protocol.dialect)(Identity::new("mail.example.com").with_nonce(0x5ec2_e75e_c2e7));
        let mut login = Vec::new();
        dialect.write_client(starttls_proto::ClientMessage::Credentials, &mut login);
        if login.is_empty() {
            continue;
        }
        let greeting = Vector::all()
            .into_iter()
            .find(|it| it.protocol == *protocol && it.result() == "upgrade" && it.is_for_observers());
        let greeting = greeting.unwrap().turns.into_iter().take_while(|turn| turn.from == Side::Server);
        let mut turns: Vec<_> = greeting.map(|turn| (turn.from, turn.bytes)).collect();
        turns.push((Side::Client, login));
        let output = outputs(&pcap(1, &frames(&connection(&turns, [1, 2], 1448), protocol.port)));
        check(&output, b"5ec2e75ec2e7", protocol.name);
    }
}
