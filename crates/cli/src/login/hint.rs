//! What to do about a login that failed.

use starttls::login::{Account, LoginError};
use starttls::proto::Denial;

use crate::args::Credentials;
use crate::exit;
use crate::target::Target;

/// The exit code for an error of a login.
pub(super) fn code(error: &LoginError) -> u8 {
    match error {
        LoginError::NoLogin { .. } | LoginError::Account { .. } => exit::USAGE,
        LoginError::NotOffered { .. } | LoginError::Unproven { .. } | LoginError::Mechanism { .. } => {
            exit::REFUSED
        }
        LoginError::Refused { denial, mechanism, .. } => match denial {
            // The server refused the hello: nothing is known about the login.
            Denial::Mechanism if mechanism.is_empty() => exit::INCONCLUSIVE,
            Denial::Credentials | Denial::Mechanism | Denial::ChannelBinding => exit::REFUSED,
            Denial::Temporary | Denial::Bye => exit::INCONCLUSIVE,
        },
        LoginError::Tls(error) => exit::code(error),
        LoginError::Protocol(error) if error.kind == starttls::proto::ErrorKind::Closed => exit::UNREACHABLE,
        LoginError::Protocol(_) => exit::VIOLATION,
        LoginError::Timeout { .. } | LoginError::Io { .. } => exit::UNREACHABLE,
        _ => exit::BUG,
    }
}

/// The cure. `cleartext` is what the server offered before TLS.
pub(super) fn hint(
    target: &Target,
    credentials: &Credentials,
    cleartext: &[String],
    error: &LoginError,
) -> Option<String> {
    match error {
        LoginError::NoLogin { .. } => Some(format!("starttls connect {target} shows the session")),
        LoginError::NotOffered { wanted, offered } => {
            not_offered(target, wanted.as_deref(), offered, cleartext)
        }
        LoginError::Account { .. } => credentials
            .mechanism
            .as_ref()
            .map(|_| format!("these are known: {}", Account::mechanisms().collect::<Vec<_>>().join(", "))),
        LoginError::Refused { denial, before, .. }
            if *denial == Denial::ChannelBinding
                || before.iter().any(|it| it.denial == Denial::ChannelBinding) =>
        {
            Some(String::from(BINDING))
        }
        // No password was sent.
        LoginError::Refused { mechanism, .. } if mechanism.is_empty() => {
            Some(String::from("the server may not accept the client's name: choose one with --client-name"))
        }
        LoginError::Refused { denial: Denial::Credentials, mechanism, .. }
            if mechanism.ends_with("-PLUS") =>
        {
            Some(String::from(
                "check the user name and the password; if they are right, --mechanism with the same name without \
                 -PLUS shows whether the channel binding was refused",
            ))
        }
        LoginError::Refused { denial: Denial::Credentials, mechanism, .. } if mechanism == "SIMPLE" => Some(
            String::from("check the password; a directory wants the whole name: cn=john,dc=example,dc=com"),
        ),
        LoginError::Refused { denial: Denial::Credentials, details, .. } => Some(if credentials.token {
            match details.as_slice() {
                [] => {
                    String::from("the token may have expired, or be meant for somebody else: get a new one")
                }
                _ => String::from("the details say why; a token that has expired has to be got anew"),
            }
        } else {
            String::from(
                "check the password, and how the name is to be written: some servers want all of john@example.com",
            )
        }),
        LoginError::Refused { denial: Denial::Mechanism, .. } => {
            Some(String::from("another one of those that it offers may do: --mechanism NAME"))
        }
        LoginError::Refused { denial: Denial::Temporary, .. } => {
            Some(String::from("it may work soon: try again"))
        }
        LoginError::Tls(error) => crate::diagnose::library_hint(error),
        LoginError::Unproven { .. } => Some(String::from(
            "somebody may be pretending to be the server: the password itself was not sent",
        )),
        _ => None,
    }
}

/// What a refused channel binding means.
pub(super) const BINDING: &str = "the server computed another channel binding: another TLS endpoint stands in between \
    (a proxy, or an attacker), or the server has an old implementation; the password was not sent";

fn not_offered(
    target: &Target,
    wanted: Option<&str>,
    offered: &[String],
    cleartext: &[String],
) -> Option<String> {
    let missing = |name: &&String| !offered.contains(name) && wanted.is_none_or(|wanted| *name == wanted);
    if let Some(name) = cleartext.iter().find(missing) {
        return Some(format!(
            "the server offers {} only in cleartext, where everybody can read along: it is not used; the server has to offer it inside TLS",
            starttls::proto::Escaped(name.as_bytes())
        ));
    }
    let weak = offered.iter().find(|name| Account::is_weak(name));
    if let (None, Some(weak)) = (wanted, weak) {
        return Some(format!("what it offers is weak, and used only if it is named: --mechanism {weak}"));
    }
    if wanted == Some("APOP") && target.mode == crate::target::Mode::Upgrade {
        return Some(String::from(
            "APOP answers the greeting, and that came in cleartext: it can be used where TLS starts at the first byte (pop3s://)",
        ));
    }
    match (offered, target.protocol.name) {
        ([], "smtp") => Some(String::from("port 25 takes mail from other servers: log in at submission://")),
        ([], _) => Some(String::from("the server may take logins on another port, or from other addresses")),
        _ if wanted.is_some() => Some(String::from("without --mechanism the best of these is used")),
        _ => Some(String::from(
            "--token is for OAUTHBEARER and XOAUTH2, --cert for EXTERNAL, and a password for the others",
        )),
    }
}
