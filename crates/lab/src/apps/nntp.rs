//! NNTP (RFC 3977, RFC 4643): one group, `lab.mail`, whose articles are the messages of the mailbox.

use std::sync::Arc;

use time::OffsetDateTime;

use super::context::{AppContext, Serving};
use super::sasl;
use super::words::words;
use crate::session::{Session, SessionError};
use crate::store::Mail;

const GROUP: &str = "lab.mail";

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let mut user = String::new();
    let (mut authenticated, mut selected) = (false, false);
    let mut current: u32 = 0;
    while let Some(line) = session.next_command().await? {
        let words = words(&line);
        let upper = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let (name, first) = (upper(0), upper(1));
        let argument = words.get(1).map(String::as_str);
        match (name.as_str(), first.as_str()) {
            ("MODE", "READER") => session.say("201 Posting prohibited"),
            ("DATE", _) => session.say(format!("111 {}", now())),
            ("HELP", _) => {
                session.say("100 Help follows");
                session.say("AUTHINFO LIST GROUP ARTICLE HEAD BODY STAT NEXT LAST OVER DATE QUIT");
                session.say(".");
            }
            // RFC 4643 section 2.3.
            ("AUTHINFO", _) if authenticated => session.say("502 Once is enough"),
            ("AUTHINFO", "USER") => {
                user = words.get(2).cloned().unwrap_or_default();
                session.say("381 And the password?");
            }
            ("AUTHINFO", "SASL") if upper(2) == "PLAIN" => {
                let response = match words.get(3) {
                    Some(initial) => initial.clone().into_bytes(),
                    None => {
                        session.say("383 =");
                        session.line().await?
                    }
                };
                authenticated = sasl::plain(world, &response);
                session.say(if authenticated { "281 Welcome" } else { "481 Wrong user or password" });
            }
            ("AUTHINFO", "PASS") if user.is_empty() => session.say("482 The user first"),
            ("AUTHINFO", "PASS") => {
                let password = words.get(2).map(String::as_bytes).unwrap_or_default();
                authenticated = world.admits(user.as_bytes(), password);
                session.say(if authenticated { "281 Welcome" } else { "481 Wrong user or password" });
            }
            _ if !authenticated => session.say("480 Log in first"),
            ("LIST", "" | "ACTIVE") => {
                let (_, low, high) = range(&world.store.mail());
                list(session, &[format!("{GROUP} {high} {low} n")]);
            }
            ("LIST", "NEWSGROUPS") => list(session, &[format!("{GROUP}\tWhat is in the lab's mailbox")]),
            ("LIST", "OVERVIEW.FMT") => {
                let fields = ["Subject:", "From:", "Date:", "Message-ID:", "References:", ":bytes", ":lines"];
                list(session, &fields.map(String::from));
            }
            ("GROUP" | "LISTGROUP", _)
                if argument != Some(GROUP) && (name == "GROUP" || argument.is_some()) =>
            {
                session.say("411 There is lab.mail and nothing else");
            }
            ("GROUP" | "LISTGROUP", _) => {
                let mail = world.store.mail();
                let (count, low, high) = range(&mail);
                (selected, current) = (true, low);
                session.say(format!("211 {count} {low} {high} {GROUP}"));
                if name == "LISTGROUP" {
                    mail.iter().for_each(|mail| session.say(mail.uid.to_string()));
                    session.say(".");
                }
            }
            ("OVER" | "XOVER", _) => {
                let mail = world.store.mail();
                let (first, last) = numbers(argument, current);
                let found: Vec<String> = mail
                    .iter()
                    .filter(|mail| selected && (first..=last).contains(&mail.uid))
                    .map(overview)
                    .collect();
                match (selected, found.is_empty()) {
                    (false, _) => session.say("412 Select a group first"),
                    (true, true) => session.say("423 No such article"),
                    (true, false) => {
                        session.say("224 Overview follows");
                        found.iter().for_each(|line| session.say(line));
                        session.say(".");
                    }
                }
            }
            ("ARTICLE" | "HEAD" | "BODY" | "STAT" | "NEXT" | "LAST", _) => {
                let mail = world.store.mail();
                let found = match (name.as_str(), argument) {
                    (_, Some(id)) if id.starts_with('<') => {
                        mail.iter().find(|mail| field(mail, "Message-ID") == id).map(|mail| (0, mail))
                    }
                    _ if !selected => {
                        session.say("412 Select a group first");
                        continue;
                    }
                    ("NEXT", _) => mail.iter().find(|mail| mail.uid > current).map(|mail| (mail.uid, mail)),
                    ("LAST", _) => mail.iter().rfind(|mail| mail.uid < current).map(|mail| (mail.uid, mail)),
                    (_, number) => {
                        let number = number.map_or(Some(current), |number| number.parse().ok());
                        mail.iter().find(|mail| Some(mail.uid) == number).map(|mail| (mail.uid, mail))
                    }
                };
                match found {
                    Some((number, mail)) => {
                        if number > 0 {
                            current = number;
                        }
                        article(session, &name, number, mail);
                    }
                    None => session.say(match (name.as_str(), argument) {
                        ("NEXT", _) => "421 This is the last",
                        ("LAST", _) => "422 This is the first",
                        (_, Some(id)) if id.starts_with('<') => "430 No such article",
                        _ => "423 No such article",
                    }),
                }
            }
            ("POST", _) => session.say("440 Posting prohibited"),
            _ => session.say("500 Unknown command"),
        }
    }
    Ok(())
}

/// Returns the number of articles, and the lowest and highest number (RFC 3977 section 6.1.1).
fn range(mail: &[Mail]) -> (usize, u32, u32) {
    let low = mail.first().map_or(1, |mail| mail.uid);
    (mail.len(), low, mail.last().map_or(0, |mail| mail.uid))
}

fn numbers(argument: Option<&str>, current: u32) -> (u32, u32) {
    let Some(argument) = argument else { return (current, current) };
    let (first, last) = argument.split_once('-').unwrap_or((argument, argument));
    (first.parse().unwrap_or(0), last.parse().unwrap_or(u32::MAX))
}

fn list(session: &mut Session, entries: &[String]) {
    session.say("215 The list follows");
    entries.iter().for_each(|entry| session.say(entry));
    session.say(".");
}

fn article(session: &mut Session, name: &str, number: u32, mail: &Mail) {
    let (header, body) = parts(mail);
    let id = field(mail, "Message-ID");
    let id = if id.is_empty() { format!("<{}@example.test>", mail.uid) } else { id };
    let (code, text) = match name {
        "ARTICLE" => (220, Some(&*mail.text)),
        "HEAD" => (221, Some(header)),
        "BODY" => (222, Some(body)),
        _ => (223, None),
    };
    session.say(format!("{code} {number} {id}"));
    if let Some(text) = text {
        session.send_block(text);
    }
}

fn parts(mail: &Mail) -> (&[u8], &[u8]) {
    let text: &Arc<[u8]> = &mail.text;
    match text.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (&text[..at + 2], &text[at + 4..]),
        None => (text, &[]),
    }
}

/// Returns the unfolded value of a header field, or an empty text if it is missing.
fn field(mail: &Mail, name: &str) -> String {
    let header = String::from_utf8_lossy(parts(mail).0).replace("\r\n ", " ").replace("\r\n\t", " ");
    let value = header.lines().filter_map(|line| line.split_once(':'));
    let value = value.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
    value.map(|(_, value)| value.trim().replace('\t', " ")).unwrap_or_default()
}

/// RFC 3977 section 8.3.2.
fn overview(mail: &Mail) -> String {
    let fields = ["Subject", "From", "Date", "Message-ID", "References"].map(|name| field(mail, name));
    let lines = parts(mail).1.iter().filter(|&&byte| byte == b'\n').count();
    format!("{}\t{}\t{}\t{lines}", mail.uid, fields.join("\t"), mail.text.len())
}

/// RFC 3977 section 7.1: `yyyymmddhhmmss`, UTC.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
