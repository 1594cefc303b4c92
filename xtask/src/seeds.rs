//! Converts the vectors into seeds for the fuzzers, so that a new protocol is fuzzed from the first day.

use std::fs;
use std::path::{Path, PathBuf};

use starttls_proto::{PROTOCOLS, Side};

/// Writes `fuzz/corpus/<target>/` from `crates/proto/vectors`, and for `hello` and `x509` from the vectors of these crates.
///
/// A seed starts with the number of its protocol. For `client`, `login`, `server` and `dialects` the octets of the
/// sides follow. For `relay`, `front` and `conversation` their pieces follow, each after an octet with the side in the top bit and the length
/// in the others.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let corpus = root.join("fuzz/corpus");
    for target in crate::fuzz::TARGETS {
        for folder in [corpus.join(target), root.join("fuzz/artifacts").join(target)] {
            fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
    }
    hellos(root, &corpus.join("hello"))?;
    for path in list(&root.join("crates/x509/vectors"))? {
        let file = corpus.join("x509").join(path.file_name().unwrap_or_default());
        fs::copy(&path, &file).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    captures(&corpus)?;
    policies(&corpus.join("policy"))?;
    for path in vectors(root)? {
        let at = |problem: String| format!("{}: {problem}", path.display());
        let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (protocol, case) = (name(path.parent().and_then(Path::file_name)), name(path.file_stem()));
        let index = PROTOCOLS.iter().position(|known| known.name == protocol);
        let index = index.and_then(|index| u8::try_from(index).ok());
        let index = index.ok_or_else(|| at(format!("unknown protocol {protocol}")))?;
        let text = fs::read_to_string(&path).map_err(|e| at(e.to_string()))?;
        let turns = turns(&text).map_err(at)?;
        let said = |wanted: &[Side]| -> Vec<u8> {
            let turns = turns.iter().filter(|(from, _)| wanted.contains(from));
            turns.flat_map(|(_, bytes)| bytes.iter().copied()).collect()
        };
        for (target, octets) in [
            ("dialects", said(&[Side::Client, Side::Server])),
            ("client", said(&[Side::Server])),
            ("login", said(&[Side::Server])),
            ("server", said(&[Side::Client])),
            ("relay", pieces(&turns)),
            ("front", pieces(&turns)),
            ("conversation", pieces(&turns)),
        ] {
            let seed = corpus.join(target).join(format!("vector-{protocol}-{case}"));
            fs::write(&seed, [&[index], octets.as_slice()].concat())
                .map_err(|e| format!("{}: {e}", seed.display()))?;
        }
    }
    Ok(())
}

/// Writes the flights and hellos of `crates/hello/vectors`, each after an octet that selects a cut.
fn hellos(root: &Path, corpus: &Path) -> Result<(), String> {
    for path in list(&root.join("crates/hello/vectors"))? {
        if path.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        let at = |problem: String| format!("{}: {problem}", path.display());
        let turns = turns(&fs::read_to_string(&path).map_err(|e| at(e.to_string()))?).map_err(at)?;
        for side in [Side::Client, Side::Server] {
            let said = turns.iter().filter(|(from, _)| *from == side).flat_map(|(_, bytes)| bytes);
            let seed: Vec<u8> = std::iter::once(&0).chain(said).copied().collect();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let file = corpus.join(format!("vector-{name}-{}", side.name()));
            fs::write(&file, seed).map_err(|e| format!("{}: {e}", file.display()))?;
        }
    }
    Ok(())
}

/// Writes one valid input of each kind, after the octet that chooses the kind.
fn policies(corpus: &Path) -> Result<(), String> {
    let policy = "version: STSv1\r\nmode: enforce\r\nmax_age: 1209600\r\nmx: mail.example.com\r\nmx: *.example.net\r\n";
    let records = "v=STSv1; id=20260101;\nv=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls";
    let report = r#"{"organization-name":"a","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},"contact-info":"a@example.com","report-id":"1","policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"example.com","mx-host":["mail.example.com"]},"summary":{"total-successful-session-count":5,"total-failure-session-count":1},"failure-details":[{"result-type":"certificate-expired","failed-session-count":1}]}]}"#;
    let mail = format!("Content-Type: application/tlsrpt+json\r\n\r\n{report}");
    for (name, kind, text) in [
        ("policy", 0, policy),
        ("records", 1, records),
        ("requests", 2, "17:QUERY example.com,29:QUERYwithTLSRPT [example.com],"),
        ("report", 3, report),
        ("mail", 3, &mail),
        ("tlsa", 4, "3 1 1 abababababababababababababababababababababababababababababababab"),
    ] {
        let file = corpus.join(name);
        fs::write(&file, [&[kind], text.as_bytes()].concat())
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

/// Writes a capture of one packet in each format, and a connection of a few segments.
fn captures(corpus: &Path) -> Result<(), String> {
    let write = |target: &str, name: &str, seed: &[u8]| {
        let file = corpus.join(target).join(name);
        fs::write(&file, seed).map_err(|e| format!("{}: {e}", file.display()))
    };
    let packet: Vec<u8> = [
        &[0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 25, 0x9c, 0x40][..],
        &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0, 0, 0, 0, 0, 0],
        b"220 ",
    ]
    .concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let len = packet.len() as u32;
    let pcap =
        [words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101, 1, 0, len, len]), packet.clone()].concat();
    let block = |kind: u32, body: Vec<u8>| {
        let len = body.len() as u32 + 12;
        [words(&[kind, len]), body, words(&[len])].concat()
    };
    let pcapng = [
        block(0x0a0d_0d0a, words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX])),
        block(1, words(&[101, 0])),
        block(6, [words(&[0, 0, 1, len, len]), packet.clone()].concat()),
    ]
    .concat();
    // Raw IP; Ethernet with two VLAN tags; a datagram in VXLAN; a fragment.
    let ethernet = [&[0; 12][..], &[0x81, 0, 0, 1, 0x88, 0xa8, 0, 2, 8, 0], &packet].concat();
    let vxlan = [
        &[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 3, 10, 0, 0, 4, 0x80, 0, 0x12, 0xb5, 0, 0, 0, 0]
            [..],
        &[8, 0, 0, 0, 0, 0, 1, 0],
        &ethernet,
    ]
    .concat();
    let mut fragment = packet.clone();
    fragment[6] = 0x20;
    for (name, link, data) in
        [("ip", 6, &packet), ("vlan", 1, &ethernet), ("vxlan", 6, &vxlan), ("fragment", 6, &fragment)]
    {
        write("peel", name, &[&[link][..], data].concat())?;
    }
    write("capture", "pcap", &pcap)?;
    write("capture", "pcapng", &pcapng)?;
    let segment = |control: u8, seq: u8, ack: u8, text: &[u8]| {
        [&[control, seq, ack, text.len() as u8][..], text].concat()
    };
    let flow = [
        segment(0x02, 8, 8, b""),
        segment(0x92, 8, 9, b""),
        segment(0x90, 9, 9, b"220 a\r\n"),
        segment(0x10, 9, 16, b"EHLO a\r\n"),
        segment(0x91, 16, 17, b"250 STARTTLS\r\n"),
    ]
    .concat();
    write("flow", "connection", &flow)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let at = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::read_dir(folder).map_err(at)?.map(|entry| Ok(entry.map_err(at)?.path())).collect()
}

fn vectors(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for folder in list(&root.join("crates/proto/vectors"))?.iter().filter(|path| path.is_dir()) {
        found.extend(list(folder)?);
    }
    found.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    found.sort();
    Ok(found)
}

fn pieces(turns: &[(Side, Vec<u8>)]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (from, bytes) in turns {
        let side = if *from == Side::Server { 0x80 } else { 0 };
        for piece in bytes.chunks(0x7f) {
            encoded.push(side | piece.len() as u8);
            encoded.extend_from_slice(piece);
        }
    }
    encoded
}

/// Parses the lines of a vector: which side sends which octets.
fn turns(text: &str) -> Result<Vec<(Side, Vec<u8>)>, String> {
    let (head, body) = text.split_once("---\n").ok_or("the line --- after the header is missing")?;
    let eol: &[u8] = if head.lines().any(|line| line == "eol: lf") { b"\n" } else { b"\r\n" };
    let mut turns = Vec::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        let from = match line.as_bytes()[0] {
            b'C' => Side::Client,
            b'S' => Side::Server,
            _ => return Err(format!("invalid line {line:?}: expected C or S first")),
        };
        let value = line.get(3..).unwrap_or_default();
        match line.as_bytes().get(1) {
            Some(b':' | b'~') => turns.push((from, [&unescape(value)?, eol].concat())),
            Some(b'-') => turns.push((from, unescape(value)?)),
            Some(b'#') => turns.push((from, unhex(value)?)),
            Some(b'.') => {}
            _ => return Err(format!("invalid line {line:?}: expected one of : ~ - # . after the side")),
        }
    }
    Ok(turns)
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (next, if next == '\\' { rest.next() } else { None }) {
            ('\\', Some('r')) => bytes.push(b'\r'),
            ('\\', Some('n')) => bytes.push(b'\n'),
            ('\\', Some('t')) => bytes.push(b'\t'),
            ('\\', Some('0')) => bytes.push(0),
            ('\\', Some('x')) => bytes.extend(unhex(&rest.by_ref().take(2).collect::<String>())?),
            ('\\', Some(other)) => bytes.extend(other.to_string().bytes()),
            ('\\', None) => return Err(format!("{text:?} ends with a backslash")),
            _ => bytes.extend(next.to_string().bytes()),
        }
    }
    Ok(bytes)
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    if !digits.len().is_multiple_of(2) {
        return Err(format!("{text:?} has an odd number of digits"));
    }
    Ok(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_becomes_octets() {
        let text = "spec: none\n---\nS: 220 \\x41\\\\\nC- NO\nC# 0d 0a\nS.\n";
        let read = turns(text).unwrap();
        assert_eq!(
            read,
            [
                (Side::Server, b"220 A\\\r\n".to_vec()),
                (Side::Client, b"NO".to_vec()),
                (Side::Client, b"\r\n".to_vec())
            ]
        );
        assert_eq!(pieces(&read), b"\x88220 A\\\r\n\x02NO\x02\r\n");
        assert!(turns("eol: lf\n---\nC: a\n").is_ok_and(|read| read[0].1 == b"a\n"));
    }

    #[test]
    fn an_invalid_vector_is_an_error() {
        for text in ["C: no header\n", "---\nX: who\n", "---\nC? what\n", "---\nC# 0\n", "---\nC: \\"] {
            assert!(turns(text).is_err(), "{text:?}");
        }
    }
}
