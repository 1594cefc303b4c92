//! The packet numbers of a login. An SSLRequest is one more packet on the side with TLS, so the numbers of the two sides
//! differ until the login ends and each command starts at 0 again.

use starttls::proto::{Outgoing, Side};
use tokio::io::AsyncReadExt;

use super::caching_sha2::CachingSha2;
use crate::failure::SessionFailure;
use crate::session::splice::{Filter, FilterState};
use crate::session::stream::Stream;
use crate::session::unread::UnreadBytes;

/// The length of a packet's header, in octets: three of length, one of number.
const HEADER: usize = 4;
/// The longest packet of a login.
const LONGEST: usize = 64 * 1024;
/// A flag at the start of a login.
const CLIENT_SSL: u32 = 0x800;
/// The first octets of the packets that end a login: OK and ERR.
const ENDS: [u8; 2] = [0x00, 0xff];

/// The length of the part that a login and an SSLRequest share, in octets: flags, maximum packet size, character set and
/// 23 reserved octets.
const COMMON: usize = 32;

/// Reads the client's login, and nothing after it.
///
/// # Errors
/// [`SessionFailure`] when the client sends anything else, or closes the connection.
pub(super) async fn read_login(client: &mut Stream) -> Result<Vec<u8>, SessionFailure> {
    let mut login = vec![0; HEADER];
    let mut read = 0;
    while read < login.len() {
        match client.read(&mut login[read..]).await {
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

/// Returns the SSLRequest for this login. Servers use the flags of either, so they have to be equal.
pub(super) fn ssl_request(login: &[u8]) -> Vec<u8> {
    let common = login.get(HEADER..HEADER + COMMON).unwrap_or_default();
    let mut request = [&[COMMON as u8, 0, 0, 1], common].concat();
    set_ssl(&mut request, true);
    request
}

/// Sets or clears the TLS flag of a packet that starts with flags.
fn set_ssl(packet: &mut [u8], ssl: bool) {
    if let Some(flags) = packet.get_mut(HEADER..).and_then(|payload| payload.first_chunk_mut()) {
        let others = u32::from_le_bytes(*flags) & !CLIENT_SSL;
        *flags = (others | if ssl { CLIENT_SSL } else { 0 }).to_le_bytes();
    }
}

/// Changes the packet numbers of a login where only one side has TLS.
#[derive(Debug)]
pub(super) struct SequenceFilter {
    /// Whether the backend's side is the one with TLS.
    backend: bool,
    /// The number of packets by which the client's side is ahead.
    ahead: u8,
    /// Encrypts passwords for a backend without TLS.
    caching_sha2: Option<CachingSha2>,
    unread: UnreadBytes,
    answered: bool,
}

impl SequenceFilter {
    /// Makes a filter for a session in which `client` and `backend` are whether each side has TLS; `None` if the numbers are
    /// equal. `greeting` is the server's greeting, if the server requires encrypted passwords.
    pub(super) fn between(client: bool, backend: bool, greeting: Option<&[u8]>) -> Option<Self> {
        let (unread, answered) = (UnreadBytes::default(), false);
        let ahead = if backend { 1_u8.wrapping_neg() } else { 1 };
        let caching_sha2 = greeting.filter(|_| !backend).map(CachingSha2::new);
        (client != backend).then_some(Self { backend, ahead, caching_sha2, unread, answered })
    }
}

impl Filter for SequenceFilter {
    fn receive(
        &mut self,
        from: Side,
        input: &[u8],
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure> {
        self.unread.of(from).extend_from_slice(input);
        while let Some(mut packet) = cut(self.unread.of(from), from)? {
            let ends = packet.get(HEADER).is_some_and(|kind| ENDS.contains(kind));
            let (payload, caching_sha2) = (&packet[HEADER..], self.caching_sha2.as_mut());
            match from {
                Side::Client => {
                    let is_login = !std::mem::replace(&mut self.answered, true);
                    if let Some(other) = caching_sha2.map_or(Ok(None), |it| it.client(payload, is_login))? {
                        packet.splice(HEADER.., other);
                        set_length(&mut packet);
                    }
                    packet[3] = packet[3].wrapping_sub(self.ahead);
                    if is_login {
                        // The flag has to match the backend's side, not the client's (rule G4).
                        set_ssl(&mut packet, self.backend);
                    }
                    out.to_server.append(&mut packet);
                }
                Side::Server => {
                    if let Some(answer) = caching_sha2.map_or(Ok(None), |it| it.server(payload))? {
                        packet.splice(HEADER.., answer);
                        set_length(&mut packet);
                        packet[3] = packet[3].wrapping_add(1);
                        out.to_server.append(&mut packet);
                        // The client does not see the gateway's key request and the reply to it.
                        self.ahead = self.ahead.wrapping_sub(2);
                        continue;
                    }
                    packet[3] = packet[3].wrapping_add(self.ahead);
                    out.to_client.append(&mut packet);
                    if ends {
                        out.to_client.append(self.unread.of(Side::Server));
                        out.to_server.append(self.unread.of(Side::Client));
                        return Ok(FilterState::Opaque);
                    }
                }
            }
        }
        Ok(FilterState::Reading)
    }
}

/// Writes the length of a packet's payload into its header.
fn set_length(packet: &mut [u8]) {
    let [a, b, c, _] = u32::to_le_bytes((packet.len() - HEADER) as u32);
    packet[..3].copy_from_slice(&[a, b, c]);
}

/// Takes the first packet, if it is complete.
fn cut(unread: &mut Vec<u8>, from: Side) -> Result<Option<Vec<u8>>, SessionFailure> {
    let Some(end) = whole(unread, from)?.filter(|end| *end <= unread.len()) else { return Ok(None) };
    let rest = unread.split_off(end);
    Ok(Some(std::mem::replace(unread, rest)))
}

/// Returns the length of the packet that starts with these octets, if the header is complete.
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
        // Whether the client has TLS, the number of its login, and the login that the backend receives.
        for (front, number, said, onward) in
            [(true, 2, &with, (1, &without)), (false, 1, &without, (2, &with))]
        {
            let passed = |there: u8, here: u8| if front { there } else { here };
            for size in 1..20 {
                let mut sequence = SequenceFilter::between(front, !front, None).unwrap();
                let mut says = |from, bytes: Vec<u8>| {
                    let mut out = Outgoing::default();
                    let mut state = FilterState::Reading;
                    for piece in bytes.chunks(size) {
                        state = sequence.receive(from, piece, &mut out).unwrap();
                    }
                    (state, out.to_server, out.to_client)
                };
                let logged_in = says(Side::Client, packet(number, said));
                assert_eq!(logged_in, (FilterState::Reading, packet(onward.0, onward.1), vec![]));
                // A switch of methods, and its answer.
                let switch = |number| packet(number, b"\xfemysql_native_password\0");
                let switched = (FilterState::Reading, vec![], switch(passed(3, 2)));
                assert_eq!(says(Side::Server, switch(passed(2, 3))), switched);
                let answered = (FilterState::Reading, packet(passed(3, 4), b"20"), vec![]);
                assert_eq!(says(Side::Client, packet(passed(4, 3), b"20")), answered);
                let over = (FilterState::Opaque, vec![], packet(passed(5, 4), &[0]));
                assert_eq!(says(Side::Server, packet(passed(4, 5), &[0])), over);
            }
        }
        assert!([true, false].into_iter().all(|both| SequenceFilter::between(both, both, None).is_none()));
    }

    #[test]
    fn the_request_has_the_flags_of_the_login() {
        let login = [&packet(2, &0x8_0200_u32.to_le_bytes())[..], &[7; 60]].concat();
        let expected = packet(1, &[&(0x8_0200 | CLIENT_SSL).to_le_bytes()[..], &[7; 28]].concat());
        assert_eq!(ssl_request(&login), expected);
    }

    #[test]
    fn endless_packets_are_refused() {
        let mut out = Outgoing::default();
        assert!(
            SequenceFilter::between(true, false, None)
                .unwrap()
                .receive(Side::Client, &[0xff, 0xff, 0xff, 2], &mut out)
                .is_err()
        );
    }
}
