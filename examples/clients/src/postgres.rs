//! `tokio-postgres`: runs a query.

use starttls::{Connector, Endpoint, proto::postgres::POSTGRES};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage, config::SslMode};

use crate::Failure;

/// Logs in and returns the version of the server.
///
/// # Errors
/// Returns an error if the upgrade, the login or the query fails.
pub async fn version(
    connector: &Connector,
    server: Endpoint,
    (user, password): (&str, &str),
) -> Result<Option<String>, Failure> {
    let stream = connector.connect(&POSTGRES, server).await?;
    let mut config = Config::new();
    // The stream is encrypted already, so the library must not ask for TLS inside it.
    config.user(user).password(password).dbname(user).ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    let connection = tokio::spawn(connection);
    let rows = client.simple_query("select version()").await?;
    // The connection ends when its client is dropped.
    drop(client);
    connection.await??;
    Ok(rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
