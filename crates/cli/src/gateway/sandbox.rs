//! Restricts the gateway's access to files with Landlock, if the kernel supports it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use starttls_gateway::Config;
use starttls_gateway::config::{BackendLogin, ListenAddress, Listener, Log, SecretSource};

/// Restricts this thread and the threads and processes that it starts: they may read the files of their user, write only
/// to the folders of the log and the sockets, and start programs only if a login needs one.
///
/// Returns a note about the support of the kernel.
pub(super) fn enter(config: &Config) -> Result<&'static str, RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let read = if starts_programs(config) { read | AccessFs::Execute } else { read };
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(["/"], read))?
        .add_rules(path_beneath_rules(written(config), AccessFs::from_all(abi) & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "files are confined",
        RulesetStatus::PartiallyEnforced => "files are confined as far as this kernel supports it",
        RulesetStatus::NotEnforced => "files are not confined: this kernel has no Landlock",
    })
}

fn starts_programs(config: &Config) -> bool {
    let routes = config.listeners.iter().flat_map(Listener::routes);
    let mut backends = routes.flat_map(|route| &route.backends);
    backends.any(|it| matches!(it.login().and_then(BackendLogin::secret), Some(SecretSource::Command(_))))
}

/// Returns the folders in which the gateway creates files.
fn written(config: &Config) -> Vec<PathBuf> {
    let sockets = config.listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Unix(path) => Some(path.as_path()),
        ListenAddress::Tcp(_) | ListenAddress::Systemd(_) => None,
    });
    let log = match &config.log {
        Log::File(path) => Some(path.as_path()),
        Log::Stderr | Log::Stdout | Log::Nowhere => None,
    };
    // Programs that a login needs may write to /dev/null.
    let null = Path::new("/dev/null").to_owned();
    let folder = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    sockets.chain(log).map(folder).chain([null]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_not_needed_is_forbidden() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = inside.path().display();
        let text = format!(
            "log = \"{dir}/log\"\n[[listener]]\nlisten = \"smtp://unix:{dir}/socket\"\n\
             forward = {{ url = \"smtps://smtp.example.com\", insecure = true }}\n"
        );
        let config = Config::parse(&text, "gateway.toml").unwrap();
        let tried = std::thread::spawn(move || {
            let confined = enter(&config).unwrap();
            let refused = |done: std::io::Result<()>| {
                done.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            };
            let write = |path: &Path| fs::write(path.join("log"), "");
            write(inside.path()).unwrap();
            fs::read("/proc/self/comm").unwrap();
            let program = refused(Command::new("true").status().map(drop));
            (confined, refused(write(outside.path())), program)
        });
        let (confined, write, program) = tried.join().unwrap();
        let enforced = confined == "files are confined";
        assert_eq!((write, program), (enforced, enforced), "{confined}");
    }
}
