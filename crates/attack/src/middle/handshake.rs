//! The other side of the boundary: a handshake, or what takes its place.

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

/// No TLS, in no version.
const GARBAGE: &[u8] = b"\x00\xff\x00\xffno TLS here, and nothing else\r\n";

impl Middle {
    pub(super) async fn encrypt(&self, number: usize, client: TcpStream, server: TcpStream, early: Vec<u8>) {
        if self.handshake != HandshakeAction::Done {
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
            let accepted = acceptor.handshake(Prefixed::new(early, client)).await;
            self.records.with(number, |record| {
                // A certificate is an attack too.
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
        // At once, since the server behind has less patience than the client, perhaps.
        let upgrading = connector.handshake(self.protocol, &self.upstream.server_name, server);
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
        while !answer::whole_record(&heard) {
            let read = client.read(&mut buffer).await?;
            heard.extend_from_slice(&buffer[..read]);
            if read == 0 || heard.len() > CHUNK || !heard.starts_with(&[0x16]) {
                break;
            }
        }
        let mut recorder = Recorder::new(self.protocol, &self.records, number);
        recorder.heard(&heard)?;
        let answer = match self.handshake {
            HandshakeAction::Garbage => GARBAGE.to_vec(),
            HandshakeAction::Alert => answer::HANDSHAKE_FAILURE.to_vec(),
            HandshakeAction::Old => answer::in_tls_1_0(&heard, &self.certificate.cert),
            HandshakeAction::Alpn => answer::with_alpn(&heard, &self.certificate),
            HandshakeAction::Stall | HandshakeAction::Done => Vec::new(),
        };
        self.records.with(number, |record| record.push(Side::Server, Layer::Tls, None, &answer, None));
        client.write_all(&answer).await?;
        let mut recorder = Recorder::new(self.protocol, &self.records, number);
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
                        recorder.heard(&buffer[..read])?;
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
