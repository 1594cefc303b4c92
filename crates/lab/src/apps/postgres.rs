//! PostgreSQL (protocol 3.0): a password, and queries of one literal.

use super::context::{AppContext, Serving};
use crate::session::{Session, SessionError};

/// The type of text of any length (`pg_type.dat`).
const TEXT: u32 = 25;
const INT4: u32 = 23;

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let Some(startup) = session.next_command().await? else { return Ok(()) };
    // A startup packet has no type, but a length and a version (section 54.7 of the manual, StartupMessage).
    if startup.get(4..8) != Some(&[0, 3, 0, 0]) {
        error(session, "FATAL", "0A000", "only protocol 3.0 is spoken here");
        return Ok(());
    }
    let parameters: Vec<&[u8]> = startup[8..].split(|&byte| byte == 0).collect();
    let user = parameters.chunks(2).find(|pair| pair[0] == b"user").and_then(|pair| pair.get(1));
    let user = user.copied().unwrap_or_default();
    message(session, b'R', &3_u32.to_be_bytes());
    let Some(answer) = session.next_command().await? else { return Ok(()) };
    let password = answer.get(5..).and_then(|text| text.strip_suffix(b"\0"));
    if answer.first() != Some(&b'p') || !password.is_some_and(|password| world.admits(user, password)) {
        error(session, "FATAL", "28P01", "wrong user or password");
        return Ok(());
    }
    message(session, b'R', &0_u32.to_be_bytes());
    for (name, value) in [
        ("server_version", "15.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("integer_datetimes", "on"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
    ] {
        message(session, b'S', format!("{name}\0{value}\0").as_bytes());
    }
    // The key for cancelling queries, which is unused: no query takes long.
    message(session, b'K', &[0; 8]);
    message(session, b'Z', b"I");
    let mut state = State::default();
    while let Some(command) = session.next_command().await? {
        let text = String::from_utf8_lossy(command.get(5..).unwrap_or_default()).into_owned();
        match command.first() {
            Some(b'Q') => {
                state.query(session, text.trim_end_matches('\0'), Reply::Whole);
                state.is_ready(session);
            }
            // Sync ends what the extended protocol started (section 55.2.3); after an error the rest is ignored.
            Some(b'S') => state.is_ready(session),
            Some(b'P' | b'B' | b'D' | b'E' | b'C' | b'H') if state.failed => {}
            Some(b'P') => {
                // The name of the statement, then its text.
                state.prepared = text.split('\0').nth(1).unwrap_or_default().to_owned();
                message(session, b'1', &[]);
            }
            Some(b'B') => message(session, b'2', &[]),
            Some(b'D') => state.query(session, &state.prepared.clone(), Reply::Description),
            Some(b'E') => state.query(session, &state.prepared.clone(), Reply::Rows),
            Some(b'C') => message(session, b'3', &[]),
            Some(b'H') => {}
            _ => {
                error(session, "FATAL", "08P01", "unknown message");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The state of a session.
#[derive(Default)]
struct State {
    /// The statement of the extended protocol, which is executed without parameters.
    prepared: String,
    /// Whether a message of the extended protocol failed.
    failed: bool,
    in_transaction: bool,
}

/// The requested parts of the answer to a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Whole,
    Description,
    Rows,
}

impl State {
    /// ReadyForQuery, with the state of the transaction.
    fn is_ready(&mut self, session: &mut Session) {
        self.failed = false;
        message(session, b'Z', if self.in_transaction { b"T" } else { b"I" });
    }

    fn query(&mut self, session: &mut Session, text: &str, wanted: Reply) {
        let text = text.trim().trim_end_matches(';').to_ascii_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let tag = match words[..] {
            ["set", ..] => "SET",
            ["begin", ..] | ["start", "transaction", ..] => "BEGIN",
            ["commit" | "end", ..] => "COMMIT",
            ["rollback" | "abort", ..] => "ROLLBACK",
            ["select", "version()"] => return row(session, "version", TEXT, "starttls lab", wanted),
            ["select", number] if number.parse::<i32>().is_ok() => {
                return row(session, "?column?", INT4, number, wanted);
            }
            [] => "",
            _ => {
                self.failed = true;
                return error(session, "ERROR", "42601", "select a number, or version()");
            }
        };
        if wanted == Reply::Description {
            return message(session, b'n', &[]);
        }
        match tag {
            "" => message(session, b'I', &[]),
            tag => message(session, b'C', format!("{tag}\0").as_bytes()),
        }
        self.in_transaction = match tag {
            "BEGIN" => true,
            "COMMIT" | "ROLLBACK" => false,
            _ => self.in_transaction,
        };
    }
}

/// One column, one row (RowDescription, DataRow, CommandComplete).
fn row(session: &mut Session, name: &str, kind: u32, value: &str, wanted: Reply) {
    let (size, modifier): (i16, i32) = (if kind == INT4 { 4 } else { -1 }, -1);
    let description = [
        &[0, 1],
        name.as_bytes(),
        &[0; 7],
        &kind.to_be_bytes(),
        &size.to_be_bytes(),
        &modifier.to_be_bytes(),
        &[0, 0],
    ];
    if wanted != Reply::Rows {
        message(session, b'T', &description.concat());
    }
    if wanted != Reply::Description {
        let length = value.len() as u32;
        message(session, b'D', &[&[0, 1], &length.to_be_bytes()[..], value.as_bytes()].concat());
        message(session, b'C', b"SELECT 1\0");
    }
}

fn error(session: &mut Session, severity: &str, code: &str, text: &str) {
    message(session, b'E', format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0").as_bytes());
}

fn message(session: &mut Session, kind: u8, body: &[u8]) {
    session.send([kind]);
    session.send((body.len() as u32 + 4).to_be_bytes());
    session.send(body);
}
