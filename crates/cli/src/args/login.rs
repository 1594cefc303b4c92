//! The arguments of `login` and `sasl`, and the options of all commands that log in.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::common::{Format, Output, Peer, Trace};
use crate::candidates;

/// Upgrade a connection, log in inside TLS with the best mechanism that the server offers, and report the result
///
/// No secret is sent before TLS, and a mechanism that the server offers only in cleartext is not used. The
/// messages are written to standard error, with the secrets blanked. Without a password option, the command
/// prompts for the password.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls login submission://mail.example.com --user john
  starttls login imap://mail.example.com --user john --password-file ~/.secret --mechanism SCRAM-SHA-256
  starttls login ldap://ldap.example.com --user cn=john,dc=example,dc=com --password-command 'pass ldap'
  starttls login imaps://mail.example.com --user john@example.com --token --password-file token.txt
  starttls login xmpp://example.com --cert john.pem --key john.key

Mechanisms, the best one first: EXTERNAL (with --cert), SCRAM-SHA-{512,256,1}-PLUS, SCRAM-SHA-{512,256,1},
CACHING_SHA2_PASSWORD, PLAIN, LOGIN, SIMPLE (LDAP, NATS), USER (name and password in commands of
the protocol), PASSWORD, MYSQL_CLEAR_PASSWORD, MYSQL_NATIVE_PASSWORD, SHA256_MEMORY, MD5;
with --token OAUTHBEARER, XOAUTH2, TOKEN (NATS). Weak, only with --mechanism: CRAM-MD5, APOP.")]
pub(crate) struct Login {
    /// PROTO://HOST[:PORT], or HOST:PORT with a well-known port
    #[arg(add = ArgValueCandidates::new(candidates::targets))]
    pub(crate) target: String,

    /// The format of the report; with json, one object is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) credentials: Credentials,

    #[command(flatten)]
    pub(crate) peer: Peer,

    #[command(flatten)]
    pub(crate) trace: Trace,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// The user, and the source of the secret, which is never an argument: other users can read the arguments of a process.
#[derive(Debug, Args)]
pub(crate) struct Principal {
    /// The user name
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Read the password, or the token, from the first line of a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_command")]
    pub(crate) password_file: Option<PathBuf>,

    /// Use the first line that a shell command prints as the password, or the token [default: the variable
    /// STARTTLS_PASSWORD, or a prompt]
    #[arg(long, value_name = "COMMAND")]
    pub(crate) password_command: Option<String>,

    /// Act as another user, if the server allows that
    #[arg(long, value_name = "NAME")]
    pub(crate) authorize_as: Option<String>,
}

/// The user, the source of the secret, and the mechanism.
#[derive(Debug, Args)]
#[command(next_help_heading = "Login")]
pub(crate) struct Credentials {
    #[command(flatten)]
    pub(crate) principal: Principal,

    /// The secret is a token, not a password: of OAuth 2, or of NATS (with --mechanism TOKEN, no --user is needed)
    #[arg(long)]
    pub(crate) token: bool,

    /// Use only this mechanism
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(candidates::mechanisms))]
    pub(crate) mechanism: Option<String>,
}

/// Print the messages of a SASL mechanism in Base64, for use in a manual session; or decode them
///
/// Prints the initial response. Then reads the server's challenges from standard input, one per line in Base64,
/// and prints the response to each.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls sasl PLAIN --user john --password-file ~/.secret
  echo AGpvaG4Ac2VzYW1l | starttls sasl PLAIN --decode
  starttls sasl CRAM-MD5 --user john                  then enter the server's challenge")]
pub(crate) struct Sasl {
    /// PLAIN, LOGIN, SCRAM-SHA-256, XOAUTH2, OAUTHBEARER, EXTERNAL, CRAM-MD5…
    #[arg(add = ArgValueCandidates::new(candidates::mechanisms))]
    pub(crate) mechanism: String,

    /// Read messages in Base64 from standard input, one per line, and show their content
    #[arg(long, conflicts_with_all = ["user", "password_file", "password_command", "authorize_as"])]
    pub(crate) decode: bool,

    #[command(flatten)]
    pub(crate) principal: Principal,
}
