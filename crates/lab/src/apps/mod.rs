//! What the servers do inside TLS: one small application per protocol.
//!
//! To add one, write `apps/NAME.rs` with a `serve` that takes a [`Context`] and returns when the session
//! ends, and add its line to [`APPS`]. The engine has answered hellos, goodbyes and no-ops already.

mod ftp;
mod ftp_data;
mod http;
mod imap;
mod imap_fetch;
mod irc;
mod ldap;
mod mysql;
mod nntp;
mod nut;
mod pop3;
mod postgres;
mod sasl;
mod sieve;
mod smtp;
mod tokens;
mod xmpp;

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
    /// Whether mail is submitted by anybody.
    pub(crate) open: bool,
    /// Whether there is no TLS to be had.
    pub(crate) clear: bool,
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

type Serve = for<'a> fn(Context<'a>) -> Served<'a>;

struct App {
    protocol: &'static str,
    /// Listed inside TLS beyond the protocol's own minimum.
    capabilities: &'static [&'static str],
    serve: Serve,
}

#[rustfmt::skip] // One application a line.
const APPS: &[App] = &[
    App { protocol: "smtp", capabilities: &["AUTH PLAIN LOGIN", "SIZE 1048576"], serve: smtp::serve },
    App { protocol: "submission", capabilities: &["AUTH PLAIN LOGIN", "SIZE 1048576"], serve: smtp::serve_submission },
    App { protocol: "lmtp", capabilities: &["SIZE 1048576"], serve: smtp::serve_lmtp },
    App { protocol: "imap", capabilities: &["AUTH=PLAIN", "SASL-IR", "ID", "IDLE", "NAMESPACE", "UNSELECT"], serve: imap::serve },
    App { protocol: "pop3", capabilities: &["USER", "SASL PLAIN", "TOP", "UIDL", "RESP-CODES"], serve: pop3::serve },
    App { protocol: "sieve", capabilities: &["\"SASL\" \"PLAIN\""], serve: sieve::serve },
    App { protocol: "nntp", capabilities: &["READER", "AUTHINFO USER SASL", "SASL PLAIN", "LIST ACTIVE NEWSGROUPS OVERVIEW.FMT", "OVER"], serve: nntp::serve },
    App { protocol: "ldap", capabilities: &["supportedExtension: 1.3.6.1.4.1.4203.1.11.3", "namingContexts: dc=example,dc=test"], serve: ldap::serve },
    App { protocol: "ftp", capabilities: &["EPSV", "SIZE", "MDTM", "MLST type*;size*;modify*;", "UTF8"], serve: ftp::serve },
    App { protocol: "http", capabilities: &[], serve: http::serve },
    App { protocol: "mysql", capabilities: &[], serve: mysql::serve },
    App { protocol: "xmpp", capabilities: &["PLAIN"], serve: xmpp::serve },
    App { protocol: "xmpp-server", capabilities: &["EXTERNAL"], serve: hello_only },
    App { protocol: "postgres", capabilities: &[], serve: postgres::serve },
    App { protocol: "irc", capabilities: &["sasl=PLAIN"], serve: irc::serve },
    App { protocol: "nut", capabilities: &[], serve: nut::serve },
];

fn app(protocol: &Protocol) -> Option<&'static App> {
    APPS.iter().find(|app| app.protocol == protocol.name)
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
    let serve = app(acceptor.protocol()).map_or(hello_only as Serve, |app| app.serve);
    serve(Context { session, world, acceptor }).await
}

/// Answers hellos and goodbyes; what is neither ends the session, since nobody is here to answer it.
fn hello_only(context: Context<'_>) -> Served<'_> {
    Box::pin(async move { context.session.next_command().await.map(drop) })
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
