//! What went wrong, by leg and by whose fault it is.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, PeerIncompatible};
use starttls_proto::{DeclinedReason, Escaped, HelloRefusal, Quit, Refusal, Side, Speaker};

use crate::handshake::HANDSHAKE;
use crate::verify::is_authority;

/// Why there is no encrypted stream. Whatever it was, the connection is closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work; nothing was dialled.
    Config {
        /// What is wrong with it.
        what: String,
        /// The cause underneath, if there is one.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The name has no address.
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address took the connection.
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// How many were tried.
        tried: usize,
        /// What became of the last attempt.
        source: io::Error,
    },
    /// The deadline passed (rule B6).
    Timeout {
        /// What was being waited for, as a noun phrase ("the greeting").
        step: &'static str,
        /// The time that everything together was given.
        limit: Duration,
    },
    /// The connection broke.
    Io {
        /// What was being waited for, as a noun phrase.
        step: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server will not upgrade.
    Declined(UpgradeRefusal),
    /// The client ended the session before an upgrade, in good order.
    Quit(Quit),
    /// The peer broke a rule of the negotiation.
    Protocol(Box<starttls_proto::Error>),
    /// Something that is not TLS came where only TLS belongs.
    PlaintextNotTls {
        /// Who sent it.
        by: Side,
        /// The first bytes of it, as they came.
        received: Vec<u8>,
    },
    /// The peer's certificate was not accepted.
    Certificate {
        /// Why not, in words.
        reason: String,
        /// What the peer presented, its own certificate first.
        chain: Vec<CertificateDer<'static>>,
        /// The verifier's own words.
        source: rustls::Error,
    },
    /// The server asked for a client certificate, was shown none, and ended the handshake.
    ClientCertificate(rustls::Error),
    /// The server ended the handshake with an alert, and the client had sent no server name: the target is an address
    /// (RFC 6066 section 3). A server with several names may need one to choose its certificate.
    NoServerName(rustls::Error),
    /// TLS started at the first byte, and the peer did not negotiate the ALPN protocol id that the protocol requires
    /// there ([`Protocol::required_alpn`](starttls_proto::Protocol::required_alpn)).
    NoAlpn {
        /// Who did not negotiate it.
        by: Side,
        /// The id.
        id: &'static str,
    },
    /// The TLS handshake failed.
    Tls(rustls::Error),
}

/// A server's no: what a refused upgrade leaves to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRefusal {
    /// Why.
    pub reason: DeclinedReason,
    /// Whether the upgrade had been offered; `None` where the protocol has no offer.
    pub offered: Option<bool>,
    /// What the server answered to the hello, if that was an error and no list.
    pub no_list: Option<HelloRefusal>,
    /// What the server said: neither escaped nor authenticated.
    pub answer: Vec<u8>,
}

/// The fix where a server refuses the hello.
const CLIENT_NAME: &str =
    "choose the name with --client-name, in a program client_name: some servers want a fully qualified one";

impl Error {
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into(), source: None }
    }

    pub(crate) fn config_because(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Config { what: what.into(), source: Some(source.into()) }
    }

    /// Returns what ended a session inside TLS, if reading or writing failed because of TLS and not because the
    /// connection broke.
    ///
    /// With TLS 1.3 the client's handshake is complete before the server looks at the client's certificate
    /// (RFC 8446 section 4.4.2.4), so that a missing one is refused with the first answer inside TLS.
    pub fn from_session_io(error: &io::Error) -> Option<Self> {
        let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?.clone();
        Some(match cause {
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::ClientCertificate(cause)
            }
            cause => Self::Tls(cause),
        })
    }

    /// Returns whether the TLS handshake had begun and did not end.
    pub fn is_in_handshake(&self) -> bool {
        match self {
            Self::Timeout { step, .. } | Self::Io { step, .. } => *step == HANDSHAKE,
            Self::PlaintextNotTls { .. } | Self::Certificate { .. } => true,
            Self::ClientCertificate(_) | Self::NoServerName(_) | Self::NoAlpn { .. } | Self::Tls(_) => true,
            _ => false,
        }
    }

    /// Returns whether the server refused the ClientHello with the alert `unexpected_message`. A server that starts in
    /// cleartext does so ([`UNEXPECTED_MESSAGE_ALERT`](starttls_proto::UNEXPECTED_MESSAGE_ALERT)), so this alert is no
    /// evidence of TLS from the first byte.
    pub fn may_be_cleartext_port(&self) -> bool {
        matches!(self, Self::Tls(rustls::Error::AlertReceived(AlertDescription::UnexpectedMessage)))
    }

    /// Returns whether the cause may be the size of the ClientHello: some servers, and devices on the way, do not accept one
    /// of more than one segment, and end the handshake like this. A second connection with
    /// [`ConnectorBuilder::small_hello`](crate::ConnectorBuilder::small_hello) shows whether it is.
    pub fn may_be_large_hello(&self) -> bool {
        use AlertDescription as Alert;
        match self {
            Self::Io { step, .. } | Self::Timeout { step, .. } => *step == HANDSHAKE,
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

    /// What the user can do about it, where a fix is known.
    pub fn hint(&self) -> Option<&'static str> {
        use starttls_proto::ErrorKind as Kind;
        match self {
            Self::Protocol(error) if error.kind == Kind::Closed && !error.received.is_empty() => {
                Some(CLIENT_NAME)
            }
            Self::Protocol(error) => match error.kind {
                Kind::TlsNotCleartext => {
                    Some("this port speaks TLS from the first byte: use implicit TLS here")
                }
                Kind::OtherProtocol => Some("another protocol is served on this port: check the port number"),
                Kind::BeyondBoundary | Kind::EarlyAnswer => {
                    Some("somebody may be injecting commands or responses on the way")
                }
                _ => None,
            },
            Self::PlaintextNotTls { received, .. } if Speaker::recognize(received).is_some() => {
                Some("this port starts in cleartext: use the upgrade here, not implicit TLS")
            }
            Self::Declined(UpgradeRefusal { no_list: Some(HelloRefusal::RefusedName(_)), .. }) => {
                Some(CLIENT_NAME)
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
            Self::Certificate {
                source: rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer),
                ..
            } => Some("add the issuing authority's certificate to the roots"),
            Self::Certificate {
                source: rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature),
                ..
            } => Some("a root of that name, with another key, is trusted: replace it if it is an old one"),
            Self::Certificate { source: rustls::Error::InvalidCertificate(cause), .. }
                if is_authority(cause) =>
            {
                Some(
                    "the server needs a certificate of its own, without the CA flag: \
                     `openssl req -x509` sets it unless told -addext basicConstraints=critical,CA:FALSE",
                )
            }
            Self::ClientCertificate(_) => Some(
                "present one that its authority has issued: --cert PEM and --key PEM, in a program client_certificate_pem",
            ),
            Self::NoServerName(_) => Some(
                "an address is not sent as a server name, and the server may need one to choose its certificate: \
                 --server-name NAME, in a program the name of the Endpoint",
            ),
            Self::NoAlpn { by: Side::Server, .. } => Some(
                "another protocol may be served on this port: check the port number, or enable ALPN on the server or on \
                 the proxy that terminates TLS",
            ),
            Self::NoAlpn { by: Side::Client, .. } => {
                Some("configure the client to offer this protocol in the ALPN extension")
            }
            Self::Tls(
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
                | rustls::Error::PeerIncompatible(
                    PeerIncompatible::ServerDoesNotSupportTls12Or13
                    | PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::SupportedVersionsExtensionRequired,
                ),
            ) => Some("there is no TLS version in common: this side speaks 1.2 and 1.3 at most"),
            _ => None,
        }
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
            Self::Timeout { step, limit } => {
                write!(f, "timed out after {} s, waiting for {step}", limit.as_secs_f32())
            }
            Self::Io { step, .. } => write!(f, "the connection broke, waiting for {step}"),
            Self::Declined(refused) => refused.fmt(f),
            Self::Quit(Quit::ByClient) => f.write_str("the client left without asking for TLS"),
            Self::Quit(_) => f.write_str("the client did not ask for TLS, which is required"),
            Self::Protocol(error) => error.fmt(f),
            Self::PlaintextNotTls { by, received } => {
                write!(f, "the {} sent plaintext where TLS belongs", by.name())?;
                match Speaker::recognize(received) {
                    Some(name) => write!(f, ", it looks like {name}: \"{}\"", Escaped(received)),
                    None => write!(f, ": \"{}\"", Escaped(received)),
                }
            }
            Self::Certificate { reason, .. } => write!(f, "the certificate is not accepted: {reason}"),
            Self::NoAlpn { by: Side::Server, id } => {
                write!(
                    f,
                    "the server did not select the ALPN protocol \"{id}\", which TLS from the first byte requires"
                )
            }
            Self::NoAlpn { by: Side::Client, id } => {
                write!(
                    f,
                    "the client did not offer the ALPN protocol \"{id}\", which TLS from the first byte requires"
                )
            }
            Self::ClientCertificate(_) => {
                f.write_str("the server wants a client certificate, and there is none")
            }
            Self::NoServerName(rustls::Error::AlertReceived(alert)) => write!(
                f,
                "the server ended the TLS handshake with the alert {alert:?}; the ClientHello had no server name"
            ),
            Self::NoServerName(_) => {
                f.write_str("the server ended the TLS handshake; the ClientHello had no server name")
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) => {
                write!(f, "the peer ended the TLS handshake with the alert {alert:?}")
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
            DeclinedReason::Refused(Refusal::Temporary) => "the server refuses TLS for now",
            DeclinedReason::Refused(Refusal::Permanent) => "the server refuses TLS",
            DeclinedReason::Bye => "the server is closing the connection",
            _ => "the server will not upgrade",
        })?;
        if self.answer.is_empty() { Ok(()) } else { write!(f, ": \"{}\"", Escaped(&self.answer)) }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config { source, .. } => source.as_deref().map(|it| it as _),
            Self::Resolve { source, .. } | Self::Connect { source, .. } | Self::Io { source, .. } => {
                Some(source)
            }
            Self::Tls(rustls::Error::AlertReceived(_)) => None,
            Self::ClientCertificate(source) | Self::Tls(source) => Some(source),
            // What the others have to say is in their own line.
            _ => None,
        }
    }
}

impl From<Box<starttls_proto::Error>> for Error {
    fn from(error: Box<starttls_proto::Error>) -> Self {
        Self::Protocol(error)
    }
}
