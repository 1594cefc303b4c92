//! Packages the crates as for a registry, and uses the packages as a program outside of the workspace does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::{Output, Report};
use crate::{cargo, root};

/// The crates that are published, each after those that it depends on.
pub(crate) const PUBLISHED: &[(&str, &str)] = &[
    ("starttls-proto", "proto"),
    ("starttls-x509", "x509"),
    ("starttls-hello", "hello"),
    ("starttls-report", "report"),
    ("starttls-processes", "processes"),
    ("starttls-dns", "dns"),
    ("starttls", "net"),
    ("starttls-policy", "policy"),
    ("starttls-inspect", "inspect"),
    ("starttls-lab", "lab"),
    ("starttls-audit", "audit"),
    ("starttls-survey", "survey"),
    ("starttls-attack", "attack"),
    ("starttls-gateway", "gateway"),
    ("starttls-web", "web"),
    ("starttls-cli", "cli"),
];

/// What a package must contain.
const CONTENTS: &[&str] = &["Cargo.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// The crates that the program outside of the workspace uses, directly or not.
const USED_OUTSIDE: &[&str] = &["starttls-proto", "starttls-x509", "starttls"];

/// Builds the documentation of all crates with the settings of docs.rs, and fails for a warning.
pub(crate) fn docs() -> Result<(), String> {
    let mut report = Report::default();
    document(&mut report);
    report.finish()
}

/// Adds the step that builds the documentation. The settings are those in `package.metadata.docs.rs` of each crate.
pub(crate) fn document(report: &mut Report) {
    let mut doc =
        cargo(["doc", "--workspace", "--all-features", "--lib", "--no-deps", "--locked", "--keep-going"]);
    report.step("doc", 20, Output::Kept, doc.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings"));
}

/// Packages all crates.
pub(crate) fn run() -> Result<(), String> {
    let mut report = Report::default();
    steps(&mut report);
    report.finish()
}

/// Adds the step that packages all crates in the order of their dependencies, as `cargo publish --dry-run` does for each
/// whose dependencies are published. The packages are not built here; [`outside`] builds those of the library.
pub(crate) fn steps(report: &mut Report) {
    let mut package = cargo(["package", "--locked", "--offline", "--no-verify", "--allow-dirty"]);
    for (name, _) in PUBLISHED {
        package.args(["-p", name]);
    }
    if report.step("package", 10, Output::Kept, &package) {
        report.check("package contents", contents);
    }
}

/// Builds a program outside of the workspace against the packages, and runs it.
pub(crate) fn outside() -> Result<(), String> {
    let mut report = Report::default();
    steps(&mut report);
    report.check("unpack", unpack);
    let mut run = cargo(["run", "--quiet", "--offline"]);
    run.current_dir(folder()).env("CARGO_TARGET_DIR", folder().join("target"));
    report.step("outside", 20, Output::Shown, &run);
    report.finish()
}

fn contents() -> Result<(), String> {
    let version = version()?;
    let mut problems = Vec::new();
    for (name, folder) in PUBLISHED {
        let list = output(Command::new("tar").arg("-tzf").arg(packaged(name, &version)))?;
        let top = format!("{name}-{version}/");
        let has = |file: &str| list.lines().any(|line| line.strip_prefix(&top) == Some(file));
        problems.extend(
            CONTENTS.iter().filter(|file| !has(file)).map(|file| format!("{name}: {file} is missing")),
        );
        let sources = root().join("crates").join(folder).join("src");
        let main = ["src/lib.rs", "src/main.rs"].into_iter().find(|file| has(file));
        if main.is_none() {
            problems.push(format!("{name}: none of {} is in the package", sources.display()));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Makes the folder of the program: its manifest, its source and the unpacked crates.
fn unpack() -> Result<(), String> {
    let (version, folder) = (version()?, folder());
    let crates = folder.join("crates");
    // Cargo decides by the times of files what to build again, and those in a package are fixed.
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&crates).map_err(failed)?;
    for name in USED_OUTSIDE {
        output(Command::new("tar").arg("-xzf").arg(packaged(name, &version)).arg("-C").arg(&crates))?;
    }
    let patches: String = USED_OUTSIDE
        .iter()
        .map(|name| format!("{name} = {{ path = \"crates/{name}-{version}\" }}\n"))
        .collect();
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [[bin]]\nname = \"outside\"\npath = \"main.rs\"\n\n\
         [dependencies]\n\
         rcgen = {{ version = \"0.14\", default-features = false, features = [\"crypto\", \"ring\", \"pem\"] }}\n\
         starttls = {{ version = \"{version}\", default-features = false, features = [\"ring\"] }}\n\n\
         [patch.crates-io]\n{patches}\n\
         # A workspace of its own, although the folder is inside of another.\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).map_err(failed)?;
    // The versions of all other crates are those of the workspace.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    fs::copy(root().join("xtask/outside/main.rs"), folder.join("main.rs")).map_err(failed)?;
    Ok(())
}

fn folder() -> PathBuf {
    root().join("target/outside")
}

fn packaged(name: &str, version: &str) -> PathBuf {
    root().join(format!("target/package/{name}-{version}.crate"))
}

/// Returns the version of the workspace.
fn version() -> Result<String, String> {
    let manifest = read(&root().join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| String::from("Cargo.toml has no version"))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn output(command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let done = command.output().map_err(|error| format!("cannot run {line}: {error}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!("{line} failed: {}", String::from_utf8_lossy(&done.stderr))),
    }
}
