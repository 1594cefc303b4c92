//! A TLS connection without I/O, over the unbuffered interface of rustls: octets of TLS in, octets of TLS out.
//!
//! rustls is in charge of keys, nonces, limits and key updates. Its buffered interface keeps buffers for each connection and
//! reads 4 KiB at once; here the caller brings the buffers, so that a silent connection has none.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

/// The largest TLS record: a header, and 2^14 octets with an expansion of 2048 octets (RFC 5246 section 6.2.3).
pub(crate) const RECORD: usize = 5 + (1 << 14) + 2048;

/// The most octets that are kept of a handshake message which is not complete: the limit of rustls' buffered interface.
const MAX_INCOMPLETE: usize = (1 << 16) + RECORD;

/// What encryption adds to a record at most, and the length of a record's data.
const OVERHEAD: usize = 64;
const FRAGMENT: usize = 1 << 14;

/// One side of a TLS connection.
pub(crate) struct TlsConnection {
    engine: Engine,
    /// The start of a record, or of a handshake message, that is not complete.
    incomplete: Vec<u8>,
    /// Decrypted octets for which the reader had no room.
    plaintext: Queue,
    /// Records that have to be sent.
    unsent: Queue,
    /// The stream has refused some of `unsent`. Otherwise these records wait for the next write.
    pub(crate) is_blocked: bool,
    peer_closed: bool,
    closed: bool,
    failure: Option<Box<Error>>,
}

enum Engine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What has to be encrypted as soon as the connection can encrypt.
#[derive(Clone, Copy)]
enum Payload<'a> {
    None,
    Data(&'a [u8]),
    CloseNotify,
}

/// What a step of rustls has led to.
enum Step {
    /// There may be more to process.
    More,
    /// The peer has sent its `close_notify`.
    PeerClosed,
    /// Everything that is complete has been processed, and the payload is encrypted.
    Done,
    /// The payload cannot be encrypted in this state.
    CannotEncrypt,
}

/// Octets that are taken from the front. It has no memory of its own while it is empty.
#[derive(Default)]
struct Queue(Option<Box<Queued>>);

#[derive(Default)]
struct Queued {
    octets: Vec<u8>,
    taken: usize,
}

impl Queue {
    fn left(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |queued| &queued.octets[queued.taken..])
    }

    /// Takes octets from the front.
    fn take(&mut self, count: usize) {
        if let Some(queued) = &mut self.0 {
            queued.taken += count;
            if queued.taken >= queued.octets.len() {
                self.0 = None;
            }
        }
    }

    /// Returns the octets, to append others.
    fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.0.get_or_insert_default().octets
    }
}

impl From<&[u8]> for Queue {
    fn from(octets: &[u8]) -> Self {
        Self(Some(Box::new(Queued { octets: octets.to_vec(), taken: 0 })))
    }
}

/// A buffer that is initialized once, with the length of its contents.
#[derive(Default)]
pub(crate) struct Output {
    octets: Vec<u8>,
    filled: usize,
}

impl TlsConnection {
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let mut tls = Self::new(Engine::Client(UnbufferedClientConnection::new(config, name)?));
        // Takes the ClientHello from rustls.
        tls.receive(&mut [], &mut [])?;
        Ok(tls)
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::new(Engine::Server(UnbufferedServerConnection::new(config)?)))
    }

    fn new(engine: Engine) -> Self {
        Self {
            engine,
            incomplete: Vec::new(),
            plaintext: Queue::default(),
            unsent: Queue::default(),
            is_blocked: false,
            peer_closed: false,
            closed: false,
            failure: None,
        }
    }

    /// Returns what rustls reports about the connection.
    pub(crate) fn state(&self) -> &CommonState {
        match &self.engine {
            Engine::Client(client) => client,
            Engine::Server(server) => server,
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self.engine, Engine::Server(_))
    }

    pub(crate) fn tickets_received(&self) -> u32 {
        match &self.engine {
            Engine::Client(client) => client.tls13_tickets_received(),
            Engine::Server(_) => 0,
        }
    }

    /// Returns the octets that have been received and could not be processed yet.
    pub(crate) fn incomplete(&self) -> &[u8] {
        &self.incomplete
    }

    /// Returns the records that have to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.unsent.left()
    }

    /// Removes records that were sent, and frees their memory with the last of them.
    pub(crate) fn mark_sent(&mut self, count: usize) {
        self.unsent.take(count);
        self.is_blocked &= !self.unsent().is_empty();
    }

    /// Keeps records that the stream has refused.
    pub(crate) fn keep_unsent(&mut self, records: &[u8]) {
        (self.unsent, self.is_blocked) = (records.into(), true);
    }

    /// Returns the result of a read that needs no further input: decrypted octets, the end of the session, or the error that
    /// ended it. `None` if more input is needed.
    pub(crate) fn available(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let left = self.plaintext.left();
        if !left.is_empty() {
            let count = left.len().min(buf.len());
            buf[..count].copy_from_slice(&left[..count]);
            self.plaintext.take(count);
            return Some(Ok(count));
        }
        match &self.failure {
            Some(error) => Some(Err(io::Error::new(ErrorKind::InvalidData, Error::clone(error)))),
            None => self.peer_closed.then_some(Ok(0)),
        }
    }

    /// Processes octets from the peer, which start with those of [`incomplete`](Self::incomplete), and decrypts into `buf`.
    /// Returns the number of decrypted octets. What does not fit into `buf` is kept for
    /// [`available`](Self::available); the caller bounds it by the length of `input`.
    ///
    /// # Errors
    /// The error that ended the connection. The alert for the peer is then among the unsent records.
    pub(crate) fn receive(&mut self, input: &mut [u8], buf: &mut [u8]) -> Result<usize, Error> {
        self.incomplete = Vec::new();
        let (mut at, mut filled) = (0, 0);
        let ended = loop {
            let into = &mut Plaintext { buf, filled: &mut filled, rest: &mut self.plaintext };
            let (discard, step) = self.engine.step(&mut input[at..], Payload::None, into, &mut self.unsent);
            at += discard;
            match step {
                Ok(Step::More) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::Done | Step::CannotEncrypt) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let ended = ended.and_then(|()| match input.len() - at {
            _ if self.peer_closed => Ok(()),
            0..=MAX_INCOMPLETE => {
                self.incomplete = input[at..].to_vec();
                Ok(())
            }
            _ => Err(Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge)),
        });
        match ended {
            Ok(()) => Ok(filled),
            Err(error) => {
                self.take_alert(&mut input[at..]);
                self.failure = Some(Box::new(error.clone()));
                // The next read returns the error.
                if filled > 0 || !self.plaintext.left().is_empty() { Ok(filled) } else { Err(error) }
            }
        }
    }

    /// Takes the alert that rustls has queued after an error. rustls returns it before it looks at the input again.
    fn take_alert(&mut self, input: &mut [u8]) {
        let mut filled = 0;
        while self.state().wants_write() {
            let into = &mut Plaintext { buf: &mut [], filled: &mut filled, rest: &mut Queue::default() };
            if self.engine.step(input, Payload::None, into, &mut self.unsent).1.is_err() {
                return;
            }
        }
    }

    /// Encrypts `data` into `out`, after the records that wait for a write.
    ///
    /// # Errors
    /// [`BrokenPipe`](ErrorKind::BrokenPipe) after `close_notify` and after a failure, and when the keys are exhausted.
    pub(crate) fn encrypt(&mut self, data: &[u8], out: &mut Output) -> io::Result<()> {
        if self.closed || self.failure.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        out.clear();
        out.extend(self.unsent());
        self.mark_sent(self.unsent().len());
        self.seal(Payload::Data(data), out)
    }

    /// Adds `close_notify` to the unsent records, once.
    pub(crate) fn queue_close_notify(&mut self) -> io::Result<()> {
        if self.closed || self.failure.is_some() {
            return Ok(());
        }
        self.closed = true;
        let mut unsent = std::mem::take(&mut self.unsent);
        let sealed = self.seal(Payload::CloseNotify, &mut unsent);
        self.unsent = unsent;
        sealed
    }

    fn seal(&mut self, payload: Payload<'_>, out: &mut impl Sink) -> io::Result<()> {
        let mut filled = 0;
        loop {
            let into = &mut Plaintext { buf: &mut [], filled: &mut filled, rest: &mut self.plaintext };
            let (discard, step) = self.engine.step(&mut self.incomplete, payload, into, out);
            self.incomplete.drain(..discard);
            match step {
                Ok(Step::More) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::Done) => return Ok(()),
                Ok(Step::CannotEncrypt) => return Err(ErrorKind::BrokenPipe.into()),
                Err(error) => return Err(io::Error::new(ErrorKind::BrokenPipe, error)),
            }
        }
    }
}

impl fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnection").field("is_server", &self.is_server()).finish_non_exhaustive()
    }
}

/// The places for decrypted octets: the caller's buffer, and a queue for what does not fit into it.
struct Plaintext<'a> {
    buf: &'a mut [u8],
    filled: &'a mut usize,
    rest: &'a mut Queue,
}

impl Plaintext<'_> {
    fn take(&mut self, octets: &[u8]) {
        let room = &mut self.buf[*self.filled..];
        let count = octets.len().min(room.len());
        room[..count].copy_from_slice(&octets[..count]);
        *self.filled += count;
        if count < octets.len() {
            self.rest.octets().extend_from_slice(&octets[count..]);
        }
    }
}

impl Engine {
    /// Does one step of rustls. Returns how many octets at the start of `input` are processed, and what the step has led to.
    fn step(
        &mut self,
        input: &mut [u8],
        payload: Payload<'_>,
        plaintext: &mut Plaintext<'_>,
        out: &mut impl Sink,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Self::Client(client) => handle(client.process_tls_records(input), payload, plaintext, out),
            Self::Server(server) => handle(server.process_tls_records(input), payload, plaintext, out),
        }
    }
}

fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    payload: Payload<'_>,
    plaintext: &mut Plaintext<'_>,
    out: &mut impl Sink,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(AppDataRecord { discard: more, payload, .. }) => {
                        discard += more;
                        plaintext.take(payload);
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            Ok(Step::More)
        }
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out).map(|()| Step::More),
        // The records are among the unsent ones now, in their order.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::More)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let sealed = match payload {
                Payload::None => Ok(()),
                Payload::Data(data) => {
                    let room = data.len() + (data.len() / FRAGMENT + 1) * OVERHEAD;
                    out.fill(room, |buf| sized(traffic.encrypt(data, buf)))
                }
                Payload::CloseNotify => out.fill(OVERHEAD, |buf| sized(traffic.queue_close_notify(buf))),
            };
            sealed.map(|()| Step::Done)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(Step::CannotEncrypt),
        // No configuration of this library permits early data.
        Ok(_) => Err(Error::General(String::from("unexpected state of the connection"))),
        Err(error) => Err(error),
    };
    (discard, step)
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut impl Sink) -> Result<(), Error> {
    out.fill(0, |buf| match data.encode(buf) {
        Ok(count) => Ok(Written::Fits(count)),
        Err(EncodeError::InsufficientSize(need)) => Ok(Written::Needs(need.required_size)),
        Err(error) => Err(Error::General(error.to_string())),
    })
}

/// Whether output fits into a buffer.
enum Written {
    Fits(usize),
    Needs(usize),
}

fn sized(result: Result<usize, EncryptError>) -> Result<Written, Error> {
    match result {
        Ok(count) => Ok(Written::Fits(count)),
        Err(EncryptError::InsufficientSize(need)) => Ok(Written::Needs(need.required_size)),
        Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError),
    }
}

/// A buffer for records.
trait Sink {
    /// Appends what `write` writes. `room` is the expected length.
    fn fill(
        &mut self,
        room: usize,
        write: impl FnMut(&mut [u8]) -> Result<Written, Error>,
    ) -> Result<(), Error>;
}

impl Sink for Vec<u8> {
    fn fill(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<Written, Error>,
    ) -> Result<(), Error> {
        let start = self.len();
        loop {
            self.resize(start + room, 0);
            match write(&mut self[start..])? {
                Written::Fits(count) => {
                    self.truncate(start + count);
                    return Ok(());
                }
                Written::Needs(more) => room = more,
            }
        }
    }
}

impl Sink for Queue {
    fn fill(
        &mut self,
        room: usize,
        write: impl FnMut(&mut [u8]) -> Result<Written, Error>,
    ) -> Result<(), Error> {
        self.octets().fill(room, write)
    }
}

impl Sink for Output {
    fn fill(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<Written, Error>,
    ) -> Result<(), Error> {
        loop {
            self.reserve(room);
            match write(&mut self.octets[self.filled..])? {
                Written::Fits(count) => {
                    self.filled += count;
                    return Ok(());
                }
                Written::Needs(more) => room = more,
            }
        }
    }
}

impl Output {
    pub(crate) const EMPTY: Self = Self { octets: Vec::new(), filled: 0 };

    pub(crate) fn filled(&self) -> &[u8] {
        &self.octets[..self.filled]
    }

    fn clear(&mut self) {
        self.filled = 0;
    }

    fn extend(&mut self, octets: &[u8]) {
        self.reserve(octets.len());
        self.octets[self.filled..self.filled + octets.len()].copy_from_slice(octets);
        self.filled += octets.len();
    }

    /// Makes room. The buffer only grows, because clearing it for each write would cost as much as the encryption.
    fn reserve(&mut self, room: usize) {
        if self.octets.len() < self.filled + room {
            self.octets.resize(self.filled + room, 0);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "aws-lc-rs")]
mod tests {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConnection, Connection, RootCertStore, ServerConnection, SupportedCipherSuite};
    use std::io::{Read, Write};

    use super::*;

    /// Numbers that are the same in every run.
    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as usize % limit.max(1)
        }

        fn octets(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| self.below(256) as u8).collect()
        }
    }

    fn configs(suite: SupportedCipherSuite) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
        let provider =
            Arc::new(CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() });
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([String::from("localhost")]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[suite.version()])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[suite.version()])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        (Arc::new(client), Arc::new(server))
    }

    /// A connection, and rustls' buffered one as its peer.
    struct Pair {
        own: TlsConnection,
        peer: Connection,
        to_own: Vec<u8>,
        received: Vec<u8>,
        heard: Vec<u8>,
        output: Output,
    }

    impl Pair {
        fn new(suite: SupportedCipherSuite, own_is_server: bool) -> Self {
            let (client, server) = configs(suite);
            let name = ServerName::try_from("localhost").unwrap();
            let (own, mut peer): (_, Connection) = match own_is_server {
                true => (TlsConnection::server(server), ClientConnection::new(client, name).unwrap().into()),
                false => (TlsConnection::client(client, name), ServerConnection::new(server).unwrap().into()),
            };
            let (to_own, received, heard) = (Vec::new(), Vec::new(), Vec::new());
            peer.set_buffer_limit(None);
            Self { own: own.unwrap(), peer, to_own, received, heard, output: Output::default() }
        }

        fn established(suite: SupportedCipherSuite, own_is_server: bool) -> Self {
            let mut pair = Self::new(suite, own_is_server);
            let mut numbers = Numbers(1);
            while pair.own.state().is_handshaking() || pair.peer.is_handshaking() {
                pair.exchange(&mut numbers, 1 << 16, 1 << 16).unwrap();
            }
            pair
        }

        /// Moves everything in both directions. What this side gets is cut into pieces below `limit`.
        fn exchange(&mut self, numbers: &mut Numbers, limit: usize, room: usize) -> io::Result<()> {
            let mut sent = self.own.unsent();
            while !sent.is_empty() {
                self.peer.read_tls(&mut sent)?;
                self.peer.process_new_packets().map_err(io::Error::other)?;
                // It ends with WouldBlock while the session is open.
                let _ = self.peer.reader().read_to_end(&mut self.heard);
            }
            let count = self.own.unsent().len();
            self.own.mark_sent(count);
            while self.peer.wants_write() {
                self.peer.write_tls(&mut self.to_own)?;
            }
            let mut buf = vec![0; room];
            while !self.to_own.is_empty() {
                let count = (1 + numbers.below(limit)).min(self.to_own.len());
                let mut input = [self.own.incomplete(), &self.to_own[..count]].concat();
                self.to_own.drain(..count);
                let mut decrypted = self.own.receive(&mut input, &mut buf).map_err(io::Error::other)?;
                while decrypted > 0 {
                    self.received.extend_from_slice(&buf[..decrypted]);
                    decrypted = self.own.available(&mut buf).transpose()?.unwrap_or_default();
                }
            }
            Ok(())
        }

        fn send(&mut self, data: &[u8]) -> io::Result<()> {
            self.own.encrypt(data, &mut self.output)?;
            self.own.keep_unsent(self.output.filled());
            Ok(())
        }
    }

    fn each_suite() -> impl Iterator<Item = (SupportedCipherSuite, bool)> {
        // The certificate has an ECDSA key.
        let fits = |suite: &&SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("_RSA_");
        aws_lc_rs::ALL_CIPHER_SUITES.iter().filter(fits).flat_map(|suite| [(*suite, true), (*suite, false)])
    }

    #[test]
    fn any_split_of_any_conversation_with_rustls_is_the_same() {
        let suites: Vec<_> = each_suite().collect();
        assert_eq!(suites.len(), 12);
        for (seed, (suite, own_is_server)) in suites.into_iter().enumerate() {
            let mut numbers = Numbers(seed as u32);
            let mut pair = Pair::new(suite, own_is_server);
            let mut expected = (Vec::new(), Vec::new());
            for round in 0..30 {
                // Pieces of one octet, of less than a record, and of several records.
                let limit = [1, 40, 5000, 100_000][numbers.below(4)];
                pair.exchange(&mut numbers, limit, [1, 700, 1 << 17][round % 3]).unwrap();
                if !pair.peer.is_handshaking() {
                    let sizes = [0, 1, 300, 16_384, 16_385, 70_000];
                    let size = sizes[numbers.below(6)];
                    let data = numbers.octets(size);
                    pair.peer.writer().write_all(&data).unwrap();
                    expected.0.extend_from_slice(&data);
                    let is_tls13 = suite.tls13().is_some();
                    if is_tls13 && numbers.below(3) == 0 {
                        pair.peer.refresh_traffic_keys().unwrap();
                    }
                }
                if !pair.own.state().is_handshaking() {
                    let size = numbers.below(40_000) + 1;
                    let data = numbers.octets(size);
                    pair.send(&data).unwrap();
                    expected.1.extend_from_slice(&data);
                }
            }
            pair.peer.send_close_notify();
            pair.exchange(&mut numbers, 1 << 16, 1 << 16).unwrap();
            assert_eq!(pair.heard, expected.1, "{suite:?}");
            assert_eq!(pair.received, expected.0, "{suite:?}");
            assert!(matches!(pair.own.available(&mut [0]), Some(Ok(0))));
            // The other direction stays open.
            pair.send(b"after the end").unwrap();
            pair.own.queue_close_notify().unwrap();
            pair.exchange(&mut numbers, 1, 1).unwrap();
            assert!(pair.heard.ends_with(b"after the end"), "{suite:?}");
            assert_eq!(pair.peer.reader().read_to_end(&mut Vec::new()).unwrap(), 0, "{suite:?}");
            assert_eq!(pair.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn a_connection_keeps_nothing_while_nothing_moves() {
        for (suite, own_is_server) in each_suite() {
            let mut pair = Pair::established(suite, own_is_server);
            pair.peer.writer().write_all(&[7; 50_000]).unwrap();
            pair.exchange(&mut Numbers(2), 3000, 1000).unwrap();
            assert_eq!(pair.received, [7; 50_000]);
            assert_eq!(pair.own.incomplete.capacity(), 0, "{suite:?}");
            assert!(pair.own.plaintext.0.is_none() && pair.own.unsent.0.is_none(), "{suite:?}");
        }
    }

    /// Whatever is changed in a record: nothing of it is delivered, there is one alert, and nothing is sent after it.
    #[test]
    fn a_changed_record_ends_the_connection_with_one_alert() {
        for (suite, own_is_server) in each_suite() {
            // rustls ignores the type and the minor version in the header of an encrypted record.
            for bit in [8, 24, 33, 40, 47, 100, 200, 300] {
                let mut pair = Pair::established(suite, own_is_server);
                pair.peer.writer().write_all(b"data that must not be delivered").unwrap();
                pair.peer.write_tls(&mut pair.to_own).unwrap();
                pair.to_own[bit / 8] ^= 1 << (bit % 8);
                // The length may have become larger than the record.
                pair.peer.writer().write_all(&[0; 40_000]).unwrap();
                assert!(
                    pair.exchange(&mut Numbers(bit as u32), 1 << 16, 1 << 16).is_err(),
                    "{suite:?} {bit}"
                );
                assert_eq!(pair.received, b"", "{suite:?} {bit}");
                assert!(matches!(pair.own.available(&mut [0]), Some(Err(_))));
                let alert = pair.own.unsent().to_vec();
                let length = usize::from(u16::from_be_bytes([alert[3], alert[4]]));
                assert_eq!(alert.len(), 5 + length, "{suite:?} {bit}: one record");
                assert_eq!(pair.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
                pair.own.queue_close_notify().unwrap();
                assert_eq!(pair.own.unsent(), alert);
                let mut sent = &alert[..];
                pair.peer.read_tls(&mut sent).unwrap();
                let error = pair.peer.process_new_packets().unwrap_err();
                assert!(matches!(error, Error::AlertReceived(_)), "{error}");
            }
        }
    }
}
