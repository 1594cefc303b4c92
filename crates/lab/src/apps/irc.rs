//! IRC (RFC 2812): registration, pings, and empty channels; and SASL PLAIN (IRCv3 `sasl`).

use super::context::{AppContext, Serving};
use super::sasl;
use crate::session::SessionError;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, acceptor, world }: AppContext<'_>) -> Result<(), SessionError> {
    let server = acceptor.identity().server_name;
    let (mut nick, mut user, mut registered) = (String::from("*"), false, false);
    while let Some(line) = session.next_command().await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.trim_end_matches(['\r', '\n']);
        // A prefix of the client is ignored (RFC 2812 section 2.3.1).
        let line = if line.starts_with(':') { line.split_once(' ').map_or("", |it| it.1) } else { line };
        let (command, parameters) = line.split_once(' ').unwrap_or((line, ""));
        let first = parameters.split(' ').next().unwrap_or_default().trim_start_matches(':');
        let command = command.to_ascii_uppercase();
        match command.as_str() {
            "" => continue,
            "NICK" if first.is_empty() => session.say(format!(":{server} 431 {nick} :No nickname given")),
            "NICK" if !is_nick(first) => session.say(format!(":{server} 432 {nick} {first} :Not a nickname")),
            "NICK" if registered => {
                session.say(format!(":{nick} NICK {first}"));
                nick = first.to_owned();
            }
            "NICK" => nick = first.to_owned(),
            "USER" if registered => session.say(format!(":{server} 462 {nick} :Once is enough")),
            "USER" => user = true,
            "CAP" if first.eq_ignore_ascii_case("REQ") => {
                let wanted = parameters.split_once(' ').map_or("", |it| it.1).trim_start_matches(':');
                let answer = if wanted.trim() == "sasl" { "ACK" } else { "NAK" };
                session.say(format!(":{server} CAP {nick} {answer} :{wanted}"));
                continue;
            }
            "CAP" | "PASS" => continue,
            "PING" => {
                session.say(format!(":{server} PONG {server} :{first}"));
                continue;
            }
            "PONG" => continue,
            "AUTHENTICATE" if first.eq_ignore_ascii_case("PLAIN") => {
                session.say("AUTHENTICATE +");
                let response = session.line().await?;
                let response = response.strip_prefix(b"AUTHENTICATE ").unwrap_or_default();
                if sasl::plain(world, response) {
                    let user = &world.user;
                    session
                        .say(format!(":{server} 900 {nick} {nick}!{user}@{server} {user} :You are {user}"));
                    session.say(format!(":{server} 903 {nick} :SASL authentication successful"));
                } else {
                    session.say(format!(":{server} 904 {nick} :SASL authentication failed"));
                }
                continue;
            }
            "AUTHENTICATE" => {
                session.say(format!(":{server} 904 {nick} :SASL authentication failed"));
                continue;
            }
            _ if !registered => session.say(format!(":{server} 451 {nick} :Register first")),
            "JOIN" => {
                session.say(format!(":{nick} JOIN {first}"));
                session.say(format!(":{server} 353 {nick} = {first} :{nick}"));
                session.say(format!(":{server} 366 {nick} {first} :That is all"));
            }
            "PRIVMSG" | "NOTICE" => session.say(format!(":{server} 401 {nick} {first} :You are alone")),
            _ => session.say(format!(":{server} 421 {nick} {command} :Unknown command")),
        }
        if user && nick != "*" && !registered {
            registered = true;
            session.say(format!(":{server} 001 {nick} :Welcome, {nick}"));
            session.say(format!(":{server} 002 {nick} :You talk to {server} inside TLS"));
            session.say(format!(":{server} 003 {nick} :It lives as long as the lab"));
            session.say(format!(":{server} 004 {nick} {server} lab i n"));
            session.say(format!(":{server} 422 {nick} :There is no message of the day"));
        }
    }
    Ok(())
}

/// Returns whether a nickname is valid (RFC 2812 section 2.3.1), with a higher limit than its nine characters.
fn is_nick(name: &str) -> bool {
    let special = |c: char| "[]\\`_^{|}".contains(c);
    name.len() <= 30
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || special(c))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || special(c))
}
