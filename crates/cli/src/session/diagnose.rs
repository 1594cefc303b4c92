//! Finds out why there is no session, for a user who dialed the wrong port or trusts the wrong roots.

use std::time::{Duration, Instant};

use starttls::proto::{DeclinedReason, ErrorKind, PROTOCOLS, Protocol, Refusal, Speaker};
use starttls::rustls::pki_types::CertificateDer;
use starttls::{CertificateFault, Connector, Error, Step};

use crate::args::Peer;
use crate::peer::Dial;
use crate::target::{Mode, Target};
use crate::{exit, hint};
use starttls_audit::report::CertificateReport;

/// The time that the second connection may take.
const PROBE: Duration = Duration::from_secs(3);

const SPEAKS_TLS: &str = "starts TLS at the first byte";

/// The reason why there is no session.
pub(crate) struct Unopened {
    pub(crate) error: Error,
    /// The port serves another protocol: the hint with the URL to use.
    pub(crate) instead: Option<String>,
    /// A cause that a second connection found.
    pub(crate) cause: Option<String>,
}

impl Unopened {
    fn by(error: Error) -> Self {
        Self { error, instead: None, cause: None }
    }
}

/// Waits for `work`, which opens a session. If it fails or takes long, a second connection looks for the cause: if the
/// server is silent, a ClientHello asks the port what it serves; otherwise a small ClientHello is tried. Both
/// connections end within the peer's timeout.
///
/// Servers of implicit TLS, and of HTTP, wait for the client's first byte while this client waits for theirs.
pub(crate) async fn opening<T>(
    target: &Target,
    dial: &Dial,
    peer: &Peer,
    is_silent: impl Fn() -> bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unopened> {
    diagnosed(target, dial, peer, true, is_silent, work).await
}

/// Like [`opening`], for work that ends before the handshake. No small ClientHello is tried: the size of the ClientHello
/// cannot be the cause, and the user did not ask for a handshake.
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
    // The second connection shares the deadline of the first one, so it starts while there is time for both.
    let early = PROBE.min(peer.timeout / 2);
    let server_is_silent = || target.mode == Mode::Upgrade && is_silent();
    let mut found = None;
    let done = match tokio::time::timeout(early, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            let second = async {
                if server_is_silent() {
                    Second { instead: ask(target, dial, peer, left()).await, cause: None }
                } else if has_handshake {
                    Second { instead: None, cause: with_small_hello(target, dial, peer, left()).await }
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
                    found = Some(answer);
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
    if server_is_silent() && is_silence(&unopened.error) {
        unopened.instead = match found {
            Some(answer) => answer.instead,
            None => ask(target, dial, peer, left()).await,
        };
    } else if has_handshake && unopened.error.may_be_large_hello() {
        unopened.cause = match found {
            Some(answer) => answer.cause,
            None => with_small_hello(target, dial, peer, left()).await,
        };
    }
    Err(unopened)
}

/// The result of the second connection.
struct Second {
    instead: Option<String>,
    cause: Option<String>,
}

/// Returns whether a connection to a server that waits for the client's first byte ends like this.
fn is_silence(error: &Error) -> bool {
    match error {
        Error::Timeout { step, .. } => matches!(step, Step::Greeting | Step::Hello | Step::Request),
        Error::Protocol(broken) => broken.kind == ErrorKind::Closed,
        Error::Io { .. } => true,
        _ => false,
    }
}

/// Tries once with a ClientHello that fits into one segment. Returns the cause if that succeeds.
async fn with_small_hello(target: &Target, dial: &Dial, peer: &Peer, limit: Duration) -> Option<String> {
    let Dial::Tcp(endpoint) = dial else { return None };
    let connector = peer
        .builder(true)
        .ok()?
        .insecure()
        .small_hello()
        .timeout(limit)
        .build()
        .ok()?
        .with_dialer(peer.route().ok()?);
    let tried = match target.mode {
        Mode::Upgrade => connector.connect(target.protocol, endpoint.clone()).await,
        Mode::ImplicitTls => connector.connect_implicit(target.protocol, endpoint.clone()).await,
    };
    tried.ok().map(|_| {
        String::from(
            "the handshake succeeds with a small ClientHello: the server or a device on the path rejects a ClientHello of \
             more than one segment, which post-quantum key exchange needs; update that server or device",
        )
    })
}

/// Sends a ClientHello to find out what the port serves. Returns the hint with the URL to use.
async fn ask(target: &Target, dial: &Dial, peer: &Peer, limit: Duration) -> Option<String> {
    let Dial::Tcp(endpoint) = dial else { return None };
    let prober = Connector::builder().insecure().timeout(limit).build().ok()?.with_dialer(peer.route().ok()?);
    match prober.connect_implicit(target.protocol, endpoint.clone()).await {
        Err(error) if error.may_be_cleartext_port() => None,
        Ok(_)
        | Err(Error::NoAlpn { .. } | Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_)) => {
            Some(instead(target, SPEAKS_TLS))
        }
        Err(Error::PlaintextNotTls { received, .. }) => other_speaker(target, &received),
        Err(_) => None,
    }
}

/// Returns the hint for a server that speaks another protocol. One that speaks the expected protocol is only slow.
fn other_speaker(target: &Target, received: &[u8]) -> Option<String> {
    let speaker = Speaker::recognize(received)?;
    (!speaker.families().contains(&target.protocol.family)).then(|| other_protocol(target, received))
}

/// Returns the hint for an error: the URL or option to use instead.
pub(crate) fn hint(target: &Target, error: &Error) -> Option<String> {
    match error {
        Error::Protocol(broken) => match broken.kind {
            ErrorKind::TlsNotCleartext => Some(instead(target, SPEAKS_TLS)),
            ErrorKind::OtherProtocol => Some(other_protocol(target, &broken.received)),
            _ => hint::of_library(error),
        },
        Error::PlaintextNotTls { received, .. } if target.mode == Mode::ImplicitTls => {
            Some(cleartext(target, received))
        }
        // A server that expects cleartext may close at the ClientHello, keep waiting, or send this alert.
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
        Error::Declined(refused) if exit::is_unknown_host(refused) => {
            Some(String::from("use --server-name NAME with a name that the server serves"))
        }
        Error::Declined(refused) => match refused.reason {
            DeclinedReason::Refused(Refusal::Temporary) => Some(String::from(
                "the server may be ready later: --retry 5 asks again five times, once a second",
            )),
            _ => hint::of_library(error).or_else(|| cleartext_only(target)),
        },
        _ => hint::of_library(error),
    }
}

fn certificate(error: &Error, fault: &CertificateFault, leaf: Option<&CertificateDer<'_>>) -> String {
    let other = matches!(fault, CertificateFault::WrongName { .. });
    let names = leaf.map(|der| CertificateReport::read(der).names).unwrap_or_default();
    let name = names.iter().find(|name| !name.contains(['*', ':'])).filter(|_| other);
    let fix = match (name, error.hint()) {
        (Some(name), _) => format!("if this is the right server, use --server-name {name}; "),
        (None, Some(hint))
            if matches!(fault, CertificateFault::UntrustedRoot | CertificateFault::BadSignature) =>
        {
            format!("{hint} (--ca-file PEM); ")
        }
        (None, Some(hint)) => format!("{hint}; "),
        (None, None) => String::new(),
    };
    fix + "--insecure continues for diagnosis, without proof of the server's identity"
}

fn instead(target: &Target, why: &str) -> String {
    match target.other_mode() {
        Some(other) => format!("port {} {why}: use {other}", target.port),
        None => format!("port {} {why}, and {} has no scheme for that", target.port, target.protocol.title),
    }
}

/// Returns the hint for cleartext where TLS was expected: the port is probably the upgrade port of the same protocol.
fn cleartext(target: &Target, received: &[u8]) -> String {
    let port = target.port;
    match (Speaker::recognize(received), target.other_mode()) {
        (Some(speaker), Some(other)) if speaker.families().contains(&other.protocol.family) => {
            format!("port {port} starts in cleartext ({speaker}): use {other}")
        }
        (None, Some(other)) => {
            format!("port {port} starts in cleartext: if it serves {}, use {other}", other.protocol.title)
        }
        _ => other_protocol(target, received),
    }
}

fn cleartext_only(target: &Target) -> Option<String> {
    (target.mode == Mode::Upgrade)
        .then(|| format!("to use the server without TLS: starttls connect {target} --cleartext"))
}

/// Returns the hint for a port that serves another protocol.
fn other_protocol(target: &Target, received: &[u8]) -> String {
    let families = Speaker::recognize(received).map_or(&[][..], Speaker::families);
    let candidates = || PROTOCOLS.iter().filter(|it| families.contains(&it.family));
    let is_named = |it: &&&Protocol| {
        let name = it.name.to_ascii_uppercase();
        received.windows(name.len()).any(|word| word == name.as_bytes())
    };
    // A greeting that names its protocol decides between the candidates. Otherwise one protocol of each family is enough.
    let suggested: Vec<_> = match candidates().find(is_named) {
        Some(named) => vec![named],
        None => families.iter().filter_map(|family| candidates().find(|it| it.family == *family)).collect(),
    };
    let urls: Vec<_> = suggested.iter().map(|it| target.host.url(it.name, target.port)).collect();
    if urls.is_empty() {
        return format!("port {} does not serve {}: check the port", target.port, target.protocol.title);
    }
    format!("port {} serves another protocol: use {}", target.port, urls.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_server_of_the_expected_protocol_is_not_another_one() {
        let target: Target = "smtp://mail.example.com".parse().unwrap();
        assert_eq!(other_speaker(&target, b"220 mail.example.com ESMTP\r\n"), None);
        assert!(other_speaker(&target, b"* OK IMAP4rev1 ready\r\n").unwrap().contains("use imap://"));
    }

    #[test]
    fn a_greeting_that_names_its_protocol_decides_the_hint() {
        let target: Target = "imap://mail.example.com:2525".parse().unwrap();
        for (greeting, expected) in [
            ("220 mail.example.com ESMTP\r\n", "use smtp://mail.example.com:2525"),
            ("220 mail.example.com LMTP\r\n", "use lmtp://mail.example.com:2525"),
            ("220 FTP server ready\r\n", "use ftp://mail.example.com:2525"),
            ("220 ready\r\n", "use smtp://mail.example.com:2525 or ftp://mail.example.com:2525"),
            ("+OK ready\r\n", "use pop3://mail.example.com:2525"),
            ("SSH-2.0-OpenSSH_9.9\r\n", "does not serve IMAP"),
        ] {
            let hint = other_protocol(&target, greeting.as_bytes());
            assert!(hint.ends_with(expected) || hint.contains(expected), "{greeting:?}: {hint}");
        }
    }
}
