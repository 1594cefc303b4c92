//! What a capture shows of one connection.

use serde::{Serialize, Serializer};
use starttls_hello::SuiteClass;
use starttls_proto::{LoginExposure, Protocol, Side};

use crate::moment::Moment;

/// Everything that is known about one conversation. `No` requires that its proof was seen; without one the value is
/// `Unknown`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Facts {
    /// The protocol, if it was recognized.
    #[serde(serialize_with = "protocol_name")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub protocol: Option<&'static Protocol>,
    /// How the protocol was recognized.
    pub recognized_by: Recognition,
    /// Whether the server offered the upgrade.
    pub offered: Offered,
    /// Whether the client requested it.
    pub requested: Requested,
    /// What the server answered.
    pub answer: RequestAnswer,
    /// Whether and how TLS was used.
    pub tls: TlsUse,
    /// What crossed the network in cleartext.
    pub readable: Readable,
    /// How much of the connection was seen.
    pub seen: Visibility,
    /// The number of gaps in the capture.
    pub gaps: u32,
    /// Where the cleartext of each side ended.
    pub boundary: Option<BoundaryPoint>,
    /// The TLS handshake, as far as it is visible.
    pub handshake: Option<Handshake>,
    /// Octets in cleartext.
    pub cleartext: CleartextOctets,
    /// Names that the client sent in cleartext, escaped: of EHLO, of an XMPP stream.
    pub names: Vec<String>,
    /// The proxies before the conversation, in their order.
    pub proxies: Vec<ProxyHop>,
    /// Logins in cleartext, to the server and to proxies. Secrets are never part of this.
    pub credentials: Vec<ObservedLogin>,
    /// Whether content or a login crossed before the client requested the upgrade.
    #[serde(skip)]
    pub crossed_before_request: bool,
    /// Whether content or a login crossed in cleartext after the client had requested the upgrade.
    #[serde(skip)]
    pub crossed_after_request: bool,
    /// The messages and octets that prove the other values.
    #[serde(skip)]
    pub clues: Vec<Clue>,
}

impl Facts {
    /// Returns the first clue of this kind.
    pub fn clue(&self, kind: ClueKind) -> Option<&Clue> {
        self.clues.iter().find(|clue| clue.kind == kind)
    }

    /// Returns the server that the client asked a proxy for, with its port.
    pub fn destination(&self) -> Option<&str> {
        let asked = |hop: &&ProxyHop| !matches!(hop.kind, ProxyKind::ProxyV1 | ProxyKind::ProxyV2);
        self.proxies.iter().rev().find(asked).and_then(|hop| hop.destination.as_deref())
    }

    /// Returns the client that a PROXY header names.
    pub fn source(&self) -> Option<std::net::SocketAddr> {
        self.proxies.iter().find_map(|hop| hop.source.as_ref()?.parse().ok())
    }
}

fn protocol_name<S: Serializer>(protocol: &Option<&'static Protocol>, to: S) -> Result<S::Ok, S::Error> {
    protocol.map(|it| it.name).serialize(to)
}

/// A proxy that the client used, or a header in which a proxy names the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProxyHop {
    /// The protocol.
    pub kind: ProxyKind,
    /// The client's address and port, if a header names them.
    pub source: Option<String>,
    /// Host and port that the client asked for, escaped, or the address that it reached.
    pub destination: Option<String>,
}

/// A protocol between a client and a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProxyKind {
    /// SOCKS 4 or 4a.
    Socks4,
    /// SOCKS 5.
    Socks5,
    /// The CONNECT method of HTTP.
    HttpConnect,
    /// The PROXY protocol as text.
    ProxyV1,
    /// The PROXY protocol in binary.
    ProxyV2,
}

impl ProxyKind {
    /// Returns the value's spelling in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socks4 => "socks4",
            Self::Socks5 => "socks5",
            Self::HttpConnect => "http-connect",
            Self::ProxyV1 => "proxy-v1",
            Self::ProxyV2 => "proxy-v2",
        }
    }
}

/// How a protocol was recognized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Recognition {
    /// By what both sides sent.
    Conversation,
    /// By what they sent and, where several protocols match, by the port.
    Port,
    /// TLS from the first octet: by ALPN or the port.
    Tls,
    /// It was not recognized.
    #[default]
    Unknown,
}

/// Whether a server offered the upgrade before anything of substance crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// A list with the upgrade.
    Yes,
    /// A list without it.
    No,
    /// A list in which a firewall has overwritten keywords.
    Masked,
    /// The client did not ask for a list.
    NeverAsked,
    /// The protocol has no list.
    Unannounced,
    /// The capture does not show it.
    #[default]
    Unknown,
}

/// Whether a client requested the upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Requested {
    /// It sent the request.
    Yes,
    /// The whole connection was seen, and it contains no request.
    No,
    /// The capture does not show it.
    #[default]
    Unknown,
}

/// A server's answer to the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RequestAnswer {
    /// The go-ahead.
    Accepted,
    /// The same request may succeed later.
    RefusedTemporary,
    /// The request is refused.
    RefusedPermanent,
    /// The connection ended without an answer.
    Missing,
    /// The protocol has no answer (MySQL).
    Implied,
    /// The client requested nothing.
    NotRequested,
    /// The capture does not show it.
    #[default]
    Unknown,
}

/// Whether and how TLS was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TlsUse {
    /// After an upgrade.
    Upgrade,
    /// From the first octet.
    FirstOctet,
    /// The whole connection was in cleartext.
    Never,
    /// The handshake failed.
    Failed,
    /// One side used TLS and the other one cleartext.
    WrongMode,
    /// The request was accepted, and no TLS followed.
    Broken,
    /// TLS, then cleartext.
    Left,
    /// The capture does not show it.
    #[default]
    Unknown,
}

/// The most private kind of data that crossed in cleartext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Readable {
    /// Nothing of substance.
    #[default]
    Nothing,
    /// Names of hosts or users.
    Names,
    /// Mail, directory entries, queries.
    Content,
    /// A login.
    Credentials,
}

/// How much of a connection was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// From its first octet to its end.
    Whole,
    /// The connection began before the capture.
    Midstream,
    /// Octets of one side only.
    OneSide,
    /// With octets missing.
    Gaps,
    /// The connection goes on after the end of the capture.
    #[default]
    Open,
    /// Followed until the memory limit required to forget it.
    Evicted,
}

/// Where the cleartext of each side ended, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BoundaryPoint {
    /// The client's last cleartext octet, plus 1.
    pub client: u64,
    /// The server's.
    pub server: u64,
    /// The packet that completed the negotiation.
    pub packet: u64,
    /// Whether the negotiation was read up to here. If not, the boundary is where TLS records started.
    pub negotiated: bool,
}

/// Octets in cleartext, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CleartextOctets {
    /// Sent by the client.
    pub client: u64,
    /// Sent by the server.
    pub server: u64,
}

/// The visible part of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Handshake {
    /// The negotiated version.
    pub version: Option<String>,
    /// Its code.
    #[serde(skip)]
    pub version_code: Option<u16>,
    /// The negotiated suite.
    pub suite: Option<SuiteName>,
    /// The weakness or strength of the suite.
    #[serde(skip)]
    pub suite_class: Option<SuiteClass>,
    /// The group of the key exchange, in TLS 1.3.
    pub group: Option<String>,
    /// Whether the server asked for a second hello.
    pub retry: bool,
    /// The versions that the client offered.
    pub offered_versions: Vec<String>,
    /// The name in SNI, escaped.
    pub sni: Option<String>,
    /// The application protocols that the client offered, escaped.
    pub offered_alpn: Vec<String>,
    /// The negotiated application protocol, if it is visible.
    pub alpn: Option<String>,
    /// The JA3 fingerprint of the client.
    pub ja3: Option<String>,
    /// The JA4 fingerprint of the client.
    pub ja4: Option<String>,
    /// Whether the handshake was completed. Missing if the capture does not show it.
    pub established: Option<bool>,
    /// A fatal alert in cleartext.
    pub alert: Option<FatalAlert>,
    /// The server's certificate.
    pub certificate: Option<CertificateView>,
    /// What is wrong with the certificate at the time of the capture.
    #[serde(skip)]
    pub certificate_faults: Vec<String>,
    /// Whether the server requested a certificate of the client, if that is visible.
    pub client_certificate_requested: bool,
}

impl Handshake {
    /// Returns the memory of its texts, in octets.
    pub(crate) fn weight(&self) -> usize {
        let list = |texts: &[String]| texts.iter().map(|it| it.capacity() + ALLOCATED).sum::<usize>();
        let text = |text: &Option<String>| text.as_ref().map_or(0, |it| it.capacity() + ALLOCATED);
        let certificate = match &self.certificate {
            Some(CertificateView::Visible { names, subject, issuer, .. }) => {
                list(names) + text(subject) + text(issuer) + 4 * ALLOCATED
            }
            _ => ALLOCATED,
        };
        let lists = [&self.offered_versions, &self.offered_alpn, &self.certificate_faults];
        let texts = [&self.version, &self.group, &self.sni, &self.alpn, &self.ja3, &self.ja4];
        lists.iter().map(|it| list(it)).sum::<usize>()
            + texts.iter().map(|it| text(it)).sum::<usize>()
            + certificate
            // The suite.
            + 2 * ALLOCATED
    }
}

/// A text in a list, and what the heap adds to it.
const ALLOCATED: usize = size_of::<String>() + 16;

/// A cipher suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SuiteName {
    /// The code, in hexadecimal.
    pub code: String,
    /// The name, or the code if the suite is unknown.
    pub name: String,
}

/// A fatal alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FatalAlert {
    /// The side that sent it.
    pub side: SideName,
    /// The registered name, or the number.
    pub name: String,
}

/// Whether the server's certificate was visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "visibility", rename_all = "kebab-case")]
pub enum CertificateView {
    /// In cleartext.
    Visible {
        /// The length of the chain.
        count: usize,
        /// The fingerprint of the server's own certificate.
        sha256: String,
        /// Its subject, escaped. Missing if the certificate cannot be read.
        subject: Option<String>,
        /// Its issuer, escaped.
        issuer: Option<String>,
        /// The DNS names in it, escaped.
        names: Vec<String>,
        /// The end of its validity.
        not_after: Option<String>,
    },
    /// Not in cleartext.
    Hidden {
        /// Why not.
        why: String,
    },
}

/// One side, as it is written in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SideName {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl From<Side> for SideName {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Server => Self::Server,
        }
    }
}

/// A login in cleartext. It contains no secret, no digest and no response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObservedLogin {
    /// The mechanism, or the protocol's own command.
    pub mechanism: String,
    /// The user, escaped, if the login names one.
    pub user: Option<String>,
    /// What a reader of the network learns.
    pub exposure: Exposure,
    /// Whether the server accepted the login. Missing if the capture does not show it.
    pub accepted: Option<bool>,
    /// The packet that contains the last part of the login.
    pub packet: u64,
}

/// What a reader of the network learns from a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// The login was announced, and no secret was sent.
    Attempted,
    /// Only who the user is.
    Identity,
    /// A response that allows to guess the password offline.
    Guessable,
    /// The password or token itself.
    Readable,
}

impl From<LoginExposure> for Exposure {
    fn from(exposure: LoginExposure) -> Self {
        match exposure {
            LoginExposure::Attempted => Self::Attempted,
            LoginExposure::Identity => Self::Identity,
            LoginExposure::Guessable => Self::Guessable,
            LoginExposure::Readable => Self::Readable,
        }
    }
}

/// The kind of a clue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClueKind {
    /// A list that offers the upgrade.
    Offer,
    /// A list without it.
    NoOffer,
    /// A list or greeting in which a firewall has overwritten text.
    Mask,
    /// The request.
    Request,
    /// The go-ahead.
    Accept,
    /// A refusal.
    Refuse,
    /// A refusal that repeats another request than the client sent.
    AlteredRequest,
    /// A command that the server refuses without TLS.
    TlsRequired,
    /// Octets after the boundary that are not TLS, from the client.
    ClientBeyond,
    /// The same, from the server.
    ServerBeyond,
    /// Cleartext of the server instead of an answer to the client's TLS.
    CleartextToTls,
    /// Cleartext of this connection, when the other side used TLS.
    TlsToCleartext,
    /// Cleartext after TLS.
    AfterTls,
    /// A message with content in cleartext.
    Content,
    /// A login.
    Login,
    /// Two copies of the same octets with other contents.
    Conflict,
    /// Such copies, of which one contains an offer and the other one does not.
    ForgedOffer,
    /// The end of a connection without an answer to the request.
    Unanswered,
}

/// A message or octets that prove something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Clue {
    /// What it proves.
    #[serde(skip)]
    pub kind: ClueKind,
    /// The side that sent it.
    pub side: SideName,
    /// The offset of its first octet in the stream of that side.
    pub from: u64,
    /// The offset after its last octet.
    pub to: u64,
    /// The packet that completed it.
    pub packet: u64,
    /// When, in UTC.
    pub time: String,
    /// The octets, escaped, at most 120 of them. Empty if they could contain a secret.
    pub text: String,
}

impl Clue {
    /// Returns a clue without its text.
    pub(crate) fn new(kind: ClueKind, side: Side, range: std::ops::Range<u64>, at: Moment) -> Self {
        Self {
            kind,
            side: side.into(),
            from: range.start,
            to: range.end,
            packet: at.packet,
            time: at.rfc3339(),
            text: String::new(),
        }
    }

    /// Returns the memory that it uses, in octets.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.time.capacity() + self.text.capacity() + 2 * ALLOCATED
    }

    /// Returns the clue with the octets that it shows.
    pub(crate) fn showing(self, bytes: &[u8]) -> Self {
        const SHOWN: usize = 120;
        let cut = bytes.len() > SHOWN;
        let text = starttls_proto::Escaped(bytes.get(..SHOWN).unwrap_or(bytes)).to_string();
        Self { text: if cut { text + "…" } else { text }, ..self }
    }
}
