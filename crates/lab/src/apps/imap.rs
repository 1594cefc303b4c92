//! IMAP (RFC 9051, and enough of RFC 3501): one mailbox that clients can read, search and append to.

use super::context::{AppContext, Serving, World};
use super::tokens::{Token, command};
use super::{imap_fetch, sasl};
use crate::session::{Session, SessionError};
use crate::store::Mail;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let (mut authenticated, mut selected) = (false, false);
    while let Some(tokens) = command(session).await? {
        let [tag, name, arguments @ ..] = &tokens[..] else {
            session.say("* BAD A tag and a command are expected");
            continue;
        };
        let (tag, mut name) = (tag.text(), name.text().to_ascii_uppercase());
        let mut arguments = arguments;
        let uid = name == "UID";
        if let (true, [first, rest @ ..]) = (uid, arguments) {
            name = first.text().to_ascii_uppercase();
            arguments = rest;
        }
        let answer = match name.as_str() {
            "LOGIN" | "AUTHENTICATE" if authenticated => "BAD Once is enough",
            "LOGIN" | "AUTHENTICATE" => {
                authenticated = match (name.as_str(), arguments) {
                    ("LOGIN", [user, password]) => world.admits(user.bytes(), password.bytes()),
                    ("AUTHENTICATE", [mechanism, initial @ ..])
                        if mechanism.text().eq_ignore_ascii_case("PLAIN") =>
                    {
                        authenticate(session, world, initial).await?
                    }
                    _ => false,
                };
                if authenticated { "OK Welcome" } else { "NO [AUTHENTICATIONFAILED] Wrong user or password" }
            }
            _ if !authenticated => "BAD Log in first",
            "LIST" | "LSUB" => {
                let pattern = arguments.last().map(Token::text).unwrap_or_default();
                if pattern.is_empty() {
                    session.say(format!("* {name} (\\Noselect) \"/\" \"\""));
                } else if pattern.contains(['*', '%']) || pattern.eq_ignore_ascii_case("INBOX") {
                    session.say(format!("* {name} () \"/\" INBOX"));
                }
                "OK Listed"
            }
            "SELECT" | "EXAMINE" | "STATUS" | "APPEND" if !names_inbox(arguments) => {
                selected &= !matches!(name.as_str(), "SELECT" | "EXAMINE");
                "NO [NONEXISTENT] There is INBOX and nothing else"
            }
            "SELECT" | "EXAMINE" => {
                selected = true;
                select(session, &world.store.mail());
                // Flags are not stored.
                "OK [READ-ONLY] Selected"
            }
            "STATUS" => {
                status(session, &world.store.mail(), arguments);
                "OK That is all"
            }
            "APPEND" => match arguments.last() {
                Some(Token::Text(message)) if world.store.deliver(message).is_some() => {
                    if selected {
                        session.say(format!("* {} EXISTS", world.store.mail().len()));
                    }
                    "OK Appended"
                }
                Some(Token::Text(_)) => "NO [OVERQUOTA] The mailbox is full",
                _ => "BAD A message is missing",
            },
            "NAMESPACE" => {
                session.say("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                "OK That is all"
            }
            "ID" => {
                session.say("* ID NIL");
                "OK Pleased"
            }
            "ENABLE" | "SUBSCRIBE" | "UNSUBSCRIBE" => "OK Nothing to change",
            "IDLE" => {
                session.send("+ Idling\r\n");
                if session.line().await?.eq_ignore_ascii_case(b"DONE\r\n") {
                    "OK Done"
                } else {
                    "BAD DONE was expected"
                }
            }
            "FETCH" | "SEARCH" | "CHECK" | "CLOSE" | "UNSELECT" | "STORE" | "EXPUNGE" if !selected => {
                "BAD Select a mailbox first"
            }
            "CHECK" => "OK Checked",
            "CLOSE" | "UNSELECT" => {
                selected = false;
                "OK Closed"
            }
            "STORE" | "EXPUNGE" => "NO The mailbox is read-only",
            "SEARCH" => match search(&world.store.mail(), arguments) {
                Some(found) => {
                    let number = |(at, mail): &(usize, u32)| if uid { *mail } else { *at as u32 };
                    let numbers: String = found.iter().map(|it| format!(" {}", number(it))).collect();
                    session.say(format!("* SEARCH{numbers}"));
                    "OK Searched"
                }
                None => "BAD That cannot be searched for here",
            },
            "FETCH" => match imap_fetch::fetch(session, &world.store.mail(), uid, arguments) {
                Some(()) => "OK Fetched",
                None => "BAD A set of messages and what to fetch are expected",
            },
            _ => "BAD Unknown command",
        };
        session.say(format!("{tag} {answer}"));
    }
    Ok(())
}

/// AUTHENTICATE (RFC 9051 section 6.2.2), with the initial response of RFC 4959.
async fn authenticate(session: &mut Session, world: &World, initial: &[Token]) -> Result<bool, SessionError> {
    let response = match initial {
        [initial] => initial.bytes().to_vec(),
        _ => {
            session.send("+ \r\n");
            session.line().await?
        }
    };
    Ok(sasl::plain(world, &response))
}

fn names_inbox(arguments: &[Token]) -> bool {
    arguments.first().is_some_and(|name| name.bytes().eq_ignore_ascii_case(b"INBOX"))
}

fn next_uid(mail: &[Mail]) -> u32 {
    mail.last().map_or(1, |last| last.uid + 1)
}

fn select(session: &mut Session, mail: &[Mail]) {
    session.say("* FLAGS (\\Seen)");
    session.say(format!("* {} EXISTS", mail.len()));
    session.say("* 0 RECENT");
    session.say("* OK [PERMANENTFLAGS ()] None is kept");
    session.say("* OK [UIDVALIDITY 1] As long as the lab runs");
    session.say(format!("* OK [UIDNEXT {}] The next one", next_uid(mail)));
}

fn status(session: &mut Session, mail: &[Mail], arguments: &[Token]) {
    let size: usize = mail.iter().map(|mail| mail.text.len()).sum();
    let items: Vec<String> = arguments[1..]
        .iter()
        .filter_map(|item| {
            let item = item.text().to_ascii_uppercase();
            let value = match item.as_str() {
                "MESSAGES" | "UNSEEN" => mail.len(),
                "RECENT" => 0,
                "UIDNEXT" => next_uid(mail) as usize,
                "UIDVALIDITY" => 1,
                "SIZE" => size,
                _ => return None,
            };
            Some(format!("{item} {value}"))
        })
        .collect();
    session.say(format!("* STATUS INBOX ({})", items.join(" ")));
}

/// Returns whether all keys match (RFC 9051 section 6.4.4), or `None` for an unknown key.
fn search(mail: &[Mail], keys: &[Token]) -> Option<Vec<(usize, u32)>> {
    let mut found: Vec<(usize, &Mail)> = mail.iter().enumerate().map(|(at, mail)| (at + 1, mail)).collect();
    let last = (mail.len() as u32, next_uid(mail) - 1);
    let mut keys = keys.iter();
    while let Some(key) = keys.next() {
        let name = key.text().to_ascii_uppercase();
        match name.as_str() {
            "CHARSET" => drop(keys.next()?),
            // No message has a flag.
            "ALL" | "UNSEEN" | "UNANSWERED" | "UNDELETED" | "UNFLAGGED" => {}
            "SEEN" | "ANSWERED" | "DELETED" | "FLAGGED" | "RECENT" | "NEW" => found.clear(),
            "SUBJECT" | "FROM" | "TO" | "TEXT" | "BODY" => {
                let wanted = keys.next()?.text().to_ascii_lowercase();
                found.retain(|(_, mail)| {
                    let text = String::from_utf8_lossy(&mail.text).to_ascii_lowercase();
                    let (header, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                    let field = format!("{}:", name.to_ascii_lowercase());
                    match name.as_str() {
                        "TEXT" => text.contains(&wanted),
                        "BODY" => body.contains(&wanted),
                        _ => header.lines().any(|line| line.starts_with(&field) && line.contains(&wanted)),
                    }
                });
            }
            "UID" => {
                let set = keys.next()?.text();
                found.retain(|(_, mail)| imap_fetch::is_in(&set, mail.uid, last.1) == Some(true));
            }
            set => {
                imap_fetch::is_in(set, 1, last.0)?;
                found.retain(|(at, _)| imap_fetch::is_in(set, *at as u32, last.0) == Some(true));
            }
        }
    }
    Some(found.into_iter().map(|(at, mail)| (at, mail.uid)).collect())
}
