//! Noise against every protocol in the registry: nothing panics, and the result does not depend on the cuts.

use proptest::prelude::*;
use starttls_proto::{
    Client, ClientMessage, DialectContext, ErrorKind, Identity, Outgoing, PROTOCOLS, Progress, Relay,
    ReplyTo, Scan, Server, Side, TlsSupport,
};

/// Returns an identity with the same names and tags in every run.
fn identity() -> DialectContext {
    Identity::new("mail.example.com").with_nonce(0)
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        b"\r\n".to_vec(),
        b" ".to_vec(),
        b"-".to_vec(),
        b"250".to_vec(),
        b"220 ".to_vec(),
        b"* OK ".to_vec(),
        b"STARTTLS".to_vec(),
        b"AUTH TLS".to_vec(),
        b"{5}\r\n".to_vec(),
        b"\x30\x0c\x02\x01\x01".to_vec(),
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_vec(),
        b"<a b='c'>".to_vec(),
        b"</a>".to_vec(),
        b"HTTP/1.1 101 x\r\n\r\n".to_vec(),
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f".to_vec(),
        b"\x20\x00\x00\x01".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        b".\r\n".to_vec(),
        b"\"".to_vec(),
        b"+OK".to_vec(),
        b"101 ".to_vec(),
        b"INFO {\"tls_required\":true} \r\n".to_vec(),
        b"\x16\x03".to_vec(),
    ]);
    let piece = prop_oneof![words, prop::collection::vec(any::<u8>(), 0..8)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics_and_reads_the_same_at_every_cut(noise in noise(), chunk in 1_usize..9) {
        for protocol in PROTOCOLS {
            let ends = [noise.len().max(1), chunk].map(|chunk| {
                let mut end = String::from("open");
                let mut out = Vec::new();
                let mut client = Some(Client::new(protocol, identity(), &mut out));
                for piece in noise.chunks(chunk) {
                    let Some(machine) = client.take() else { break };
                    match machine.receive(piece, &mut out) {
                        Ok(Progress::Continue(next)) => client = Some(next),
                        Ok(Progress::Upgrade(_)) => end = String::from("agreed"),
                        Ok(Progress::End(declined)) => end = format!("{:?}", declined.reason),
                        // The machine may detect these bytes after the boundary, or leave them to TLS, which refuses
                        // them.
                        Err(error) if error.kind == ErrorKind::BeyondBoundary => end = String::from("agreed"),
                        // With more bytes the machine may report a more precise error.
                        Err(_) => end = String::from("error"),
                    }
                }
                let mut answers = Vec::new();
                let mut server = Some(Server::new(protocol, identity(), TlsSupport::Available, &mut answers));
                for piece in noise.chunks(chunk) {
                    let Some(machine) = server.take() else { break };
                    server = match machine.receive(piece, &mut answers) {
                        Ok(Progress::Continue(next)) => Some(next),
                        _ => None,
                    };
                }
                end
            });
            prop_assert_eq!(&ends[0], &ends[1], "{}", protocol.name);
        }
    }

    #[test]
    fn an_observer_changes_no_byte(client in noise(), server in noise(), chunk in 1_usize..32) {
        for protocol in PROTOCOLS {
            let mut relay = Relay::new(protocol, Vec::new());
            let (mut out, mut events) = (Outgoing::default(), Vec::new());
            let mut client_pieces = client.chunks(chunk);
            let mut server_pieces = server.chunks(chunk);
            loop {
                let (one, other) = (server_pieces.next(), client_pieces.next());
                if one.is_none() && other.is_none() { break }
                relay.receive(Side::Server, one.unwrap_or_default(), &mut out, &mut events);
                relay.receive(Side::Client, other.unwrap_or_default(), &mut out, &mut events);
            }
            prop_assert_eq!(&out.to_server, &client);
            prop_assert_eq!(&out.to_client, &server);
        }
    }

    /// A server accepts only the complete and exact request (rules S1 and S2).
    #[test]
    fn s1_s2_a_server_agrees_to_the_exact_request_only(noise in noise()) {
        for protocol in PROTOCOLS {
            let mut request = Vec::new();
            protocol.new_dialect(identity()).write_client(ClientMessage::Request, &mut request);
            let mut out = Vec::new();
            let server = Server::new(protocol, identity(), TlsSupport::Available, &mut out);
            if let Ok(Progress::Upgrade(_)) = server.receive(&noise, &mut out) {
                if protocol.flow.client_hello_is_request {
                    prop_assert!(noise.starts_with(b"\x16\x03"));
                    continue;
                }
                let mut dialect = protocol.new_dialect(identity());
                let mut rest = noise.as_slice();
                // The exception in rule B2: a server drops white space before TLS.
                while let [before @ .., space] = rest
                    && protocol.flow.space_before_tls.contains(space)
                {
                    rest = before;
                }
                let mut last = ClientMessage::Other;
                while let Ok(Some(end)) = dialect.frame(Side::Client, ReplyTo::Other, rest, &mut Scan::default()) {
                    last = dialect.read_client(&rest[..end]).unwrap();
                    rest = &rest[end..];
                }
                prop_assert_eq!(last, ClientMessage::Request);
                prop_assert!(rest.is_empty() || !protocol.flow.request_is_answered);
            }
        }
    }
}

/// An IMAP server may send its capability list apart from the answer, or with the greeting. The offer that the client
/// reports must not depend on which of them arrived in one piece.
#[test]
fn an_unsolicited_offer_counts_at_every_cut() {
    let greeting = b"* OK ready\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\n";
    for chunk in 1..=greeting.len() {
        let mut out = Vec::new();
        let mut client = Client::new(
            starttls_proto::protocol("imap").expect("IMAP is in the registry"),
            identity(),
            &mut out,
        );
        for piece in greeting.chunks(chunk).chain([&b"a1 OK done\r\n"[..]]) {
            client = match client.receive(piece, &mut out) {
                Ok(Progress::Continue(client)) => client,
                other => panic!("pieces of {chunk}: {other:?}"),
            };
            out.clear();
        }
        match client.receive(b"a2 BAD no\r\n", &mut out) {
            Ok(Progress::End(declined)) => assert_eq!(declined.offered, Some(true), "pieces of {chunk}"),
            other => panic!("pieces of {chunk}: {other:?}"),
        }
    }
}
