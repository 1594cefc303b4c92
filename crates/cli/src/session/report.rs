//! The report of one connection, as data. The schema is in `docs/schema/connect.json`.

use std::time::Duration;

use serde::Serialize;
use starttls::proto::base64;
use starttls::rustls::pki_types::CertificateDer;
use starttls::{CertificateFault, CertificateVerdict, Encrypted, Step, TlsFacts};

use super::conversation::Negotiation;
use super::diagnose::{self, Unopened};
use crate::error::{Failed, with_causes};
use crate::exit;
use crate::target::{Mode, Target};
use starttls_audit::report::CertificateReport;
use starttls_x509::certificate_to_pem;

/// The first fields of the reports of one connection.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Subject {
    /// Increases when a field changes its meaning or is removed.
    schema_version: u32,
    /// The target in its canonical form.
    target: String,
    /// The scheme of the protocol.
    protocol: &'static str,
    /// Whether TLS was to start in place or at the first byte.
    mode: &'static str,
}

impl Subject {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            schema_version: 1,
            target: target.to_string(),
            protocol: target.protocol.name,
            mode: target.mode.name(),
        }
    }
}

/// Everything that was observed on one connection.
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
    /// The TLS session, if there is one.
    pub(crate) tls: Option<Tls>,
    /// The peer's certificate, if it presented one.
    pub(crate) certificate: Option<Presented>,
    /// How long each step took.
    pub(crate) timings: Timings,
    /// The error, if there was one.
    pub(crate) error: Option<Failure>,
    /// The fault of the certificate that ended the handshake.
    #[serde(skip)]
    pub(crate) fault: Option<CertificateFault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The connection is encrypted, and the certificate was verified.
    Encrypted,
    /// The connection is encrypted with a peer that did not prove its identity (`--insecure`).
    EncryptedUnverified,
    /// The server does not upgrade.
    Declined,
    /// The server turned the connection away before it could be asked.
    Inconclusive,
    /// The connection failed or broke.
    Unreachable,
    /// The handshake or the verification failed.
    TlsFailed,
    /// The peer violated the protocol.
    Violation,
}

/// The TLS session.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tls {
    /// "TLS 1.3".
    pub(crate) version: &'static str,
    /// The registered name.
    pub(crate) cipher_suite: String,
    /// The group of the key exchange.
    pub(crate) group: Option<String>,
    /// Whether that group resists quantum computers.
    pub(crate) post_quantum: bool,
    /// The name that was sent.
    pub(crate) server_name: Option<String>,
    /// The protocol id that ALPN selected.
    pub(crate) alpn: Option<String>,
    /// "full", "full with hello retry", "resumed".
    pub(crate) handshake: &'static str,
    /// The number of session tickets that arrived before the report was written.
    pub(crate) tickets: u32,
    /// Octets that the handshake read.
    pub(crate) handshake_read: u64,
    /// Octets that the handshake wrote.
    pub(crate) handshake_written: u64,
    /// Whether an OCSP response was stapled. It is not evaluated.
    pub(crate) ocsp_stapled: bool,
}

/// The certificates that the peer presented, and the result of their verification.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Presented {
    pub(crate) verified: bool,
    /// The verdict in words.
    pub(crate) verdict: String,
    /// Its own certificate first.
    pub(crate) chain: Vec<CertificateReport>,
    /// The same certificates in PEM.
    pub(crate) pem: Vec<String>,
    /// The pins of their public keys, in Base64 (RFC 7469 section 2.4).
    pub(crate) pins: Vec<String>,
}

/// Milliseconds; null where the step was not reached.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Timings {
    pub(crate) resolve_ms: Option<f64>,
    pub(crate) connect_ms: Option<f64>,
    pub(crate) negotiation_ms: Option<f64>,
    pub(crate) handshake_ms: Option<f64>,
}

impl Timings {
    /// Lists the steps that were reached: `connect 3.4 ms, negotiation 5.9 ms`.
    pub(crate) fn steps(&self) -> String {
        let steps = [
            ("resolve", self.resolve_ms),
            ("connect", self.connect_ms),
            ("negotiation", self.negotiation_ms),
            ("handshake", self.handshake_ms),
        ];
        let reached = steps.iter().filter_map(|(name, ms)| ms.map(|ms| format!("{name} {ms:.1} ms")));
        reached.collect::<Vec<_>>().join(", ")
    }
}

/// What went wrong.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failure {
    /// One line, with its causes.
    pub(crate) message: String,
    /// What the user can do, if that is known.
    pub(crate) hint: Option<String>,
}

impl Report {
    fn new(target: &Target, negotiation: Negotiation, outcome: Outcome, exit_code: u8) -> Self {
        Self {
            subject: Subject::new(target),
            address: None,
            outcome,
            exit_code,
            negotiation: (target.mode == Mode::Upgrade).then_some(negotiation),
            tls: None,
            certificate: None,
            timings: Timings::default(),
            error: None,
            fault: None,
        }
    }

    /// Returns the report of an open session.
    pub(crate) fn of_session<IO>(target: &Target, negotiation: Negotiation, session: &Encrypted<IO>) -> Self {
        let facts = session.facts();
        let (verified, verdict) = match &facts.verdict {
            // The only verifier of this program's own is that of DANE.
            CertificateVerdict::AcceptedByCaller => (true, String::from("authenticated by a TLSA record")),
            verdict => (*verdict == CertificateVerdict::Verified, verdict.to_string()),
        };
        let outcome = if verified { Outcome::Encrypted } else { Outcome::EncryptedUnverified };
        Self {
            address: facts.address.map(|address| address.to_string()),
            tls: Some(Tls::new(facts, session.tickets_received())),
            certificate: Some(Presented::new(verified, verdict, &facts.chain)),
            timings: Timings::new(&facts.timings),
            ..Self::new(target, negotiation, outcome, exit::DONE)
        }
    }

    /// Turns this into the report of a session that the server ended right after the handshake.
    pub(crate) fn rejected(self, failed: Failed) -> Self {
        let Failed { code, message, hint } = failed;
        let outcome = if code == exit::TLS { Outcome::TlsFailed } else { Outcome::Unreachable };
        Self { outcome, exit_code: code, error: Some(Failure { message, hint }), ..self }
    }

    /// Returns the report of a connection that did not become a session, with the cause that was found.
    pub(crate) fn of_unopened(target: &Target, negotiation: Negotiation, unopened: Unopened) -> Self {
        let report = Self::of_error(target, negotiation, &unopened.error);
        match (unopened.instead, unopened.cause) {
            (Some(hint), _) => {
                Self { outcome: Outcome::Violation, exit_code: exit::VIOLATION, ..report.with_hint(hint) }
            }
            (None, Some(hint)) => report.with_hint(hint),
            (None, None) => report,
        }
    }

    fn with_hint(self, hint: String) -> Self {
        Self { error: self.error.map(|failure| Failure { hint: Some(hint), ..failure }), ..self }
    }

    /// Returns the failure that ends the command.
    pub(crate) fn failure(&self) -> Failed {
        let error = self.error.as_ref();
        let message = error.map_or_else(String::new, |error| error.message.clone());
        Failed::new(self.exit_code, message).hint(error.and_then(|error| error.hint.clone()))
    }

    /// Returns the report of a connection that failed with this error.
    pub(crate) fn of_error(target: &Target, negotiation: Negotiation, error: &starttls::Error) -> Self {
        // A server that does not know the command may leave the request unanswered (IRC), which declines it too.
        let listed = negotiation.offered == Some(false) || negotiation.hello_refused.is_some();
        let unanswered = listed && matches!(error, starttls::Error::Timeout { step: Step::Request, .. });
        let exit_code = if unanswered { exit::DECLINED } else { exit::of_library(error) };
        let outcome = match exit_code {
            exit::DECLINED => Outcome::Declined,
            exit::INCONCLUSIVE => Outcome::Inconclusive,
            exit::TLS => Outcome::TlsFailed,
            exit::VIOLATION => Outcome::Violation,
            _ => Outcome::Unreachable,
        };
        let certificate = match error {
            starttls::Error::Certificate { failure, chain, .. } => {
                Some(Presented::new(false, format!("not verified: {failure}"), chain))
            }
            _ => None,
        };
        let fault = match error {
            starttls::Error::Certificate { failure, .. } => Some(failure.fault.clone()),
            _ => None,
        };
        let no_tls = || {
            String::from(
                "the server did not offer TLS and did not answer the request: it does not support the upgrade",
            )
        };
        let hint = diagnose::hint(target, error).or_else(|| unanswered.then(no_tls));
        let failure = Failure { message: with_causes(error), hint };
        Self {
            certificate,
            fault,
            error: Some(failure),
            ..Self::new(target, negotiation, outcome, exit_code)
        }
    }
}

impl Presented {
    pub(crate) fn new(verified: bool, verdict: String, ders: &[CertificateDer<'_>]) -> Self {
        let chain: Vec<CertificateReport> = ders.iter().map(|der| CertificateReport::read(der)).collect();
        let pem = ders.iter().map(|der| certificate_to_pem(der)).collect();
        // The pins and the chain have the same indices, also if a certificate cannot be read.
        let pin =
            |der: &CertificateDer<'_>| starttls_x509::Certificate::from_der(der).map(|it| it.spki_sha256());
        let pins =
            ders.iter().map(|der| pin(der).map(|pin| base64::encode(&pin)).unwrap_or_default()).collect();
        Self { verified, verdict, pem, pins, chain }
    }
}

impl Tls {
    pub(crate) fn new(facts: &TlsFacts, tickets: u32) -> Self {
        Self {
            version: facts.version_name(),
            cipher_suite: facts.cipher_suite_name(),
            post_quantum: facts.is_post_quantum(),
            group: facts.group_name(),
            server_name: facts.server_name.clone(),
            alpn: facts.alpn.as_deref().map(|id| starttls::proto::Escaped(id).to_string()),
            handshake: facts.kind_name(),
            tickets,
            handshake_read: facts.handshake_read,
            handshake_written: facts.handshake_written,
            ocsp_stapled: facts.ocsp_response.is_some(),
        }
    }
}

impl Timings {
    fn new(timings: &starttls::Timings) -> Self {
        let ms = |time: Option<Duration>| time.map(|time| (time.as_secs_f64() * 1e5).round() / 100.0);
        Self {
            resolve_ms: ms(timings.resolve),
            connect_ms: ms(timings.connect),
            negotiation_ms: ms(timings.negotiation),
            handshake_ms: ms(timings.handshake),
        }
    }
}
