//! Packets whose numbers go on across the boundary (MySQL): where one leg has TLS and the other has none, an
//! SSLRequest was one packet more on one of them, until the login is over and numbers start anew with each command.

use starttls::proto::{Outgoing, Side};
use tokio::io::AsyncReadExt;

use crate::failure::SessionFailure;
use crate::session::Stream;
use crate::session::caching_sha2::CachingSha2;
use crate::splice::{Filter, State};

/// Octets before a packet's payload: three of length, one of number.
const HEADER: usize = 4;
/// More than any packet of a login has.
const LONGEST: usize = 64 * 1024;
/// In the flags at the start of a login.
const CLIENT_SSL: u32 = 0x800;
/// The first octet of the packets that end a login.
const ENDS: [u8; 2] = [0x00, 0xff];

/// Octets that a login has in common with an SSLRequest: flags, the largest packet, a character set, and 23 more.
const COMMON: usize = 32;

/// Reads a client's login, and nothing behind it.
///
/// # Errors
/// [`SessionFailure`] when the client sends anything else, or leaves.
pub(super) async fn login(front: &mut Stream) -> Result<Vec<u8>, SessionFailure> {
    let mut login = vec![0; HEADER];
    let mut read = 0;
    while read < login.len() {
        match front.read(&mut login[read..]).await {
            Ok(0) => return Err(SessionFailure::io(Side::Client, std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => read += count,
            Err(cause) => return Err(SessionFailure::io(Side::Client, cause)),
        }
        if let Some(length) = whole(&login, Side::Client)?
            && read == HEADER
        {
            login.resize(length, 0);
        }
    }
    match login.len() {
        0..=36 => Err(SessionFailure::Protocol { side: Side::Client, expected: "a login", received: login }),
        _ => Ok(login),
    }
}

/// The SSLRequest that goes with this login: a server goes by the flags in either, so they have to be the same.
pub(super) fn request(login: &[u8]) -> Vec<u8> {
    let common = login.get(HEADER..HEADER + COMMON).unwrap_or_default();
    let mut request = [&[COMMON as u8, 0, 0, 1], common].concat();
    set_ssl(&mut request, true);
    request
}

/// Says whether there is TLS below a packet that starts with flags.
fn set_ssl(packet: &mut [u8], ssl: bool) {
    if let Some(flags) = packet.get_mut(HEADER..).and_then(|payload| payload.first_chunk_mut()) {
        let others = u32::from_le_bytes(*flags) & !CLIENT_SSL;
        *flags = (others | if ssl { CLIENT_SSL } else { 0 }).to_le_bytes();
    }
}

/// The packets of a login between legs of which one has TLS, with their numbers put right.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Whether the backend's leg is the one with TLS.
    backend: bool,
    /// By how much the numbers on the front are ahead.
    ahead: u8,
    /// Where passwords have to be encrypted for the backend.
    full: Option<CachingSha2>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    answered: bool,
}

impl Sequence {
    /// For these legs, inside TLS or not; `None` where the numbers are the same on both. `greeting` is the server's,
    /// where it trusts its leg with no password.
    pub(super) fn between(front: bool, backend: bool, greeting: Option<&[u8]>) -> Option<Self> {
        let (from_client, from_server, answered) = (Vec::new(), Vec::new(), false);
        let ahead = if backend { 1_u8.wrapping_neg() } else { 1 };
        let full = greeting.filter(|_| !backend).map(CachingSha2::new);
        (front != backend).then_some(Self { backend, ahead, full, from_client, from_server, answered })
    }
}

impl Filter for Sequence {
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, SessionFailure> {
        let unread = match from {
            Side::Client => &mut self.from_client,
            Side::Server => &mut self.from_server,
        };
        unread.extend_from_slice(input);
        while let Some(mut packet) = cut(unread, from)? {
            let ends = packet.get(HEADER).is_some_and(|kind| ENDS.contains(kind));
            let (payload, full) = (&packet[HEADER..], self.full.as_mut());
            match from {
                Side::Client => {
                    let is_login = !std::mem::replace(&mut self.answered, true);
                    if let Some(other) = full.map_or(Ok(None), |it| it.client(payload, is_login))? {
                        packet.splice(HEADER.., other);
                        set_length(&mut packet);
                    }
                    packet[3] = packet[3].wrapping_sub(self.ahead);
                    if is_login {
                        // It would promise the backend a TLS that is not there, or deny one that is (rule G4).
                        set_ssl(&mut packet, self.backend);
                    }
                    out.to_server.append(&mut packet);
                }
                Side::Server => {
                    if let Some(answer) = full.map_or(Ok(None), |it| it.server(payload))? {
                        packet.splice(HEADER.., answer);
                        set_length(&mut packet);
                        packet[3] = packet[3].wrapping_add(1);
                        out.to_server.append(&mut packet);
                        // The question of the gateway's own and its answer are two packets that the client knows nothing of.
                        self.ahead = self.ahead.wrapping_sub(2);
                        continue;
                    }
                    packet[3] = packet[3].wrapping_add(self.ahead);
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

/// Puts the length of what is in a packet into its header.
fn set_length(packet: &mut [u8]) {
    let [a, b, c, _] = u32::to_le_bytes((packet.len() - HEADER) as u32);
    packet[..3].copy_from_slice(&[a, b, c]);
}

/// Takes the first packet, if it is whole.
fn cut(unread: &mut Vec<u8>, from: Side) -> Result<Option<Vec<u8>>, SessionFailure> {
    let Some(end) = whole(unread, from)?.filter(|end| *end <= unread.len()) else { return Ok(None) };
    let rest = unread.split_off(end);
    Ok(Some(std::mem::replace(unread, rest)))
}

/// The length of the packet that starts so.
fn whole(unread: &[u8], from: Side) -> Result<Option<usize>, SessionFailure> {
    let Some([a, b, c, _]) = unread.first_chunk::<HEADER>() else { return Ok(None) };
    let end = HEADER + u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    if end > LONGEST {
        let received = unread[..unread.len().min(200)].to_vec();
        return Err(SessionFailure::Protocol {
            side: from,
            expected: "a packet of at most 64 KiB",
            received,
        });
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
        [&[payload.len() as u8, 0, 0, number], payload].concat()
    }

    #[test]
    fn numbers_are_put_right_until_the_login_is_over() {
        let login = |flags: u32| [flags.to_le_bytes().as_slice(), &[7; 40]].concat();
        let (with, without) = (login(0x8_0200 | CLIENT_SSL), login(0x8_0200));
        // Which leg has TLS, the number of the login there, and what becomes of it.
        for (front, number, said, onward) in
            [(true, 2, &with, (1, &without)), (false, 1, &without, (2, &with))]
        {
            let passed = |there: u8, here: u8| if front { there } else { here };
            for size in 1..20 {
                let mut sequence = Sequence::between(front, !front, None).unwrap();
                let mut says = |from, bytes: Vec<u8>| {
                    let mut out = Outgoing::default();
                    let mut state = State::Reading;
                    for piece in bytes.chunks(size) {
                        state = sequence.receive(from, piece, &mut out).unwrap();
                    }
                    (state, out.to_server, out.to_client)
                };
                let logged_in = says(Side::Client, packet(number, said));
                assert_eq!(logged_in, (State::Reading, packet(onward.0, onward.1), vec![]));
                // A switch of methods, and its answer.
                let switch = |number| packet(number, b"\xfemysql_native_password\0");
                let switched = (State::Reading, vec![], switch(passed(3, 2)));
                assert_eq!(says(Side::Server, switch(passed(2, 3))), switched);
                let answered = (State::Reading, packet(passed(3, 4), b"20"), vec![]);
                assert_eq!(says(Side::Client, packet(passed(4, 3), b"20")), answered);
                let over = (State::Opaque, vec![], packet(passed(5, 4), &[0]));
                assert_eq!(says(Side::Server, packet(passed(4, 5), &[0])), over);
            }
        }
        assert!([true, false].into_iter().all(|both| Sequence::between(both, both, None).is_none()));
    }

    #[test]
    fn the_request_has_the_flags_of_the_login() {
        let login = [&packet(2, &0x8_0200_u32.to_le_bytes())[..], &[7; 60]].concat();
        let expected = packet(1, &[&(0x8_0200 | CLIENT_SSL).to_le_bytes()[..], &[7; 28]].concat());
        assert_eq!(request(&login), expected);
    }

    #[test]
    fn endless_packets_are_refused() {
        let mut out = Outgoing::default();
        assert!(
            Sequence::between(true, false, None)
                .unwrap()
                .receive(Side::Client, &[0xff, 0xff, 0xff, 2], &mut out)
                .is_err()
        );
    }
}
