//! What to tell somebody who dialled the wrong port, or trusts the wrong roots.

use std::error::Error as _;
use std::time::Duration;

use starttls::proto::{ErrorKind, Protocol, speaks};
use starttls::{Connector, Error};

use crate::peer::Dial;
use crate::target::{Mode, Target};

/// How long a port that said nothing may take to show that it speaks TLS.
const PROBE: Duration = Duration::from_secs(3);

/// Whether a port that kept silent where a greeting belongs speaks TLS from the first byte: asks it.
pub(crate) async fn is_silent_tls(protocol: &Protocol, dial: &Dial, error: &Error) -> bool {
    let (Error::Timeout { step: "the greeting", .. }, Dial::Tcp(endpoint)) = (error, dial) else {
        return false;
    };
    let Ok(prober) = Connector::builder().insecure().timeout(PROBE).build() else { return false };
    match prober.connect_implicit(protocol, endpoint.clone()).await {
        Ok(_) | Err(Error::Tls(_)) => true,
        Err(_) => false,
    }
}

/// The cure for [`is_silent_tls`].
pub(crate) fn silent_tls(target: &Target) -> String {
    instead(target, "speaks TLS from the first byte")
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
            ErrorKind::TlsNotCleartext => Some(instead(target, "speaks TLS from the first byte")),
            ErrorKind::OtherProtocol => Some(other_protocol(target, &broken.received)),
            _ => error.hint().map(str::to_owned),
        },
        Error::PlaintextNotTls { received, .. } if target.mode == Mode::ImplicitTls => {
            let speaker = speaks(received).unwrap_or("some other protocol");
            let same = target.other_mode().filter(|other| same_family(speaker, other.protocol.title));
            Some(match same {
                Some(other) => format!("port {} starts in cleartext ({speaker}): use {other}", target.port),
                None => other_protocol(target, received),
            })
        }
        Error::Certificate { .. } => {
            let hint = error.hint().map(|hint| format!("{hint} (--ca-file), or "));
            Some(
                hint.unwrap_or_default()
                    + "see more with --insecure, which goes on without proof of who answers",
            )
        }
        _ => error.hint().map(str::to_owned),
    }
}

fn instead(target: &Target, why: &str) -> String {
    match target.other_mode() {
        Some(other) => format!("port {} {why}: use {other}", target.port),
        None => format!("port {} {why}, which {} has no scheme for", target.port, target.protocol.title),
    }
}

fn other_protocol(target: &Target, received: &[u8]) -> String {
    let schemes = match speaks(received) {
        Some("HTTP") => "http://",
        Some("SMTP or FTP") => "smtp:// or ftp://",
        Some("IMAP") => "imap://",
        Some("POP3") => "pop3://",
        Some("NNTP") => "nntp://",
        Some("ManageSieve") => "sieve://",
        Some("XMPP") => "xmpp://",
        _ => return format!("port {} does not serve {}: check the port", target.port, target.protocol.title),
    };
    format!(
        "port {} speaks another protocol: use {schemes}{}:{}",
        target.port, target.host.ascii, target.port
    )
}

fn same_family(speaker: &str, title: &str) -> bool {
    speaker.contains(title)
        || title.contains(speaker)
        || (speaker.contains("SMTP") && title == "mail submission")
}
