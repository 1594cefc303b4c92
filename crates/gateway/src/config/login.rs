//! The login to a backend on behalf of clients that cannot log in themselves.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use starttls::file;
use starttls::login::Account;
use starttls::proto::Escaped;
use starttls_report::nearest;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::reader::{Table, Value};
use crate::setup_error::{SetupError, shown};

/// How the gateway logs in to a backend.
#[derive(Clone, Debug)]
pub struct BackendLogin {
    user: String,
    /// `None` uses the best mechanism that the backend offers.
    mechanism: Option<String>,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    Password(SecretSource),
    Token(SecretSource),
    /// The client certificate that the gateway presents to the backend.
    Certificate,
}

impl BackendLogin {
    /// Returns the user name; empty if the client certificate identifies the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns where the password or token comes from; `None` for a login by certificate.
    pub fn secret(&self) -> Option<&SecretSource> {
        match &self.proof {
            Proof::Password(secret) | Proof::Token(secret) => Some(secret),
            Proof::Certificate => None,
        }
    }

    /// Reads the secret and returns the account.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub async fn account(&self) -> io::Result<Account> {
        let account = match &self.proof {
            Proof::Password(secret) => Account::password(&self.user, secret.read().await?),
            Proof::Token(secret) => Account::token(&self.user, secret.read().await?),
            Proof::Certificate => Account::certificate(),
        };
        Ok(match &self.mechanism {
            Some(name) => account.mechanism(name),
            None => account,
        })
    }
}

/// Where a password or token comes from. It is read for each session, so that it can change.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a program prints.
    Command(Vec<String>),
}

/// The longest secret. Every known kind of token is shorter.
const LONGEST: u64 = 64 * 1024;

/// How much of a failed program's standard error is quoted.
const EXCERPT: usize = 200;

/// How long reading a secret may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl SecretSource {
    /// Reads the secret, within ten seconds.
    ///
    /// # Errors
    /// When the secret cannot be read. The error does not contain it.
    pub async fn read(&self) -> io::Result<String> {
        match tokio::time::timeout(PATIENCE, self.bytes()).await {
            Ok(bytes) => first_line(&bytes?),
            Err(_) => Err(io::Error::new(ErrorKind::TimedOut, format!("{self} took more than 10 s"))),
        }
    }

    async fn bytes(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                spawn_blocking(move || file::read(&path, LONGEST)).await.map_err(io::Error::other)?
            }
            Self::Command(words) => {
                let (program, arguments) = words.split_first().ok_or(ErrorKind::InvalidInput)?;
                let mut child = Command::new(program)
                    .args(arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()?;
                let output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
                let stderr = child.stderr.take().ok_or(ErrorKind::BrokenPipe)?;
                let (bytes, stderr) = tokio::try_join!(bounded(output), bounded(stderr))?;
                let status = child.wait().await?;
                // The program's standard error goes into the log, and nowhere else.
                let why = stderr.trim_ascii().split(|byte| *byte == b'\n').next().unwrap_or_default();
                let why = Escaped(why.get(..EXCERPT).unwrap_or(why));
                match status.success() {
                    true => Ok(bytes),
                    false => Err(io::Error::other(format!("{self}: {status}: \"{why}\""))),
                }
            }
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the password file {}", path.display()),
            // The arguments may be secret too.
            Self::Command(words) => {
                write!(f, "the password command {}", words.first().map_or("", |it| it.as_str()))
            }
        }
    }
}

async fn bounded(from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn first_line(bytes: &[u8]) -> io::Result<String> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok().filter(|text| !text.chars().any(char::is_control));
    let text = text.filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| {
        io::Error::new(ErrorKind::InvalidData, "the first line of the password is empty or not valid text")
    })
}

pub(super) fn parse(value: Value<'_>) -> Result<BackendLogin, SetupError> {
    let mut table = value.table("login")?;
    let mechanism = table.read("mechanism", mechanism)?;
    let login = match mechanism.as_deref() {
        Some("EXTERNAL") => BackendLogin { user: String::new(), mechanism, proof: Proof::Certificate },
        name => {
            let is_token = name.is_some_and(|name| ["XOAUTH2", "OAUTHBEARER"].contains(&name));
            let user = table.need("user")?.read(user)?;
            let secret = secret(&mut table)?;
            let proof = if is_token { Proof::Token(secret) } else { Proof::Password(secret) };
            BackendLogin { user, mechanism, proof }
        }
    };
    table.end()?;
    Ok(login)
}

fn mechanism(text: &str) -> Result<String, SetupError> {
    let name = text.to_ascii_uppercase();
    if Account::mechanisms().any(|known| known == name) {
        return Ok(name);
    }
    let known: Vec<_> = Account::mechanisms().collect();
    let hint = match nearest(&name, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "known mechanisms: {}; without \"mechanism\" the gateway uses the best that the backend offers",
            known.join(", ")
        ),
    };
    Err(SetupError::new(format!("unknown mechanism {}", shown(text))).with_hint(hint))
}

fn user(text: &str) -> Result<String, SetupError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(SetupError::new("invalid user name: it is empty or contains control characters"));
    }
    Ok(text.to_owned())
}

fn secret(table: &mut Table<'_>) -> Result<SecretSource, SetupError> {
    let missing = |what: &str| {
        SetupError::new(what)
            .with_hint("set password-file = \"/path\" or password-command = [\"program\", \"argument\"]")
            .at(|| table.place())
    };
    let (none, both) = (missing("the password is missing in login"), missing("login has two passwords"));
    if let Some(value) = table.take("password") {
        return Err(SetupError::new("a configuration must not contain a password")
            .with_hint(
                "write the password to a file that only the gateway can read: password-file = \"/path\"",
            )
            .at(|| value.place()));
    }
    match (table.take("password-file"), table.take("password-command")) {
        (Some(_), Some(_)) => Err(both),
        (None, None) => Err(table.missing(none)),
        (Some(value), None) => value.read(|path| {
            file::read(path.as_ref(), LONGEST)
                .map_err(|source| SetupError::unreadable("the password file", path.as_ref(), source))?;
            Ok(SecretSource::File(path.into()))
        }),
        (None, Some(command)) => {
            let words: Vec<_> = command.list().into_iter().map(Value::text).collect::<Result<_, _>>()?;
            if words.first().is_none_or(String::is_empty) {
                Err(none)
            } else {
                Ok(SecretSource::Command(words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_says_of_its_failure_is_in_the_error_and_nowhere_else() {
        let program = |script: &str| SecretSource::Command(["sh", "-c", script].map(String::from).to_vec());
        assert_eq!(program("echo warning >&2; echo secret").read().await.unwrap(), "secret");
        let error = program("printf '\\033[31mno key\\nmore' >&2; exit 3").read().await.unwrap_err();
        let expected = "the password command sh: exit status: 3: \"\\x1b[31mno key\"";
        assert_eq!(error.to_string(), expected);
        let much = program("head -c 1000000 /dev/zero >&2; echo secret").read().await.unwrap();
        assert_eq!(much, "secret");
    }
}
