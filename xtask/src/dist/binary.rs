//! Builds the release binary: static, stripped, auditable and reproducible.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::architecture::Architecture;
use super::output;
use crate::{cargo, process, root};

/// The limit for one build.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// Builds the binary of the source in `source` for an architecture, and returns its path.
///
/// Paths of this machine are replaced in the binary, so that it is the same for every user and folder.
pub(super) fn build(
    architecture: Architecture,
    source: &Path,
    target: &Path,
    log: Option<&fs::File>,
) -> Result<PathBuf, String> {
    let mut build = cargo(["auditable", architecture.build, "--locked", "--profile", "dist"]);
    build.args(["--target", architecture.target]);
    build.args(["-p", "starttls-cli", "--target-dir"]).arg(target).current_dir(source);
    let home = cargo_home()?;
    let folders = [(home.as_path(), "/cargo"), (source, "/starttls"), (target, "/target")];
    let remapped = |option: &str| {
        let mapped = folders.iter().map(|(from, to)| format!("{option}={}={to}", from.display()));
        mapped.collect::<Vec<_>>().join(" ")
    };
    build
        .env("RUSTFLAGS", remapped("--remap-path-prefix"))
        .env("CFLAGS", remapped("-ffile-prefix-map"))
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc")
        .env("SOURCE_DATE_EPOCH", source_date()?.to_string())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_INCREMENTAL");
    process::run(&build, DEADLINE, log)?;
    Ok(target.join(architecture.target).join("dist/starttls"))
}

/// Builds the commit in two folders, and compares the binaries. Returns the first.
pub(super) fn build_twice(
    architecture: Architecture,
    scratch: &Path,
    log: Option<&fs::File>,
) -> Result<PathBuf, String> {
    let mut binaries = Vec::new();
    for name in ["first", "second"] {
        let source = scratch.join(name);
        if !source.exists() {
            export(&source)?;
        }
        binaries.push(build(architecture, &source, &source.join("target"), log)?);
    }
    let read = |path: &PathBuf| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let [first, second] = [read(&binaries[0])?, read(&binaries[1])?];
    let differing = first.iter().zip(&second).filter(|(a, b)| a != b).count();
    if first.len() != second.len() || differing > 0 {
        return Err(format!(
            "the builds differ: {} and {} bytes, {differing} of them differ; compare {} with {}",
            first.len(),
            second.len(),
            binaries[0].display(),
            binaries[1].display()
        ));
    }
    Ok(binaries.swap_remove(0))
}

/// Returns the id of the commit that this run packages: the last one when it began.
fn commit() -> Result<&'static str, String> {
    static COMMIT: OnceLock<Result<String, String>> = OnceLock::new();
    let head = || output(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()));
    COMMIT.get_or_init(head).as_deref().map(str::trim).map_err(Clone::clone)
}

/// Writes the files of the commit to a folder.
pub(super) fn export(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut export = Command::new("sh");
    export
        .args(["-c", "git archive \"$1\" | tar -x -C \"$2\"", "sh", commit()?])
        .arg(folder)
        .current_dir(root());
    process::run(&export, Duration::from_secs(60), None)
}

/// Fails if the binary needs a library of the system, has symbols, or contains a path of this machine.
pub(super) fn inspect(binary: &Path) -> Result<(), String> {
    if !is_static(binary)? {
        return Err(format!("{} is not static", binary.display()));
    }
    let sections = output(Command::new("readelf").args(["--sections", "--wide"]).arg(binary))?;
    if sections.contains(" .symtab ") {
        return Err(format!("{} is not stripped", binary.display()));
    }
    if !sections.contains(" .dep-v0 ") {
        return Err(format!("{} does not contain the list of its crates", binary.display()));
    }
    let bytes = fs::read(binary).map_err(|e| format!("{}: {e}", binary.display()))?;
    for folder in [cargo_home()?, root()] {
        let folder = format!("{}/", folder.display());
        if bytes.windows(folder.len()).any(|window| window == folder.as_bytes()) {
            return Err(format!("{} contains the path {folder}", binary.display()));
        }
    }
    Ok(())
}

/// Fails if the binary does not run here, with an emulator if it needs one: the audit of the lab's servers has to be right.
pub(super) fn runs(architecture: Architecture, binary: &Path) -> Result<(), String> {
    let mut audit = match architecture.emulator {
        None => Command::new(binary),
        Some(emulator) => {
            let mut audit = Command::new(emulator);
            audit.arg(binary);
            audit
        }
    };
    output(audit.arg("check")).map(drop)
}

/// Returns whether the binary runs without a dynamic linker.
pub(super) fn is_static(binary: &Path) -> Result<bool, String> {
    let headers = output(Command::new("readelf").args(["--program-headers", "--wide"]).arg(binary))?;
    Ok(!headers.contains(" INTERP "))
}

/// Returns the time of the last commit, in seconds since 1970: the date of every file in a package.
pub(super) fn source_date() -> Result<u64, String> {
    let time =
        output(Command::new("git").args(["log", "-1", "--format=%ct", commit()?]).current_dir(root()))?;
    time.trim().parse().map_err(|_| format!("git printed \"{}\" as the time of the commit", time.trim()))
}

fn cargo_home() -> Result<PathBuf, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.ok_or_else(|| String::from("neither CARGO_HOME nor HOME is set"))
}
