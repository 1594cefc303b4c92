//! The backend: a minimal SMTP server in cleartext with two additional commands, and the HTTP server that nginx asks
//! for the backend of a recipient.
//!
//! `XTAKE n` reads n octets of the [`Pattern`] and reports whether they were correct. `XSEND n` sends n octets.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

/// Octets that repeat only after a long period.
pub(crate) struct Pattern(Vec<u8>);

/// A prime, so that no buffer size is a multiple of it.
const PERIOD: usize = 65_521;
/// The size of one write.
pub(crate) const CHUNK: usize = 64 * 1024;

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let period: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
        Self(period.into_iter().cycle().take(PERIOD + CHUNK).collect())
    }

    /// Returns `length` octets from this position.
    pub(crate) fn at(&self, position: u64, length: usize) -> &[u8] {
        let start = (position % PERIOD as u64) as usize;
        &self.0[start..start + length.min(CHUNK)]
    }
}

pub(crate) fn run() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let smtp = TcpListener::bind("127.0.0.1:0").await?;
        let directory = TcpListener::bind("127.0.0.1:0").await?;
        let (at, directory_at) = (smtp.local_addr()?, directory.local_addr()?);
        println!("{at} {directory_at}");
        io::stdout().flush()?;
        let mut end = [0];
        let mut input = tokio::io::stdin();
        loop {
            tokio::select! {
                client = smtp.accept() => { tokio::spawn(session(client?.0)); }
                client = directory.accept() => { tokio::spawn(tell(client?.0, at)); }
                _ = input.read(&mut end) => return Ok(()),
            }
        }
    })
}

/// The result of a session is ignored: the client checks it.
async fn session(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(512, read);
    write.write_all(b"220 backend ESMTP\r\n").await?;
    let (mut line, mut out) = (String::new(), String::new());
    loop {
        // Pipelined commands are answered in one write.
        if !read.buffer().contains(&b'\n') {
            write.write_all(out.as_bytes()).await?;
            out.clear();
        }
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let (command, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let number = || rest.parse::<u64>().map_err(io::Error::other);
        match command {
            "EHLO" => out.push_str("250-backend\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
            "RCPT" => out.push_str(&format!("250 {rest}\r\n")),
            "XTAKE" => {
                let right = take(&mut read, number()?).await?;
                out.push_str(if right { "250 as sent\r\n" } else { "554 not as sent\r\n" });
            }
            "XSEND" => {
                let (pattern, count, mut sent) = (Pattern::new(), number()?, 0);
                while sent < count {
                    let part = pattern.at(sent, CHUNK.min((count - sent) as usize));
                    write.write_all(part).await?;
                    sent += part.len() as u64;
                }
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => out.push_str("250 ok\r\n"),
        }
    }
}

async fn take(read: &mut (impl AsyncReadExt + Unpin), count: u64) -> io::Result<bool> {
    let (pattern, mut chunk) = (Pattern::new(), vec![0; CHUNK]);
    let (mut taken, mut right) = (0, true);
    while taken < count {
        let most = CHUNK.min((count - taken) as usize);
        let got = read.read(&mut chunk[..most]).await?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        right &= chunk[..got] == *pattern.at(taken, got);
        taken += got as u64;
    }
    Ok(right)
}

async fn tell(stream: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let answer = format!(
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
        backend.ip(),
        backend.port()
    );
    stream.write_all(answer.as_bytes()).await
}
