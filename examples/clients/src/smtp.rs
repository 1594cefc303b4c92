//! `async-smtp`: sends a message.

use async_smtp::authentication::{Credentials, DEFAULT_ENCRYPTED_MECHANISMS};
use async_smtp::extension::ClientId;
use async_smtp::{Envelope, SendableEmail, SmtpClient, SmtpTransport};
use starttls::{Connector, Endpoint, proto::smtp::SUBMISSION};
use tokio::io::BufStream;

use crate::Failure;

/// Logs in and sends a message.
///
/// # Errors
/// Returns an error if the upgrade or the login fails, or if the server rejects the message.
pub async fn send(
    connector: &Connector,
    server: Endpoint,
    (user, password): (&str, &str),
    (from, to): (&str, &str),
    message: &str,
) -> Result<(), Failure> {
    let stream = connector.connect(&SUBMISSION, server).await?;
    // The server sends its greeting before TLS only (RFC 3207 section 4.2).
    let client = SmtpClient::new().without_greeting().hello_name(ClientId::Domain("localhost".into()));
    let mut transport = SmtpTransport::new(client, BufStream::new(stream)).await?;
    let credentials = Credentials::new(user.into(), password.into());
    transport.try_login(&credentials, DEFAULT_ENCRYPTED_MECHANISMS).await?;
    let envelope = Envelope::new(Some(from.parse()?), vec![to.parse()?])?;
    transport.send(SendableEmail::new(envelope, message)).await?;
    transport.quit().await?;
    Ok(())
}
