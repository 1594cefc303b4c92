//! NBD (its protocol document): one export with a fixed pattern, which discards what is written to it.

use super::context::{AppContext, Serving};
use crate::session::{LIMIT, Session, SessionError};

/// The size of the export in octets.
const SIZE: u64 = 1 << 20;
/// The transmission flags: HAS_FLAGS and SEND_FLUSH.
const TRANSMISSION_FLAGS: u16 = 1 | 4;
/// The octets of the export, repeated.
const PATTERN: &[u8] = b"starttls";

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, .. }: AppContext<'_>) -> Result<(), SessionError> {
    while let Some(message) = session.next_command().await? {
        // In cleartext, the client's flags come before its first option.
        let start = if message.starts_with(b"IHAVEOPT") { 0 } else { 4 };
        let (code, data) = (number(&message, start + 8), message.get(start + 16..).unwrap_or_default());
        // NBD_OPT_EXPORT_NAME, NBD_OPT_LIST, NBD_OPT_INFO and NBD_OPT_GO. The session answers NBD_OPT_ABORT.
        match code {
            1 if is_export(data) => {
                session.send(SIZE.to_be_bytes());
                session.send(TRANSMISSION_FLAGS.to_be_bytes());
                session.send([0; 124]);
                return transmit(session).await;
            }
            1 => return Ok(()),
            3 if data.is_empty() => {
                reply(session, code, 2, b"\0\0\0\x03lab");
                reply(session, code, 1, b"");
            }
            6 | 7 => match requested_name(data) {
                None => reply(session, code, INVALID, b""),
                Some(name) if !is_export(name) => reply(session, code, UNKNOWN, b""),
                Some(_) => {
                    let size = SIZE.to_be_bytes();
                    let information = [&[0, 0], &size[..], &TRANSMISSION_FLAGS.to_be_bytes()].concat();
                    reply(session, code, 3, &information);
                    reply(session, code, 1, b"");
                    if code == 7 {
                        return transmit(session).await;
                    }
                }
            },
            3 => reply(session, code, INVALID, b""),
            _ => reply(session, code, UNSUPPORTED, b""),
        }
    }
    Ok(())
}

const UNSUPPORTED: u32 = (1 << 31) + 1;
const INVALID: u32 = (1 << 31) + 3;
const UNKNOWN: u32 = (1 << 31) + 6;

/// Returns whether this names the export, which is also the default.
fn is_export(name: &[u8]) -> bool {
    [b"", &b"lab"[..]].contains(&name)
}

/// Returns the name in an NBD_OPT_INFO or NBD_OPT_GO: its length, itself, and a list of requests.
fn requested_name(data: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*data.first_chunk()?) as usize;
    data.get(4..)?.get(..length)
}

/// Serves requests until the client disconnects.
async fn transmit(session: &mut Session) -> Result<(), SessionError> {
    const EINVAL: u32 = 22;
    while let Some(request) = session.next_command().await? {
        let (Some(kind), Some(cookie)) = (request.get(6..8), request.get(8..16)) else { break };
        let at =
            request.get(16..).and_then(|it| it.first_chunk().copied()).map_or(u64::MAX, u64::from_be_bytes);
        let length = number(&request, 24) as usize;
        let fits = length <= LIMIT && at.checked_add(length as u64).is_some_and(|end| end <= SIZE);
        let (error, data) = match kind {
            // NBD_CMD_READ.
            [0, 0] if fits => {
                let start = (at % PATTERN.len() as u64) as usize;
                (0, PATTERN.iter().copied().cycle().skip(start).take(length).collect())
            }
            // NBD_CMD_WRITE and NBD_CMD_FLUSH.
            [0, 1] if fits => (0, Vec::new()),
            [0, 3] => (0, Vec::new()),
            // NBD_CMD_DISC has no reply.
            [0, 2] => break,
            _ => (EINVAL, Vec::new()),
        };
        session.send([0x67, 0x44, 0x66, 0x98]);
        session.send(error.to_be_bytes());
        session.send(cookie);
        session.send(data);
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|it| it.first_chunk().copied()).map_or(0, u32::from_be_bytes)
}

fn reply(session: &mut Session, option: u32, kind: u32, data: &[u8]) {
    session.send([0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9]);
    session.send(option.to_be_bytes());
    session.send(kind.to_be_bytes());
    session.send((data.len() as u32).to_be_bytes());
    session.send(data);
}
