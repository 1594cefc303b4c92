//! The X Protocol of MySQL: a password by PLAIN or SHA256_MEMORY, and queries of one literal.

use sha2::{Digest, Sha256};

use super::context::{AppContext, Serving, World};
use crate::session::{Session, SessionError};

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    while let Some(message) = session.next_command().await? {
        let Some((&kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { break };
        match kind {
            // CapabilitiesSet: attributes of the connection, and compression.
            2 => send(session, OK, b""),
            // AuthenticateStart.
            4 => {
                let admitted = match string(body, 1) {
                    Some(b"PLAIN") => plain(world, string(body, 2).unwrap_or_default()),
                    Some(b"SHA256_MEMORY") => {
                        send(session, AUTHENTICATE_CONTINUE, &field(1, NONCE));
                        let Some(response) = session.next_command().await? else { break };
                        // AuthenticateContinue.
                        let body =
                            response.get(4..).and_then(|it| it.strip_prefix(b"\x05")).unwrap_or_default();
                        sha256_memory(world, string(body, 1).unwrap_or_default())
                    }
                    _ => {
                        error(session, 1251, "Unknown mechanism");
                        continue;
                    }
                };
                match admitted {
                    true => {
                        send(session, AUTHENTICATE_OK, b"");
                        return serve_user(session).await;
                    }
                    false => error(session, 1045, "Wrong user or password"),
                }
            }
            _ => error(session, 5000, "Log in first"),
        }
    }
    Ok(())
}

/// Serves a user who has logged in.
async fn serve_user(session: &mut Session) -> Result<(), SessionError> {
    while let Some(message) = session.next_command().await? {
        let Some((&kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { break };
        match kind {
            // The session is reset or closed; the connection stays.
            6 | 7 => send(session, OK, b""),
            // StmtExecute.
            12 => query(session, &String::from_utf8_lossy(string(body, 1).unwrap_or_default())),
            _ => error(session, 1047, "Unknown message"),
        }
    }
    Ok(())
}

fn query(session: &mut Session, text: &str) {
    let lower = text.trim().to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words[..] {
        ["set", ..] => send(session, STATEMENT_OK, b""),
        ["select", number] if number.parse::<u8>().is_ok_and(|number| number < 64) => {
            let number: u8 = number.parse().unwrap_or_default();
            send(session, 12, &column(&number.to_string()));
            // A row, whose integer is in zigzag form, and the end.
            send(session, 13, &field(1, &[number << 1]));
            send(session, 14, b"");
            send(session, STATEMENT_OK, b"");
        }
        _ => error(session, 1064, "Select a number below 64"),
    }
}

/// Returns the metadata of a column of signed integers. Clients read every field of it.
fn column(name: &str) -> Vec<u8> {
    let mut column = vec![0x08, 0x01];
    // Two names, two tables, the schema and the catalog.
    for (number, text) in (2..).zip([name, name, "", "", "", "def"]) {
        column.extend(field(number, text.as_bytes()));
    }
    // Collation 0, no fraction, two digits, no flags.
    column.extend([0x40, 0, 0x48, 0, 0x50, 2, 0x58, 0]);
    column
}

const OK: u8 = 0;
const ERROR: u8 = 1;
const AUTHENTICATE_CONTINUE: u8 = 3;
const AUTHENTICATE_OK: u8 = 4;
const STATEMENT_OK: u8 = 17;

/// It can be constant: the lab's user is public.
const NONCE: &[u8; 20] = b"starttls-lab-nonce-1";

/// Checks a schema, a name and a password, separated by NUL.
fn plain(world: &World, data: &[u8]) -> bool {
    let parts: Vec<&[u8]> = data.split(|&octet| octet == 0).collect();
    matches!(parts[..], [_, user, password] if world.admits(user, password))
}

/// Checks a schema, a name, and `SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce)` in hexadecimal.
fn sha256_memory(world: &World, data: &[u8]) -> bool {
    let once = Sha256::digest(&world.password);
    let mask = Sha256::digest([&Sha256::digest(once)[..], NONCE].concat());
    let expected: String = once.iter().zip(mask).map(|(one, other)| format!("{:02x}", one ^ other)).collect();
    let parts: Vec<&[u8]> = data.split(|&octet| octet == 0).collect();
    matches!(parts[..], [_, user, hash, ..] if user == world.user.as_bytes() && hash.eq_ignore_ascii_case(expected.as_bytes()))
}

/// Returns the contents of the first field with this number, in a message whose fields before it are strings of at most
/// 127 octets.
fn string(mut body: &[u8], number: u8) -> Option<&[u8]> {
    while let [key, length @ 0..=0x7f, rest @ ..] = body {
        let (contents, behind) = rest.split_at_checked(usize::from(*length))?;
        if *key == number << 3 | 2 {
            return Some(contents);
        }
        body = behind;
    }
    None
}

/// Returns a field with contents of at most 127 octets.
fn field(number: u8, contents: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, contents.len() as u8][..], contents].concat()
}

fn send(session: &mut Session, kind: u8, body: &[u8]) {
    session.send((1 + body.len() as u32).to_le_bytes());
    session.send([kind]);
    session.send(body);
}

fn error(session: &mut Session, code: u16, text: &str) {
    // Severity 0, and a code of two groups of seven bits.
    let head = [0x08, 0, 0x10, code as u8 | 0x80, (code >> 7) as u8];
    send(session, ERROR, &[&head[..], &field(3, text.as_bytes()), &field(4, b"HY000")].concat());
}
