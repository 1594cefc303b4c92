//! Makes a release: the binary, and the packages that contain it. Signs and publishes nothing.

mod architecture;
mod binary;
mod deb;
mod image;
mod package;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::{Output, Report};
use crate::root;
use architecture::{AMD64, ARCHITECTURES, Architecture};
use package::Compression;

/// The version of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const USAGE: &str = "usage: cargo xtask dist [--twice | --binary FILE]";

/// What the user does with a finished release.
const NEXT: &str = "
A release is a tag:
  1. Set the version in Cargo.toml, and write the version and the date over \"Unreleased\" in CHANGELOG.md.
  2. cargo xtask test, then commit.
  3. git tag -s vVERSION, then push the commit and the tag.
  4. cargo xtask dist --twice on the tag, then sign SHA256SUMS and upload everything in target/dist.
";

/// Builds the binaries, and makes and tests all packages in `target/dist`. With `--binary`, only tests the packages.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let twice = match *args {
        [] => false,
        ["--twice"] => true,
        ["--binary", file] => return check_packages(Path::new(file)),
        _ => return Err(String::from(USAGE)),
    };
    let scratch = root().join("target/dist-scratch");
    empty(&scratch)?;
    let mut report = Report::default();
    if !report.check("dist tools", check_tools) {
        return report.finish();
    }
    report.check("dist tag", check_tag);
    let mut binaries = Vec::new();
    for architecture in ARCHITECTURES {
        let name = architecture.name;
        let step = format!("dist build {name}{}", if twice { " twice" } else { "" });
        report.logged(&step, Output::Kept, |log| {
            let binary = if twice {
                binary::build_twice(architecture, &scratch, log)
            } else {
                binary::build(architecture, &root(), &root().join("target/dist-build"), log)
            }?;
            binary::inspect(&binary)?;
            binaries.push((architecture, binary));
            Ok(())
        });
    }
    if binaries.len() == ARCHITECTURES.len() {
        for (architecture, binary) in &binaries {
            report.check(&format!("dist run {}", architecture.name), || binary::runs(*architecture, binary));
        }
        report.logged("dist sbom", Output::Kept, |log| package::sbom(&scratch, log));
        packages(&mut report, &binaries, &scratch, &root().join("target/dist"), Compression::Small)?;
    }
    report.finish()?;
    println!("{NEXT}");
    Ok(())
}

/// Makes and tests the packages of a binary that exists, in folders of their own.
pub(crate) fn check_packages(binary: &Path) -> Result<(), String> {
    let scratch = root().join("target/dist-test/scratch");
    empty(&scratch)?;
    let stripped = scratch.join("starttls");
    output(Command::new("strip").arg("-o").arg(&stripped).arg(binary))?;
    let mut report = Report::default();
    let folder = root().join("target/dist-test/packages");
    packages(&mut report, &[(AMD64, stripped)], &scratch, &folder, Compression::Fast)?;
    report.finish()
}

/// Adds the steps that make and test the packages. The first binary runs on this machine.
fn packages(
    report: &mut Report,
    binaries: &[(Architecture, PathBuf)],
    scratch: &Path,
    folder: &Path,
    compression: Compression,
) -> Result<(), String> {
    empty(folder)?;
    let [(_, program), ..] = binaries else { return Err(String::from("no binary was built")) };
    let kept = Output::Kept;
    for &(architecture, ref binary) in binaries {
        let name = architecture.name;
        let is_static = binary::is_static(binary)?;
        let stage = scratch.join(format!("stage-{name}"));
        report.check(&format!("dist pages {name}"), || package::stage(program, binary, &stage, scratch));
        report.logged(&format!("dist archive {name}"), kept, |log| {
            package::archive(architecture, &stage, folder, compression, log)
        });
        report.logged(&format!("dist deb {name}"), kept, |log| {
            let package = deb::build(architecture, &stage, scratch, VERSION, folder, compression)?;
            if architecture != AMD64 {
                return Ok(());
            }
            let newer = format!("{VERSION}+newer");
            let newer = deb::build(architecture, &stage, scratch, &newer, scratch, Compression::Fast)?;
            deb::test(&package, &newer, &scratch.join("root"), is_static, log)
        });
    }
    report.logged("dist image", kept, |log| image::write(binaries, scratch, folder, compression, log));
    report.logged("dist checksums", kept, |log| package::checksums(folder, log));
    Ok(())
}

/// Succeeds if rustc has the standard library of a target.
const HAS_TARGET: &str = "test -d \"$(rustc --print sysroot)/lib/rustlib/$1\"";

/// Fails if a tool that only a release needs is missing.
fn check_tools() -> Result<(), String> {
    let mut missing = Vec::new();
    for (program, args, install) in [
        ("cargo", &["auditable", "--version"][..], "cargo install --locked cargo-auditable"),
        ("cargo", &["cyclonedx", "--version"], "cargo install --locked cargo-cyclonedx"),
        ("musl-gcc", &["--version"], "apt-get install musl-tools"),
        ("cargo-zigbuild", &["--version"], "pip install cargo-zigbuild ziglang"),
        ("qemu-aarch64-static", &["--version"], "apt-get install qemu-user-static"),
        (
            "sh",
            &["-c", HAS_TARGET, "sh", "x86_64-unknown-linux-musl"],
            "rustup target add x86_64-unknown-linux-musl",
        ),
        (
            "sh",
            &["-c", HAS_TARGET, "sh", "aarch64-unknown-linux-musl"],
            "rustup target add aarch64-unknown-linux-musl",
        ),
    ] {
        if output(Command::new(program).args(args)).is_err() {
            missing.push(install);
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("missing tools; install them: {}", missing.join("; ")))
    }
}

/// Fails on a tag whose version is not that of the workspace.
fn check_tag() -> Result<(), String> {
    let tags = output(Command::new("git").args(["tag", "--points-at", "HEAD"]).current_dir(root()))?;
    let mut versions = tags.lines().filter_map(|tag| tag.strip_prefix('v')).peekable();
    if versions.peek().is_some() && !versions.any(|version| version == VERSION) {
        return Err(format!("the commit has the tags {}, but the version is {VERSION}", tags.trim()));
    }
    Ok(())
}

/// Creates an empty folder.
fn empty(folder: &Path) -> Result<(), String> {
    let missing = fs::remove_dir_all(folder).err().filter(|e| e.kind() != std::io::ErrorKind::NotFound);
    if let Some(error) = missing {
        return Err(format!("cannot empty {}: {error}", folder.display()));
    }
    fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))
}

/// Writes a file, and the folders above it.
fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), String> {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    parent
        .and_then(|()| fs::write(path, contents))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Copies a file, and creates the folders above the copy.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let parent = to.parent().map_or(Ok(()), fs::create_dir_all);
    let copied = parent.and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

/// Returns what a command prints, which has to succeed.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("cannot run {name}: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} failed: {}: {}", output.status, errors.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{name} printed text that is not UTF-8"))
}

/// Returns the files of a folder and of the folders in it, in a fixed order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
