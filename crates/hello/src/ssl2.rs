//! CLIENT-HELLO and SERVER-HELLO of SSL 2.0. The server lists all cipher kinds that both sides support.

use crate::malformed::MalformedTls;
use crate::reader::{Reader, put_codes, put_vector};
use crate::table::Ssl2Kind;
use crate::version::Version;

const ERROR: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 4;

/// A CLIENT-HELLO in the format of SSL 2.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssl2ClientHello {
    /// The code of the newest version: `0x0002`, or that of a later version.
    pub version: u16,
    /// The kinds. A suite of a later version is `00` and its code.
    pub kinds: Vec<Ssl2Kind>,
    /// The session id: empty, or 16 octets.
    pub session_id: Vec<u8>,
    /// The challenge: 16 to 32 octets.
    pub challenge: Vec<u8>,
}

impl Ssl2ClientHello {
    /// A hello that offers all known kinds.
    pub fn all_kinds(challenge: [u8; 16]) -> Self {
        Self {
            version: Version::Ssl2.code(),
            kinds: Ssl2Kind::all().map(|(kind, _)| kind).collect(),
            session_id: Vec::new(),
            challenge: challenge.to_vec(),
        }
    }

    /// Returns the record to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kinds: Vec<u8> = self.kinds.iter().flat_map(|kind| kind.0).collect();
        framed(&[CLIENT_HELLO], self.version, [&kinds, &self.session_id, &self.challenge])
    }

    /// Reads the first record of a stream, or `None` when more octets are needed.
    pub(crate) fn read_first(input: &[u8]) -> Result<Option<Self>, MalformedTls> {
        let Some(message) = message(input) else { return Ok(None) };
        Self::parse(message).map(Some).ok_or(MalformedTls::Length("SSL 2.0 CLIENT-HELLO"))
    }

    fn parse(message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message);
        if reader.u8()? != CLIENT_HELLO {
            return None;
        }
        let version = reader.u16()?;
        let (kinds, session_id, challenge) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let kinds = read_kinds(reader.take(usize::from(kinds))?)?;
        let session_id = reader.take(usize::from(session_id))?.to_vec();
        let challenge = reader.take(usize::from(challenge))?.to_vec();
        reader.is_empty().then_some(Self { version, kinds, session_id, challenge })
    }
}

/// A SERVER-HELLO of SSL 2.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssl2ServerHello {
    /// The code of the version.
    pub version: u16,
    /// The kinds that both sides have. Without any, the server still speaks SSL 2.0.
    pub kinds: Vec<Ssl2Kind>,
    /// The certificate in DER; may be empty.
    pub certificate: Vec<u8>,
    /// The connection id.
    pub connection_id: Vec<u8>,
}

/// What an SSL 2.0 server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Hello(Ssl2ServerHello),
    /// An error message with its code.
    Error(u16),
}

impl Ssl2ServerHello {
    /// Returns the record of this message: what a server sends.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kinds: Vec<u8> = self.kinds.iter().flat_map(|kind| kind.0).collect();
        let certificate_type = u8::from(!self.certificate.is_empty());
        let start = [SERVER_HELLO, 0, certificate_type];
        framed(&start, self.version, [&self.certificate, &kinds, &self.connection_id])
    }
}

impl Reply {
    /// Reads the first record of a stream, or `None` when more octets are needed.
    pub(crate) fn read_first(input: &[u8]) -> Result<Option<Self>, MalformedTls> {
        match input.get(2) {
            None => return Ok(None),
            Some(&(ERROR | SERVER_HELLO)) => {}
            Some(_) => return Err(MalformedTls::NotTls),
        }
        let Some(message) = message(input) else { return Ok(None) };
        Self::parse(message).map(Some).ok_or(MalformedTls::Length("SSL 2.0 SERVER-HELLO"))
    }

    fn parse(message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message);
        if reader.u8()? == ERROR {
            return Some(Self::Error(reader.u16()?));
        }
        let _session_id_hit = reader.u8()?;
        let _certificate_type = reader.u8()?;
        let version = reader.u16()?;
        let (certificate, kinds, id) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let certificate = reader.take(usize::from(certificate))?.to_vec();
        let kinds = read_kinds(reader.take(usize::from(kinds))?)?;
        let connection_id = reader.take(usize::from(id))?.to_vec();
        reader.is_empty().then_some(Self::Hello(Ssl2ServerHello {
            version,
            kinds,
            certificate,
            connection_id,
        }))
    }
}

fn read_kinds(bytes: &[u8]) -> Option<Vec<Ssl2Kind>> {
    let (kinds, rest) = bytes.as_chunks::<3>();
    rest.is_empty().then(|| kinds.iter().copied().map(Ssl2Kind).collect())
}

/// Returns the message after a two-octet header, when it is complete.
fn message(input: &[u8]) -> Option<&[u8]> {
    let (&[high, low], rest) = input.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes([high & 0x7f, low])))
}

/// Returns a record: the start of the message, the version, the lengths of three parts, and the parts.
fn framed(start: &[u8], version: u16, parts: [&[u8]; 3]) -> Vec<u8> {
    let mut message = start.to_vec();
    let lengths = parts.map(|part| u16::try_from(part.len()).unwrap_or(u16::MAX));
    put_codes(&mut message, [version].into_iter().chain(lengths));
    message.extend(parts.concat());
    let mut out = Vec::with_capacity(message.len() + 2);
    put_vector::<2>(&mut out, message.get(..0x7fff).unwrap_or(&message));
    if let Some(first) = out.first_mut() {
        *first |= 0x80;
    }
    out
}
