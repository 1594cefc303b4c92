//! What the servers do inside TLS: one small application per protocol.

mod sasl;
mod smtp;

use std::future::Future;
use std::pin::Pin;

use starttls::Acceptor;
use starttls::proto::Protocol;

use crate::session::{Session, SessionError};
use crate::store::Store;

/// What all applications share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl World {
    /// Whether these are the user's.
    pub(crate) fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        user == self.user.as_bytes() && password == self.password.as_bytes()
    }
}

/// One connection, as an application sees it.
pub(crate) struct Context<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) world: &'a World,
    /// For what needs TLS of its own: FTP's data connections.
    pub(crate) acceptor: &'a Acceptor,
}

/// A session under way.
pub(crate) type Served<'a> = Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>>;

struct App {
    protocols: &'static [&'static str],
    /// Listed inside TLS beyond the protocol's own minimum.
    capabilities: &'static [&'static str],
    serve: for<'a> fn(Context<'a>) -> Served<'a>,
}

#[rustfmt::skip] // One application a line.
const APPS: &[App] = &[
    App { protocols: &["smtp", "submission"], capabilities: &["AUTH PLAIN LOGIN", "SIZE 1048576"], serve: smtp::serve },
    App { protocols: &["lmtp"], capabilities: &["SIZE 1048576"], serve: smtp::serve_lmtp },
];

fn app(protocol: &Protocol) -> Option<&'static App> {
    APPS.iter().find(|app| app.protocols.contains(&protocol.name))
}

/// What a server of this protocol lists inside TLS.
pub(crate) fn capabilities(protocol: &Protocol) -> Vec<String> {
    let listed = app(protocol).map_or(&[][..], |app| app.capabilities);
    listed.iter().map(ToString::to_string).collect()
}

/// Serves a session to its end. A protocol without an application answers its hello only.
pub(crate) async fn serve(
    session: &mut Session,
    world: &World,
    acceptor: &Acceptor,
) -> Result<(), SessionError> {
    match app(acceptor.protocol()) {
        Some(app) => (app.serve)(Context { session, world, acceptor }).await,
        None => {
            // What is left here is neither a hello nor a goodbye, and there is nobody to answer it.
            session.next_command().await?;
            Ok(())
        }
    }
}

/// The words of a command line: separated by spaces, double quotes around what contains any.
pub(crate) fn words(line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(line);
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        words.push(word);
        rest = tail.trim_start();
    }
    words
}

/// A quoted string from behind its opening quote, and what follows its closing one.
pub(crate) fn unquote(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (word, &text[at + 1..]),
            _ => {
                word.push(c);
                escaped = false;
            }
        }
    }
    (word, "")
}
