//! A server for submission: it requires TLS, and answers the commands inside with what `ServerSession` knows.
//!
//! `cargo run --example server -- chain.pem key.pem`
#![expect(clippy::print_stdout, reason = "it is a program")]

use starttls::{Acceptor, proto::smtp::SUBMISSION};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(chain), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("expected CHAIN.PEM and KEY.PEM".into());
    };
    let acceptor = Acceptor::builder(&SUBMISSION, "mail.example.com")
        .certificate_pem(std::fs::read(chain)?, std::fs::read(key)?)
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:2587").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (tcp, from) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // The library sends the greeting and the refusals before TLS; only an encrypted stream comes back.
            match acceptor.accept(tcp).await {
                Ok(mut stream) => {
                    println!("{from}: {}", stream.facts().version_name());
                    let _ = stream.write_all(b"421 4.3.2 nothing is served here\r\n").await;
                    let _ = stream.shutdown().await;
                }
                Err(error) => println!("{from}: {error}"),
            }
        });
    }
}
