//! Hints for logins that failed.

use starttls::login::{Account, LoginError};
use starttls::proto::Denial;

use crate::args::Credentials;
use crate::target::Target;

/// Returns the hint. `cleartext` holds the mechanisms that the server offered before TLS.
pub(super) fn hint(
    target: &Target,
    credentials: &Credentials,
    cleartext: &[String],
    error: &LoginError,
) -> Option<String> {
    match error {
        LoginError::NoLogin { .. } => {
            Some(format!("use starttls connect {target} for an interactive session"))
        }
        LoginError::NotOffered { wanted, offered } => {
            not_offered(target, wanted.as_deref(), offered, cleartext)
        }
        LoginError::Account { .. } => credentials
            .mechanism
            .as_ref()
            .map(|_| format!("known mechanisms: {}", Account::mechanisms().collect::<Vec<_>>().join(", "))),
        LoginError::Refused { denial, before, .. }
            if *denial == Denial::ChannelBinding
                || before.iter().any(|it| it.denial == Denial::ChannelBinding) =>
        {
            Some(String::from(BINDING))
        }
        // The server refused the hello, and no password was sent.
        LoginError::Refused { mechanism, .. } if mechanism.is_empty() => Some(String::from(
            "the server may not accept the client's name: choose another name with --client-name",
        )),
        LoginError::Refused { denial: Denial::Credentials, mechanism, .. }
            if mechanism.ends_with("-PLUS") =>
        {
            Some(String::from(
                "check the user name and the password; if they are correct, use --mechanism with the same name without \
                 -PLUS to find out whether the server refused the channel binding",
            ))
        }
        LoginError::Refused { denial: Denial::Credentials, mechanism, .. } if mechanism == "SIMPLE" => {
            Some(String::from(
                "check the password; a directory needs the full name, such as cn=john,dc=example,dc=com",
            ))
        }
        LoginError::Refused { denial: Denial::Credentials, details, .. } => Some(if credentials.token {
            match details.as_slice() {
                [] => {
                    String::from("get a new token: this one may have expired, or may be for another service")
                }
                _ => String::from("see the details from the server; get a new token if this one has expired"),
            }
        } else {
            String::from(
                "check the password and the form of the user name: some servers need the full address, such as john@example.com",
            )
        }),
        LoginError::Refused { denial: Denial::Mechanism, .. } => {
            Some(String::from("choose another mechanism that the server offers: --mechanism NAME"))
        }
        LoginError::Refused { denial: Denial::Temporary, .. } => {
            Some(String::from("the problem may be temporary: try again later"))
        }
        LoginError::Tls(error) => crate::hint::of_library(error),
        LoginError::Unproven { .. } => Some(String::from(
            "an attacker may be impersonating the server; the password itself was not sent",
        )),
        _ => None,
    }
}

/// The explanation of a refused channel binding.
pub(super) const BINDING: &str = "the server computed another channel binding: TLS ends at another endpoint on the path (a proxy or an \
    attacker), or the server's implementation is outdated; the password was not sent";

fn not_offered(
    target: &Target,
    wanted: Option<&str>,
    offered: &[String],
    cleartext: &[String],
) -> Option<String> {
    let missing = |name: &&String| !offered.contains(name) && wanted.is_none_or(|wanted| *name == wanted);
    if let Some(name) = cleartext.iter().find(missing) {
        return Some(format!(
            "the server offers {} only in cleartext, so it is not used: the server must offer it inside TLS",
            starttls::proto::Escaped(name.as_bytes())
        ));
    }
    let weak = offered.iter().find(|name| Account::is_weak(name));
    if let (None, Some(weak)) = (wanted, weak) {
        return Some(format!(
            "the offered mechanisms are weak: to use one anyway, specify it, such as --mechanism {weak}"
        ));
    }
    if wanted == Some("APOP") && target.mode == crate::target::Mode::Upgrade {
        return Some(String::from(
            "APOP depends on the greeting, which was sent in cleartext: use pop3s://, where TLS starts at the first byte",
        ));
    }
    match (offered, target.protocol.name) {
        ([], "smtp") => {
            Some(String::from("port 25 is for mail from other servers: use submission:// to log in"))
        }
        ([], _) => {
            Some(String::from("the server may accept logins on another port, or from other addresses"))
        }
        _ if wanted.is_some() => {
            Some(String::from("leave out --mechanism to use the best of the offered mechanisms"))
        }
        _ => Some(String::from(
            "OAUTHBEARER, XOAUTH2 and TOKEN need --token, EXTERNAL needs --cert, the other mechanisms need a password",
        )),
    }
}
