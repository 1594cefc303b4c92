//! A blocking client through a SOCKS5 proxy.
//!
//! `cargo run --example blocking_client -- localhost 9050 imap.example.com`
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::io::{Read, Write};

use starttls::dialer::Socks5;
use starttls::{Connector, proto::imap::IMAP};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, port, server] = arguments.as_slice() else {
        return Err("expected PROXY, PORT and SERVER".into());
    };
    let connector = Connector::builder().build()?.with_dialer(Socks5::new((proxy.as_str(), port.parse()?)));
    let mut stream = connector.blocking().connect(&IMAP, (server.as_str(), 143))?;
    stream.write_all(b"a CAPABILITY\r\n")?;
    stream.flush()?;
    let mut reply = vec![0; 4096];
    let count = stream.read(&mut reply)?;
    println!("{}", String::from_utf8_lossy(&reply[..count]));
    stream.close()?;
    Ok(())
}
