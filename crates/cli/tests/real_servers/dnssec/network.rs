//! A network, a list of processes and a configuration of DNS of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// The variable that is set inside.
const INSIDE: &str = "STARTTLS_TEST_NAMESPACE";

/// Runs this test again inside; the second time, it runs `test`. Where namespaces are forbidden, it says so.
#[expect(clippy::explicit_write, reason = "the harness hides what a test that passes prints with eprintln")]
pub(super) fn inside(name: &str, test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let namespace = ["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"];
    let mut allowed = Command::new("unshare");
    if !allowed.args(namespace).arg("true").status().is_ok_and(|it| it.success()) {
        let why = "this user or container may not create namespaces (unshare)";
        writeln!(std::io::stderr(), "not run: {name}: {why}").unwrap();
        return;
    }
    let mut inside = Command::new("timeout");
    inside
        .args(["--kill-after", "5", "900", "unshare"])
        .args(namespace)
        .arg(std::env::current_exe().unwrap());
    inside.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = inside.output().unwrap();
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Makes this machine ask the resolver on the loopback interface.
pub(super) fn set_up(folder: &Path) {
    shell(
        folder,
        "ip link set lo up; ip addr add 127.0.0.9/32 dev lo
         printf 'nameserver 127.0.0.1\\noptions edns0 trust-ad timeout:5 attempts:2\\n' > resolv.conf
         printf 'hosts: files dns\\n' > nsswitch.conf
         mount --bind resolv.conf /etc/resolv.conf; mount --bind nsswitch.conf /etc/nsswitch.conf",
    );
}

/// Runs a script in this folder.
pub(super) fn shell(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}
