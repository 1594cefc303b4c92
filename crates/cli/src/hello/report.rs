//! The JSON report of `hello`. The schema is in `docs/schema/hello.json`.

use serde::Serialize;
use starttls::proto::Escaped;
use starttls_audit::report::CertificateReport;
use starttls_hello::{
    Alert, Answer, CipherSuite, Curve, DowngradeMark, FlightEnd, Question, ServerFlight, ServerKeyExchange,
    Ssl2Kind, Ssl2ServerHello, SuiteInfo, Version, extension_name,
};

use super::offer::has_suites;
use crate::exit;
use crate::session::conversation::Negotiation;
use crate::session::report::{Failure, Outcome as Ended, Report as Connection, Subject};
use crate::target::{Mode, Target};

/// The result of one hello.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) subject: Subject,
    /// The address that was connected to.
    pub(crate) address: Option<String>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The exit code of the program.
    pub(crate) exit_code: u8,
    /// The conversation in cleartext.
    pub(crate) negotiation: Option<Negotiation>,
    /// The hello that was sent, or would have been.
    pub(crate) hello: Hello,
    /// The ServerHello or HelloRetryRequest, and what followed.
    pub(crate) server: Option<Server>,
    /// The SERVER-HELLO of SSL 2.0.
    pub(crate) ssl2: Option<Ssl2>,
    /// The alert that refused the hello, or ended the flight.
    pub(crate) alert: Option<ReceivedAlert>,
    /// The first line of an answer that is not TLS, escaped.
    pub(crate) received: Option<String>,
    /// The error, if there was one.
    pub(crate) error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The server agreed to something that was offered.
    Agreed,
    /// The server refused the hello with an alert.
    Refused,
    /// The server closed the connection after the hello.
    Closed,
    /// The server did not answer in time.
    Silent,
    /// The server answered with something that is not TLS, or breaks its format.
    Violation,
    /// The server does not upgrade.
    Declined,
    /// The server turned the connection away before the hello.
    Inconclusive,
    /// The connection failed or broke.
    Unreachable,
}

/// What was offered.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Hello {
    /// The newest version: "TLS 1.2".
    pub(crate) version: &'static str,
    /// The suites in their order.
    pub(crate) suites: Vec<Suite>,
    /// The groups in their order.
    pub(crate) groups: Vec<String>,
    /// Octets with the record header.
    pub(crate) octets: usize,
}

/// A cipher suite.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Suite {
    /// The code in hexadecimal: "0xc02f", or three octets for SSL 2.0.
    pub(crate) code: String,
    /// The IANA name, if it is known.
    pub(crate) name: Option<&'static str>,
    /// OpenSSL's name, if it has one.
    pub(crate) openssl_name: Option<&'static str>,
    /// The worst property: "aead", "cbc", "rc4".
    pub(crate) class: Option<&'static str>,
}

/// What the server chose and sent.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Server {
    /// "TLS 1.2", or the code of an unknown version.
    pub(crate) version: String,
    pub(crate) suite: Suite,
    /// The group or curve of the key exchange.
    pub(crate) group: Option<String>,
    /// Whether this is a HelloRetryRequest.
    pub(crate) retry: bool,
    /// Whether everything was offered. If not, the server breaks the protocol.
    pub(crate) offered: bool,
    /// The compression method; 0 is none.
    pub(crate) compression: u8,
    /// Octets of the session id.
    pub(crate) session_id_octets: usize,
    /// The extensions of the ServerHello in their order.
    pub(crate) extensions: Vec<SeenExtension>,
    /// The protocol that ALPN agreed on, escaped.
    pub(crate) alpn: Option<String>,
    /// The version that the random's downgrade mark names.
    pub(crate) downgrade_mark: Option<&'static str>,
    /// The parameters of an ephemeral key exchange. TLS 1.3 encrypts what follows the ServerHello.
    pub(crate) key_exchange: Option<KeyExchange>,
    /// The certificates, the server's own first. They were not verified.
    pub(crate) certificates: Vec<CertificateReport>,
    /// Whether an OCSP response was stapled.
    pub(crate) ocsp_stapled: bool,
    /// Whether a client certificate was asked for.
    pub(crate) client_certificate_requested: bool,
    /// Warning alerts on the way.
    pub(crate) warnings: Vec<ReceivedAlert>,
    /// How the flight ended: "done", "retry", "encrypted", "alert", "closed", "silent", "malformed".
    pub(crate) end: &'static str,
}

/// An extension that was seen.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SeenExtension {
    /// The registered number.
    pub(crate) code: u16,
    /// The registered name, if it is known.
    pub(crate) name: Option<&'static str>,
    /// Octets of its contents.
    pub(crate) octets: usize,
}

/// An ephemeral key exchange.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct KeyExchange {
    /// "ECDHE", "DHE", "RSA export", or "unread".
    pub(crate) kind: &'static str,
    /// The size of the field, prime or modulus in bits.
    pub(crate) bits: Option<u32>,
    /// Whether the curve has explicit parameters.
    pub(crate) explicit_curve: bool,
    /// The scheme of the signature, where it is named.
    pub(crate) signature: Option<String>,
}

/// An alert.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReceivedAlert {
    /// The registered number.
    pub(crate) code: u8,
    /// The registered name, if it is known.
    pub(crate) name: Option<&'static str>,
    /// Whether it is fatal.
    pub(crate) fatal: bool,
}

/// An answer in SSL 2.0.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Ssl2 {
    /// Every kind that the server has.
    pub(crate) kinds: Vec<Suite>,
    /// The certificate. It was not verified.
    pub(crate) certificate: Option<CertificateReport>,
}

impl Report {
    /// Creates the report of a server to which the hello was sent.
    pub(super) fn answered(
        target: &Target,
        address: Option<String>,
        negotiation: Negotiation,
        question: &Question,
        octets: usize,
        answer: &Answer,
    ) -> Self {
        let negotiation = (target.mode == Mode::Upgrade).then_some(negotiation);
        let report = Self::new(target, negotiation, question, octets);
        Self { address, ..report }.with(question, answer)
    }

    fn new(target: &Target, negotiation: Option<Negotiation>, question: &Question, octets: usize) -> Self {
        Self {
            subject: Subject::new(target),
            address: None,
            outcome: Outcome::Agreed,
            exit_code: exit::DONE,
            negotiation,
            hello: Hello::new(question, octets),
            server: None,
            ssl2: None,
            alert: None,
            received: None,
            error: None,
        }
    }

    fn with(self, question: &Question, answer: &Answer) -> Self {
        match answer {
            Answer::Hello(flight) => {
                let server = Server::new(flight, question);
                let alert = match flight.end {
                    FlightEnd::Alert(alert) => Some(alert.into()),
                    _ => None,
                };
                let report = Self { alert, ..self };
                let report = if server.offered {
                    report
                } else {
                    let what = "the server chose something that was not offered";
                    report.failed(Outcome::Violation, exit::VIOLATION, what.to_owned(), None)
                };
                Self { server: Some(server), ..report }
            }
            Answer::Ssl2(hello) => Self { ssl2: Some(hello.into()), ..self },
            Answer::Refused(alert) => {
                let report = Self { alert: Some((*alert).into()), ..self };
                report.failed(
                    Outcome::Refused,
                    exit::TLS,
                    format!("the server refused the hello: {alert}"),
                    hint(*alert),
                )
            }
            Answer::Ssl2Error(code) => self.failed(
                Outcome::Refused,
                exit::TLS,
                format!("the server refused the hello: SSL 2.0 error {code}"),
                None,
            ),
            Answer::Closed => self.failed(
                Outcome::Closed,
                exit::TLS,
                String::from("the server closed the connection after the hello"),
                Some("some servers close instead of sending an alert; a hello that succeeds right after confirms it"),
            ),
            Answer::Silent => self.failed(
                Outcome::Silent,
                exit::INCONCLUSIVE,
                String::from("the server did not answer the hello in time"),
                Some("--timeout 30s waits longer; some servers do not answer long hellos: try fewer --suites"),
            ),
            Answer::NotTls(received) => {
                let shown = Escaped(received).to_string();
                let what = format!("expected TLS from the server, found \"{shown}\"");
                let report = Self { received: Some(shown), ..self };
                report.failed(Outcome::Violation, exit::VIOLATION, what, None)
            }
            Answer::Malformed(malformed) => self.failed(
                Outcome::Violation,
                exit::VIOLATION,
                format!("the server's answer is malformed: {malformed}"),
                None,
            ),
        }
    }

    fn failed(self, outcome: Outcome, exit_code: u8, message: String, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { outcome, exit_code, error: Some(Failure { message, hint }), ..self }
    }

    /// Creates the report of a connection that ended before the hello.
    pub(super) fn not_asked(
        target: &Target,
        connection: Connection,
        question: &Question,
        octets: usize,
    ) -> Self {
        let outcome = match connection.outcome {
            Ended::Declined => Outcome::Declined,
            Ended::Inconclusive => Outcome::Inconclusive,
            Ended::Violation | Ended::TlsFailed => Outcome::Violation,
            Ended::Encrypted | Ended::EncryptedUnverified | Ended::Unreachable => Outcome::Unreachable,
        };
        let Connection { exit_code, negotiation, error, .. } = connection;
        Self { outcome, exit_code, error, ..Self::new(target, negotiation, question, octets) }
    }
}

fn hint(alert: Alert) -> Option<&'static str> {
    match alert.description {
        Alert::PROTOCOL_VERSION => {
            Some("the server has neither this version nor an older one: try a newer --version")
        }
        Alert::HANDSHAKE_FAILURE | Alert::INSUFFICIENT_SECURITY => {
            Some("the server accepts none of these suites or groups: try others with --suites and --groups")
        }
        Alert::UNRECOGNIZED_NAME => Some("--server-name NAME asks for a name that the server has"),
        _ => None,
    }
}

impl Hello {
    fn new(question: &Question, octets: usize) -> Self {
        let suites = match has_suites(question) {
            true => question.suites.iter().map(|suite| (*suite).into()).collect(),
            false => Ssl2Kind::all().map(|(kind, _)| kind.into()).collect(),
        };
        let groups = if has_suites(question) { question.groups.as_slice() } else { &[] };
        let groups = groups.iter().map(ToString::to_string).collect();
        Self { version: question.version.name(), suites, groups, octets }
    }
}

impl Suite {
    fn new(code: String, info: Option<&'static SuiteInfo>) -> Self {
        Self {
            code,
            name: info.map(|info| info.name),
            openssl_name: info.and_then(SuiteInfo::openssl_name),
            class: info.map(|info| info.class.name()),
        }
    }
}

impl From<CipherSuite> for Suite {
    fn from(suite: CipherSuite) -> Self {
        Self::new(format!("0x{:04x}", suite.0), suite.info())
    }
}

impl From<Ssl2Kind> for Suite {
    fn from(kind: Ssl2Kind) -> Self {
        let [a, b, c] = kind.0;
        Self::new(format!("0x{a:02x}{b:02x}{c:02x}"), kind.info())
    }
}

impl From<Alert> for ReceivedAlert {
    fn from(alert: Alert) -> Self {
        Self { code: alert.description, name: alert.name(), fatal: !alert.is_warning() }
    }
}

impl From<&Ssl2ServerHello> for Ssl2 {
    fn from(hello: &Ssl2ServerHello) -> Self {
        let certificate =
            (!hello.certificate.is_empty()).then(|| CertificateReport::read(&hello.certificate));
        Self { kinds: hello.kinds.iter().map(|kind| (*kind).into()).collect(), certificate }
    }
}

impl Server {
    fn new(flight: &ServerFlight, question: &Question) -> Self {
        let hello = &flight.hello;
        let curve = match &flight.key_exchange {
            Some(ServerKeyExchange::Ecdhe { curve: Curve::Named(group), .. }) => Some(*group),
            _ => None,
        };
        Self {
            version: hello
                .version()
                .map_or_else(|| format!("0x{:04x}", hello.version_code()), |version| version.to_string()),
            suite: hello.suite.into(),
            group: hello.group().or(curve).map(|group| group.to_string()),
            retry: hello.is_retry(),
            offered: question.offers(flight),
            compression: hello.compression,
            session_id_octets: hello.session_id.len(),
            extensions: hello.extensions.iter().map(SeenExtension::from).collect(),
            alpn: hello.alpn().map(|protocol| Escaped(protocol).to_string()),
            downgrade_mark: hello.downgrade_mark().map(|mark| match mark {
                DowngradeMark::Tls12 => Version::Tls12.name(),
                DowngradeMark::Tls11 => Version::Tls11.name(),
            }),
            key_exchange: flight.key_exchange.as_ref().map(KeyExchange::from),
            certificates: flight.certificates.iter().map(|der| CertificateReport::read(der)).collect(),
            ocsp_stapled: flight.ocsp_response.is_some(),
            client_certificate_requested: flight.certificate_request.is_some(),
            warnings: flight.warnings.iter().map(|alert| (*alert).into()).collect(),
            end: match flight.end {
                FlightEnd::Done => "done",
                FlightEnd::Retry => "retry",
                FlightEnd::Encrypted => "encrypted",
                FlightEnd::Alert(_) => "alert",
                FlightEnd::Closed => "closed",
                FlightEnd::Silent => "silent",
                FlightEnd::Malformed(_) => "malformed",
            },
        }
    }
}

impl From<&starttls_hello::Extension> for SeenExtension {
    fn from(extension: &starttls_hello::Extension) -> Self {
        let octets = extension.data.len();
        Self { code: extension.kind, name: extension_name(extension.kind), octets }
    }
}

impl From<&ServerKeyExchange> for KeyExchange {
    fn from(exchange: &ServerKeyExchange) -> Self {
        let (kind, explicit_curve) = match exchange {
            ServerKeyExchange::Ecdhe { curve, .. } => ("ECDHE", !matches!(curve, Curve::Named(_))),
            ServerKeyExchange::Dhe { .. } => ("DHE", false),
            ServerKeyExchange::RsaExport { .. } => ("RSA export", false),
            ServerKeyExchange::Unread(_) => ("unread", false),
        };
        let signature = exchange.scheme().map(|scheme| scheme.to_string());
        Self { kind, bits: exchange.bits(), explicit_curve, signature }
    }
}
