//! Where a secret comes from: a file, a command, the environment, or somebody who types it.

use std::io::{BufRead, IsTerminal};
use std::process::{Command, Stdio};

use crate::args::Who;
use crate::failure::Failed;

/// The environment variable that may hold it.
const VARIABLE: &str = "STARTTLS_PASSWORD";

/// Reads the secret; `what` is what it is called.
pub(crate) fn read(who: &Who, what: &str) -> Result<String, Failed> {
    let text = match (&who.password_file, &who.password_command) {
        (Some(path), _) if path.as_os_str() == "-" => {
            let mut line = Vec::new();
            let read = std::io::stdin().lock().read_until(b'\n', &mut line);
            read.map_err(|error| Failed::usage(format!("cannot read standard input: {error}")))?;
            line
        }
        (Some(path), _) => std::fs::read(path)
            .map_err(|error| Failed::usage(format!("cannot read {}: {error}", path.display())))?,
        (None, Some(command)) => printed_by(command, what)?,
        (None, None) => match std::env::var(VARIABLE) {
            Ok(secret) => secret.into_bytes(),
            Err(_) => asked(what)?,
        },
    };
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Failed::usage(format!("the {what} is empty")));
    }
    String::from_utf8(line.to_vec()).map_err(|_| Failed::usage(format!("the {what} is not UTF-8")))
}

fn printed_by(command: &str, what: &str) -> Result<Vec<u8>, Failed> {
    let output = Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failed::usage(format!("cannot run sh: {error}")))?;
    if !output.status.success() {
        return Err(Failed::usage(format!("the command for the {what} failed: {}", output.status)));
    }
    Ok(output.stdout)
}

fn asked(what: &str) -> Result<Vec<u8>, Failed> {
    if !std::io::stdin().is_terminal() {
        let hint = format!("--password-file FILE, --password-command COMMAND or {VARIABLE} gives it");
        return Err(Failed::usage(format!("there is no {what}, and nobody to ask")).hint(Some(hint)));
    }
    let typed = rpassword::prompt_password(format!("{}{}: ", what[..1].to_uppercase(), &what[1..]));
    typed
        .map(String::into_bytes)
        .map_err(|error| Failed::usage(format!("cannot ask for the {what}: {error}")))
}
