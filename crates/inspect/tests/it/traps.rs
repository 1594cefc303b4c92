//! Traffic that looks like something else.

use starttls_inspect::{
    CapturedPacket, ConnectionReport, InspectLimits, Inspector, Offered, RequestAnswer, Requested, TlsUse,
    Visibility,
};
use starttls_proto::Side;

use crate::packets::{
    ACK, SYN, Tcp, connection, ethernet, frames, handshake, inspect, inspect_one, ipv4, pcap,
};
use crate::vectors::has;

const C: Side = Side::Client;
const S: Side = Side::Server;

fn report(port: u16, turns: &[(Side, &str)]) -> ConnectionReport {
    inspect_one(&pcap(1, &frames(&connection(&octets(turns), [1, 2], 1448), port)))
}

fn octets(turns: &[(Side, &str)]) -> Vec<(Side, Vec<u8>)> {
    turns.iter().map(|(side, text)| (*side, text.as_bytes().to_vec())).collect()
}

const HELLO: [(Side, &str); 3] = [
    (S, "220 mail.example.com ESMTP\r\n"),
    (C, "EHLO client.example\r\n"),
    (S, "250-mail.example.com\r\n250-CHUNKING\r\n250 SIZE\r\n"),
];

#[test]
fn message_data_is_not_commands() {
    let data = [(C, "DATA\r\n"), (S, "354 go\r\n"), (C, "STARTTLS\r\n.\r\n"), (S, "250 queued\r\n")];
    let chunk = [(C, "BDAT 10 LAST\r\nSTARTTLS\r\n"), (S, "250 queued\r\n")];
    // Bare line feeds: servers disagree about such data, and the answer shows what this server read.
    let text = "a\nSTARTTLS\n.\r\n\r\n.\r\n";
    let bare = [(C, "DATA\r\n"), (S, "354 go\r\n"), (C, text), (S, "250 queued\r\n")];
    for rest in [&data[..], &chunk, &bare] {
        let report = report(25, &[&HELLO, rest, &[(C, "QUIT\r\n"), (S, "221 Bye\r\n")]].concat());
        assert_eq!(report.facts.requested, Requested::No, "{report:#?}");
        assert_eq!((report.facts.offered, report.facts.tls), (Offered::No, TlsUse::Never));
    }
}

#[test]
fn a_name_is_not_an_offer() {
    let list = "250-STARTTLS\r\n250 SIZE\r\n";
    let turns = [(S, "220 STARTTLS\r\n"), (C, "EHLO a\r\n"), (S, list), (C, "QUIT\r\n"), (S, "221 b\r\n")];
    assert_eq!(report(25, &turns).facts.offered, Offered::No);
}

#[test]
fn a_mask_of_eight_letters_is_no_proof_of_an_offer() {
    let masked = |word: &str| {
        let list = format!("250-mail\r\n250-{word}\r\n250 SIZE\r\n");
        report(25, &[(S, "220 a\r\n"), (C, "EHLO a\r\n"), (S, &list), (C, "QUIT\r\n"), (S, "221 b\r\n")])
    };
    let eight = masked("XXXXXXXA");
    assert_eq!(eight.facts.offered, Offered::Masked);
    assert!(has(&eight, "obs-masked") && !has(&eight, "obs-stripped"));
    // Another length cannot have been STARTTLS.
    assert_eq!(masked("XXXA").facts.offered, Offered::No);
    assert_eq!(masked("XEXCH50X").facts.offered, Offered::No);
}

#[test]
fn a_request_that_was_altered_on_the_way_is_proof() {
    let turns = [
        (S, "220 a\r\n"),
        (C, "EHLO a\r\n"),
        (S, "250-mail\r\n250 SIZE\r\n"),
        (C, "STARTTLS\r\n"),
        (S, "500 5.5.1 Command unrecognized: \"XXXXXXXX\"\r\n"),
        (C, "QUIT\r\n"),
    ];
    let report = report(25, &turns);
    assert!(has(&report, "obs-stripped") && has(&report, "obs-refused"), "{report:#?}");
}

#[test]
fn a_login_that_is_refused_before_a_secret_is_only_an_attempt() {
    let turns = [&HELLO[..], &[(C, "AUTH LOGIN\r\n"), (S, "503 not now\r\n"), (C, "QUIT\r\n")]].concat();
    let report = report(25, &turns);
    assert!(has(&report, "obs-login-attempted") && !has(&report, "obs-credentials"), "{report:#?}");
}

#[test]
fn two_copies_with_other_contents_are_a_conflict_and_the_first_one_counts() {
    let mut segments = connection(&octets(&HELLO), [1, 2], 1448);
    let list = segments.iter().position(|it| it.payload.starts_with(b"250-")).unwrap();
    let mut forged = segments[list].clone();
    let end = forged.payload.len();
    forged.payload[end - 24..].copy_from_slice(b"250-STARTTLS\r\n250 SIZE\r\n");
    segments.insert(list + 1, forged);
    let report = inspect_one(&pcap(1, &frames(&segments, 25)));
    assert_eq!(report.facts.offered, Offered::No);
    assert!(has(&report, "obs-conflict") && has(&report, "obs-stripped"), "{report:#?}");
}

#[test]
fn keep_alives_and_padding_are_not_conflicts() {
    let mut segments = connection(&octets(&HELLO), [1, 2], 1448);
    let list = segments.iter().position(|it| it.payload.starts_with(b"250-")).unwrap();
    let last = segments[list].clone();
    // An octet before the next one, with a content that was never sent.
    let next = last.seq.wrapping_add(last.payload.len() as u32);
    segments.insert(list + 1, Tcp { seq: next.wrapping_sub(1), payload: vec![0], ..last });
    let mut packets = frames(&segments, 25);
    // A device that counts the padding of a short Ethernet frame in the length of the packet.
    let bare = Tcp { from: S, seq: 3, ack: 2, flags: ACK, payload: vec![0; 6] };
    packets.insert(3, ethernet(0x0800, &ipv4(&bare, 25, 64)));
    let report = inspect_one(&pcap(1, &packets));
    assert!(!has(&report, "obs-conflict"), "{report:#?}");
    assert_eq!(report.facts.offered, Offered::No);
}

#[test]
fn a_connection_that_was_joined_late_shows_nothing() {
    // The go-ahead looks like a greeting, and TLS after it like the wrong mode.
    let turns = [octets(&[(S, "220 Go ahead\r\n")]), handshake()].concat();
    let segments = connection(&turns, [1, 2], 1448);
    let report = inspect_one(&pcap(1, &frames(&segments[3..], 25)));
    assert_eq!(report.facts.seen, Visibility::Midstream);
    assert!(report.findings.is_empty() && report.facts.protocol.is_none(), "{report:#?}");
    assert_eq!((report.facts.tls, report.facts.offered), (TlsUse::Unknown, Offered::Unknown));
}

#[test]
fn memory_stays_below_its_limit() {
    let limits = InspectLimits { memory: 1 << 20, connections: 100_000, by_vlan: false };
    let mut inspector = Inspector::new(limits);
    let start = Tcp { from: S, seq: 0, ack: 1, flags: SYN | ACK, payload: Vec::new() };
    let greeting = Tcp { from: S, seq: 1, ack: 1, flags: ACK, payload: b"220 mail.example.com\r\n".to_vec() };
    for port in 1..20_000 {
        for segment in [&start, &greeting] {
            let data = ipv4(segment, port, 64);
            inspector.packet(&CapturedPacket {
                time: u64::from(port),
                link: 101,
                sent: data.len() as u32,
                data: &data,
            });
        }
        assert!(inspector.memory() <= limits.memory, "{}", inspector.memory());
    }
    assert!(inspector.summary().evicted > 0);
    inspector.finish();
    assert!(inspector.memory() <= limits.memory / 4, "only servers and clients are remembered");
}

#[test]
fn a_login_after_a_gap_is_noticed_and_content_is_no_login() {
    let secret = "AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n";
    let start = [
        (S, "220 a\r\n"),
        (C, "EHLO a\r\n"),
        (S, "250-mail\r\n250 SIZE\r\n"),
        (C, "NOOP lost\r\n"),
        (S, "250 OK\r\n"),
    ];
    let without_lost = |rest: &[(Side, &str)]| {
        let mut segments = connection(&octets(&[&start, rest].concat()), [1, 2], 1448);
        segments.retain(|it| !it.payload.starts_with(b"NOOP lost") && !it.payload.starts_with(b"DATA"));
        inspect_one(&pcap(1, &frames(&segments, 25)))
    };
    let login = without_lost(&[(C, secret), (S, "235 OK\r\n"), (C, "QUIT\r\n"), (S, "221 Bye\r\n")]);
    assert!(has(&login, "obs-credentials"), "{login:#?}");
    // Every absence may be in the gap.
    assert_eq!((login.facts.requested, login.facts.tls), (Requested::Unknown, TlsUse::Unknown));
    let mail = format!("Subject: a\r\n\r\n{secret}.\r\n");
    let data = [(C, "DATA\r\n"), (S, "354 go\r\n"), (C, mail.as_str()), (S, "250 OK\r\n"), (C, "QUIT\r\n")];
    let content = without_lost(&data);
    assert!(content.facts.credentials.is_empty() && !has(&content, "obs-credentials"), "{content:#?}");
}

#[test]
fn the_same_addresses_can_be_used_again() {
    let turns = octets(&HELLO);
    let both = [connection(&turns, [1, 2], 1448), connection(&turns, [9000, 8000], 1448)].concat();
    let reports = inspect(&pcap(1, &frames(&both, 25)));
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|it| it.facts.seen == Visibility::Whole), "{reports:#?}");
}

#[test]
fn a_login_after_an_answer_that_is_not_one_is_noticed() {
    for answer in ["250 2.0.0 OK\r\n", "\r\n", "garbage\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"] {
        let turns = [
            (S, "220 a\r\n"),
            (C, "EHLO a\r\n"),
            (S, "250-mail\r\n250 STARTTLS\r\n"),
            (C, "STARTTLS\r\n"),
            (S, answer),
            (C, "AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n"),
            (S, "235 OK\r\n"),
            (C, "QUIT\r\n"),
        ];
        let report = report(25, &turns);
        assert!(has(&report, "obs-credentials") && has(&report, "obs-fell-back"), "{answer:?}: {report:#?}");
        assert_eq!((report.facts.answer, report.facts.tls), (RequestAnswer::Unknown, TlsUse::Never));
    }
}

#[test]
fn packets_that_traveled_another_way_are_hints() {
    let segments =
        connection(&octets(&[&HELLO[..], &[(C, "QUIT\r\n"), (S, "221 Bye\r\n")]].concat()), [1, 2], 1448);
    let hints = |ttl: &dyn Fn(usize, &Tcp) -> u8| {
        let packets = segments.iter().enumerate();
        let packets = packets.map(|(at, segment)| ethernet(0x0800, &ipv4(segment, 25, ttl(at, segment))));
        inspect_one(&pcap(1, &packets.collect::<Vec<_>>())).hints
    };
    let list = segments.iter().position(|it| it.payload.starts_with(b"250-")).unwrap();
    let found = hints(&|at, _| if at == list { 59 } else { 52 });
    let expected =
        format!("packet {} (data of the server) has TTL 59, the others of this side have 52", list + 1);
    assert_eq!(found, [expected]);
    // Each side has its own distance, and a route may change by a hop.
    assert!(hints(&|_, it| if it.from == S { 52 } else { 64 }).is_empty());
    assert!(hints(&|at, _| if at == list { 53 } else { 52 }).is_empty());
    assert!(hints(&|at, _| if at % 2 == 0 { 62 } else { 52 }).is_empty());
}
