//! What to tell somebody who dialled the wrong port, or trusts the wrong roots.

use std::error::Error as _;
use std::time::{Duration, Instant};

use starttls::proto::{DeclinedReason, ErrorKind, Refusal, Speaker};
use starttls::rustls::pki_types::CertificateDer;
use starttls::{CertificateFault, Connector, Error, Step};

use crate::args::Peer;
use crate::connect::conversation::Negotiation;
use crate::connect::report::Report;
use crate::exit;
use crate::peer::Dial;
use crate::target::{Mode, Target};
use starttls_audit::report::Certificate;

/// How long a port that said nothing may take to show what it speaks.
const PROBE: Duration = Duration::from_secs(3);

const SPEAKS_TLS: &str = "speaks TLS from the first byte";

/// Why there is no session, and what to do about it if the port serves something else.
pub(crate) struct Unopened {
    pub(crate) error: Error,
    /// The port serves something else: which URL to use.
    pub(crate) instead: Option<String>,
    /// Another cause that was found by a second connection.
    pub(crate) cause: Option<String>,
}

impl Unopened {
    fn by(error: Error) -> Self {
        Self { error, instead: None, cause: None }
    }

    /// Returns the report of a connection that failed like this.
    pub(crate) fn report(self, target: &Target, negotiation: Negotiation) -> Report {
        let report = Report::of_error(target, negotiation, &self.error);
        match (self.instead, self.cause) {
            (Some(hint), _) => report.speaks_something_else(hint),
            (None, Some(hint)) => report.with_hint(hint),
            (None, None) => report,
        }
    }
}

/// Opens a session with this work. When the work fails or takes long, a second connection looks for the cause: if the
/// server sends nothing, the port is asked what it serves; otherwise a small ClientHello is tried. Both connections end
/// within the peer's timeout.
///
/// Servers of implicit TLS, and of HTTP, wait for the client to speak, as this client waits for them.
pub(crate) async fn opening<T>(
    target: &Target,
    dial: &Dial,
    peer: &Peer,
    is_silent: impl Fn() -> bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unopened> {
    diagnosed(target, dial, peer, true, is_silent, work).await
}

/// Does the same for work that ends before the handshake. No small ClientHello is tried: the size of the ClientHello is
/// not the cause, and the server gets no handshake that the user did not ask for.
pub(crate) async fn negotiation<T>(
    target: &Target,
    dial: &Dial,
    peer: &Peer,
    is_silent: impl Fn() -> bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unopened> {
    diagnosed(target, dial, peer, false, is_silent, work).await
}

async fn diagnosed<T>(
    target: &Target,
    dial: &Dial,
    peer: &Peer,
    has_handshake: bool,
    is_silent: impl Fn() -> bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unopened> {
    let mut work = std::pin::pin!(work);
    let deadline = Instant::now() + peer.timeout;
    let left = || deadline.saturating_duration_since(Instant::now()).min(PROBE);
    // The second connection has the same deadline as the first one, so it starts while there is time for both.
    let early = PROBE.min(peer.timeout / 2);
    let says_nothing = || target.mode == Mode::Upgrade && is_silent();
    let mut asked = None;
    let done = match tokio::time::timeout(early, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            let second = async {
                if says_nothing() {
                    Asked { instead: ask(target, dial, left()).await, cause: None }
                } else if has_handshake {
                    Asked { instead: None, cause: with_small_hello(target, dial, peer, left()).await }
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                biased;
                done = &mut work => done,
                answer = second => {
                    if answer.instead.is_some() {
                        let error = Error::Timeout { step: Step::Greeting, limit: early };
                        return Err(Unopened { instead: answer.instead, ..Unopened::by(error) });
                    }
                    asked = Some(answer);
                    work.await
                }
            }
        }
    };
    let error = match done {
        Ok(session) => return Ok(session),
        Err(error) => error,
    };
    let mut unopened = Unopened::by(error);
    if says_nothing() && is_silence(&unopened.error) {
        unopened.instead = match asked {
            Some(answer) => answer.instead,
            None => ask(target, dial, left()).await,
        };
    } else if has_handshake && unopened.error.may_be_large_hello() {
        unopened.cause = match asked {
            Some(answer) => answer.cause,
            None => with_small_hello(target, dial, peer, left()).await,
        };
    }
    Err(unopened)
}

/// What the second connection found.
struct Asked {
    instead: Option<String>,
    cause: Option<String>,
}

/// Whether a server that waits for the client to speak ends a connection like this.
fn is_silence(error: &Error) -> bool {
    match error {
        Error::Timeout { step, .. } => matches!(step, Step::Greeting | Step::Hello | Step::Request),
        Error::Protocol(broken) => broken.kind == ErrorKind::Closed,
        Error::Io { .. } => true,
        _ => false,
    }
}

/// Tries once with a ClientHello that fits into one segment; returns the cause when that succeeds.
async fn with_small_hello(target: &Target, dial: &Dial, peer: &Peer, limit: Duration) -> Option<String> {
    let Dial::Tcp(endpoint) = dial else { return None };
    let connector = peer.builder(true).ok()?.insecure().small_hello().timeout(limit).build().ok()?;
    let tried = match target.mode {
        Mode::Upgrade => connector.connect(target.protocol, endpoint.clone()).await,
        Mode::ImplicitTls => connector.connect_implicit(target.protocol, endpoint.clone()).await,
    };
    tried.ok().map(|_| {
        String::from(
            "the handshake succeeds with a small ClientHello: the server, or a device on the way, does not accept one of \
             more than one segment, as post-quantum key exchange makes it; update that device",
        )
    })
}

/// Asks a port with a ClientHello what it speaks; returns the URL to use.
async fn ask(target: &Target, dial: &Dial, limit: Duration) -> Option<String> {
    let Dial::Tcp(endpoint) = dial else { return None };
    let prober = Connector::builder().insecure().timeout(limit).build().ok()?;
    match prober.connect_implicit(target.protocol, endpoint.clone()).await {
        Err(error) if error.may_be_cleartext_port() => None,
        Ok(_)
        | Err(Error::NoAlpn { .. } | Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_)) => {
            Some(instead(target, SPEAKS_TLS))
        }
        Err(Error::PlaintextNotTls { received, .. }) => {
            Speaker::recognize(&received).map(|_| other_protocol(target, &received))
        }
        Err(_) => None,
    }
}

/// One line: the error and its causes.
pub(crate) fn with_causes(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        line.push_str(": ");
        line.push_str(&current.to_string());
        cause = current.source();
    }
    line
}

/// The cure: which URL or option to use instead.
pub(crate) fn hint(target: &Target, error: &Error) -> Option<String> {
    match error {
        Error::Protocol(broken) => match broken.kind {
            ErrorKind::TlsNotCleartext => Some(instead(target, SPEAKS_TLS)),
            ErrorKind::OtherProtocol => Some(other_protocol(target, &broken.received)),
            _ => library_hint(error),
        },
        Error::PlaintextNotTls { received, .. } if target.mode == Mode::ImplicitTls => {
            Some(cleartext(target, received))
        }
        // A server that waits for cleartext may close at the ClientHello, go on waiting, or send this alert.
        Error::Io { step: Step::Handshake, .. }
        | Error::Timeout { step: Step::Handshake, .. }
        | Error::Tls(_)
            if target.mode == Mode::ImplicitTls
                && (!matches!(error, Error::Tls(_)) || error.may_be_cleartext_port()) =>
        {
            target
                .other_mode()
                .map(|other| format!("if port {} starts in cleartext, use {other}", target.port))
        }
        Error::Certificate { failure, chain, .. } => Some(certificate(error, &failure.fault, chain.first())),
        Error::Declined(refused) if exit::is_somebody_else(refused) => {
            Some(String::from("--server-name NAME asks for the name that it does serve"))
        }
        Error::Declined(refused) => match refused.reason {
            DeclinedReason::Refused(Refusal::Temporary) => {
                Some(String::from("it may be ready soon: --retry 5 asks again, a second apart"))
            }
            _ => library_hint(error).or_else(|| cleartext_only(target)),
        },
        _ => library_hint(error),
    }
}

/// Returns the hint of the library, with the option that follows it.
pub(crate) fn library_hint(error: &Error) -> Option<String> {
    let hint = error.hint()?;
    let option = match error {
        Error::ClientCertificate(_) => " (--cert PEM and --key PEM)",
        Error::NoServerName(_) => " (--server-name NAME)",
        error if error.may_be_client_name() => " (--client-name NAME)",
        _ => "",
    };
    Some(format!("{hint}{option}"))
}

fn certificate(error: &Error, fault: &CertificateFault, leaf: Option<&CertificateDer<'_>>) -> String {
    let other = matches!(fault, CertificateFault::WrongName { .. });
    let names = leaf.map(|der| Certificate::read(der).names).unwrap_or_default();
    let name = names.iter().find(|name| !name.contains(['*', ':'])).filter(|_| other);
    let cure = match (name, error.hint()) {
        (Some(name), _) => format!("if it is the right server, --server-name {name} expects that name; "),
        (None, Some(hint))
            if matches!(fault, CertificateFault::UntrustedRoot | CertificateFault::BadSignature) =>
        {
            format!("{hint} (--ca-file PEM); ")
        }
        (None, Some(hint)) => format!("{hint}; "),
        (None, None) => String::new(),
    };
    cure + "--insecure shows more, and proves nothing about the server"
}

fn instead(target: &Target, why: &str) -> String {
    match target.other_mode() {
        Some(other) => format!("port {} {why}: use {other}", target.port),
        None => format!("port {} {why}, which {} has no scheme for", target.port, target.protocol.title),
    }
}

/// Cleartext came where TLS belongs: from this protocol's own upgrade port, most likely.
fn cleartext(target: &Target, received: &[u8]) -> String {
    let port = target.port;
    match (Speaker::recognize(received), target.other_mode()) {
        (Some(speaker), Some(other)) if speaker.families().contains(&other.protocol.family) => {
            format!("port {port} starts in cleartext ({speaker}): use {other}")
        }
        (None, Some(other)) => {
            format!("port {port} starts in cleartext: use {other} if that is what it serves")
        }
        _ => other_protocol(target, received),
    }
}

fn cleartext_only(target: &Target) -> Option<String> {
    (target.mode == Mode::Upgrade)
        .then(|| format!("talk to it as it is: starttls connect {target} --cleartext"))
}

fn other_protocol(target: &Target, received: &[u8]) -> String {
    let names = |word: &[u8]| received.windows(word.len()).any(|it| it == word);
    let schemes: &[&str] = match Speaker::recognize(received) {
        Some(Speaker::Http) => &["http"],
        Some(Speaker::SmtpOrFtp) if names(b"SMTP") => &["smtp"],
        Some(Speaker::SmtpOrFtp) if names(b"LMTP") => &["lmtp"],
        Some(Speaker::SmtpOrFtp) if names(b"FTP") => &["ftp"],
        Some(Speaker::SmtpOrFtp) => &["smtp", "ftp"],
        Some(Speaker::Imap) => &["imap"],
        Some(Speaker::Pop3) => &["pop3"],
        Some(Speaker::Nntp) => &["nntp"],
        Some(Speaker::ManageSieve) => &["sieve"],
        Some(Speaker::Xmpp) => &["xmpp"],
        _ => return format!("port {} does not serve {}: check the port", target.port, target.protocol.title),
    };
    let urls: Vec<_> = schemes.iter().map(|scheme| target.host.url(scheme, target.port)).collect();
    format!("port {} speaks another protocol: use {}", target.port, urls.join(" or "))
}
