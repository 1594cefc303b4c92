//! A tokio client: connects to a mail server, upgrades, and asks for the extensions inside TLS.
//!
//! `cargo run --example client -- mail.example.com 587`
#![expect(clippy::print_stdout, reason = "it is a program")]

use starttls::{Connector, proto::smtp::SUBMISSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(host), Some(port)) = (arguments.next(), arguments.next()) else {
        return Err("expected HOST and PORT".into());
    };
    let connector = Connector::builder().client_name("client.example.com".parse()?).build()?;
    let mut stream = connector.connect(&SUBMISSION, (host, port.parse()?)).await?;
    println!("{}, certificate {}", stream.facts().version_name(), stream.facts().verdict);
    // An attacker can change what the server announced before TLS, so the client asks again.
    stream.write_all(b"EHLO client.example.com\r\n").await?;
    stream.flush().await?;
    let mut reply = vec![0; 4096];
    let count = stream.read(&mut reply).await?;
    println!("{}", String::from_utf8_lossy(&reply[..count]));
    stream.write_all(b"QUIT\r\n").await?;
    stream.shutdown().await?;
    Ok(())
}
