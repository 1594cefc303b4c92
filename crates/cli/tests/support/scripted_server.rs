//! Servers that follow a script, on every connection anew.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::spawn;

/// One step of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends this in one segment.
    Send(Vec<u8>),
    /// Waits until what came ends with this.
    Hear(&'static [u8]),
    /// Waits for anything at all.
    HearAny,
    /// Says and does nothing until the client is gone.
    Stall,
}

/// Sends this in one segment.
pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

/// A server on loopback that does these steps on each connection and closes it.
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
                // A client that has left needs no more lines.
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
    // In good order, whatever the client has sent that nobody read: a reset could overtake the last words.
    let _ = stream.shutdown(Shutdown::Write);
    while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
}

/// An SMTP server up to the upgrade request, which gets this answer.
pub(crate) fn smtp_answering(answer: impl AsRef<[u8]>) -> SocketAddr {
    smtp_going_on([send(answer), Step::Stall])
}

/// An SMTP server up to the upgrade request, and then these steps.
pub(crate) fn smtp_going_on(steps: impl IntoIterator<Item = Step>) -> SocketAddr {
    let until_request = [
        send("220 mail.example.test ESMTP\r\n"),
        Step::Hear(b"EHLO [127.0.0.1]\r\n"),
        send("250-mail.example.test\r\n250 STARTTLS\r\n"),
        Step::Hear(b"STARTTLS\r\n"),
    ];
    server(until_request.into_iter().chain(steps))
}

/// A port that refuses connections as long as the socket lives: it is bound, so that nothing else takes the port, and
/// does not listen.
pub(crate) fn closed() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
