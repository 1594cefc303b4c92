//! SMTP, submission and LMTP, which deliver to the mailbox.

use starttls::proto::SessionCommand;

use super::context::{AppContext, Serving};
use super::sasl;
use super::words::words;
use crate::session::SessionError;

/// The most recipients of one message.
const RECIPIENTS: usize = 100;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context, Kind::Relay))
}

pub(crate) fn serve_submission(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context, Kind::Submission))
}

pub(crate) fn serve_lmtp(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context, Kind::Lmtp))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relay,
    /// Accepts mail from users only (RFC 6409 section 4.3).
    Submission,
    Lmtp,
}

async fn run(AppContext { session, world, .. }: AppContext<'_>, kind: Kind) -> Result<(), SessionError> {
    let mut sender = false;
    let mut recipients: usize = 0;
    let mut authenticated = false;
    while let Some(command) = session.next().await? {
        let line = match command {
            SessionCommand::Message(line) => line,
            // RFC 5321 section 4.1.4: EHLO and RSET abort the transaction; NOOP and its like do not.
            SessionCommand::Answered(line) => {
                let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
                if [&b"EHLO"[..], b"LHLO", b"HELO", b"RSET"].contains(&&*verb) {
                    (sender, recipients) = (false, 0);
                }
                continue;
            }
            SessionCommand::Quit => break,
        };
        let words = words(&line);
        let verb = words.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
        let argument = words.get(1).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        match verb.as_str() {
            "AUTH" if kind == Kind::Lmtp => session.say("502 5.5.1 No authentication here"),
            "AUTH" if authenticated || sender => session.say("503 5.5.1 Not now"),
            "AUTH" => {
                // RFC 4954 section 4: the initial response, or an empty challenge for it.
                let granted = match argument.as_str() {
                    "PLAIN" => {
                        let response = match words.get(2) {
                            Some(initial) => initial.clone().into_bytes(),
                            None => {
                                session.say("334 ");
                                session.line().await?
                            }
                        };
                        sasl::plain(world, &response)
                    }
                    "LOGIN" => {
                        let user = match words.get(2) {
                            Some(initial) => initial.clone().into_bytes(),
                            None => {
                                session.say("334 VXNlcm5hbWU6");
                                session.line().await?
                            }
                        };
                        session.say("334 UGFzc3dvcmQ6");
                        let password = session.line().await?;
                        sasl::decode(&user)
                            .zip(sasl::decode(&password))
                            .is_some_and(|(user, password)| world.admits(&user, &password))
                    }
                    _ => {
                        session.say("504 5.5.4 PLAIN or LOGIN");
                        continue;
                    }
                };
                authenticated = granted;
                session.say(if granted { "235 2.7.0 Welcome" } else { "535 5.7.8 Wrong user or password" });
            }
            "MAIL" if kind == Kind::Submission && !authenticated && !world.open => {
                session.say("530 5.7.0 Authenticate first");
            }
            "MAIL" if argument.starts_with("FROM:") => {
                (sender, recipients) = (true, 0);
                session.say("250 2.1.0 OK");
            }
            "RCPT" if !sender => session.say("503 5.5.1 MAIL first"),
            "RCPT" if recipients == RECIPIENTS => session.say("452 4.5.3 Too many recipients"),
            "RCPT" if argument.starts_with("TO:") => {
                recipients += 1;
                session.say("250 2.1.5 OK");
            }
            "DATA" if recipients == 0 => session.say("503 5.5.1 RCPT first"),
            "DATA" => {
                session.say("354 End with a line of one dot");
                let message = session.block().await?;
                let answer = match world.store.deliver(&message) {
                    Some(uid) => format!("250 2.0.0 Delivered as {uid}"),
                    None => String::from("452 4.2.2 The mailbox is full"),
                };
                // RFC 2033 section 4.2: one reply for each recipient.
                for _ in 0..if kind == Kind::Lmtp { recipients } else { 1 } {
                    session.say(&answer);
                }
                (sender, recipients) = (false, 0);
            }
            "VRFY" => session.say("252 2.1.5 Send some mail and see"),
            "MAIL" | "RCPT" => session.say("501 5.5.4 An address is missing"),
            _ => session.say("500 5.5.2 Unknown command"),
        }
    }
    Ok(())
}
