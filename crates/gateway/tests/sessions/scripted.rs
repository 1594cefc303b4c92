//! Minimal servers that record what they receive.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends a greeting and answers each line.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
}

/// Returns the answer to a line; `None` closes the connection.
pub(crate) type Answer = fn(&str) -> Option<&'static str>;

impl Scripted {
    pub(crate) async fn start(greeting: Vec<u8>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (kept, open) = (heard.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = open.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                kept.lock().unwrap().push(String::new());
                let place = kept.lock().unwrap().len() - 1;
                let session = serve(tcp, greeting.clone(), answer, kept.clone(), place);
                let counted = counted.clone();
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    session.await;
                    counted.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, heard, open }
    }

    /// Starts an SMTP server that offers extensions the gateway should not use, and that accepts any message.
    pub(crate) async fn smtp() -> Self {
        Self::start(b"220 scripted ESMTP\r\n".to_vec(), |line| {
            Some(match line.split_ascii_whitespace().next().unwrap_or_default() {
                "EHLO" => {
                    "250-scripted\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-AUTH PLAIN SCRAM-SHA-256-PLUS\r\n\
                     250-XCLIENT ADDR LOGIN\r\n250-XFORWARD ADDR\r\n250 8BITMIME\r\n"
                }
                "DATA" => "354 go on\r\n",
                "VANISH" => return None,
                "QUIT" => "221 2.0.0 bye\r\n",
                "MAIL" | "RCPT" | "RSET" | "NOOP" | "." => "250 2.0.0 OK\r\n",
                _ => "",
            })
        })
        .await
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns what the server received on each connection.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(
    tcp: TcpStream,
    greeting: Vec<u8>,
    answer: Answer,
    heard: Arc<Mutex<Vec<String>>>,
    place: usize,
) -> Option<()> {
    let mut tcp = BufReader::new(tcp);
    tcp.write_all(&greeting).await.ok()?;
    loop {
        let mut line = Vec::new();
        if tcp.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let words = answer(&line);
        heard.lock().unwrap()[place].push_str(&line);
        tcp.write_all(words?.as_bytes()).await.ok()?;
        if line == "QUIT\r\n" {
            return None;
        }
    }
}
