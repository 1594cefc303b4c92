//! First flights as files: read as a whole, at every cut, and octet by octet.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use proptest::prelude::*;
use starttls_hello::{
    Alert, Answer, AnyClientHello, CertificateRequest, CipherSuite, ClientHelloReader, Curve, Extension,
    Flight, FlightEnd, FlightProgress, MalformedTls, ServerFlight, ServerHello, ServerKeyExchange,
    SignatureScheme, StreamEnd,
};

struct Vector {
    name: String,
    result: String,
    client: Vec<u8>,
    server: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let folder = format!("{}/vectors", env!("CARGO_MANIFEST_DIR"));
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let vectors: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let (head, body) = text.split_once("---\n").unwrap();
            let result = head.lines().find_map(|line| line.strip_prefix("result: ")).unwrap().to_owned();
            let side = |mark: &str| -> Vec<u8> {
                let lines = body.lines().filter_map(|line| line.strip_prefix(mark));
                lines.flat_map(str::split_whitespace).map(|it| u8::from_str_radix(it, 16).unwrap()).collect()
            };
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Vector { name, result, client: side("C#"), server: side("S#") }
        })
        .collect();
    assert!(vectors.len() >= 16, "only {} vectors were found", vectors.len());
    vectors
}

fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Answer {
    let mut flight = Flight::new();
    for part in parts {
        let _ = flight.receive(part);
    }
    flight.finish(StreamEnd::Closed)
}

/// Returns an answer in the words of the vectors.
fn told(answer: &Answer) -> String {
    match answer {
        Answer::Hello(flight) => flight_told(flight),
        Answer::Refused(alert) => format!("refused, {alert}"),
        Answer::Ssl2(hello) => {
            let hex = |octets: &[u8]| octets.iter().map(|it| format!("{it:02x}")).collect::<String>();
            let kinds: Vec<_> = hello.kinds.iter().map(|kind| hex(&kind.0)).collect();
            format!("SSL 2.0, {}", kinds.join(" "))
        }
        Answer::NotTls(line) => {
            assert!(line.ends_with(b"\r\n") && line.len() <= 64);
            String::from("not TLS")
        }
        Answer::Malformed(_) => String::from("malformed"),
        other => format!("{other:?}"),
    }
}

fn flight_told(flight: &ServerFlight) -> String {
    let mut words = vec![flight.version().unwrap().to_string(), format!("0x{:04x}", flight.suite().0)];
    let group = match &flight.key_exchange {
        Some(ServerKeyExchange::Ecdhe { curve: Curve::Named(group), point, .. }) => {
            assert!(!point.is_empty());
            Some(*group)
        }
        Some(exchange) => {
            words.push(format!("{} bits", exchange.bits().unwrap()));
            None
        }
        None => flight.hello.group(),
    };
    words.extend(group.map(|group| group.to_string()));
    words.extend((flight.hello.compression != 0).then(|| String::from("compression")));
    words.extend((!flight.warnings.is_empty()).then(|| String::from("warning")));
    words.extend(flight.certificate_request.as_ref().map(|_| String::from("request")));
    words.push(match flight.end {
        FlightEnd::Done => String::from("done"),
        FlightEnd::Retry => String::from("retry"),
        FlightEnd::Alert(alert) => alert.to_string(),
        other => format!("{other:?}"),
    });
    words.join(", ")
}

#[test]
fn flights_are_read_at_every_cut() {
    for vector in vectors() {
        let whole = read([&vector.server[..]]);
        assert_eq!(told(&whole), vector.result, "{}: {whole:?}", vector.name);
        for cut in 0..=vector.server.len() {
            let (first, second) = vector.server.split_at(cut);
            assert_eq!(read([first, second]), whole, "{} cut at {cut}", vector.name);
        }
        assert_eq!(read(vector.server.chunks(1)), whole, "{} octet by octet", vector.name);
    }
}

#[test]
fn an_incomplete_flight_is_never_more_than_it_is() {
    for vector in vectors() {
        for cut in 0..vector.server.len() {
            let mut flight = Flight::new();
            let progress = flight.receive(&vector.server[..cut]);
            let early = flight.finish(StreamEnd::Closed);
            let ended = match &early {
                Answer::Closed => cut == 0 || vector.name == "warning-first",
                Answer::NotTls(_) => vector.name == "not-tls",
                Answer::Malformed(malformed) => {
                    *malformed == MalformedTls::Truncated || vector.name == "length-beyond-message"
                }
                Answer::Hello(flight) => progress == FlightProgress::Done || flight.end != FlightEnd::Done,
                _ => progress == FlightProgress::Done,
            };
            assert!(ended, "{} cut at {cut}: {early:?}", vector.name);
        }
    }
}

#[test]
fn hellos_are_written_as_they_were_read() {
    let mut found = 0;
    for vector in vectors().into_iter().filter(|vector| !vector.client.is_empty()) {
        let read = ClientHelloReader::new().receive(&vector.client).unwrap().unwrap();
        let written = match read {
            AnyClientHello::Tls(hello) => hello.to_bytes(),
            AnyClientHello::Ssl2(hello) => hello.to_bytes(),
        };
        assert_eq!(written, vector.client, "{}", vector.name);
        found += 1;
    }
    assert!(found >= 8);
}

#[test]
fn flights_are_written_as_they_were_read() {
    let mut found = 0;
    for vector in vectors() {
        let Answer::Hello(flight) = read([&vector.server[..]]) else { continue };
        if matches!(flight.end, FlightEnd::Malformed(_)) {
            continue;
        }
        let written = flight.to_bytes();
        assert_eq!(read([&written[..]]), Answer::Hello(flight), "{}", vector.name);
        found += 1;
    }
    assert!(found >= 8, "only {found} were compared");
}

/// What no vector contains: explicit curves, an export key, a staple, a request and a fatal end.
#[test]
fn rare_messages_are_written_as_they_are_read() {
    let flight = |suite, key_exchange| {
        let (version, random) = (0x0303, [3; 32]);
        let hello = ServerHello {
            legacy_version: version,
            random,
            session_id: vec![1; 32],
            suite: CipherSuite(suite),
            compression: 1,
            extensions: vec![Extension::heartbeat()],
        };
        ServerFlight {
            certificates: vec![vec![0x30; 300], vec![0x31; 5]],
            ocsp_response: Some(vec![0x30; 7]),
            key_exchange: Some(key_exchange),
            certificate_request: Some(CertificateRequest {
                types: vec![1, 64],
                schemes: vec![SignatureScheme(0x0403)],
                authorities: vec![vec![0x30, 0], vec![0x30; 9]],
            }),
            warnings: vec![Alert { level: 1, description: Alert::UNRECOGNIZED_NAME }],
            end: FlightEnd::Alert(Alert::fatal(Alert::INTERNAL_ERROR)),
            ..ServerFlight::new(hello)
        }
    };
    let ecdhe = |curve| ServerKeyExchange::Ecdhe { curve, point: Vec::new(), scheme: None };
    for (suite, key_exchange) in [
        (0xc02f, ecdhe(Curve::ExplicitPrime { bits: 160 })),
        (0xc02f, ecdhe(Curve::ExplicitPrime { bits: 521 })),
        (0xc02f, ecdhe(Curve::ExplicitBinary { bits: 163 })),
        (0x0003, ServerKeyExchange::RsaExport { modulus: vec![0xb3; 64], exponent: vec![1, 0, 1] }),
        // An anonymous suite has no signature.
        (
            0x0034,
            ServerKeyExchange::Dhe {
                prime: vec![7; 128],
                generator: vec![2],
                public: vec![5; 128],
                scheme: None,
            },
        ),
    ] {
        let flight = flight(suite, key_exchange);
        let bytes = flight.to_bytes();
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(read([first, second]), Answer::Hello(Box::new(flight.clone())), "0x{suite:04x}");
        }
    }
}

#[test]
fn tls_parser_reads_the_same_suite() {
    use tls_parser::{TlsMessage, TlsMessageHandshake, parse_tls_plaintext};
    let mut compared = 0;
    for vector in vectors() {
        let Answer::Hello(flight) = read([&vector.server[..]]) else { continue };
        let Ok((_, record)) = parse_tls_plaintext(&vector.server) else { continue };
        if let Some(TlsMessage::Handshake(TlsMessageHandshake::ServerHello(theirs))) = record.msg.first() {
            assert_eq!(theirs.cipher.0, flight.suite().0, "{}", vector.name);
            assert_eq!(theirs.random, flight.hello.random);
            compared += 1;
        }
    }
    assert!(compared >= 8, "only {compared} were compared");
}

#[test]
fn an_endless_flight_is_cut_off() {
    let certificate_forever = [&[22, 3, 3, 0x40, 0][..], &[11, 0xff, 0xff, 0xff], &[0; 0x3ffc]].concat();
    let hello = &[22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3][..];
    let hello = [hello, &[9; 32], &[0, 0, 0x2f, 0]].concat();
    let mut flight = Flight::new();
    let _ = flight.receive(&hello);
    let mut octets = 0;
    while flight.receive(&certificate_forever) == FlightProgress::More {
        octets += certificate_forever.len();
        assert!(octets < 1 << 20, "no end");
    }
    let Answer::Hello(flight) = flight.finish(StreamEnd::Closed) else { panic!("the hello is lost") };
    assert_eq!(flight.end, FlightEnd::Malformed(MalformedTls::TooLong));
    // Many small records have a bound, too.
    let mut flight = Flight::new();
    let small = [21, 3, 3, 0, 2, 1, 112];
    let count = (0..1000).take_while(|_| flight.receive(&small) == FlightProgress::More).count();
    assert_eq!(count, 64);
}

#[test]
fn alerts_are_read_out_of_shared_records_and_across_records() {
    let (warning, fatal) = ([1, 112], [2, 40]);
    let record = |octets: &[u8]| {
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        [&[21, 3, 1, length[0], length[1]], octets].concat()
    };
    let alert = Alert { level: 2, description: Alert::HANDSHAKE_FAILURE };
    // As many warnings in one record as fit, then the fatal alert.
    let shared = record(&[warning.repeat(8000), fatal.to_vec()].concat());
    assert_eq!(read([&shared[..]]), Answer::Refused(alert));
    let split = [record(&warning), record(&[1]), record(&[112, 2]), record(&[40])].concat();
    assert_eq!(read(split.chunks(1)), Answer::Refused(alert));
    // A handshake record between the two octets of an alert.
    let interleaved = [record(&[2]), vec![22, 3, 1, 0, 4, 14, 0, 0, 0]].concat();
    assert!(matches!(read([&interleaved[..]]), Answer::Malformed(MalformedTls::Unexpected(_))));
}

proptest! {
    /// Any octets, and real flights with octets changed: never a panic, and the same at every cut.
    #[test]
    fn noise_is_read_the_same_at_every_cut(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..80), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        real in any::<bool>(),
    ) {
        let vectors = vectors();
        let mut bytes = if real { vectors[which.index(vectors.len())].server.clone() } else { Vec::new() };
        bytes.extend(tail);
        for (at, value) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        let whole = read([&bytes[..]]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        prop_assert_eq!(read(starts.zip(ends).map(|(start, end)| &bytes[start..end])), whole);
    }
}
