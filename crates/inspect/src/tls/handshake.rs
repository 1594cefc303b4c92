//! Both directions of a connection from its boundary: hellos, alerts, certificates, then only record headers.

use sha2::{Digest, Sha256};
use starttls_hello::{
    Alert, Answer, AnyClientHello, ClientHello, ClientHelloReader, Flight, FlightEnd, FlightProgress,
    ServerFlight, StreamEnd, Version,
};
use starttls_proto::{Escaped, Side};
use starttls_x509::{Certificate, HashAlgorithm, SignatureAlgorithm, validity};

use super::fingerprint::{hex, ja3, ja4};
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Hopper, Record};
use crate::facts::{CertificateView, FatalAlert, Handshake, SuiteName};
use crate::moment::Moment;

/// Watches TLS from its first octet on.
#[derive(Debug, Default)]
pub(crate) struct TlsWatch {
    client: SideWatch,
    server: SideWatch,
    hello: Option<ClientHelloReader>,
    flight: Option<Flight>,
    facts: Handshake,
    has_gap: bool,
    /// The time of the capture, in seconds since 1970. 0 if it is unknown.
    time: i64,
}

#[derive(Debug, Default)]
struct SideWatch {
    hopper: Hopper,
    octets: u64,
    is_encrypted: bool,
    /// A handshake record after ChangeCipherSpec: the Finished message up to TLS 1.2.
    has_finished: bool,
    has_data: bool,
    has_gap: bool,
}

/// What is known about the handshake at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsEnd {
    /// No octet of TLS.
    Nothing,
    /// One side sent TLS, and the other side nothing.
    OneSide(Side),
    /// A fatal alert, or a close, before the end of the handshake.
    Failed,
    /// Both hellos, and the end of the handshake.
    Established,
    /// Started, and the end of the handshake was not seen.
    Started,
}

impl TlsWatch {
    pub(crate) fn new() -> Self {
        Self { hello: Some(ClientHelloReader::new()), flight: Some(Flight::new()), ..Self::default() }
    }

    /// Reads octets of this side. Returns the octets from the first one that is not TLS.
    pub(crate) fn receive<'a>(&mut self, side: Side, bytes: &'a [u8], moment: Moment) -> Option<&'a [u8]> {
        self.time = i64::try_from(moment.time / 1_000_000_000).unwrap_or(i64::MAX);
        if !self.side(side).has_gap {
            match side {
                Side::Client => self.read_hello(bytes),
                Side::Server => self.read_flight(bytes),
            }
        }
        let (mut alert, tls13) = (None, self.facts.version_code == Some(Version::Tls13.code()));
        let watch = self.side(side);
        if watch.has_gap {
            return None;
        }
        watch.octets += bytes.len() as u64;
        let (encrypted, finished, data) =
            (&mut watch.is_encrypted, &mut watch.has_finished, &mut watch.has_data);
        let rest = watch.hopper.receive(bytes, |record| match record.kind {
            CHANGE_CIPHER_SPEC => *encrypted = true,
            HANDSHAKE if *encrypted && !tls13 => *finished = true,
            APPLICATION_DATA => (*data, *encrypted) = (true, true),
            ALERT if record.len == 2 && !*encrypted => alert = alert.or(fatal(record)),
            _ => {}
        });
        if let (Some(alert), None) = (alert, &self.facts.alert) {
            let name = alert.name().map_or_else(|| alert.description.to_string(), str::to_owned);
            self.facts.alert = Some(FatalAlert { side: side.into(), name });
        }
        rest
    }

    /// Notes that octets of this side are missing. Record headers cannot be found after them.
    pub(crate) fn gap(&mut self, side: Side) {
        self.has_gap = true;
        self.side(side).has_gap = true;
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// Returns whether this side has sent a record.
    pub(crate) fn has_started(&self, side: Side) -> bool {
        let watch = if side == Side::Client { &self.client } else { &self.server };
        watch.octets > 0
    }

    /// Returns the memory that it uses beside itself, in octets.
    pub(crate) fn weight(&self) -> usize {
        /// What the readers keep of each side until its hello or flight is complete, at most. They join messages, and buffers
        /// grow by doubling.
        const KEPT: u64 = 256 * 1024;
        let kept = |reads: bool, side: &SideWatch| if reads { 3 * side.octets.min(KEPT) as usize } else { 0 };
        kept(self.hello.is_some(), &self.client)
            + kept(self.flight.is_some(), &self.server)
            + self.facts.weight()
    }

    /// Returns whether the handshake is complete: only record headers are read from here on.
    pub(crate) fn is_sealed(&self) -> bool {
        let both = |done: fn(&SideWatch) -> bool| done(&self.client) && done(&self.server);
        let hellos = self.hello.is_none() && self.facts.version_code.is_some();
        hellos && (both(|it| it.has_data) || both(|it| it.has_finished || it.has_data))
    }

    /// Returns the facts of the handshake, and how it ended. `closed`: the connection ended, and all of it was seen.
    pub(crate) fn finish(mut self, closed: bool) -> (Option<Handshake>, TlsEnd) {
        if let Some(flight) = self.flight.take() {
            self.read_answer(flight.finish(StreamEnd::TimedOut));
        }
        let sealed = self.is_sealed();
        self.facts.established = if sealed { Some(true) } else { closed.then_some(false) };
        let end = match (self.has_started(Side::Client), self.has_started(Side::Server)) {
            (false, false) => TlsEnd::Nothing,
            _ if sealed => TlsEnd::Established,
            _ if self.facts.alert.is_some() => TlsEnd::Failed,
            (true, false) => TlsEnd::OneSide(Side::Client),
            (false, true) => TlsEnd::OneSide(Side::Server),
            (true, true) if closed => TlsEnd::Failed,
            (true, true) => TlsEnd::Started,
        };
        let seen =
            self.facts.ja3.is_some() || self.facts.version_code.is_some() || self.facts.alert.is_some();
        (seen.then_some(self.facts), end)
    }

    fn side(&mut self, side: Side) -> &mut SideWatch {
        if side == Side::Client { &mut self.client } else { &mut self.server }
    }

    fn read_hello(&mut self, bytes: &[u8]) {
        let Some(reader) = &mut self.hello else { return };
        match reader.receive(bytes) {
            Ok(None) => return,
            Ok(Some(AnyClientHello::Tls(hello))) => self.note_hello(&hello),
            Ok(Some(AnyClientHello::Ssl2(_))) => {
                self.facts.offered_versions = vec![String::from("SSL 2.0 hello")]
            }
            Err(_) => {}
        }
        self.hello = None;
    }

    fn note_hello(&mut self, hello: &ClientHello) {
        let mut versions = hello.supported_versions();
        if versions.is_empty() {
            versions.push(hello.version);
        }
        let known = versions.into_iter().filter_map(Version::from_code).take(8);
        self.facts.offered_versions = known.map(|version| version.name().to_owned()).collect();
        self.facts.sni = hello.server_name().map(escaped);
        self.facts.offered_alpn = hello.alpn().into_iter().take(8).map(escaped).collect();
        self.facts.ja3 = Some(ja3(hello));
        self.facts.ja4 = Some(ja4(hello));
    }

    fn read_flight(&mut self, bytes: &[u8]) {
        let Some(flight) = &mut self.flight else { return };
        if flight.receive(bytes) == FlightProgress::More {
            return;
        }
        if let Some(flight) = self.flight.take() {
            self.read_answer(flight.finish(StreamEnd::Closed));
        }
    }

    fn read_answer(&mut self, answer: Answer) {
        let Answer::Hello(flight) = answer else { return };
        let hello = &flight.hello;
        let version = hello.version_code();
        self.facts.version_code = Some(version);
        let name = |version: Version| version.name().to_owned();
        self.facts.version =
            Some(Version::from_code(version).map_or_else(|| format!("0x{version:04x}"), name));
        self.facts.suite =
            Some(SuiteName { code: format!("0x{:04x}", hello.suite.0), name: hello.suite.to_string() });
        self.facts.suite_class = Some(hello.suite.class());
        self.facts.group = hello.group().map(|group| group.to_string());
        self.facts.retry = hello.is_retry();
        self.facts.alpn = hello.alpn().map(escaped);
        self.facts.client_certificate_requested = flight.certificate_request.is_some();
        self.facts.certificate = certificate(&flight);
        if self.time > 0 {
            self.facts.certificate_faults = certificate_faults(&flight, self.facts.sni.as_deref(), self.time);
        }
    }
}

fn certificate(flight: &ServerFlight) -> Option<CertificateView> {
    if flight.version() == Some(Version::Tls13) {
        return Some(CertificateView::Hidden { why: String::from("TLS 1.3 encrypts certificates") });
    }
    let Some(first) = flight.certificates.first() else {
        // The server continued with encryption and without a certificate: a resumed session.
        let resumed = flight.end == FlightEnd::Encrypted;
        return resumed.then(|| CertificateView::Hidden { why: String::from("the session was resumed") });
    };
    let read = Certificate::from_der(first).ok();
    let text = |text: String| escaped(text.as_bytes());
    let names = read.as_ref().map(Certificate::dns_names).unwrap_or_default();
    Some(CertificateView::Visible {
        count: flight.certificates.len(),
        sha256: hex(&Sha256::digest(first)),
        subject: read.as_ref().map(|it| text(it.subject().to_string())),
        issuer: read.as_ref().map(|it| text(it.issuer().to_string())),
        names: names.into_iter().take(16).map(|name| escaped(name.as_bytes())).collect(),
        not_after: read.as_ref().map(|it| validity::rfc3339(it.not_after())),
    })
}

/// Returns what is wrong with the server's certificate at this time, in seconds since 1970. It verifies no signature: a
/// passive observer does not know which authorities the client trusts.
fn certificate_faults(flight: &ServerFlight, sni: Option<&str>, time: i64) -> Vec<String> {
    let Some(first) = flight.certificates.first() else { return Vec::new() };
    let Ok(certificate) = Certificate::from_der(first) else {
        return vec![String::from("the certificate cannot be read")];
    };
    let mut faults = Vec::new();
    if time > certificate.not_after() {
        faults.push(format!("the certificate expired on {}", validity::rfc3339(certificate.not_after())));
    } else if time < certificate.not_before() {
        faults.push(format!("the certificate is valid from {}", validity::rfc3339(certificate.not_before())));
    }
    if certificate.is_self_issued() {
        faults.push(String::from("the certificate is self-issued"));
    }
    if certificate.public_key().algorithm().is_weak() {
        faults.push(String::from("the certificate's key is too short"));
    }
    if let Some(hash) = weak_hash(&certificate) {
        faults.push(format!("the certificate is signed with {hash}"));
    }
    if certificate.extended_key_usage().is_some_and(|usage| !usage.allows_servers()) {
        faults.push(String::from("the certificate is not for servers"));
    }
    let issuers = flight.certificates.iter().skip(1).filter_map(|der| Certificate::from_der(der).ok());
    if issuers.filter(|issuer| issuer.subject().der() == certificate.issuer().der()).any(|it| !it.is_ca()) {
        faults.push(String::from("the certificate is issued by a certificate that is not a CA's"));
    }
    if let Some(sni) = sni.filter(|sni| sni.parse::<std::net::IpAddr>().is_err() && !certificate.is_for(sni))
    {
        faults.push(format!("the certificate is not for the requested name {sni}"));
    }
    faults
}

/// Returns the name of the certificate's hash, if its signature can be forged.
fn weak_hash(certificate: &Certificate<'_>) -> Option<&'static str> {
    use SignatureAlgorithm::{Dsa, Ecdsa, Rsa, RsaPss};
    let (Rsa(hash) | RsaPss(Some(hash)) | Ecdsa(hash) | Dsa(hash)) = certificate.signature_algorithm() else {
        return None;
    };
    match hash {
        HashAlgorithm::Sha1 => Some("SHA-1"),
        HashAlgorithm::Md5 | HashAlgorithm::Md4 | HashAlgorithm::Md2 => Some("MD5 or an older hash"),
        _ => None,
    }
}

fn escaped(bytes: &[u8]) -> String {
    Escaped(bytes.get(..255).unwrap_or(bytes)).to_string()
}

fn fatal(record: Record) -> Option<Alert> {
    let [level, description] = record.first;
    (level == 2).then_some(Alert { level, description })
}
