//! Message data of SMTP and LMTP: its start and its end.

use starttls_proto::Side;

use crate::Session;

/// The relay distinguishes the answer to DATA from the answers to earlier commands, so data is read as data, and
/// commands as commands.
#[test]
fn s4_message_data_begins_where_the_server_says_so() {
    type Step = (Side, &'static str);
    const C: Side = Side::Client;
    const S: Side = Side::Server;
    // After each AUTH the server reads commands again.
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
        (
            "lmtp",
            &[
                (
                    C,
                    "MAIL\r\nRCPT\r\nRSET\r\nMAIL\r\nRCPT\r\nDATA\r\n.\r\nMAIL\r\nDATA\r\nAUTH PLAIN secret\r\n",
                ),
                (
                    S,
                    "250 ok\r\n250 ok\r\n250 reset\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 one\r\n250 mail\r\n503 no\r\n",
                ),
            ],
        ),
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
            // The server answers only commands that it has received.
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
fn message_data_passes_as_it_is_and_ends_where_the_specification_says() {
    let long = [&b"x"[..]; 70_000].concat();
    let edge = [&long[..997], b".\r\n", &long[..998], b".x"].concat();
    for data in [&b""[..], b"a\r\n\r\nb", b"..\r\n.a", b"\xff\x8d\x8a.\x8d\x8a", &long, &edge, b". \r\n.\x01"]
    {
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

/// Some servers would read commands after this data. The session ends, and the server receives nothing of what
/// follows.
#[test]
fn s4_what_could_be_the_end_of_a_message_is_not_passed_on() {
    let long = [&b"x"[..]; 16 * 1024 - 1].concat();
    let crs = [&b"\r"[..]; 40_000].concat();
    for end in [
        &b"\n"[..],
        b"\r",
        b"\0",
        b"\r\r\n",
        b"\n\r\n",
        &crs,
        &[&b"\r\n"[..], &long[..998], b".\r\n"].concat(),
        &[&b"\r\n"[..], &long, b"x.\r\n"].concat(),
        &[&b"\r\n"[..], &long, b".\r\n"].concat(),
        b"\n.\n",
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
            let said = [b"text", end, b"\r\n.\r\nAUTH PLAIN secret\r\n.\r\n"].concat();
            let (heard, passed) = session.says(Side::Client, &said, chunk);
            let name = format!("{} by {chunk}", said[said.len() - 40.min(said.len())..].escape_ascii());
            assert!(!passed.windows(4).any(|it| it == b"AUTH"), "{name}");
            assert!(!passed.windows(3).any(|it| it == b"\n.\r"), "{name}: the message has an end");
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
