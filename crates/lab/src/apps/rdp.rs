//! RDP (MS-RDPBCGR section 1.3.1.1): the start of a session, up to the login. The lab has no desktop, so it disconnects there.

use super::context::{AppContext, Serving};
use crate::session::{Session, SessionError};

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, .. }: AppContext<'_>) -> Result<(), SessionError> {
    while let Some(message) = session.next_command().await? {
        let (kind, contents) = (message.get(5), message.get(7..).unwrap_or_default());
        match (kind, contents) {
            // In cleartext: a connection with Standard RDP Security.
            (Some(0xe0), _) => session.send(STANDARD_SECURITY),
            (Some(0xf0), [0x7f, 0x65, ..]) => data(session, &connect_response(channels(contents))),
            // An erect domain request has no answer.
            (Some(0xf0), [0x04, ..]) => {}
            // An attach user request and a channel join request (T.125 section 7).
            (Some(0xf0), [0x28, ..]) => data(session, &[&[0x2e, 0], &USER[..]].concat()),
            (Some(0xf0), [0x38, _, _, channel @ ..]) => {
                data(session, &[&[0x3e, 0], &USER[..], channel, channel].concat());
            }
            _ => {
                data(session, DISCONNECT);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A connection confirm without a negotiation response (MS-RDPBCGR section 2.2.1.2).
const STANDARD_SECURITY: &[u8] = b"\x03\0\0\x0b\x06\xd0\0\0\x12\x34\0";
/// An MCS Disconnect Provider Ultimatum (T.125 section 7): the user requested the end.
const DISCONNECT: &[u8] = b"\x21\x80";
/// The id of the client as a user of the domain, less 1001.
const USER: [u8; 2] = [0, 0x40];
/// The id of the channel for input and output. The static channels follow.
const IO_CHANNEL: u16 = 1003;

/// Sends an X.224 data message.
fn data(session: &mut Session, contents: &[u8]) {
    let length = (7 + contents.len()) as u16;
    session.send([3, 0]);
    session.send(length.to_be_bytes());
    session.send([2, 0xf0, 0x80]);
    session.send(contents);
}

/// Returns the number of static channels that the client requests: in its network data, a block of the type 0xc003.
fn channels(contents: &[u8]) -> u16 {
    let block = contents.windows(8).find(|block| {
        let length = u16::from_le_bytes([block[2], block[3]]);
        block.starts_with(b"\x03\xc0") && length == 8 + 12 * u16::from(block[4]) && block[5..] == [0; 3]
    });
    block.map_or(0, |block| u16::from(block[4]))
}

/// Returns an MCS Connect Response (MS-RDPBCGR section 2.2.1.4): success, the parameters of the domain, and a GCC conference
/// response with the server's core, security and network data.
fn connect_response(channels: u16) -> Vec<u8> {
    const START: &[u8] = b"\x0a\x01\0\x02\x01\0\
        \x30\x1a\x02\x01\x22\x02\x01\x03\x02\x01\0\x02\x01\x01\x02\x01\0\x02\x01\x01\x02\x03\0\xff\xf8\x02\x01\x02";
    // Version 5 and later; no encryption of its own.
    let mut blocks = b"\x01\x0c\x08\0\x04\0\x08\0\x02\x0c\x0c\0\0\0\0\0\0\0\0\0".to_vec();
    let padding = channels % 2;
    blocks.extend([0x03, 0x0c]);
    let numbers = [8 + 2 * (channels + padding), IO_CHANNEL, channels];
    let ids = (IO_CHANNEL + 1..).take(channels.into());
    blocks.extend(numbers.into_iter().chain(ids).flat_map(u16::to_le_bytes));
    blocks.extend(vec![0; 2 * usize::from(padding)]);
    // Lengths in PER take two octets with the highest bit set.
    let per = |length: usize| (0x8000 | length as u16).to_be_bytes();
    let response = [b"\x14\x76\x0a\x01\x01\0\x01\xc0\0McDn", &per(blocks.len())[..], &blocks].concat();
    let user = [b"\0\x05\0\x14\x7c\0\x01", &per(response.len())[..], &response].concat();
    let ber = |tag: &[u8], contents: &[u8]| {
        [tag, &[0x82], &(contents.len() as u16).to_be_bytes(), contents].concat()
    };
    ber(b"\x7f\x66", &[START, &ber(b"\x04", &user)].concat())
}
