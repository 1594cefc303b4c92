//! Who logs in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use starttls_proto::{ClientName, Identity, Protocol, TranscriptEntry};

use super::mechanism;

/// Who logs in, with what, and how.
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
/// Of what the server offers inside TLS the best mechanism is chosen. It does not show its secret in `Debug`.
#[derive(Clone)]
#[must_use = "an account logs in nowhere by itself"]
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
    /// Somebody with a password.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(user.into(), Secret::Password(password.into()))
    }

    /// Somebody with an OAuth 2 access token.
    pub fn token(user: impl Into<String>, token: impl Into<String>) -> Self {
        Self::new(user.into(), Secret::Token(token.into()))
    }

    /// Whoever the client certificate of the TLS connection says (EXTERNAL, RFC 4422 appendix A).
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

    /// Acts as somebody else, where the server allows that (the authorization identity of RFC 4422 section 2).
    pub fn acting_as(self, authorization_id: impl Into<String>) -> Self {
        Self { authorization_id: Some(authorization_id.into()), ..self }
    }

    /// Uses this mechanism or none. It is the only way to the weak ones, CRAM-MD5 and APOP.
    pub fn mechanism(self, name: &str) -> Self {
        Self { mechanism: Some(name.to_ascii_uppercase()), ..self }
    }

    /// The time for everything together; 30 seconds by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The client's own name, where the protocol has one (the argument of EHLO).
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// The name of the service, where it is another one than that in the certificate (the domain of XMPP).
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Hears every message of the login as it is said, without its secrets.
    pub fn on_message(self, listener: impl Fn(&TranscriptEntry) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }

    /// Whether one can log in in this protocol, as far as this library knows.
    pub fn supports(protocol: &Protocol) -> bool {
        (protocol.dialect)(Identity::new("")).into_login().is_some()
    }

    /// The names of all mechanisms that are known here, the best first.
    pub fn mechanisms() -> impl Iterator<Item = &'static str> {
        mechanism::known()
    }

    /// Whether a mechanism is used only if it is asked for, since it is weak.
    pub fn is_weak(mechanism: &str) -> bool {
        mechanism::is_weak(mechanism)
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
