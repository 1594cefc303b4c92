//! The user and the credentials of a login.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use starttls_proto::{ClientName, Identity, Protocol, TranscriptEntry};

/// A user with credentials, and the options of the login.
///
/// ```no_run
/// # #[cfg(feature = "tokio")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use starttls::{Connector, login::Account, proto::imap::IMAP};
///
/// let mut stream = Connector::builder().build()?.connect(&IMAP, ("mail.example.com", 143)).await?;
/// let done = Account::password("john", "sesame").log_in(&IMAP, &mut stream).await?;
/// println!("logged in by {}", done.mechanism);
/// # Ok(())
/// # }
/// ```
/// The login uses the best mechanism that the server offers inside TLS. `Debug` does not show the secret.
#[derive(Clone)]
#[must_use = "an account does nothing until `log_in`"]
pub struct Account {
    pub(super) user: String,
    pub(super) authorization_id: Option<String>,
    pub(super) secret: Secret,
    pub(super) mechanism: Option<String>,
    pub(super) timeout: Duration,
    pub(super) client_name: ClientName,
    pub(super) server_name: Option<String>,
    pub(super) listener: Option<Listener>,
}

#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<dyn Fn(&TranscriptEntry) + Send + Sync>);

#[derive(Clone)]
pub(super) enum Secret {
    Password(String),
    Token(String),
    Certificate,
}

impl Account {
    /// Returns an account with a password.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(user.into(), Secret::Password(password.into()))
    }

    /// Returns an account with a token: an OAuth 2 access token, or the token of a server of NATS, which has no user.
    pub fn token(user: impl Into<String>, token: impl Into<String>) -> Self {
        Self::new(user.into(), Secret::Token(token.into()))
    }

    /// Returns the account that the client certificate of the TLS connection identifies (EXTERNAL, RFC 4422 appendix A).
    pub fn certificate() -> Self {
        Self::new(String::new(), Secret::Certificate)
    }

    fn new(user: String, secret: Secret) -> Self {
        Self {
            user,
            authorization_id: None,
            secret,
            mechanism: None,
            timeout: crate::DEFAULT_TIMEOUT,
            client_name: ClientName::default(),
            server_name: None,
            listener: None,
        }
    }

    /// Sets the user to act as, if the server allows that: the authorization identity of RFC 4422 section 2.
    pub fn acting_as(self, authorization_id: impl Into<String>) -> Self {
        Self { authorization_id: Some(authorization_id.into()), ..self }
    }

    /// Uses only this mechanism. The weak ones, CRAM-MD5 and APOP, are never used otherwise.
    pub fn mechanism(self, name: &str) -> Self {
        Self { mechanism: Some(name.to_ascii_uppercase()), ..self }
    }

    /// Sets the time limit of the whole login; 30 seconds by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the client's own name, if the protocol has one (the argument of EHLO).
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// Sets the name of the service, if it differs from the name in the certificate (the domain of XMPP).
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Calls the listener with every message of the login, without secrets.
    pub fn on_message(self, listener: impl Fn(&TranscriptEntry) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }

    /// Returns whether this library supports a login in this protocol.
    pub fn supports(protocol: &Protocol) -> bool {
        protocol.new_dialect(Identity::new("")).into_login().is_some()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}
