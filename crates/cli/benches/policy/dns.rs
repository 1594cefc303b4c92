//! A DNS server for any number of domains: each has the exchanger mx.test, and MTA-STS with the id 1 for the first ones.

use std::net::{SocketAddr, UdpSocket};

use super::STORED;

/// Starts the server and returns its address.
pub(super) fn serve() -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            if let Some(reply) = query.get(..length).and_then(reply) {
                // The client may be gone.
                let _ = socket.send_to(&reply, client);
            }
        }
    });
    Ok(address)
}

fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(std::str::from_utf8(query.get(at..at + length)?).ok()?);
        at += length;
    }
    let kind = u16::from_be_bytes(*query.get(at..)?.first_chunk()?);
    let number = |label: &str| label.strip_prefix('d')?.parse::<usize>().ok();
    let data = match (labels.as_slice(), kind) {
        ([], 2) => Some(b"\x02ns\x04test\0".to_vec()),
        (["mx", "test"], 1) => Some(vec![127, 0, 0, 1]),
        (["_mta-sts", domain, "test"], 16) if number(domain).is_some_and(|it| it < STORED) => {
            Some(b"\x0ev=STSv1; id=1;".to_vec())
        }
        ([domain, "test"], 15) if number(domain).is_some() => Some(b"\0\x0a\x02mx\x04test\0".to_vec()),
        _ => None,
    };
    // The root is secure; the other names are not.
    let flags = if labels.is_empty() { 0xa0 } else { 0x80 };
    let code = if data.is_none() && labels.first() == Some(&"_mta-sts") { 3 } else { 0 };
    let mut reply =
        vec![query[0], query[1], 0x80 | (query[2] & 1), flags | code, 0, 1, 0, data.is_some().into()];
    reply.extend([0; 4]);
    reply.extend(query.get(12..at + 4)?);
    if let Some(data) = data {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0x0e, 0x10]);
        reply.extend((data.len() as u16).to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}
