//! A DNS server for a test's zone, over UDP and TCP.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread::spawn;

/// Starts a server for these records, one per line: `NAME TYPE DATA…`.
///
/// The types are A, AAAA, CAA, CNAME, MX, NS, SRV, TLSA and TXT; the name of the root is a dot. Answers for a name with the type
/// SECURE have the AD bit. `NAME FAILING NUMBER` answers SERVFAIL to queries of this type alone. `NAME RRSIG NUMBER END` is
/// the signature of the records of a type, for queries with the DO bit. The types SERVFAIL, SILENT (no answer) and TRUNCATED (the answer to UDP is
/// truncated; TCP returns the records of the other lines) apply to all queries for the name.
pub(crate) fn server(zone: &str) -> SocketAddr {
    server_at(zone, "127.0.0.1:0")
}

/// Starts a server on this address.
pub(crate) fn server_at(zone: &str, address: &str) -> SocketAddr {
    let zone: Arc<[Vec<String>]> = zone
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let (tcp, udp) = listen(address);
    let address = udp.local_addr().unwrap();
    let over_tcp = Arc::clone(&zone);
    spawn(move || {
        for stream in tcp.incoming().flatten() {
            // A client may close the connection early.
            let _ = converse(stream, &over_tcp);
        }
    });
    spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, client)) = udp.recv_from(&mut query) {
            if let Some(reply) = answer(&query[..length], &zone, true) {
                let _ = udp.send_to(&reply, client);
            }
        }
    });
    address
}

/// Returns sockets for TCP and UDP on the same port.
fn listen(address: &str) -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let tcp = TcpListener::bind(address).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, udp);
        }
    }
    panic!("no port is free for both");
}

fn converse(mut stream: TcpStream, zone: &[Vec<String>]) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        if let Some(reply) = answer(&query, zone, false) {
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, &reply[..]].concat())?;
        }
    }
}

fn answer(query: &[u8], zone: &[Vec<String>], udp: bool) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name += &format!("{}.", String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let (question, kind) = (&query[12..at + 5], u16::from_be_bytes([query[at + 1], query[at + 2]]));
    let name = if name.is_empty() { "." } else { name.trim_end_matches('.') };
    let of_name: Vec<_> = zone.iter().filter(|words| words[0] == name).collect();
    let is = |word: &str| of_name.iter().any(|words| words[1] == word);
    if is("SILENT") {
        return None;
    }
    let truncated = udp && is("TRUNCATED");
    let below = zone.iter().any(|words| words[0].ends_with(&format!(".{name}")));
    let code = match () {
        () if is("SERVFAIL") => 2,
        () if of_name.iter().any(|words| words[1] == "FAILING" && words[2] == kind.to_string()) => 2,
        () if of_name.is_empty() && !below => 3,
        () => 0,
    };
    let data = of_name.iter().filter_map(|words| data(&words[1..], kind)).filter(|_| !truncated);
    let mut records: Vec<_> = data.map(|data| (kind, data)).collect();
    // The only additional record of a query is OPT, whose flags begin with DO: root, type, size, code, version, flags.
    let wants_signatures = query.get(at + 12).is_some_and(|flags| flags & 0x80 != 0);
    let signatures = of_name.iter().filter(|words| words[1] == "RRSIG" && words[2] == kind.to_string());
    for words in signatures.filter(|_| wants_signatures) {
        let mut data = kind.to_be_bytes().to_vec();
        data.extend([13, 2, 0, 0, 0, 60]);
        data.extend((words[3].parse::<u64>().unwrap() as u32).to_be_bytes());
        data.extend([0; 40]);
        records.push((46, data));
    }
    let count = u8::try_from(records.len()).unwrap();
    let flags = if truncated { 0x82 } else { 0x80 };
    let code = if is("SECURE") { 0x20 | code } else { code };
    let mut reply = vec![query[0], query[1], flags | (query[2] & 1), 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    reply.extend(question);
    for (kind, data) in records {
        // A pointer to the name in the question; class IN, TTL 60.
        reply.extend([0xc0, 12, (kind >> 8) as u8, kind as u8, 0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

/// Returns the data of a record if the record has this type.
fn data(words: &[String], kind: u16) -> Option<Vec<u8>> {
    let numbers = |words: &[String]| -> Vec<u8> {
        words.iter().flat_map(|word| word.parse::<u16>().unwrap().to_be_bytes()).collect()
    };
    let name = |name: &str| {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut bytes: Vec<u8> = labels
            .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes()))
            .collect();
        bytes.push(0);
        bytes
    };
    match (words[0].as_str(), kind) {
        ("A", 1) | ("AAAA", 28) => Some(match words[1].parse().unwrap() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }),
        ("MX", 15) => Some([numbers(&words[1..2]), name(&words[2])].concat()),
        ("CAA", 257) => {
            let (tag, value) = (&words[1], words[2..].join(" "));
            Some([&[0, u8::try_from(tag.len()).unwrap()], tag.as_bytes(), value.as_bytes()].concat())
        }
        ("CNAME", 5) | ("NS", 2) => Some(name(&words[1])),
        ("TXT", 16) => {
            let text = words[1..].join(" ");
            Some([&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
        }
        ("TLSA", 52) => {
            let mut data: Vec<u8> = words[1..4].iter().map(|word| word.parse().unwrap()).collect();
            let hex = words[4].as_bytes().chunks(2);
            data.extend(hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()));
            Some(data)
        }
        ("SRV", 33) => Some([numbers(&words[1..4]), name(&words[4])].concat()),
        _ => None,
    }
}
