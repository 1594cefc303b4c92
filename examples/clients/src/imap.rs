//! `async-imap`: searches the inbox.

use starttls::{Connector, Endpoint, proto::imap::IMAP};

use crate::Failure;

/// Logs in and returns the numbers of the messages whose subject contains `subject`.
///
/// # Errors
/// Returns an error if the upgrade, the login or a command fails.
pub async fn search(
    connector: &Connector,
    server: Endpoint,
    (user, password): (&str, &str),
    subject: &str,
) -> Result<Vec<u32>, Failure> {
    // The greeting was read before TLS. `Client::new` does not expect another one.
    let stream = connector.connect(&IMAP, server).await?;
    let client = async_imap::Client::new(stream);
    let mut session = client.login(user, password).await.map_err(|(error, _)| error)?;
    session.select("INBOX").await?;
    let found = session.search(format!("SUBJECT \"{subject}\"")).await?;
    session.logout().await?;
    let mut found: Vec<u32> = found.into_iter().collect();
    found.sort_unstable();
    Ok(found)
}
