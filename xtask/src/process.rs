//! Runs commands with a deadline, and ends every process that they leave behind.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs the command in a process group of its own. When the other end of standard input closes (the command has ended, its
/// deadline has passed, or xtask was stopped), the script ends all processes of the group.
const GUARD: &str = r#"
exec 3<&0
(trap "" TERM; read -r _ <&3; kill -TERM 0; sleep 1; kill -KILL 0) >/dev/null 2>&1 &
"$@" </dev/null 3<&-
"#;

/// The deadline of commands that download.
pub(crate) const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// Runs a command until its deadline. Its output goes to `log`, or to the terminal.
pub(crate) fn run(command: &Command, deadline: Duration, log: Option<&File>) -> Result<(), String> {
    let line = words(command).join(" ");
    let mut guarded = guard(command);
    if let Some(log) = log {
        let file = || log.try_clone().map(Stdio::from).map_err(|e| e.to_string());
        guarded.stdout(file()?).stderr(file()?);
    }
    let child = guarded.spawn().map_err(|e| format!("cannot run `{line}`: {e}"))?;
    match wait(child, deadline).map_err(|e| format!("cannot wait for `{line}`: {e}"))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`{line}` failed: {status}")),
        None => Err(format!("`{line}` did not end within {} s and was stopped", deadline.as_secs())),
    }
}

/// Returns the command and its arguments.
pub(crate) fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn guard(command: &Command) -> Command {
    let mut guarded = Command::new("sh");
    guarded.args(["-c", GUARD, "sh"]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(key, value),
            None => guarded.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    guarded.process_group(0).stdin(Stdio::piped());
    guarded
}

/// Waits for the command; returns `None` if the deadline passed first.
fn wait(mut child: Child, deadline: Duration) -> std::io::Result<Option<ExitStatus>> {
    let lifeline = child.stdin.take();
    let start = Instant::now();
    while start.elapsed() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop(lifeline);
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_exit_status_decides() {
        assert_eq!(run(&shell("exit 0"), Duration::from_secs(10), None), Ok(()));
        let problem = run(&shell("exit 3"), Duration::from_secs(10), None).unwrap_err();
        assert!(problem.ends_with("failed: exit status: 3"), "{problem}");
    }

    #[test]
    fn a_deadline_ends_the_whole_group() {
        let folder = std::env::temp_dir().join(format!("xtask-deadline-{}", std::process::id()));
        // An earlier process with the same number may have left it.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let pid_file = folder.join("pid");
        let script = format!("sleep 60 & echo $! >{}; wait", pid_file.display());
        let start = Instant::now();
        // By then the shell has written the file, on a busy machine too.
        let problem = run(&shell(&script), Duration::from_secs(5), None).unwrap_err();
        assert!(problem.contains("did not end within 5 s"), "{problem}");
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let stat = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
        // A zombie counts as ended: its parent may never reap it.
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        while alive() {
            assert!(start.elapsed() < Duration::from_secs(40), "process {pid} outlived its group");
            thread::sleep(Duration::from_millis(20));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
