//! What an application works with.

use std::future::Future;
use std::pin::Pin;

use starttls::Acceptor;
use starttls::proto::ServerMessage;

use crate::session::{Session, SessionError};
use crate::store::Store;

/// The state that all applications share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Whether submission needs no login.
    pub(crate) open: bool,
    /// Whether the server offers no TLS.
    pub(crate) clear: bool,
}

impl World {
    /// Returns whether these are the credentials of the user.
    pub(crate) fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        user == self.user.as_bytes() && password == self.password.as_bytes()
    }
}

/// One connection of an application.
pub(crate) struct AppContext<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) world: &'a World,
    /// Accepts TLS on further connections: the data connections of FTP.
    pub(crate) acceptor: &'a Acceptor,
}

/// A session that an application serves.
pub(crate) type Serving<'a> = Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>>;

/// Serves one session to its end.
pub(crate) type Application = for<'a> fn(AppContext<'a>) -> Serving<'a>;

/// Answers each command as the dialect answers one that it does not name.
pub(crate) fn answers_only(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(async move {
        let AppContext { session, acceptor, .. } = context;
        let mut dialect = acceptor.protocol().new_dialect(acceptor.identity().inside_tls());
        while let Some(command) = session.next_command().await? {
            let mut answer = Vec::new();
            if dialect.read_client(&command).is_ok() {
                dialect.write_server(ServerMessage::Other, &mut answer);
            }
            session.send(answer);
        }
        Ok(())
    })
}

/// Answers hellos and goodbyes, and ends the session at any other command.
pub(crate) fn hello_only(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(async move { context.session.next_command().await.map(drop) })
}
