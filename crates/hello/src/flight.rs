//! The server's first flight: all messages after one ClientHello that are readable without a key.

use crate::alert::Alert;
use crate::key_exchange::{CertificateRequest, ServerKeyExchange};
use crate::malformed::MalformedTls;
use crate::reader::{Reader, put_vector};
use crate::records::{RecordEvent, Records, put_message};
use crate::server_hello::ServerHello;
use crate::ssl2::{Reply, Ssl2ServerHello};
use crate::table::CipherSuite;
use crate::version::Version;

/// The types of the handshake messages.
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_STATUS: u8 = 22;

/// The record that TLS 1.3 sends before encrypted ones, for middleboxes (RFC 8446 appendix D.4).
const CHANGE_CIPHER_SPEC: [u8; 6] = [0x14, 3, 3, 0, 1, 1];

/// The most octets that are kept of an answer that is not TLS.
const EXCERPT: usize = 64;

/// The answer of a server to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A ServerHello or HelloRetryRequest, and what followed.
    Hello(Box<ServerFlight>),
    /// A fatal alert instead of a ServerHello.
    Refused(Alert),
    /// The connection ended without an octet.
    Closed,
    /// The server sent nothing within the time limit.
    Silent,
    /// A SERVER-HELLO of SSL 2.0.
    Ssl2(Ssl2ServerHello),
    /// An error message of SSL 2.0, with its code.
    Ssl2Error(u16),
    /// Octets that are not TLS: the first line of them, at most 64 octets.
    NotTls(Vec<u8>),
    /// A message that breaks the format, before a ServerHello.
    Malformed(MalformedTls),
}

/// A ServerHello and the messages after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFlight {
    /// The ServerHello or HelloRetryRequest.
    pub hello: ServerHello,
    /// The certificates in DER, the server's own first. TLS 1.3 encrypts them.
    pub certificates: Vec<Vec<u8>>,
    /// The stapled OCSP response in DER.
    pub ocsp_response: Option<Vec<u8>>,
    /// The parameters of an ephemeral key exchange.
    pub key_exchange: Option<ServerKeyExchange>,
    /// The request for a client certificate.
    pub certificate_request: Option<CertificateRequest>,
    /// Warning alerts on the way.
    pub warnings: Vec<Alert>,
    /// How the flight ended.
    pub end: FlightEnd,
}

/// How a flight ended after its ServerHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightEnd {
    /// With ServerHelloDone.
    Done,
    /// With a HelloRetryRequest.
    Retry,
    /// The rest is encrypted.
    Encrypted,
    /// With a fatal alert.
    Alert(Alert),
    /// The connection ended.
    Closed,
    /// The server sent nothing more within the time limit.
    Silent,
    /// A message breaks the format.
    Malformed(MalformedTls),
}

/// Whether a flight needs more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a flight that is complete needs no more input"]
pub enum FlightProgress {
    /// More octets are needed.
    More,
    /// The flight is complete; further octets are ignored.
    Done,
}

/// The reason why the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The connection ended.
    Closed,
    /// The time limit was reached.
    TimedOut,
}

/// Reads a server's first flight from a stream: at most 256 KiB in 64 records, with the same result at every cut.
#[derive(Debug, Default)]
pub struct Flight {
    records: Records,
    hello: Option<Box<ServerFlight>>,
    warnings: Vec<Alert>,
    answer: Option<Answer>,
}

impl Flight {
    /// Returns a reader without input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads more octets.
    pub fn receive(&mut self, bytes: &[u8]) -> FlightProgress {
        if self.answer.is_none() {
            self.records.push(bytes);
            let received = self.records.received();
            self.answer = match opening(received) {
                Opening::Undecided => None,
                Opening::Tls => self.read_records(),
                Opening::Ssl2 => read_ssl2(received),
                Opening::NotTls => excerpt(received).map(Answer::NotTls),
            };
        }
        if self.answer.is_some() { FlightProgress::Done } else { FlightProgress::More }
    }

    /// Returns the answer. `end` is used only if the flight is not complete.
    pub fn finish(mut self, end: StreamEnd) -> Answer {
        if let Some(answer) = self.answer.take() {
            return answer;
        }
        let cut_short = self.records.is_partial();
        if self.hello.is_some() {
            return self.ended(match end {
                _ if cut_short && end == StreamEnd::Closed => FlightEnd::Malformed(MalformedTls::Truncated),
                StreamEnd::Closed => FlightEnd::Closed,
                StreamEnd::TimedOut => FlightEnd::Silent,
            });
        }
        let received = self.records.received();
        match (opening(received), end) {
            (Opening::NotTls, _) => Answer::NotTls(received.to_vec()),
            _ if cut_short => Answer::Malformed(MalformedTls::Truncated),
            (_, StreamEnd::Closed) => Answer::Closed,
            (_, StreamEnd::TimedOut) => Answer::Silent,
        }
    }

    fn read_records(&mut self) -> Option<Answer> {
        loop {
            let end = match self.records.next() {
                Ok(None) => return None,
                Ok(Some(RecordEvent::Message { kind, body })) => match self.message(kind, &body) {
                    Ok(None) => continue,
                    Ok(Some(end)) => end,
                    Err(malformed) => FlightEnd::Malformed(malformed),
                },
                Ok(Some(RecordEvent::Alert(alert))) if alert.is_warning() => {
                    self.warnings.push(alert);
                    continue;
                }
                Ok(Some(RecordEvent::Alert(alert))) => FlightEnd::Alert(alert),
                Ok(Some(RecordEvent::Encrypted)) => FlightEnd::Encrypted,
                Err(malformed) => FlightEnd::Malformed(malformed),
            };
            return Some(self.ended(end));
        }
    }

    /// Reads one handshake message. Returns how the flight ends, if it ends with this message.
    fn message(&mut self, kind: u8, body: &[u8]) -> Result<Option<FlightEnd>, MalformedTls> {
        let Some(flight) = &mut self.hello else {
            return match kind {
                // HelloRequest may come at any time (RFC 5246 section 7.4.1.1).
                0 => Ok(None),
                SERVER_HELLO => {
                    let hello = ServerHello::parse(body).ok_or(MalformedTls::Length("ServerHello"))?;
                    let end = hello.is_retry().then_some(FlightEnd::Retry);
                    self.hello = Some(Box::new(ServerFlight::new(hello)));
                    Ok(end)
                }
                _ => Err(MalformedTls::Unexpected("handshake message before ServerHello")),
            };
        };
        let version = flight.hello.version();
        match kind {
            CERTIFICATE => {
                flight.certificates = certificates(body).ok_or(MalformedTls::Length("Certificate"))?;
            }
            CERTIFICATE_STATUS => {
                flight.ocsp_response = status(body).ok_or(MalformedTls::Length("CertificateStatus"))?;
            }
            SERVER_KEY_EXCHANGE => {
                let exchange = ServerKeyExchange::read(body, flight.hello.suite.info(), version);
                flight.key_exchange = Some(exchange);
            }
            CERTIFICATE_REQUEST => {
                let request = CertificateRequest::parse(body, version);
                flight.certificate_request = Some(request.ok_or(MalformedTls::Length("CertificateRequest"))?);
            }
            SERVER_HELLO_DONE => return Ok(Some(FlightEnd::Done)),
            SERVER_HELLO => return Err(MalformedTls::Unexpected("second ServerHello")),
            // NewSessionTicket, SupplementalData and unknown messages.
            _ => {}
        }
        Ok(None)
    }

    fn ended(&mut self, end: FlightEnd) -> Answer {
        let warnings = std::mem::take(&mut self.warnings);
        match (self.hello.take(), end) {
            (Some(flight), end) => Answer::Hello(Box::new(ServerFlight { warnings, end, ..*flight })),
            (None, FlightEnd::Alert(alert)) => Answer::Refused(alert),
            (None, FlightEnd::Malformed(malformed)) => Answer::Malformed(malformed),
            (None, FlightEnd::Closed) => Answer::Closed,
            (None, FlightEnd::Silent) => Answer::Silent,
            (None, FlightEnd::Done | FlightEnd::Retry | FlightEnd::Encrypted) => {
                Answer::Malformed(MalformedTls::Unexpected("encrypted record before ServerHello"))
            }
        }
    }
}

impl ServerFlight {
    /// Returns a flight without messages after the ServerHello, which ended with the connection.
    pub const fn new(hello: ServerHello) -> Self {
        Self {
            hello,
            certificates: Vec::new(),
            ocsp_response: None,
            key_exchange: None,
            certificate_request: None,
            warnings: Vec::new(),
            end: FlightEnd::Closed,
        }
    }

    /// Returns the records that a server sends, up to the end of the flight. The signature of the key exchange is zeros,
    /// since nothing here has a key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = self.hello.legacy_version;
        let mut out: Vec<u8> = self.warnings.iter().flat_map(|alert| alert.to_bytes()).collect();
        let mut put = |kind, write: &dyn Fn(&mut Vec<u8>)| {
            let mut body = Vec::new();
            write(&mut body);
            out.extend(put_message(record, kind, &body));
        };
        put(SERVER_HELLO, &|body| self.hello.put(body));
        if !self.certificates.is_empty() {
            put(CERTIFICATE, &|body| {
                let mut list = Vec::new();
                self.certificates.iter().for_each(|certificate| put_vector::<3>(&mut list, certificate));
                put_vector::<3>(body, &list);
            });
        }
        if let Some(response) = &self.ocsp_response {
            put(CERTIFICATE_STATUS, &|body| {
                body.push(1);
                put_vector::<3>(body, response);
            });
        }
        if let Some(exchange) = &self.key_exchange {
            put(SERVER_KEY_EXCHANGE, &|body| exchange.put(body, self.hello.suite.info()));
        }
        if let Some(request) = &self.certificate_request {
            put(CERTIFICATE_REQUEST, &|body| request.put(body, self.version()));
        }
        match self.end {
            FlightEnd::Done => put(SERVER_HELLO_DONE, &|_| {}),
            FlightEnd::Alert(alert) => out.extend(alert.to_bytes()),
            FlightEnd::Encrypted => out.extend(CHANGE_CIPHER_SPEC),
            FlightEnd::Retry | FlightEnd::Closed | FlightEnd::Silent | FlightEnd::Malformed(_) => {}
        }
        out
    }

    /// Returns the negotiated version, if it is a known one.
    pub fn version(&self) -> Option<Version> {
        self.hello.version()
    }

    /// Returns the negotiated suite.
    pub const fn suite(&self) -> CipherSuite {
        self.hello.suite
    }
}

enum Opening {
    Undecided,
    Tls,
    Ssl2,
    NotTls,
}

/// Determines from the first octets what an answer is.
fn opening(first: &[u8]) -> Opening {
    match *first {
        [] => Opening::Undecided,
        [kind] if (0x14..=0x17).contains(&kind) => Opening::Undecided,
        [kind, 3, ..] if (0x14..=0x17).contains(&kind) => Opening::Tls,
        [high] | [high, _] if high & 0x80 != 0 => Opening::Undecided,
        [high, _, 0 | 4, ..] if high & 0x80 != 0 => Opening::Ssl2,
        _ => Opening::NotTls,
    }
}

fn read_ssl2(first: &[u8]) -> Option<Answer> {
    match Reply::read_first(first) {
        Ok(None) => None,
        Ok(Some(Reply::Hello(hello))) => Some(Answer::Ssl2(hello)),
        Ok(Some(Reply::Error(code))) => Some(Answer::Ssl2Error(code)),
        Err(malformed) => Some(Answer::Malformed(malformed)),
    }
}

/// Returns the first line, at most [`EXCERPT`] octets of it, or `None` while it is incomplete.
fn excerpt(first: &[u8]) -> Option<Vec<u8>> {
    let line = first.iter().position(|octet| *octet == b'\n').map(|at| at + 1);
    let len = line.unwrap_or(EXCERPT).min(EXCERPT);
    first.get(..len).map(<[u8]>::to_vec)
}

fn certificates(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader(body);
    let mut list = Reader(reader.vector24()?);
    let mut certificates = Vec::new();
    while !list.is_empty() {
        certificates.push(list.vector24()?.to_vec());
    }
    reader.is_empty().then_some(certificates)
}

/// Reads a CertificateStatus. Only its type 1 is an OCSP response (RFC 6066 section 8).
fn status(body: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut reader = Reader(body);
    let kind = reader.u8()?;
    if kind != 1 {
        return Some(None);
    }
    let response = reader.vector24()?.to_vec();
    reader.is_empty().then_some(Some(response))
}
