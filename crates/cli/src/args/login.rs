//! The arguments of `login` and `sasl`, and what all commands take that log in.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Output, Peer, Trace};

/// Upgrade, log in inside TLS by the best mechanism offered there, and say what came of it
///
/// Nothing secret is sent before TLS, and a mechanism that is offered only in cleartext is not used. The
/// conversation goes to standard error, with the secrets blanked. Without any of the password options the
/// password is asked for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls login submission://mail.example.com --user john
  starttls login imap://mail.example.com --user john --password-file ~/.secret --mechanism SCRAM-SHA-256
  starttls login ldap://ldap.example.com --user cn=john,dc=example,dc=com --password-command 'pass ldap'
  starttls login imaps://mail.example.com --user john@example.com --token --password-file token.txt
  starttls login xmpp://example.com --cert john.pem --key john.key

Mechanisms, the best first: EXTERNAL (with --cert), SCRAM-SHA-{512,256,1}-PLUS, SCRAM-SHA-{512,256,1},
CACHING_SHA2_PASSWORD, PLAIN, LOGIN, SIMPLE (LDAP), USER (name and password in the protocol's own
commands), PASSWORD, MYSQL_CLEAR_PASSWORD, MYSQL_NATIVE_PASSWORD, MD5; with --token OAUTHBEARER,
XOAUTH2. CRAM-MD5 and APOP are weak and used only when named.")]
pub(crate) struct Login {
    /// PROTO://HOST[:PORT], or HOST:PORT with a well-known port
    pub(crate) target: String,

    /// json: one object on standard output
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

/// Somebody, and where the secret comes from: it is never an argument.
#[derive(Debug, Args)]
pub(crate) struct Principal {
    /// The name of the user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Read the password, or the token, from the first line of a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_command")]
    pub(crate) password_file: Option<PathBuf>,

    /// Take the first line that a shell command prints [or the variable STARTTLS_PASSWORD, or ask]
    #[arg(long, value_name = "COMMAND")]
    pub(crate) password_command: Option<String>,

    /// Act as somebody else, where the server allows that
    #[arg(long, value_name = "NAME")]
    pub(crate) authorize_as: Option<String>,
}

/// Principal logs in, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Login")]
pub(crate) struct Credentials {
    #[command(flatten)]
    pub(crate) principal: Principal,

    /// What is read is not a password, but an OAuth 2 access token
    #[arg(long)]
    pub(crate) token: bool,

    /// Log in by this mechanism or not at all
    #[arg(long, value_name = "NAME")]
    pub(crate) mechanism: Option<String>,
}

/// Print what a SASL mechanism says, in Base64, as one would type it; or read it again
///
/// Prints the first response, and for each challenge that is typed, in Base64 on a line of its own, the next.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls sasl PLAIN --user john --password-file ~/.secret
  echo AGpvaG4Ac2VzYW1l | starttls sasl PLAIN --decode
  starttls sasl CRAM-MD5 --user john                  then type the server's challenge")]
pub(crate) struct Sasl {
    /// PLAIN, LOGIN, SCRAM-SHA-256, XOAUTH2, OAUTHBEARER, EXTERNAL, CRAM-MD5…
    pub(crate) mechanism: String,

    /// Read tokens in Base64 from standard input, one a line, and show what is in them
    #[arg(long, conflicts_with_all = ["user", "password_file", "password_command", "authorize_as"])]
    pub(crate) decode: bool,

    #[command(flatten)]
    pub(crate) principal: Principal,
}
