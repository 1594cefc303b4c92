//! A DNS server whose answers a test writes octet by octet.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

pub(crate) const TXT: u16 = 16;
pub(crate) const MX: u16 = 15;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const TLSA: u16 = 52;

/// A query as the server received it.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) octets: Vec<u8>,
    pub(crate) tcp: bool,
}

impl Asked {
    /// Returns the question section.
    fn question(&self) -> &[u8] {
        let name = self.octets[12..].iter().position(|it| *it == 0).unwrap();
        &self.octets[12..12 + name + 5]
    }

    pub(crate) fn record(&self) -> u16 {
        let question = self.question();
        u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]])
    }

    /// Returns the first label.
    pub(crate) fn label(&self) -> String {
        let length = usize::from(self.octets[12]);
        String::from_utf8(self.octets[13..13 + length].to_vec()).unwrap()
    }

    pub(crate) fn has_ad(&self) -> bool {
        self.octets[3] & 0x20 != 0
    }

    pub(crate) fn has_cd(&self) -> bool {
        self.octets[3] & 0x10 != 0
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply { asked: self.clone(), flags: 0x8180, answers: Vec::new(), authorities: Vec::new() }
    }
}

/// A reply in the making.
pub(crate) struct Reply {
    asked: Asked,
    flags: u16,
    answers: Vec<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
}

impl Reply {
    pub(crate) fn ad(self) -> Self {
        self.flag(0x20)
    }

    pub(crate) fn code(self, code: u16) -> Self {
        self.flag(code)
    }

    pub(crate) fn truncated(self) -> Self {
        self.flag(0x200)
    }

    fn flag(mut self, flag: u16) -> Self {
        self.flags |= flag;
        self
    }

    /// Adds a record; an empty owner is the name in the question.
    pub(crate) fn answer(mut self, owner: &str, record: u16, ttl: u32, data: &[u8]) -> Self {
        self.answers.push(resource(owner, record, ttl, data));
        self
    }

    pub(crate) fn soa(mut self, ttl: u32, minimum: u32) -> Self {
        let mut data = [name("ns.test"), name("admin.test")].concat();
        for number in [1, 2, 3, 4, minimum] {
            data.extend(number.to_be_bytes());
        }
        self.authorities.push(resource("test", SOA, ttl, &data));
        self
    }

    pub(crate) fn build(self) -> Vec<u8> {
        let counts = [1, self.answers.len(), self.authorities.len(), 0];
        let mut octets = self.asked.octets[..2].to_vec();
        octets.extend(self.flags.to_be_bytes());
        counts.iter().for_each(|it| octets.extend(u16::try_from(*it).unwrap().to_be_bytes()));
        octets.extend(self.asked.question());
        self.answers.iter().chain(&self.authorities).for_each(|it| octets.extend(it));
        octets
    }
}

fn resource(owner: &str, record: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut octets = if owner.is_empty() { vec![0xc0, 12] } else { name(owner) };
    octets.extend(record.to_be_bytes());
    octets.extend([0, 1]);
    octets.extend(ttl.to_be_bytes());
    octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    octets.extend(data);
    octets
}

/// Returns a name on the wire.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|it| !it.is_empty());
    let mut octets: Vec<u8> =
        labels.flat_map(|it| [&[u8::try_from(it.len()).unwrap()], it.as_bytes()].concat()).collect();
    octets.push(0);
    octets
}

/// Returns the data of a TXT record.
pub(crate) fn txt(strings: &[&str]) -> Vec<u8> {
    strings.iter().flat_map(|it| [&[u8::try_from(it.len()).unwrap()], it.as_bytes()].concat()).collect()
}

/// Starts a server on UDP and TCP. The function returns the messages to send; over TCP all are sent in a row.
pub(crate) async fn server(answer: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let (udp, tcp) = listen().await;
    let address = udp.local_addr().unwrap();
    let answer = Arc::new(answer);
    let over_udp = answer.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            for reply in over_udp(&Asked { octets: buffer[..length].to_vec(), tcp: false }) {
                let _ = udp.send_to(&reply, client).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let length = stream.read_u16().await?;
                let mut octets = vec![0; length.into()];
                stream.read_exact(&mut octets).await?;
                for reply in answer(&Asked { octets, tcp: true }) {
                    stream.write_u16(u16::try_from(reply.len()).unwrap()).await?;
                    stream.write_all(&reply).await?;
                }
                // The client closes the connection.
                stream.read_to_end(&mut Vec::new()).await
            });
        }
    });
    address
}

/// Returns sockets for UDP and TCP on the same port.
async fn listen() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}
