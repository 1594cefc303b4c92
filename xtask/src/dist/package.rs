//! The files that every package contains, and the archive of them.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::architecture::{AMD64, Architecture};
use super::binary::{export, source_date};
use super::{VERSION, copy, output, write};
use crate::{cargo, process, root};

/// The limit for one tool.
const DEADLINE: Duration = Duration::from_secs(300);

/// The shells, and the names of their completion scripts under `completions`.
pub(super) const SHELLS: &[(&str, &str)] =
    &[("bash", "starttls"), ("zsh", "_starttls"), ("fish", "starttls.fish")];

/// How packages are compressed: for a release, or for a test that has to be fast.
#[derive(Clone, Copy)]
pub(super) enum Compression {
    Small,
    Fast,
}

impl Compression {
    /// Returns the command that compresses a tar archive, without a time in its output.
    fn of_archives(self) -> &'static str {
        match self {
            Self::Small => "gzip -9n",
            Self::Fast => "gzip -1n",
        }
    }

    /// Returns the option of `dpkg-deb`.
    pub(super) fn of_packages(self) -> &'static str {
        match self {
            Self::Small => "-Zxz",
            Self::Fast => "-Znone",
        }
    }
}

/// The name of the software bill of materials.
pub(super) const SBOM: &str = "starttls.cdx.json";

/// Writes the software bill of materials of the binary: every crate that is linked into it (CycloneDX 1.5, JSON).
///
/// The tool writes a file beside each manifest, so it runs on a copy of the commit.
pub(super) fn sbom(scratch: &Path, log: Option<&File>) -> Result<(), String> {
    let source = scratch.join("sbom");
    export(&source)?;
    let mut list =
        cargo(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", AMD64.target]);
    list.args(["--manifest-path", "crates/cli/Cargo.toml", "--override-filename", "starttls.cdx"]);
    list.env("SOURCE_DATE_EPOCH", source_date()?.to_string()).current_dir(&source);
    process::run(&list, DEADLINE, log)?;
    copy(&source.join("crates/cli").join(SBOM), &scratch.join(SBOM))
}

/// Collects a binary, the manual pages and completions, and the texts in a folder. `program` is the same version for this machine,
/// which writes the pages.
pub(super) fn stage(program: &Path, binary: &Path, stage: &Path, scratch: &Path) -> Result<(), String> {
    copy(binary, &stage.join("starttls"))?;
    write(&stage.join("man/starttls.1"), output(Command::new(program).arg("man"))?)?;
    let help = output(Command::new(program).arg("--help"))?;
    for command in commands(&help) {
        let page = output(Command::new(program).args(["man", command]))?;
        write(&stage.join(format!("man/starttls-{command}.1")), page)?;
    }
    for (shell, name) in SHELLS {
        let script = output(Command::new(program).args(["completions", shell]))?;
        write(&stage.join("completions").join(name), script)?;
    }
    for name in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(name), &stage.join(name))?;
    }
    copy(&root().join("contrib/starttls-gateway.service"), &stage.join("starttls-gateway.service"))?;
    if scratch.join(SBOM).exists() {
        copy(&scratch.join(SBOM), &stage.join(SBOM))?;
    }
    Ok(())
}

/// Returns the commands in the help of the program.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default().lines();
    // A description that continues on the next line is indented further.
    let rows = list.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    rows.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help")
}

/// Writes the archive for every other system than Debian.
pub(super) fn archive(
    architecture: Architecture,
    stage: &Path,
    folder: &Path,
    compression: Compression,
    log: Option<&File>,
) -> Result<(), String> {
    let name = format!("starttls-{VERSION}-{}", architecture.target);
    let file = folder.join(format!("{name}.tar.gz"));
    tar(stage, &format!("s,^\\.,{name},"), &file, compression, log)
}

/// Packs a folder, with the same bytes for the same files. `transform` is a sed expression for the names.
pub(super) fn tar(
    folder: &Path,
    transform: &str,
    file: &Path,
    compression: Compression,
    log: Option<&File>,
) -> Result<(), String> {
    let mut pack = Command::new("tar");
    pack.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"])
        .args([
            "--format=ustar",
            &format!("--mtime=@{}", source_date()?),
            &format!("--transform={transform}"),
        ])
        .arg(format!("--use-compress-program={}", compression.of_archives()))
        .args(["--create", "--file"])
        .arg(file)
        .arg("--directory")
        .arg(folder)
        .arg(".");
    process::run(&pack, DEADLINE, log)
}

/// Writes the SHA-256 of every file of the release.
pub(super) fn checksums(folder: &Path, log: Option<&File>) -> Result<(), String> {
    let mut sums = Command::new("sh");
    sums.args(["-c", "sha256sum -- *.* >.sums && mv .sums SHA256SUMS && cat SHA256SUMS"]).current_dir(folder);
    process::run(&sums, DEADLINE, log)
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn the_commands_of_a_help_text() {
        let help = "Usage: x\n\nCommands:\n  check   Audit a server: is it\n          safe\n  policy  Write\n  help    Print\n\nOptions:\n  -h\n";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["check", "policy"]);
    }
}
