//! Files that a command reads or writes: an endless device, a directory, a file that is too large, a pipe.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use starttls_lab::ca::Authority;

use crate::support::{Run, starttls};

const TARGET: &str = "smtp://127.0.0.1:1";

/// Returns every option that names a file, with the rest of its command.
fn options() -> Vec<(&'static str, Vec<&'static str>)> {
    let send = ["send", TARGET, "--to", "a@example.test"];
    vec![
        ("--ca-file", vec!["connect", TARGET]),
        ("--ca-file", vec!["check", TARGET]),
        ("--file", vec!["check"]),
        ("--baseline", vec!["check", TARGET]),
        ("--resume", vec!["check", TARGET, "--format", "json"]),
        ("--password-file", vec!["login", TARGET, "--user", "u"]),
        ("--body-file", send.to_vec()),
        ("--attach", send.to_vec()),
    ]
}

fn refuses(path: &str, expected: &str) {
    for (option, rest) in options() {
        let began = Instant::now();
        let run = Run::of(starttls(rest).args([option, path])).exits(2);
        assert!(run.stderr.contains(expected), "{option}: {}", run.stderr);
        assert!(began.elapsed() < Duration::from_secs(30), "{option}: {:?}", began.elapsed());
    }
    let mut certificate = tempfile::NamedTempFile::new().unwrap();
    certificate.write_all(Authority::new().unwrap().root_pem().as_bytes()).unwrap();
    for (cert, key) in [(path, "/does/not/exist"), (certificate.path().to_str().unwrap(), path)] {
        Run::of(&mut starttls(["connect", TARGET, "--cert", cert, "--key", key])).exits(2).says(expected);
    }
}

#[test]
fn a_directory() {
    let folder = tempfile::tempdir().unwrap();
    refuses(folder.path().to_str().unwrap(), "found a directory");
}

#[test]
fn a_file_that_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    // A sparse file, which uses no space on the disk.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    for (option, rest) in options().into_iter().filter(|(option, _)| *option != "--resume") {
        let run = Run::of(starttls(rest).arg(option).arg(&path)).exits(2);
        assert!(run.stderr.contains("expected at most"), "{option}: {}", run.stderr);
    }
}

#[test]
fn a_device_without_an_end() {
    for (option, rest) in options() {
        // The other options have limits that take too long to reach, or accept regular files only.
        if ["--ca-file", "--password-file"].contains(&option) {
            Run::of(starttls(rest).args([option, "/dev/zero"])).exits(2).says("expected at most");
        }
    }
}

/// A truncated secret would be a different secret, and the output of a command may be endless.
#[test]
fn a_secret_that_is_too_long_is_refused() {
    let sasl = |option, value| starttls(["sasl", "PLAIN", "--user", "u", option, value]);
    let expected = "the password is too long: expected at most 64 KiB";
    Run::of(&mut sasl("--password-command", "exec yes")).exits(2).says(expected);
    let long = vec![b'p'; (64 << 10) + 1];
    Run::with_input(&mut sasl("--password-file", "-"), &long).exits(2).says(expected);
    Run::with_input(&mut sasl("--password-file", "-"), &long[1..]).exits(0);
}

#[test]
fn a_pipe_that_no_program_reads_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    for command in [
        &["connect", TARGET, "--transcript"][..],
        &["connect", TARGET, "--keylog"],
        &["connect", TARGET, "--format", "json", "--output"],
        &["check", TARGET, "--output"],
        &["check", TARGET, "--format", "json", "--output"],
        &["login", TARGET, "--user", "u", "--transcript"],
    ] {
        let began = Instant::now();
        let run = Run::of(starttls(command).arg(&path).env("STARTTLS_PASSWORD", "sesame")).exits(2);
        assert!(run.stderr.contains("(FIFO)"), "{command:?}: {}", run.stderr);
        assert!(began.elapsed() < Duration::from_secs(30), "{command:?}: {:?}", began.elapsed());
    }
}

#[test]
fn a_pipe_with_a_writer_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut writer = Command::new("sh").args(["-c", "echo sesame > \"$0\""]).arg(&path).spawn().unwrap();
    let run =
        Run::of(starttls(["login", TARGET, "--user", "u", "--timeout", "30s", "--password-file"]).arg(&path));
    // The password was read; the connection is refused, because no server listens on this port.
    run.exits(3).says("cannot connect to 127.0.0.1:1");
    assert!(writer.wait().unwrap().success());
}
