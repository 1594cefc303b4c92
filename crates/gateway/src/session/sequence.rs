//! Packets whose numbers go on across the boundary (MySQL): the client's SSLRequest was one more packet than the
//! backend has seen, until the login is over and numbers start anew with each command.

use starttls::proto::{Outgoing, Side};

use crate::copy::{Editor, State};
use crate::failure::{Failure, Leg};

/// Octets before a packet's payload: three of length, one of number.
const HEADER: usize = 4;
/// More than any packet of a login has.
const LONGEST: usize = 64 * 1024;
/// In the flags at the start of a HandshakeResponse; it would promise the backend a TLS that is not there.
const CLIENT_SSL: u32 = 0x800;
/// The first octet of the packets that end a login.
const ENDS: [u8; 2] = [0x00, 0xff];

/// The packets of a login toward a backend in cleartext, with their numbers put right.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    answered: bool,
}

impl Editor for Sequence {
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, Failure> {
        let unread = match from {
            Side::Client => &mut self.from_client,
            Side::Server => &mut self.from_server,
        };
        unread.extend_from_slice(input);
        while let Some(mut packet) = cut(unread, from)? {
            let ends = packet.get(HEADER).is_some_and(|kind| ENDS.contains(kind));
            match from {
                Side::Client => {
                    packet[3] = packet[3].wrapping_sub(1);
                    if !self.answered
                        && let Some(flags) = packet[HEADER..].first_chunk_mut()
                    {
                        *flags = (u32::from_le_bytes(*flags) & !CLIENT_SSL).to_le_bytes();
                    }
                    self.answered = true;
                    out.to_server.append(&mut packet);
                }
                Side::Server => {
                    packet[3] = packet[3].wrapping_add(1);
                    out.to_client.append(&mut packet);
                    if ends {
                        out.to_client.append(&mut self.from_server);
                        out.to_server.append(&mut self.from_client);
                        return Ok(State::Opaque);
                    }
                }
            }
        }
        Ok(State::Reading)
    }
}

/// Takes the first packet, if it is whole.
fn cut(unread: &mut Vec<u8>, from: Side) -> Result<Option<Vec<u8>>, Failure> {
    let Some([a, b, c, _]) = unread.first_chunk::<HEADER>() else { return Ok(None) };
    let end = HEADER + u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    if end > LONGEST {
        let received = unread[..unread.len().min(200)].to_vec();
        return Err(Failure::Protocol {
            leg: Leg::of(from),
            expected: "a packet of at most 64 KiB",
            received,
        });
    }
    if unread.len() < end {
        return Ok(None);
    }
    let rest = unread.split_off(end);
    Ok(Some(std::mem::replace(unread, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
        [&[payload.len() as u8, 0, 0, number], payload].concat()
    }

    #[test]
    fn numbers_are_put_right_until_the_login_is_over() {
        let login = [(CLIENT_SSL | 0x8_0200).to_le_bytes().as_slice(), b"rest"].concat();
        let passed = [0x8_0200_u32.to_le_bytes().as_slice(), b"rest"].concat();
        for size in 1..20 {
            let mut sequence = Sequence::default();
            let mut says = |from, bytes: Vec<u8>| {
                let mut out = Outgoing::default();
                let mut state = State::Reading;
                for piece in bytes.chunks(size) {
                    state = sequence.receive(from, piece, &mut out).unwrap();
                }
                (state, out.to_server, out.to_client)
            };
            assert_eq!(says(Side::Client, packet(2, &login)), (State::Reading, packet(1, &passed), vec![]));
            // A switch of methods, and its answer.
            let switch = packet(2, b"\xfemysql_native_password\0");
            let switched = packet(3, b"\xfemysql_native_password\0");
            assert_eq!(says(Side::Server, switch), (State::Reading, vec![], switched));
            assert_eq!(says(Side::Client, packet(4, b"20")), (State::Reading, packet(3, b"20"), vec![]));
            assert_eq!(says(Side::Server, packet(4, &[0])), (State::Opaque, vec![], packet(5, &[0])));
        }
    }

    #[test]
    fn endless_packets_are_refused() {
        let mut out = Outgoing::default();
        assert!(Sequence::default().receive(Side::Client, &[0xff, 0xff, 0xff, 2], &mut out).is_err());
    }
}
