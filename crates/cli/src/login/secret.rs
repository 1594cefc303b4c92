//! Reads a secret from a file, a command, the environment or the terminal.

use std::io::{BufRead, IsTerminal, Read};
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::args::Principal;
use crate::children::ProcessTree;
use crate::error::Failed;
use crate::input;

/// The environment variable that may contain the secret.
const VARIABLE: &str = "STARTTLS_PASSWORD";

/// Reads the secret. `what` is its name in messages: "password" or "token".
pub(crate) async fn read(principal: &Principal, what: &str) -> Result<String, Failed> {
    let text = match (&principal.password_file, &principal.password_command) {
        (Some(path), _) if path.as_os_str() == "-" => {
            let mut line = Vec::new();
            let read = std::io::stdin().lock().take(input::SECRET + 1).read_until(b'\n', &mut line);
            read.map_err(|error| Failed::usage(format!("cannot read standard input: {error}")))?;
            bounded(line, what)?
        }
        (Some(path), _) => input::read(path, input::SECRET)?,
        (None, Some(command)) => printed_by(command, what).await?,
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

/// Rejects a secret that is longer than the limit: a truncated secret would be a different one.
fn bounded(secret: Vec<u8>, what: &str) -> Result<Vec<u8>, Failed> {
    if secret.len() as u64 > input::SECRET {
        let limit = input::SECRET >> 10;
        return Err(Failed::usage(format!("the {what} is too long: expected at most {limit} KiB")));
    }
    Ok(secret)
}

/// Returns the output of the command. A signal to this program ends the command and all processes that it started.
async fn printed_by(command: &str, what: &str) -> Result<Vec<u8>, Failed> {
    let cannot_run = |error: std::io::Error| Failed::usage(format!("cannot run sh: {error}"));
    let mut family = ProcessTree::new();
    let (name, value) = family.variable();
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env(name, value)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run)?;
    if let Some(id) = child.id() {
        family.set_leader(id);
    }
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(input::SECRET + 1).read_to_end(&mut printed).await.map_err(cannot_run)?;
    }
    let printed = bounded(printed, what)?;
    let status = child.wait().await.map_err(cannot_run)?;
    // The command may have started an agent, which should keep running.
    family.release();
    if !status.success() {
        return Err(Failed::usage(format!("the command for the {what} failed: {status}")));
    }
    Ok(printed)
}

fn asked(what: &str) -> Result<Vec<u8>, Failed> {
    if !std::io::stdin().is_terminal() {
        let hint = format!(
            "specify it with --password-file FILE, --password-command COMMAND or the variable {VARIABLE}"
        );
        return Err(Failed::usage(format!(
            "the {what} is missing, and standard input is not a terminal to prompt on"
        ))
        .hint(Some(hint)));
    }
    // Before the prompt, because a user or a program may type at once.
    echo::switch_off();
    let typed = rpassword::prompt_password(format!("{}{}: ", what[..1].to_uppercase(), &what[1..]));
    echo::restore();
    typed
        .map(String::into_bytes)
        .map_err(|error| Failed::usage(format!("cannot read the {what} from the terminal: {error}")))
}

/// Switches the terminal's echo on again after an interrupted prompt.
pub(crate) fn restore_terminal() {
    echo::restore();
}

/// The echo of the terminal, and its settings before the prompt.
#[cfg(unix)]
mod echo {
    use std::fs::File;
    use std::sync::{Mutex, PoisonError};

    use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

    static SETTINGS: Mutex<Option<Termios>> = Mutex::new(None);

    pub(super) fn switch_off() {
        let Ok(terminal) = terminal() else { return };
        let Ok(settings) = tcgetattr(&terminal) else { return };
        let mut silent = settings.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        *SETTINGS.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        // Without it, the prompt itself switches the echo off, a moment later.
        let _ = tcsetattr(&terminal, SetArg::TCSANOW, &silent);
    }

    pub(super) fn restore() {
        let settings = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(settings), Ok(terminal)) = (settings, terminal()) {
            // A terminal that is gone has no settings.
            let _ = tcsetattr(&terminal, SetArg::TCSANOW, &settings);
        }
    }

    fn terminal() -> std::io::Result<File> {
        File::options().read(true).write(true).open("/dev/tty")
    }
}

/// The console of Windows is not restored after an interrupted prompt.
#[cfg(not(unix))]
mod echo {
    pub(super) fn switch_off() {}

    pub(super) fn restore() {}
}
