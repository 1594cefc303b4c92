//! Scripted peers: a test writes each of their messages.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) const OFFER: &[u8] = b"250-mail.example.com\r\n250 STARTTLS\r\n";

/// Sends these bytes in one segment.
pub(crate) async fn say(io: &mut DuplexStream, bytes: &[u8]) {
    io.write_all(bytes).await.unwrap();
}

/// Reads up to the end of this text, and no octet more.
pub(crate) async fn hear(io: &mut DuplexStream, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        heard.push(io.read_u8().await.unwrap_or_else(|_| panic!("the end, after {heard:?}")));
    }
    String::from_utf8(heard).unwrap()
}

/// Reads up to the end of the connection.
pub(crate) async fn hear_all(io: &mut DuplexStream) -> Vec<u8> {
    let mut heard = Vec::new();
    io.read_to_end(&mut heard).await.unwrap();
    heard
}

/// Runs a server up to the upgrade request, which it reads and does not answer.
pub(crate) async fn serve_until_request(io: &mut DuplexStream) {
    say(io, b"220 mail.example.com\r\n").await;
    hear(io, "EHLO [127.0.0.1]\r\n").await;
    say(io, OFFER).await;
    hear(io, "STARTTLS\r\n").await;
}

/// Runs a client up to the upgrade request, which it does not send.
pub(crate) async fn ask_until_offer(io: &mut DuplexStream) {
    hear(io, "ESMTP\r\n").await;
    say(io, b"EHLO me\r\n").await;
    hear(io, "250 STARTTLS\r\n").await;
}
