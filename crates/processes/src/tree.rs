//! A command and its descendants.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::{Process, descendants, descendants_among};

/// A command and all processes that descend from it. Dropping the value kills them.
#[derive(Debug)]
pub struct ProcessTree {
    /// The value of [`VARIABLE`] in the environment of the command, which its descendants inherit.
    marker: String,
    leader: Option<Pid>,
    /// Whether the leader was waited for. Its number may then belong to another process.
    leader_is_reaped: bool,
    released: bool,
}

/// The environment variable that marks the processes of a tree.
const VARIABLE: &str = "STARTTLS_FAMILY";
/// How often processes are searched for and killed, since a process may fork while the others are being killed.
const ROUNDS: u32 = 200;
/// Between two rounds: killed processes end meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

impl Default for ProcessTree {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessTree {
    /// Returns a tree without a leader.
    pub fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        let marker = format!("{:016x}{:016x}", random(), random());
        Self { marker, leader: None, leader_is_reaped: false, released: false }
    }

    /// Returns the name and the value of the variable that the command's environment has to contain.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.marker)
    }

    /// Sets the command's own process. If it leads a process group, the group belongs to the tree.
    pub fn set_leader(&mut self, id: u32) {
        self.leader = i32::try_from(id).ok().map(Pid::from_raw);
    }

    /// Records that the command has ended and was waited for.
    pub fn leader_was_reaped(&mut self) {
        self.leader_is_reaped = true;
    }

    /// Does not kill the processes when the value is dropped.
    pub fn release(mut self) {
        self.released = true;
    }

    /// Kills every process of the tree, and waits for at most a second until none is running.
    pub fn end(&self) {
        let leader = self.leader.filter(|_| !self.leader_is_reaped);
        end_all(leader, || self.running());
    }

    fn running(&self) -> Vec<Process> {
        let entry = format!("{VARIABLE}={}", self.marker);
        let all = Process::all();
        let mut found: Vec<Process> = all
            .iter()
            .filter(|it| Some(it.group) == self.leader || it.has_in_environment(entry.as_bytes()))
            .cloned()
            .collect();
        if let Some(leader) = self.leader.filter(|_| !self.leader_is_reaped) {
            found.extend(all.iter().filter(|it| it.id == leader).cloned());
            found.extend(descendants_among(leader, all));
        }
        found
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        if !self.released {
            self.end();
        }
    }
}

/// Kills every descendant of this process. With [`adopt_orphans`](crate::adopt_orphans) these are all processes that
/// came from it.
pub fn end_descendants() {
    end_all(None, || descendants(Pid::this()));
}

/// Kills what is found, until nothing is. `waited_for` is a child that its owner waits for.
fn end_all(waited_for: Option<Pid>, find: impl Fn() -> Vec<Process>) {
    for _ in 0..ROUNDS {
        let found = find();
        if found.is_empty() {
            return;
        }
        found.iter().for_each(|process| process.signal(Signal::SIGKILL));
        sleep(PAUSE);
        for process in found.iter().filter(|it| Some(it.id) != waited_for) {
            // Only an adopted orphan is a child of this process.
            let _ = waitpid(process.id, Some(WaitPidFlag::WNOHANG));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// Starts a command and returns the number that it prints.
    fn start(tree: &mut ProcessTree, script: &str) -> (Child, Process) {
        let (name, value) = tree.variable();
        let mut command = Command::new("sh");
        command.args(["-c", script]).env(name, value).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        tree.set_leader(child.id());
        let mut output = child.stdout.take().unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        let id = String::from_utf8(line).unwrap().trim().parse().unwrap();
        (child, Process::read(Pid::from_raw(id)).unwrap())
    }

    #[test]
    fn members_children_and_orphans_end_with_the_tree() {
        for script in [
            // In the group of the command.
            "sleep 1000 & echo $!; wait",
            // In a session of its own, as a child of the command.
            "setsid sh -c 'echo $$; exec sleep 1000' & wait",
            // In a session of its own, as an orphan.
            "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000",
        ] {
            let mut tree = ProcessTree::new();
            let (mut child, process) = start(&mut tree, script);
            assert!(process.lives(), "{script}");
            drop(tree);
            assert!(!process.lives(), "{script}");
            child.wait().unwrap();
        }
    }

    /// The kernel takes a process's name from the file that it runs, cut after 15 octets.
    #[test]
    fn a_process_whose_name_is_not_utf_8_ends_with_the_tree() {
        let folder = std::env::temp_dir().join(format!("starttls-processes-{}", std::process::id()));
        // An earlier process with the same number may have left it.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.join(OsStr::from_bytes(b"\xff) Z"))).unwrap();
        let mut tree = ProcessTree::new();
        let script = format!("echo $$; exec {}/* -c 'sleep 1000; exit 3'", folder.display());
        let (mut child, process) = start(&mut tree, &script);
        let has_name = || std::fs::read(format!("/proc/{}/comm", process.id)).unwrap()[0] == 0xff;
        let deadline = Instant::now() + Duration::from_secs(20);
        while !has_name() {
            assert!(Instant::now() < deadline, "the name is not set");
            sleep(PAUSE);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        drop(tree);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    }

    #[test]
    fn an_orphan_ends_after_its_command_did() {
        let mut tree = ProcessTree::new();
        let (mut child, process) = start(&mut tree, "(setsid sh -c 'echo $$; exec sleep 1000' &)");
        child.wait().unwrap();
        tree.leader_was_reaped();
        assert!(process.lives());
        drop(tree);
        assert!(!process.lives());
    }

    #[test]
    fn a_released_tree_and_strangers_live() {
        let mut tree = ProcessTree::new();
        let (mut child, process) = start(&mut tree, "sleep 1000 & echo $!; wait");
        drop(ProcessTree::new());
        tree.release();
        assert!(process.lives());
        process.signal(Signal::SIGKILL);
        child.wait().unwrap();
    }
}
