//! Stripping that only several connections together show: the rules and what must not trigger them.

use starttls_inspect::{CapturedPacket, ClientSummary, Confidence, InspectLimits, Inspector};
use starttls_proto::Side;

use crate::packets::{connection, ethernet, ipv4};

/// A connection: the ends of the addresses of the client and the server, and whether the server offers the upgrade.
type Seen = (u16, u16, bool);

/// Returns the packets of a connection in which mail is delivered in cleartext.
fn packets((client, server, offers): Seen) -> Vec<Vec<u8>> {
    let list: &[u8] = if offers { b"250-mail\r\n250 STARTTLS\r\n" } else { b"250-mail\r\n250 SIZE\r\n" };
    let (c, s) = (Side::Client, Side::Server);
    let turns: [(Side, &[u8]); 9] = [
        (s, b"220 mail.example.com ESMTP\r\n"),
        (c, b"EHLO client.example\r\n"),
        (s, list),
        (c, b"MAIL FROM:<a@example.com>\r\n"),
        (s, b"250 OK\r\n"),
        (c, b"RCPT TO:<b@example.com>\r\n"),
        (s, b"250 OK\r\n"),
        (c, b"QUIT\r\n"),
        (s, b"221 Bye\r\n"),
    ];
    let turns: Vec<_> = turns.iter().map(|(side, bytes)| (*side, bytes.to_vec())).collect();
    let own = |segment: &crate::packets::Tcp| {
        let mut packet = ipv4(segment, 25, 64);
        let (from, to) = if segment.from == c { (client, server) } else { (server, client) };
        packet[14..16].copy_from_slice(&from.to_be_bytes());
        packet[18..20].copy_from_slice(&to.to_be_bytes());
        ethernet(0x0800, &packet)
    };
    connection(&turns, [1, 2], 1448).iter().map(own).collect()
}

fn inspected(connections: &[Seen]) -> Inspector {
    let mut inspector = Inspector::new(InspectLimits::default());
    for (nth, seen) in (0_u64..).zip(connections) {
        for data in packets(*seen) {
            let packet =
                CapturedPacket { time: nth * 1_000_000_000, link: 1, sent: data.len() as u32, data: &data };
            inspector.packet(&packet);
        }
    }
    inspector.finish();
    inspector
}

/// Returns the clients with a finding that the connections to several servers show.
fn stripped_clients(connections: &[Seen]) -> Vec<ClientSummary> {
    inspected(connections).servers().clients().into_iter().filter(|it| !it.findings.is_empty()).collect()
}

const SUSPECT: u16 = 7;

#[test]
fn a_client_that_no_server_offers_what_it_offers_others_is_likely_stripped() {
    // Each server offers to another client once: before the suspect's connection, or after it, but not both.
    let three = [
        (1, 100, true),
        (SUSPECT, 100, false),
        (SUSPECT, 101, false),
        (2, 101, true),
        (1, 102, true),
        (SUSPECT, 102, false),
    ];
    let found = stripped_clients(&three);
    let [client] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(client.client, format!("192.0.0.{SUSPECT}"));
    let [finding] = client.findings.as_slice() else { panic!("{client:#?}") };
    assert_eq!((finding.id, finding.certainty), ("obs-stripped", Confidence::Likely));
    assert!(
        finding.summary.starts_with("3 servers that offered the upgrade to other clients"),
        "{finding:#?}"
    );
    assert!(finding.summary.contains("An innocent cause"), "{finding:#?}");
    assert_eq!(finding.evidence.len(), 3);
}

#[test]
fn fewer_servers_or_one_offer_or_no_comparison_show_no_stripping() {
    let with = |rest: &[Seen]| {
        [&[(1, 100, true), (SUSPECT, 100, false), (1, 101, true), (SUSPECT, 101, false)][..], rest].concat()
    };
    for (name, connections) in [
        ("two servers", with(&[])),
        ("two servers, each asked twice", with(&[(SUSPECT, 100, false), (SUSPECT, 101, false)])),
        ("a third server that offers to no client", with(&[(1, 102, false), (SUSPECT, 102, false)])),
        ("a third server that offers", with(&[(1, 102, true), (SUSPECT, 102, true)])),
        (
            "a fourth server that offers to the client",
            with(&[(1, 102, true), (SUSPECT, 102, false), (SUSPECT, 103, true)]),
        ),
    ] {
        let found = stripped_clients(&connections);
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

#[test]
fn a_server_that_offers_to_others_before_and_after_is_likely_stripped() {
    let findings = |connections: &[Seen]| {
        let servers = inspected(connections).servers().servers();
        servers.into_iter().flat_map(|it| it.findings).collect::<Vec<_>>()
    };
    let between = findings(&[(1, 100, true), (SUSPECT, 100, false), (2, 100, true)]);
    let [finding] = between.as_slice() else { panic!("{between:#?}") };
    assert_eq!((finding.id, finding.certainty), ("obs-stripped", Confidence::Likely));
    for (name, connections) in [
        ("offered earlier only: the configuration changed", &[(1, 100, true), (SUSPECT, 100, false)][..]),
        ("offered later only", &[(SUSPECT, 100, false), (1, 100, true)]),
        ("offered to the same client too", &[(1, 100, true), (SUSPECT, 100, false), (SUSPECT, 100, true)]),
        ("offered to no client", &[(1, 100, false), (SUSPECT, 100, false), (2, 100, false)]),
    ] {
        let found = findings(connections);
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

/// A server with more clients than are remembered may have offered the upgrade to a client that it does not offer it to now.
#[test]
fn offers_that_were_not_remembered_prevent_a_finding() {
    let mut connections: Vec<Seen> = (1000..1256).map(|client| (client, 100, true)).collect();
    connections.push((SUSPECT, 100, true));
    connections.push((SUSPECT, 100, false));
    connections.push((1000, 100, true));
    let inspector = inspected(&connections);
    let findings: Vec<_> = inspector.servers().servers().into_iter().flat_map(|it| it.findings).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}
