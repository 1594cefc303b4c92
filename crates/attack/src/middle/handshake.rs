//! After the boundary: a handshake, or the bytes that a scenario sends in its place.

use std::io;
use std::time::Instant;

use starttls::proto::Side;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::answer;
use super::prefixed::Prefixed;
use super::recorder::{Recorder, is_record};
use super::{CHUNK, DIAL, Middle};
use crate::record::Layer;
use crate::scenario::{HandshakeAction, SessionAction};

/// Bytes that are not TLS in any version.
const GARBAGE: &[u8] = b"\x00\xff\x00\xffno TLS here, and nothing else\r\n";

impl Middle {
    pub(super) async fn encrypt(&self, number: usize, client: TcpStream, server: TcpStream, early: Vec<u8>) {
        if self.handshake != HandshakeAction::Done {
            self.records.with(number, |record| record.applied = true);
            // A broken connection counts as one that ended.
            let _ = self.without_tls(number, client, server, early).await;
            return;
        }
        let Some(acceptor) = &self.acceptor else { return };
        let handshake = async {
            sleep(self.hold).await;
            // From here on the client may treat the connection as encrypted.
            self.records.with(number, |record| record.answered_hello = Some(Instant::now()));
            let accepted = acceptor.handshake(Prefixed::new(early, client)).await;
            self.records.with(number, |record| {
                // In a scenario without rules the certificate is the attack.
                record.applied |= self.rules.is_empty();
                record.encrypted = accepted.is_ok();
            });
            accepted
        };
        if self.inside == SessionAction::Mute {
            return match handshake.await {
                Ok(client) => self.mute(number, client).await,
                Err(error) => self.note(number, &format!("the handshake failed: {error}")),
            };
        }
        let connector = &self.upstream.connector;
        // Both handshakes run at once: the upstream server may have a shorter timeout than the client.
        let upgrading = connector.handshake(self.protocol, self.upstream.endpoint.server_name(), server);
        match tokio::join!(handshake, timeout(DIAL, upgrading)) {
            (Err(error), _) => self.note(number, &format!("the handshake failed: {error}")),
            (Ok(client), Ok(Ok(server))) => self.pass_inside(number, client, server).await,
            (Ok(_), Ok(Err(error))) => {
                let text = format!("the TLS handshake with the upstream server failed: {error}");
                self.records.with(number, |record| record.trouble = Some(text));
            }
            (Ok(_), Err(_)) => {
                let text = String::from("the TLS handshake with the upstream server timed out");
                self.records.with(number, |record| record.trouble = Some(text));
            }
        }
    }

    /// Adds a remark to the transcript.
    fn note(&self, number: usize, text: &str) {
        self.records.with(number, |record| {
            record.push(Side::Client, Layer::Tls, None, b"-", Some(text.to_owned()));
        });
    }

    /// Answers the ClientHello with other bytes, and records what the client sends then, above all in cleartext.
    async fn without_tls(
        &self,
        number: usize,
        mut client: TcpStream,
        mut server: TcpStream,
        mut received: Vec<u8>,
    ) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        while !answer::whole_record(&received) {
            let read = client.read(&mut buffer).await?;
            received.extend_from_slice(&buffer[..read]);
            if read == 0 || received.len() > CHUNK || !received.starts_with(&[0x16]) {
                break;
            }
        }
        let mut recorder = Recorder::new(self.protocol, &self.records, number);
        recorder.receive(&received)?;
        let answer = match self.handshake {
            HandshakeAction::Garbage => GARBAGE.to_vec(),
            HandshakeAction::Alert => answer::HANDSHAKE_FAILURE.to_vec(),
            HandshakeAction::Old => answer::in_tls_1_0(&received, &self.certificate.cert),
            HandshakeAction::Alpn => answer::with_alpn(&received, &self.certificate),
            HandshakeAction::Stall | HandshakeAction::Done => Vec::new(),
        };
        self.records.with(number, |record| record.push(Side::Server, Layer::Tls, None, &answer, None));
        client.write_all(&answer).await?;
        let mut recorder = Recorder::new(self.protocol, &self.records, number);
        // A client that continues in cleartext is relayed, so that the upstream server answers it.
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
                        let bytes = &buffer[..read];
                        self.records.with(number, |record| {
                            record.push(Side::Client, Layer::Tls, None, bytes, None);
                        });
                    } else {
                        recorder.receive(&buffer[..read])?;
                        server_is_open &= server.write_all(&buffer[..read]).await.is_ok();
                    }
                }
                read = server.read(&mut from_server), if server_is_open => {
                    // The upstream server may close the connection before the client does.
                    let bytes = &from_server[..read.unwrap_or(0)];
                    self.records.count(number, bytes.len())?;
                    server_is_open = !bytes.is_empty();
                    self.records.with(number, |record| {
                        record.push(Side::Server, Layer::Cleartext, None, bytes, None);
                    });
                    client.write_all(bytes).await?;
                }
            }
        }
    }
}
