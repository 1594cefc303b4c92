//! Errors, by whose fault they are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, PeerIncompatible};
use starttls_proto::{DeclinedReason, Escaped, HelloRefusal, Quit, Refusal, Side, Speaker};
use starttls_x509::BundleError;

use crate::alert::AlertName;
use crate::causes::write_with_causes;
use crate::proxy_error::ProxyError;
use crate::{CertificateFailure, CertificateFault, Step};

/// Why there is no encrypted stream. The connection is closed in every case.
///
/// `Display` writes one line without the cause, which `source` returns. `Debug` writes one line with all causes.
#[non_exhaustive]
pub enum Error {
    /// The configuration is invalid. The library opened no connection.
    #[non_exhaustive]
    Config {
        /// What is invalid.
        what: String,
        /// The cause, if another library found it.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
        /// What the user can do, if a fix is known.
        hint: Option<String>,
    },
    /// The host has no address that may be dialled.
    Resolve {
        /// The host.
        host: String,
        /// The error of the resolver.
        source: io::Error,
    },
    /// No address accepted the connection.
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// The number of addresses that were tried.
        tried: usize,
        /// Why the last one failed.
        source: io::Error,
    },
    /// The socket in the file system did not accept the connection.
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A proxy on the way to the server failed. The server may be sound.
    Proxy(Box<ProxyError>),
    /// The deadline passed (rule B6).
    Timeout {
        /// What the connection was waiting for.
        step: Step,
        /// The time limit for all steps together.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// What the connection was waiting for.
        step: Step,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The server declined the upgrade.
    Declined(UpgradeRefusal),
    /// The client ended the session in good order before an upgrade.
    Quit(Quit),
    /// The peer broke a rule of the negotiation.
    Protocol(Box<starttls_proto::Error>),
    /// The peer sent something else where only TLS is allowed.
    PlaintextNotTls {
        /// The side that sent it.
        by: Side,
        /// The first octets, as received: at most 200.
        received: Vec<u8>,
    },
    /// The peer's certificate was not accepted.
    Certificate {
        /// Why not.
        failure: Box<CertificateFailure>,
        /// The chain that the peer presented, its own certificate first.
        chain: Vec<CertificateDer<'static>>,
        /// The error of the verifier.
        source: rustls::Error,
    },
    /// The server requires a client certificate, and this client has none.
    ClientCertificate(rustls::Error),
    /// The server ended the handshake with an alert, and the client had sent no server name: the target is an address
    /// (RFC 6066 section 3). A server with several names may need one to choose its certificate.
    NoServerName(rustls::Error),
    /// TLS started at the first byte, and the peer did not negotiate the ALPN protocol id that the protocol requires
    /// there ([`Protocol::required_alpn`](starttls_proto::Protocol::required_alpn)).
    NoAlpn {
        /// The side that did not negotiate it.
        by: Side,
        /// The id.
        id: &'static str,
    },
    /// The TLS handshake failed.
    Tls(rustls::Error),
}

/// A server's refusal of the upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpgradeRefusal {
    /// Why the server declined.
    pub reason: DeclinedReason,
    /// Whether the server had offered the upgrade; `None` if the protocol has no offer.
    pub offered: Option<bool>,
    /// The server's answer to the hello, if it was an error instead of a list.
    pub no_list: Option<HelloRefusal>,
    /// The server's answer: neither escaped nor authenticated.
    pub answer: Vec<u8>,
    /// The server's answer as readable text, in binary protocols.
    pub description: Option<String>,
}

impl Error {
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into(), source: None, hint: None }
    }

    pub(crate) fn config_because(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Config { what: what.into(), source: Some(source.into()), hint: None }
    }

    /// Returns the error for certificates or keys that cannot be read. Their content did not come from a file that is known here.
    pub(crate) fn unusable(error: BundleError) -> Self {
        Self::Config { what: error.to_string(), source: None, hint: error.hint_for("FILE") }
    }

    /// Returns the name of the kind of error, for logs and metrics: "timeout". A name does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::Resolve { .. } => "resolve",
            Self::Connect { .. } => "connect",
            Self::Socket { .. } => "socket",
            Self::Proxy(_) => "proxy",
            Self::Timeout { .. } => "timeout",
            Self::Io { .. } => "io",
            Self::Declined(_) => "declined",
            Self::Quit(_) => "quit",
            Self::Protocol(_) => "protocol",
            Self::PlaintextNotTls { .. } => "plaintext-not-tls",
            Self::Certificate { .. } => "certificate",
            Self::ClientCertificate(_) => "client-certificate",
            Self::NoServerName(_) => "no-server-name",
            Self::NoAlpn { .. } => "no-alpn",
            Self::Tls(_) => "tls",
        }
    }

    /// Returns the step that the error ended, if it is known: that of a timeout, of a broken connection or of a proxy.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Timeout { step, .. } | Self::Io { step, .. } => Some(*step),
            Self::Proxy(error) => Some(error.step),
            _ => None,
        }
    }

    /// Returns the TLS error that ended a session, if reading or writing failed because of TLS and not because the
    /// connection broke.
    ///
    /// With TLS 1.3 the client's handshake is complete before the server checks the client's certificate (RFC 8446
    /// section 4.4.2.4), so that a server refuses a missing one with its first message inside TLS.
    pub fn from_session_io(error: &io::Error) -> Option<Self> {
        let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?.clone();
        Some(match cause {
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::ClientCertificate(cause)
            }
            cause => Self::Tls(cause),
        })
    }

    /// Returns whether a server sends a last message after this error of a negotiation: after a client that quit or broke a
    /// rule, but not after a closed or broken connection.
    pub(crate) fn has_last_message(&self) -> bool {
        use starttls_proto::ErrorKind::Closed;
        matches!(self, Self::Quit(_)) || matches!(self, Self::Protocol(error) if error.kind != Closed)
    }

    /// Returns whether the TLS handshake had begun and did not end.
    pub fn is_in_handshake(&self) -> bool {
        match self {
            Self::Timeout { step, .. } | Self::Io { step, .. } => *step == Step::Handshake,
            Self::PlaintextNotTls { .. } | Self::Certificate { .. } => true,
            Self::ClientCertificate(_) | Self::NoServerName(_) | Self::NoAlpn { .. } | Self::Tls(_) => true,
            _ => false,
        }
    }

    /// Returns the alert with which the peer ended the handshake.
    pub fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Tls(rustls::Error::AlertReceived(alert))
            | Self::NoServerName(rustls::Error::AlertReceived(alert))
            | Self::ClientCertificate(rustls::Error::AlertReceived(alert)) => Some(*alert),
            _ => None,
        }
    }

    /// Returns whether the server refused the ClientHello with the alert `unexpected_message`. A server that starts in
    /// cleartext does so ([`UNEXPECTED_MESSAGE_ALERT`](starttls_proto::UNEXPECTED_MESSAGE_ALERT)), so this alert is no
    /// evidence of TLS from the first byte.
    pub fn may_be_cleartext_port(&self) -> bool {
        self.alert() == Some(AlertDescription::UnexpectedMessage)
    }

    /// Returns whether the cause may be the size of the ClientHello. Some servers and middleboxes accept only a ClientHello
    /// that fits into one segment, and end the handshake like this. A second connection with
    /// [`ConnectorBuilder::small_hello`](crate::ConnectorBuilder::small_hello) shows whether that is the cause.
    pub fn may_be_large_hello(&self) -> bool {
        use AlertDescription as Alert;
        match self {
            Self::Io { step, .. } | Self::Timeout { step, .. } => *step == Step::Handshake,
            Self::Tls(rustls::Error::AlertReceived(alert))
            | Self::NoServerName(rustls::Error::AlertReceived(alert)) => {
                matches!(
                    alert,
                    Alert::DecodeError
                        | Alert::RecordOverflow
                        | Alert::UnexpectedMessage
                        | Alert::IllegalParameter
                        | Alert::InternalError
                        | Alert::HandshakeFailure
                )
            }
            _ => false,
        }
    }

    /// Returns whether the cause may be the name that the client gave for itself
    /// ([`ConnectorBuilder::client_name`](crate::ConnectorBuilder::client_name)): the server refused the hello that contains
    /// it, or closed the connection after that refusal.
    pub fn may_be_client_name(&self) -> bool {
        use starttls_proto::ErrorKind::Closed;
        match self {
            Self::Protocol(error) => error.kind == Closed && !error.received.is_empty(),
            Self::Declined(refused) => matches!(refused.no_list, Some(HelloRefusal::RefusedName(_))),
            _ => false,
        }
    }

    /// Returns what the user can do, if a fix is known.
    pub fn hint(&self) -> Option<&str> {
        use rustls::Error as Tls;
        use starttls_proto::ErrorKind as Kind;
        match self {
            Self::Config { hint, .. } => hint.as_deref(),
            Self::Proxy(error) => error.hint(),
            _ if self.may_be_client_name() => {
                Some("set the client's own name: some servers require a fully qualified one")
            }
            Self::Protocol(error) => match error.kind {
                Kind::TlsNotCleartext => {
                    Some("this port speaks TLS from the first byte: use implicit TLS here")
                }
                Kind::OtherProtocol => Some("this port serves another protocol: check the port number"),
                Kind::BeyondBoundary | Kind::EarlyAnswer => {
                    Some("an attacker in the network path may be injecting commands or responses")
                }
                _ => None,
            },
            Self::PlaintextNotTls { received, .. } if Speaker::recognize(received).is_some() => {
                Some("this port starts in cleartext: use the upgrade here, not implicit TLS")
            }
            Self::Declined(refused) => match refused.reason {
                DeclinedReason::Refused(Refusal::Temporary) => {
                    Some("the server may be ready later: try again")
                }
                DeclinedReason::Bye => Some("the server turned the connection away: try again later"),
                DeclinedReason::Refused(Refusal::Permanent) if refused.offered == Some(true) => {
                    Some("the server offers the upgrade and refuses it: its TLS is not configured")
                }
                _ => None,
            },
            Self::Certificate { failure, .. } => match failure.fault {
                CertificateFault::UntrustedRoot => Some("add the certificate of the issuing CA to the roots"),
                CertificateFault::BadSignature => {
                    Some("a root with this name and another key is trusted: replace it if it is an old one")
                }
                CertificateFault::CaUsedAsServer => Some(
                    "the server needs a certificate of its own, without the CA flag: \
                     `openssl req -x509` sets it unless given -addext basicConstraints=critical,CA:FALSE",
                ),
                _ => None,
            },
            Self::ClientCertificate(_) => {
                Some("present a client certificate from a CA that the server trusts")
            }
            Self::NoServerName(_) => Some(
                "an address is not sent as a server name, and the server may need one to choose its certificate: \
                 set the server name",
            ),
            Self::NoAlpn { by: Side::Server, .. } => Some(
                "another protocol may be served on this port: check the port number, or enable ALPN on the server or on \
                 the proxy that terminates TLS",
            ),
            Self::NoAlpn { by: Side::Client, .. } => {
                Some("configure the client to offer this protocol in the ALPN extension")
            }
            Self::Tls(
                Tls::AlertReceived(AlertDescription::ProtocolVersion)
                | Tls::PeerIncompatible(
                    PeerIncompatible::ServerDoesNotSupportTls12Or13
                    | PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::SupportedVersionsExtensionRequired,
                ),
            ) => Some("the two sides have no TLS version in common: this side supports 1.2 and 1.3 at most"),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_causes(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { what, .. } => f.write_str(what),
            Self::Resolve { host, .. } => write!(f, "cannot resolve \"{}\"", Escaped(host.as_bytes())),
            Self::Connect { address, tried: 1, .. } => write!(f, "cannot connect to {address}"),
            Self::Connect { address, tried, .. } => {
                write!(f, "cannot connect to any of {tried} addresses, the last was {address}")
            }
            Self::Socket { path, .. } => write!(f, "cannot connect to the socket {}", path.display()),
            Self::Proxy(error) => error.fmt(f),
            Self::Timeout { step, limit } => {
                write!(f, "timed out after {} s, waiting for {step}", limit.as_secs_f32())
            }
            Self::Io { step, .. } => write!(f, "the connection broke, waiting for {step}"),
            Self::Declined(refused) => refused.fmt(f),
            Self::Quit(Quit::ByClient) => f.write_str("the client quit without requesting TLS"),
            Self::Quit(quit) => {
                f.write_str("the client did not request TLS, which is required")?;
                match quit {
                    Quit::TlsRequired(Some(text)) => write!(f, ": {}", Escaped(text.as_bytes())),
                    _ => Ok(()),
                }
            }
            Self::Protocol(error) => error.fmt(f),
            Self::PlaintextNotTls { by, received } => {
                write!(f, "the {} sent plaintext where TLS belongs", by.name())?;
                match Speaker::recognize(received) {
                    Some(name) => write!(f, ", it looks like {name}: \"{}\"", Escaped(received)),
                    None => write!(f, ": \"{}\"", Escaped(received)),
                }
            }
            Self::Certificate { failure, .. } => write!(f, "the certificate is not accepted: {failure}"),
            Self::NoAlpn { by, id } => {
                let verb = if *by == Side::Server { "select" } else { "offer" };
                write!(
                    f,
                    "the {} did not {verb} the ALPN protocol \"{id}\", which TLS from the first byte requires",
                    by.name()
                )
            }
            Self::ClientCertificate(_) => {
                f.write_str("the server requires a client certificate, and this client has none")
            }
            Self::NoServerName(rustls::Error::AlertReceived(alert)) => write!(
                f,
                "the server ended the TLS handshake with the alert {}; the ClientHello had no server name",
                AlertName(*alert)
            ),
            Self::NoServerName(_) => {
                f.write_str("the server ended the TLS handshake; the ClientHello had no server name")
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) => {
                write!(f, "the peer ended the TLS handshake with the alert {}", AlertName(*alert))
            }
            Self::Tls(_) => f.write_str("the TLS handshake failed"),
        }
    }
}

impl fmt::Display for UpgradeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.no_list {
            Some(HelloRefusal::RefusedName(answer)) => {
                write!(f, "the server refused the client's hello: \"{answer}\"; then ")?;
            }
            Some(HelloRefusal::UnknownCommand(answer)) => {
                write!(f, "the server does not know the hello: \"{answer}\"; then ")?;
            }
            None => {}
        }
        f.write_str(match self.reason {
            DeclinedReason::NotOffered => "the server does not offer TLS",
            DeclinedReason::Refused(Refusal::Temporary) => "the server refuses TLS temporarily",
            DeclinedReason::Refused(Refusal::Permanent) => "the server refuses TLS",
            DeclinedReason::Bye => "the server is closing the connection",
            _ => "the server declined the upgrade",
        })?;
        match &self.description {
            Some(text) => write!(f, ": {}", Escaped(text.as_bytes())),
            None if self.answer.is_empty() => Ok(()),
            None => write!(f, ": \"{}\"", Escaped(&self.answer)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config { source, .. } => source.as_deref().map(|it| it as _),
            Self::Resolve { source, .. } | Self::Connect { source, .. } | Self::Io { source, .. } => {
                Some(source)
            }
            Self::Socket { source, .. } => Some(source),
            Self::Proxy(error) => error.source(),
            Self::Tls(rustls::Error::AlertReceived(_)) => None,
            Self::ClientCertificate(source) | Self::Tls(source) => Some(source),
            // `Display` of the other errors includes the cause.
            _ => None,
        }
    }
}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(Box::new(error))
    }
}

impl From<Box<starttls_proto::Error>> for Error {
    fn from(error: Box<starttls_proto::Error>) -> Self {
        Self::Protocol(error)
    }
}
