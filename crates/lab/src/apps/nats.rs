//! NATS: a server that delivers what a client publishes to the client's own subscriptions.

use std::collections::BTreeMap;

use super::context::{AppContext, Serving};
use crate::session::SessionError;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

/// The most subscriptions of one client.
const SUBSCRIPTIONS: usize = 100;

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let mut subscriptions = BTreeMap::new();
    // Servers confirm each message, unless CONNECT says otherwise.
    let (mut logged_in, mut verbose) = (false, true);
    while let Some(message) = session.next_command().await? {
        let end = message.iter().position(|octet| *octet == b'\n').unwrap_or(message.len());
        let (line, payload) = message.split_at(end);
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let answer = match (name.as_str(), &words[..]) {
            ("CONNECT", _) => {
                let text = |name: &str| string(&line, name).unwrap_or_default().as_bytes();
                verbose = member(&line, "verbose").is_none_or(|value| value.starts_with("true"));
                let token = string(&line, "auth_token");
                logged_in = world.admits(text("user"), text("pass")) || token == Some(&*world.password);
                if logged_in { None } else { Some("Authorization Violation") }
            }
            // Before a login the user has no permissions, as of a server with `no_auth_user`.
            ("PING", _) => {
                session.say("PONG");
                continue;
            }
            ("SUB" | "UNSUB" | "PUB", _) if !logged_in => Some("Authorization Violation"),
            ("SUB", [_, subject, .., id]) if subscriptions.len() < SUBSCRIPTIONS => {
                subscriptions.insert((*id).to_owned(), (*subject).to_owned());
                None
            }
            ("UNSUB", [_, id, ..]) => {
                subscriptions.remove(*id);
                None
            }
            ("PUB", [_, subject, .., length]) => {
                for (id, _) in subscriptions.iter().filter(|it| it.1 == *subject) {
                    session.say(format!("MSG {subject} {id} {length}"));
                    session.send(payload.get(1..).unwrap_or_default());
                }
                None
            }
            _ => Some("Unknown Protocol Operation"),
        };
        match answer {
            None if verbose => session.say("+OK"),
            None => {}
            Some(error) => {
                session.say(format!("-ERR '{error}'"));
                break;
            }
        }
    }
    Ok(())
}

/// Returns what follows the name of a member of the JSON object in CONNECT. The lab's names need no escapes.
fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{name}\":")).map(|(_, rest)| rest.trim_start())
}

/// Returns the string in a member of the JSON object in CONNECT.
fn string<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    member(line, name)?.strip_prefix('"')?.split('"').next()
}
