//! A DNS server, over UDP and TCP, that claims to validate: it sets the AD bit for what DNSSEC would prove.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::zone::Answer;
use super::{State, lock};

/// The time limit of a connection.
const LIMIT: Duration = Duration::from_secs(60);
/// The most connections at once.
const AT_ONCE: usize = 16;

/// Answers questions without end.
pub(super) async fn serve_udp(socket: UdpSocket, state: Arc<State>) {
    let mut query = [0; 1500];
    loop {
        match socket.recv_from(&mut query).await {
            Ok((length, client)) => {
                if let Some(reply) = query.get(..length).and_then(|query| reply(query, &state)) {
                    // The client may be gone.
                    let _ = socket.send_to(&reply, client).await;
                }
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers connections without end.
pub(super) async fn serve_tcp(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        if connections.len() >= AT_ONCE {
            connections.join_next().await;
        }
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let _ = timeout(LIMIT, converse(stream, &state)).await;
        });
    }
}

async fn converse(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    loop {
        let mut query = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut query).await?;
        let Some(reply) = reply(&query, state) else { return Ok(()) };
        stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).await?;
    }
}

/// Returns the reply to a query; `None` if it is not one.
fn reply(query: &[u8], state: &State) -> Option<Vec<u8>> {
    let (name, end) = name(query)?;
    let kind = u16::from_be_bytes(*query.get(end..)?.first_chunk()?);
    let question = query.get(HEADER..end + 4)?;
    state.questions.fetch_add(1, Ordering::Relaxed);
    let Answer { code, secure, records } = lock(&state.zone).answer(&name, kind);
    let asked = query.get(2)? & 0x79;
    let flags = 0x80 | if secure { 0x20 } else { 0 } | code;
    let mut reply =
        vec![*query.first()?, *query.get(1)?, 0x80 | asked, flags, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    reply.extend_from_slice(question);
    for data in records {
        // A pointer to the name in the question; class IN, a TTL of one second.
        reply.extend_from_slice(&[0xc0, HEADER as u8]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 1]);
        reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
        reply.extend_from_slice(&data);
    }
    Some(reply)
}

/// The length of the header of a message.
const HEADER: usize = 12;

/// Returns the name in the question, in lower case and without the final dot, and its end.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels.join("."), at)),
            1..64 => labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase()),
            _ => return None,
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_queries_have_no_reply() {
        let whole = [&[0; HEADER][..], b"\x06victim\x04test\0\0\x0f\0\x01"].concat();
        assert_eq!(name(&whole), Some((String::from("victim.test"), 25)));
        for end in 0..25 {
            assert_eq!(name(&whole[..end]), None, "{end}");
        }
        // A pointer to itself.
        assert_eq!(name(&[&[0; HEADER][..], b"\xc0\x0c"].concat()), None);
    }
}
