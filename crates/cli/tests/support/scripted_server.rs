//! Servers that run a script on each connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::spawn;

/// One step of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes in one segment.
    Send(Vec<u8>),
    /// Reads until the received bytes end with these.
    Hear(&'static [u8]),
    /// Reads any bytes.
    HearAny,
    /// Sends nothing until the client closes.
    Stall,
}

/// Returns a step that sends these bytes in one segment.
pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// Starts a server on loopback that runs these steps on each connection and closes it.
pub(crate) fn server(steps: impl IntoIterator<Item = Step>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let steps: Arc<[Step]> = steps.into_iter().collect();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let steps = steps.clone();
            spawn(move || play(stream, &steps));
        }
    });
    address
}

fn play(mut stream: TcpStream, steps: &[Step]) {
    let mut heard = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) => {
                // The client may have closed the connection.
                let _ = stream.write_all(bytes);
            }
            Step::Hear(end) => {
                while !heard.ends_with(end) {
                    let mut byte = [0];
                    if !matches!(stream.read(&mut byte), Ok(1)) {
                        return;
                    }
                    heard.push(byte[0]);
                }
                heard.clear();
            }
            Step::HearAny => drop(stream.read(&mut [0; 4096])),
            Step::Stall => while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {},
        }
    }
    // Ends the direction and reads the rest: closing with unread data would cause a reset, which can discard the last
    // bytes.
    let _ = stream.shutdown(Shutdown::Write);
    while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
}

/// Starts an SMTP server that answers the upgrade request with `answer`.
pub(crate) fn smtp_answering(answer: impl AsRef<[u8]>) -> SocketAddr {
    smtp_going_on([send(answer), Step::Stall])
}

/// Starts an SMTP server that runs these steps after the upgrade request.
pub(crate) fn smtp_going_on(steps: impl IntoIterator<Item = Step>) -> SocketAddr {
    let until_request = [
        send("220 mail.example.test ESMTP\r\n"),
        Step::Hear(b"EHLO [127.0.0.1]\r\n"),
        send("250-mail.example.test\r\n250 STARTTLS\r\n"),
        Step::Hear(b"STARTTLS\r\n"),
    ];
    server(until_request.into_iter().chain(steps))
}

/// Returns an address that refuses connections as long as the socket exists: the socket is bound, which reserves the
/// port, and does not listen.
pub(crate) fn closed() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
