//! The other side of the boundary: a handshake, or what takes its place.

use std::io;
use std::time::Instant;

use starttls::proto::Side;
use starttls::rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::prefixed::Prefixed;
use super::scribe::Scribe;
use super::{CHUNK, DIAL, Middle};
use crate::record::Layer;
use crate::scenario::{Handshake, Inside};

/// No TLS, in no version.
const GARBAGE: &[u8] = b"\x00\xff\x00\xffno TLS here, and nothing else\r\n";
/// A fatal alert, handshake_failure (RFC 8446 section 6.2).
const ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];

impl Middle {
    pub(super) async fn encrypt(&self, number: usize, client: TcpStream, server: TcpStream, early: Vec<u8>) {
        if self.handshake != Handshake::Done {
            self.records.with(number, |record| record.applied = true);
            // A connection that breaks is one that ends.
            let _ = self.without_tls(number, client, server, early).await;
            return;
        }
        let Some(acceptor) = &self.acceptor else { return };
        let handshake = async {
            sleep(self.hold).await;
            // From here on the client may take TLS to be up.
            self.records.with(number, |record| record.answered_hello = Some(Instant::now()));
            let accepted = acceptor.accept_implicit(Prefixed::new(early, client)).await;
            self.records.with(number, |record| {
                // A certificate is an attack too.
                record.applied |= self.rules.is_empty();
                record.encrypted = accepted.is_ok();
            });
            accepted
        };
        if self.inside == Inside::Mute {
            return match handshake.await {
                Ok(client) => self.mute(number, client).await,
                Err(error) => self.note(number, &format!("the handshake failed: {error}")),
            };
        }
        let connector = &self.upstream.connector;
        // At once, since the server behind has less patience than the client, perhaps.
        let upgrading = connector.upgrade_implicit(self.protocol, &self.upstream.server_name, server);
        match tokio::join!(handshake, timeout(DIAL, upgrading)) {
            (Err(error), _) => self.note(number, &format!("the handshake failed: {error}")),
            (Ok(client), Ok(Ok(server))) => self.pass_inside(number, client, server).await,
            (Ok(_), Ok(Err(error))) => {
                let text = format!("TLS with the server behind failed: {error}");
                self.records.with(number, |record| record.trouble = Some(text));
            }
            (Ok(_), Err(_)) => {
                let text = String::from("TLS with the server behind took too long");
                self.records.with(number, |record| record.trouble = Some(text));
            }
        }
    }

    /// What happened, among what was said.
    fn note(&self, number: usize, text: &str) {
        self.records.with(number, |record| {
            record.push(Side::Client, Layer::Tls, None, b"-", Some(text.to_owned()));
        });
    }

    /// Answers the ClientHello with something else, and listens: to what comes in cleartext, above all.
    async fn without_tls(
        &self,
        number: usize,
        mut client: TcpStream,
        mut server: TcpStream,
        mut heard: Vec<u8>,
    ) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        while !whole_record(&heard) {
            let read = client.read(&mut buffer).await?;
            heard.extend_from_slice(&buffer[..read]);
            if read == 0 || heard.len() > CHUNK || !heard.starts_with(&[0x16]) {
                break;
            }
        }
        let mut scribe = Scribe::new(self.protocol, &self.records, number);
        scribe.heard(&heard)?;
        let answer = match self.handshake {
            Handshake::Garbage => GARBAGE.to_vec(),
            Handshake::Alert => ALERT.to_vec(),
            Handshake::Old => old_answer(&heard, &self.certificate.cert),
            Handshake::Stall | Handshake::Done => Vec::new(),
        };
        self.records.with(number, |record| record.push(Side::Server, Layer::Tls, None, &answer, None));
        client.write_all(&answer).await?;
        let mut scribe = Scribe::new(self.protocol, &self.records, number);
        // A client that goes on in cleartext is served there, as far as the server behind does that.
        let (mut from_server, mut server_is_open) = ([0; CHUNK], true);
        loop {
            tokio::select! {
                read = client.read(&mut buffer) => {
                    let read = read?;
                    self.records.count(number, read)?;
                    if read == 0 {
                        return Ok(());
                    }
                    if is_record(&buffer[..read]) {
                        let said = &buffer[..read];
                        self.records.with(number, |record| {
                            record.push(Side::Client, Layer::Tls, None, said, None);
                        });
                    } else {
                        scribe.heard(&buffer[..read])?;
                        server_is_open &= server.write_all(&buffer[..read]).await.is_ok();
                    }
                }
                read = server.read(&mut from_server), if server_is_open => {
                    // The server behind has less patience than the client, perhaps.
                    let said = &from_server[..read.unwrap_or(0)];
                    self.records.count(number, said.len())?;
                    server_is_open = !said.is_empty();
                    self.records.with(number, |record| {
                        record.push(Side::Server, Layer::Cleartext, None, said, None);
                    });
                    client.write_all(said).await?;
                }
            }
        }
    }
}

/// Whether this starts as a TLS record does: its type, and version 3 (RFC 8446 section 5.1).
fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

fn whole_record(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, high, low, rest @ ..] if rest.len() >= usize::from(u16::from_be_bytes([*high, *low])))
}

/// ServerHello, Certificate and ServerHelloDone of TLS 1.0 (RFC 2246 section 7.4), with the key exchange by RSA that
/// the client offers: a client that takes it sends its ClientKeyExchange. An alert for one that offers none.
fn old_answer(client_hello: &[u8], chain: &[CertificateDer<'_>]) -> Vec<u8> {
    const RSA: [u16; 4] = [0x002f, 0x0035, 0x000a, 0x003c];
    let Some(suite) =
        suites(client_hello).and_then(|offered| RSA.into_iter().find(|it| offered.contains(it)))
    else {
        return vec![0x15, 3, 1, 0, 2, 2, 70];
    };
    let certificates: Vec<u8> =
        chain.iter().flat_map(|certificate| [&length(certificate.len())[..], certificate].concat()).collect();
    let hello = [&[3, 1][..], &[7; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    let certificate = [&length(certificates.len())[..], &certificates].concat();
    let messages = [(2, hello), (11, certificate), (14, Vec::new())]
        .map(|(kind, body)| [&[kind], &length(body.len())[..], &body].concat());
    messages
        .iter()
        .flat_map(|message| [&[0x16, 3, 1][..], &length(message.len())[1..], message].concat())
        .collect()
}

/// Three octets.
fn length(length: usize) -> [u8; 3] {
    let [.., a, b, c] = length.to_be_bytes();
    [a, b, c]
}

/// The cipher suites of a ClientHello: behind the record's header, the message's, the version, the random octets and
/// the session's id.
fn suites(client_hello: &[u8]) -> Option<Vec<u16>> {
    let session = client_hello.get(5 + 4 + 2 + 32..)?;
    let behind = session.get(1 + usize::from(*session.first()?)..)?;
    let [high, low, rest @ ..] = behind else { return None };
    let list = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_answer_takes_a_suite_that_was_offered() {
        let body = [&[3, 3][..], &[1; 32], &[2, 9, 9], &[0, 4, 0x13, 0x01, 0x00, 0x35], &[1, 0]].concat();
        let hello =
            [&[0x16, 3, 1][..], &length(body.len() + 4)[1..], &[1], &length(body.len()), &body].concat();
        assert!(whole_record(&hello) && !whole_record(&hello[..hello.len() - 1]));
        let answer = old_answer(&hello, &[]);
        assert_eq!(answer[..6], [0x16, 3, 1, 0, 42, 2]);
        assert_eq!(answer[5 + 4 + 2 + 32 + 1..][..3], [0x00, 0x35, 0]);
        assert_eq!(old_answer(&hello[..40], &[]), [0x15, 3, 1, 0, 2, 2, 70]);
    }
}
