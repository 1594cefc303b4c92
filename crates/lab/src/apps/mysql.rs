//! MySQL: a password with `caching_sha2_password`, and queries of one literal.

use super::context::{AppContext, Serving};
use crate::session::{Session, SessionError};

/// Capabilities of the client (`CLIENT_…` in the manual).
const PLUGIN_AUTH_LENENC: u32 = 1 << 21;
const SECURE_CONNECTION: u32 = 1 << 15;

/// The status with autocommit on, and no warnings.
const STATUS: [u8; 4] = [2, 0, 0, 0];

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, .. }: AppContext<'_>) -> Result<(), SessionError> {
    let Some(response) = session.next_command().await? else { return Ok(()) };
    let mut packets = Packets(session, sequence(&response));
    let Some(user) = user(response.get(4..).unwrap_or_default()) else {
        packets.error(1043, "08S01", "Bad handshake");
        return Ok(());
    };
    // The scramble of the greeting was sent in cleartext, so the server requests the password itself inside TLS: first the
    // plugin with an unused scramble, then "perform full authentication".
    packets.send(&[&b"\xfecaching_sha2_password\0"[..], &[b'x'; 20], b"\0"].concat());
    let Some(scrambled) = packets.0.next_command().await? else { return Ok(()) };
    packets.1 = sequence(&scrambled);
    // An empty first answer means an empty password, which the user does not have.
    let password = if scrambled.len() > 5 {
        packets.send(b"\x01\x04");
        let Some(password) = packets.0.next_command().await? else { return Ok(()) };
        packets.1 = sequence(&password);
        password.get(4..).and_then(|text| text.strip_suffix(b"\0")).map(<[u8]>::to_vec)
    } else {
        None
    };
    if !password.is_some_and(|password| world.admits(&user, &password)) {
        packets.error(1045, "28000", "Wrong user or password");
        return Ok(());
    }
    packets.ok();
    loop {
        let Some(command) = session.next_command().await? else { return Ok(()) };
        let mut packets = Packets(session, sequence(&command));
        match command.get(4..) {
            Some([0x03, text @ ..]) => {
                let text = String::from_utf8_lossy(text).into_owned();
                query(&mut packets, text.trim().trim_end_matches(';'));
            }
            // COM_INIT_DB, COM_PING, COM_RESET_CONNECTION.
            Some([0x02 | 0x0e | 0x1f, ..]) => packets.ok(),
            Some([0x01, ..]) => return Ok(()),
            _ => packets.error(1047, "08S01", "Unknown command"),
        }
    }
}

fn sequence(packet: &[u8]) -> u8 {
    packet.get(3).map_or(0, |number| number.wrapping_add(1))
}

/// Returns the user of a complete HandshakeResponse41.
fn user(response: &[u8]) -> Option<Vec<u8>> {
    let capabilities = u32::from_le_bytes(response.get(..4)?.try_into().ok()?);
    let rest = response.get(32..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let behind = &rest[end + 1..];
    let counted = capabilities & (PLUGIN_AUTH_LENENC | SECURE_CONNECTION) != 0;
    let whole = if counted { behind.len() > usize::from(*behind.first()?) } else { behind.contains(&0) };
    whole.then(|| rest[..end].to_vec())
}

fn query(packets: &mut Packets<'_>, text: &str) {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words[..] {
        ["set", ..] => packets.ok(),
        ["select", "@@version_comment", "limit", "1"] => packets.row("@@version_comment", b"starttls lab"),
        ["select", "version()"] => packets.row("version()", b"8.0.0-starttls"),
        ["select", number] if number.parse::<i32>().is_ok() => packets.row(number, number.as_bytes()),
        _ => packets.error(1064, "42000", "Select a number, or version()"),
    }
}

/// The packets of one exchange: length, number, body.
struct Packets<'a>(&'a mut Session, u8);

impl Packets<'_> {
    fn send(&mut self, body: &[u8]) {
        self.0.send(&(body.len() as u32).to_le_bytes()[..3]);
        self.0.send([self.1]);
        self.0.send(body);
        self.1 = self.1.wrapping_add(1);
    }

    fn ok(&mut self) {
        self.send(&[&[0, 0, 0][..], &STATUS].concat());
    }

    fn error(&mut self, code: u16, state: &str, text: &str) {
        self.send(&[&[0xff][..], &code.to_le_bytes(), b"#", state.as_bytes(), text.as_bytes()].concat());
    }

    /// One column of text, one row (ProtocolText::Resultset, with its EOF packets).
    fn row(&mut self, name: &str, value: &[u8]) {
        self.send(&[1]);
        let mut column = Vec::new();
        for text in ["def", "", "", "", name, name] {
            column.push(text.len() as u8);
            column.extend_from_slice(text.as_bytes());
        }
        // utf8mb4, 1,024 octets at most, VAR_STRING, no flags, no decimals.
        column.extend_from_slice(&[0x0c, 45, 0, 0, 4, 0, 0, 0xfd, 0, 0, 0, 0, 0]);
        self.send(&column);
        let end = [0xfe, 0, 0, 2, 0];
        self.send(&end);
        self.send(&[&[value.len() as u8][..], value].concat());
        self.send(&end);
    }
}
