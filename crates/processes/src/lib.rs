//! Finds the processes that descend from a command, and ends them.
//!
//! A process group does not contain a process that made its own group or session. The descendants of a process do
//! not contain an orphan, whose parent is now another process. So a [`ProcessTree`] is found in three ways: by its process
//! group, by descent, and by a variable that the command's environment carries.
//!
//! ```
//! use std::process::Command;
//! use starttls_processes::ProcessTree;
//!
//! let mut tree = ProcessTree::new();
//! let (name, value) = tree.variable();
//! let mut child = Command::new("sh").args(["-c", "setsid sleep 1000 & wait"]).env(name, value).spawn()?;
//! tree.set_leader(child.id());
//! drop(tree);
//! assert!(!child.wait()?.success());
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod tree;

use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use tree::{ProcessTree, end_descendants};

/// A running process. Its start time distinguishes it from a later process with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: Pid,
    /// The number of its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    started: u64,
}

impl Process {
    /// Reads a running process; `None` for a process that has ended, reaped or not.
    pub fn read(id: Pid) -> Option<Self> {
        // proc_pid_stat(5): field 2, the name in parentheses, may contain any octets; field 3 is the state.
        let stat = fs::read(format!("/proc/{id}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let pid = |number| Some(Pid::from_raw(field(number)?.parse().ok()?));
        let started = field(22)?.parse().ok()?;
        (field(3)? != "Z").then_some(Self { id, parent: pid(4)?, group: pid(5)?, started })
    }

    /// Returns every running process.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(|id| Self::read(Pid::from_raw(id))).collect()
    }

    /// Returns whether this process is still running.
    pub fn lives(&self) -> bool {
        Self::read(self.id).is_some_and(|now| now.started == self.started)
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        if self.lives() {
            let _ = kill(self.id, signal);
        }
    }

    /// Returns whether its environment contains this entry. The kernel shows the environment of other users'
    /// processes to root only.
    fn has_in_environment(&self, entry: &[u8]) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.id)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it == entry)
    }
}

/// Returns the running processes of a group, without its leader.
pub fn members(group: Pid) -> Vec<Process> {
    Process::all().into_iter().filter(|process| process.group == group && process.id != group).collect()
}

/// Returns the running processes that descend from this process, in whatever group they are now.
pub fn descendants(ancestor: Pid) -> Vec<Process> {
    descendants_among(ancestor, Process::all())
}

fn descendants_among(ancestor: Pid, mut others: Vec<Process>) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        let (children, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|process| process.parent == parent);
        others = rest;
        parents.extend(children.iter().map(|child| child.id));
        found.extend(children);
    }
    found
}

/// Makes this process the parent of every orphan among its descendants (`PR_SET_CHILD_SUBREAPER`), so that
/// [`end_descendants`] finds them.
///
/// # Errors
/// If the kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)
}
