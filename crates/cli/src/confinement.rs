//! Restricts a service with Landlock, if the kernel supports it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};

/// What the service may still do. Everything that it reads was read before.
#[derive(Debug)]
pub(crate) struct Confinement {
    /// The folder of the file that the service replaces.
    pub(crate) folder: Option<PathBuf>,
    /// The TCP ports that it connects to.
    pub(crate) ports: Vec<u16>,
}

impl Confinement {
    /// Returns what is permitted with this file and these ports. A change of the file replaces it by another one in its folder.
    pub(crate) fn new(state: Option<&Path>, mut ports: Vec<u16>) -> Self {
        ports.sort_unstable();
        ports.dedup();
        let folder = state.map(|path| match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        });
        Self { folder, ports }
    }

    /// Restricts this thread and the threads that it starts. Returns a sentence about what holds.
    pub(crate) fn enter(&self) -> String {
        let folder = self.folder.as_ref().map_or_else(
            || String::from("it opens no file"),
            |folder| format!("it opens files in {} only", folder.display()),
        );
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let holds =
            format!("{folder}, starts no program and connects to the TCP ports {} only", ports.join(", "));
        match self.restrict() {
            Ok(RulesetStatus::FullyEnforced) => format!("the service is confined: {holds}"),
            Ok(RulesetStatus::PartiallyEnforced) => {
                format!("the service is confined as far as this kernel supports it: {holds}")
            }
            Ok(RulesetStatus::NotEnforced) => {
                String::from("the service is not confined: this kernel has no Landlock")
            }
            Err(error) => format!("the service is not confined: {error}"),
        }
    }

    fn restrict(&self) -> Result<RulesetStatus, RulesetError> {
        // The fifth version has all rights of files and of TCP.
        let all = AccessFs::from_all(ABI::V5);
        let ports =
            self.ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
        let status = Ruleset::default()
            .handle_access(all)?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .create()?
            .add_rules(path_beneath_rules(&self.folder, all & !AccessFs::Execute))?
            .add_rules(ports)?
            .restrict_self()?;
        Ok(status.ruleset)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_not_needed_is_forbidden() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (allowed, other) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (allowed, other) = (allowed.local_addr().unwrap(), other.local_addr().unwrap());
        let confinement = Confinement::new(Some(&inside.path().join("policies.jsonl")), vec![allowed.port()]);
        let tried = std::thread::spawn(move || {
            let sentence = confinement.enter();
            let refused = |done: std::io::Result<()>| {
                done.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            };
            fs::write(inside.path().join("policies.jsonl.new"), "").unwrap();
            fs::rename(inside.path().join("policies.jsonl.new"), inside.path().join("policies.jsonl"))
                .unwrap();
            // Both ports are closed: a permitted connection is refused by the peer, another one by the rules.
            let is_free = !refused(TcpStream::connect(allowed).map(drop));
            let forbidden = [
                refused(fs::write(outside.path().join("file"), "")),
                refused(fs::read("/etc/passwd").map(drop)),
                refused(Command::new("true").status().map(drop)),
                refused(TcpStream::connect(other).map(drop)),
                refused(TcpListener::bind("127.0.0.1:0").map(drop)),
            ];
            (sentence, is_free, forbidden)
        });
        let (sentence, is_free, forbidden) = tried.join().unwrap();
        assert!(is_free, "{sentence}");
        if sentence.starts_with("the service is confined: ") {
            assert_eq!(forbidden, [true; 5], "{sentence}");
        } else {
            assert!(sentence.contains("kernel"), "{sentence}");
        }
    }
}
