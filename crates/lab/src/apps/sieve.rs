//! ManageSieve (RFC 5804): stores scripts, and runs none.

use super::context::{AppContext, Serving};
use super::sasl;
use super::tokens::{Token, command};
use crate::session::SessionError;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let mut authenticated = false;
    let mut active = String::new();
    let store = &world.store;
    while let Some(tokens) = command(session).await? {
        let Some((name, arguments)) = tokens.split_first() else {
            session.say("NO \"A command is expected\"");
            continue;
        };
        let first = arguments.first().map(Token::text).unwrap_or_default();
        let answer = match (name.text().to_ascii_uppercase().as_str(), arguments) {
            ("AUTHENTICATE", _) if authenticated => "NO \"Once is enough\"",
            ("AUTHENTICATE", [mechanism, initial @ ..]) if mechanism.text().eq_ignore_ascii_case("PLAIN") => {
                let response = match initial {
                    [initial] => initial.bytes().to_vec(),
                    // An empty challenge, and the response as a string (RFC 5804 section 2.1).
                    _ => {
                        session.say("\"\"");
                        match command(session).await?.as_deref() {
                            Some([response]) => response.bytes().to_vec(),
                            _ => Vec::new(),
                        }
                    }
                };
                authenticated = sasl::plain(world, &response);
                if authenticated { "OK" } else { "NO \"Wrong user or password\"" }
            }
            _ if !authenticated => "NO \"Authenticate first\"",
            ("LISTSCRIPTS", _) => {
                for name in store.scripts() {
                    let mark = if name == active { " ACTIVE" } else { "" };
                    session.say(format!("{}{mark}", string(&name)));
                }
                "OK"
            }
            ("HAVESPACE" | "CHECKSCRIPT", [_, ..]) => "OK",
            ("PUTSCRIPT", [_, script]) if !first.is_empty() => match store.put_script(&first, script.bytes())
            {
                true => "OK",
                false => "NO (QUOTA/MAXSCRIPTS) \"There are too many\"",
            },
            ("SETACTIVE", [_]) if first.is_empty() || store.script(&first).is_some() => {
                active.clone_from(&first);
                "OK"
            }
            ("GETSCRIPT", [_]) if store.script(&first).is_some() => {
                let script = store.script(&first).unwrap_or_default();
                session.say(format!("{{{}}}", script.len()));
                session.send(&script);
                session.send("\r\n");
                "OK"
            }
            ("DELETESCRIPT", [_]) if first == active && !first.is_empty() => "NO (ACTIVE) \"It is in use\"",
            ("DELETESCRIPT", [_]) if store.delete_script(&first) => "OK",
            ("SETACTIVE" | "GETSCRIPT" | "DELETESCRIPT", [_]) => {
                "NO (NONEXISTENT) \"There is no such script\""
            }
            _ => "NO \"Unknown command, or wrong arguments\"",
        };
        session.say(answer);
    }
    Ok(())
}

/// Returns a text as a quoted string, even if it was a literal with line ends (RFC 5804 section 4).
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], " "))
}
