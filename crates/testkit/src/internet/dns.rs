//! The DNS of the simulated Internet. Every answer is computed from the name, so a zone can have a million domains.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::{FIVE_ADDRESSES, PROVIDER_ADDRESSES, WHALE_ADDRESSES, address, mix};

const A: u16 = 1;
const PTR: u16 = 12;
const MX: u16 = 15;

/// What the zone has at a name.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Addresses(Vec<Ipv4Addr>),
    Exchangers(Vec<(u16, String)>),
    Name(String),
    /// The name exists, with other records.
    Nothing,
    NoName,
    ServFail,
}

/// Starts a server on a free port of the loopback interface. Its thread ends with the process.
pub(super) fn serve(addresses: u32) -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let at = socket.local_addr()?;
    for _ in 0..2 {
        let socket = socket.try_clone()?;
        std::thread::Builder::new().name(String::from("dns")).spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                if let Some(reply) = query.get(..length).and_then(|query| answer(query, addresses)) {
                    // A client that is gone needs no answer.
                    let _ = socket.send_to(&reply, client);
                }
            }
        })?;
    }
    Ok(at)
}

fn answer(query: &[u8], addresses: u32) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while *query.get(at)? > 0 {
        let end = at + 1 + usize::from(query[at]);
        if !name.is_empty() {
            name.push('.');
        }
        name += &String::from_utf8_lossy(query.get(at + 1..end)?).to_lowercase();
        at = end;
    }
    let question = query.get(12..at + 5)?;
    let record = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let (code, data): (u8, Vec<Vec<u8>>) = match entry(&name, record, addresses) {
        Entry::Addresses(found) => (0, found.iter().map(|it| it.octets().to_vec()).collect()),
        Entry::Exchangers(found) => (
            0,
            found
                .iter()
                .map(|(preference, name)| [&preference.to_be_bytes()[..], &wire(name)].concat())
                .collect(),
        ),
        Entry::Name(name) => (0, vec![wire(&name)]),
        Entry::Nothing => (0, Vec::new()),
        Entry::NoName => (3, Vec::new()),
        Entry::ServFail => (2, Vec::new()),
    };
    let mut reply = vec![
        query[0],
        query[1],
        0x80 | (query[2] & 1),
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(data.len()).ok()?,
        0,
        0,
        0,
        0,
    ];
    reply.extend(question);
    for data in data {
        reply.extend([0xc0, 12]);
        reply.extend(record.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

fn wire(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|it| !it.is_empty()) {
        octets.push(u8::try_from(label.len()).unwrap_or(63));
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// Returns whether the only exchanger of a domain is a server of its own.
pub(super) fn has_own_server(domain: u32) -> bool {
    matches!(domain % 100, 85..=93)
}

/// Returns the address of a server that belongs to no large provider.
pub(super) fn own_address(number: u32, addresses: u32) -> Ipv4Addr {
    let others = addresses.saturating_sub(PROVIDER_ADDRESSES).max(1);
    address(PROVIDER_ADDRESSES + u32::try_from(mix(number.into()) % u64::from(others)).unwrap_or_default())
}

/// The zone. Of a hundred domains, 40 are customers of one provider with a name for each customer, 20 use five names of another, 25
/// use hosters, nine have servers of their own, and the others have unusual records.
fn entry(name: &str, record: u16, addresses: u32) -> Entry {
    let number = |text: &str, prefix: &str| text.strip_prefix(prefix).and_then(|it| it.parse::<u32>().ok());
    let labels: Vec<&str> = name.split('.').rev().collect();
    let own = |number: u32| vec![own_address(number, addresses)];
    match (labels.as_slice(), record) {
        (["test", domain], _) if number(domain, "d").is_some() => {
            let n = number(domain, "d").unwrap_or_default();
            match (n % 100, record) {
                (96, _) => Entry::NoName,
                (97, _) => Entry::ServFail,
                (95, A) => Entry::Addresses(own(n)),
                (95, _) => Entry::Nothing,
                (0..=39, MX) => Entry::Exchangers(vec![(10, format!("t{n}.mail.whale.test"))]),
                (40..=59, MX) => Entry::Exchangers(vec![(10, format!("mx{}.five.test", n % 5))]),
                (60..=84, MX) => Entry::Exchangers(vec![(10, format!("mx.h{}.test", n % 200))]),
                (_, MX) if has_own_server(n) => Entry::Exchangers(vec![(10, format!("mx.d{n}.test"))]),
                (94, MX) => Entry::Exchangers(vec![(0, String::new())]),
                (98, MX) => Entry::Exchangers(vec![(10, String::from("private.test"))]),
                (99, MX) => Entry::Exchangers(vec![
                    (20, format!("mx.h{}.test", n % 200)),
                    (10, format!("mx.d{n}.test")),
                    (30, String::from("missing.test")),
                ]),
                _ => Entry::Nothing,
            }
        }
        (["test", "whale", "mail", tenant], A) if number(tenant, "t").is_some() => {
            let n = number(tenant, "t").unwrap_or_default();
            Entry::Addresses(vec![address(n % WHALE_ADDRESSES), address((n + 7) % WHALE_ADDRESSES)])
        }
        (["test", "five", host], A) if number(host, "mx").is_some() => Entry::Addresses(vec![address(
            WHALE_ADDRESSES + number(host, "mx").unwrap_or_default() % FIVE_ADDRESSES,
        )]),
        (["test", hoster, "mx"], A) if number(hoster, "h").is_some() => {
            Entry::Addresses(own(4_000_000 + number(hoster, "h").unwrap_or_default()))
        }
        (["test", domain, "mx"], A) if number(domain, "d").is_some() => {
            Entry::Addresses(own(number(domain, "d").unwrap_or_default()))
        }
        // Surveyors: one with a name that its address has too, and one whose address has that name.
        (["test", "sim", "surveyor" | "stranger"], A) => Entry::Addresses(vec![Ipv4Addr::LOCALHOST]),
        (["arpa", "in-addr", "127", "0", "0", "1"], PTR) => Entry::Name(String::from("surveyor.sim.test")),
        (["test", "private"], A) => Entry::Addresses(vec![Ipv4Addr::new(10, 0, 0, 1)]),
        (["test", "missing"], _) => Entry::NoName,
        _ => Entry::Nothing,
    }
}
