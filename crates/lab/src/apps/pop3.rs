//! POP3 (RFC 1939), with the mailbox of the lab.

use starttls::proto::SessionCommand;

use super::context::{AppContext, Serving};
use super::sasl;
use super::words::words;
use crate::session::SessionError;
use crate::store::Mail;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let mut user = String::new();
    // The messages at the login, and which of them are marked as deleted.
    let mut mailbox: Option<Vec<Mail>> = None;
    let mut deleted: Vec<u32> = Vec::new();
    loop {
        let line = match session.next().await? {
            Some(SessionCommand::Message(line)) => line,
            Some(SessionCommand::Answered(_)) => continue,
            // Messages are deleted at QUIT only (RFC 1939 section 6).
            Some(SessionCommand::Quit) => {
                world.store.delete(&deleted);
                return Ok(());
            }
            None => return Ok(()),
        };
        let words = words(&line);
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let Some(mail) = &mailbox else {
            let granted = match (name.as_str(), words.get(1..).unwrap_or_default()) {
                ("USER", [name]) => {
                    user.clone_from(name);
                    session.say("+OK And the password?");
                    continue;
                }
                ("PASS", _) if user.is_empty() => {
                    session.say("-ERR USER first");
                    continue;
                }
                ("PASS", [password]) => world.admits(user.as_bytes(), password.as_bytes()),
                // RFC 5034 section 4.
                ("AUTH", [mechanism, initial @ ..]) if mechanism.eq_ignore_ascii_case("PLAIN") => {
                    let response = match initial {
                        [initial] if initial != "=" => initial.clone().into_bytes(),
                        _ => {
                            session.say("+ ");
                            session.line().await?
                        }
                    };
                    sasl::plain(world, &response)
                }
                _ => {
                    session.say("-ERR Log in first");
                    continue;
                }
            };
            session.say(if granted { "+OK Welcome" } else { "-ERR [AUTH] Wrong user or password" });
            if granted {
                mailbox = Some(world.store.mail());
            }
            continue;
        };
        let left = |mail: &&Mail| !deleted.contains(&mail.uid);
        // The message number in the first argument.
        let number = words.get(1).and_then(|number| number.parse::<usize>().ok());
        let named = number.and_then(|number| mail.get(number.checked_sub(1)?)).filter(left);
        let entry =
            |mail: &Mail| if name == "UIDL" { mail.uid.to_string() } else { mail.text.len().to_string() };
        match (name.as_str(), words.len(), named) {
            ("STAT", ..) => {
                let size: usize = mail.iter().filter(left).map(|mail| mail.text.len()).sum();
                session.say(format!("+OK {} {size}", mail.iter().filter(left).count()));
            }
            ("LIST" | "UIDL", 1, _) => {
                session.say("+OK");
                for (at, mail) in mail.iter().enumerate().filter(|(_, mail)| left(mail)) {
                    session.say(format!("{} {}", at + 1, entry(mail)));
                }
                session.say(".");
            }
            ("LIST" | "UIDL", _, Some(mail)) => session.say(format!("+OK {} {}", words[1], entry(mail))),
            ("RETR", _, Some(mail)) => {
                session.say(format!("+OK {} octets", mail.text.len()));
                session.send_block(&mail.text);
            }
            ("TOP", _, Some(mail)) => {
                let wanted = words.get(2).and_then(|lines| lines.parse::<usize>().ok()).unwrap_or(0);
                session.say("+OK");
                session.send_block(&top(&mail.text, wanted));
            }
            ("DELE", _, Some(mail)) => {
                deleted.push(mail.uid);
                session.say("+OK Marked");
            }
            ("LIST" | "UIDL" | "RETR" | "TOP" | "DELE", ..) => session.say("-ERR No such message"),
            ("RSET", ..) => {
                deleted.clear();
                session.say("+OK Nothing is deleted");
            }
            ("NOOP", ..) => session.say("+OK"),
            _ => session.say("-ERR Unknown command"),
        }
    }
}

/// Returns the header, the empty line, and this number of lines of the body.
fn top(text: &[u8], wanted: usize) -> Vec<u8> {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    let mut top = Vec::new();
    for line in lines.by_ref() {
        top.extend_from_slice(line);
        if line == b"\r\n" {
            break;
        }
    }
    lines.take(wanted).for_each(|line| top.extend_from_slice(line));
    top
}
