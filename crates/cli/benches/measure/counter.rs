//! A relay that counts the connections of a tool.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// A relay in front of a server that counts connections.
pub(crate) struct Counter {
    pub(crate) address: SocketAddr,
    count: Arc<AtomicU32>,
}

impl Counter {
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let this = Self { address: listener.local_addr()?, count: Arc::default() };
        let count = Arc::clone(&this.count);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                // An error of the relay ends the connection, which the tool reports.
                thread::spawn(move || forward(&client, server));
            }
        });
        Ok(this)
    }

    pub(crate) fn total(&self) -> u32 {
        // The last connection of a tool that has ended may not be accepted yet.
        thread::sleep(Duration::from_millis(200));
        self.count.load(Ordering::Relaxed)
    }
}

fn forward(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        // Ends the direction after an error too.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(&server, client));
        copy(client, &server);
    });
    Ok(())
}
