//! C5: certificates that are not accepted, and their messages.

use starttls::proto::smtp;
use starttls_lab::ca::{Authority, Leaf, Usage};
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_testkit::hello_limit::{Reaction, in_front_of};
use std::time::{Duration, SystemTime};

use crate::support::{Run, starttls, tls_server};
use crate::{connect, connect_as, endpoint, lab, shows};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn c5_each_reason_is_said_in_words() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ca_file = ours.write_to(folder.path()).unwrap();
    // The offset of half a day keeps the number of days the same during the test.
    let (now, noon) = (SystemTime::now(), DAY / 2);
    let local = || Leaf::named("localhost");
    let mut all = String::new();
    for (what, authority, leaf) in [
        ("another root", &theirs, local()),
        ("another name", &ours, Leaf::named("other.example.test")),
        ("no name", &ours, Leaf::default()),
        ("expired", &ours, Leaf { not_before: now - 9 * DAY, not_after: now - 2 * DAY - noon, ..local() }),
        ("not yet valid", &ours, Leaf { not_before: now + 2 * DAY + noon, ..local() }),
        ("a client's", &ours, Leaf { usage: Usage::Client, ..local() }),
        ("an authority's", &ours, Leaf { usage: Usage::Authority, ..local() }),
    ] {
        let issued = authority.issue(&leaf).unwrap();
        let adjust = |it: starttls::AcceptorBuilder| it.certificate_pem(issued.chain_pem, issued.key_pem);
        let address = tls_server::server(&smtp::SMTP, authority, adjust, |session| {
            drop(tls_server::hear(session, b"QUIT\r\n"))
        });
        let target = format!("smtp://localhost:{}", address.port());
        let mut command = starttls(["connect", "--no-system-roots", &target, "--ca-file"]);
        let run = Run::of(command.arg(&ca_file)).exits(5);
        let end: Vec<_> =
            run.stderr.lines().filter(|it| it.starts_with("error:") || it.starts_with("hint:")).collect();
        all += &format!("{what}\n{}\n\n", end.join("\n"));
        // `--insecure` shows the certificate without verification.
        let run = Run::of(command.arg("--insecure")).exits(0);
        assert!(run.stderr.contains("not verified: "), "{what}: {}", run.stderr);
    }
    shows!("certificates", all);
}

#[test]
fn c5_the_certificate_that_was_not_accepted_is_shown() {
    let lab = lab();
    let run = Run::of(connect(&lab, "smtp").args(["--server-name", "other.example.test"])).exits(5);
    shows!("certificate-refused", run.stderr);
}

#[test]
fn a_certificate_that_cannot_be_verified_does_not_defeat_insecure() {
    let authority = Authority::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    for (weakness, reason) in [
        (Weakness::VersionOne, "it is an X.509 certificate of version 1"),
        (Weakness::UnknownExtension, "it has an unknown critical extension"),
        (Weakness::WeakKey, "its RSA key has 1024 bits, expected at least 2048"),
    ] {
        let rogue = Rogue::start(&smtp::SMTP, weakness, &authority).unwrap();
        let target = format!("smtp://localhost:{}", rogue.address().port());
        let mut command = starttls(["connect", "--no-system-roots", &target, "--ca-file"]);
        let run = Run::of(command.arg(&ca_file)).exits(5);
        assert!(run.stderr.contains(reason) && !run.stderr.contains("does not hold"), "{}", run.stderr);
        let run = Run::of(command.arg("--insecure")).exits(0);
        assert!(run.stderr.contains(&format!("not verified: {reason}")), "{}", run.stderr);
    }
}

#[test]
fn a_device_that_does_not_accept_a_large_hello_is_named() {
    let lab = lab();
    // A device that does not answer is waited for.
    std::thread::scope(|scope| {
        for reaction in Reaction::ALL {
            for scheme in ["smtp", "imaps"] {
                let device = in_front_of(endpoint(&lab, scheme).address, reaction).unwrap();
                let mut command = connect_as(&lab, scheme, endpoint(&lab, scheme));
                let connect = format!("127.0.0.1:{}", device.port());
                command.args(["--timeout", "10s", "--connect", &connect]);
                scope.spawn(move || {
                    let run = Run::of(&mut command);
                    assert_ne!(run.code, 0, "{}", run.stderr);
                    let is_named = run.stderr.contains("succeeds with a small ClientHello");
                    assert!(is_named, "{reaction:?}: {}", run.stderr);
                });
            }
        }
    });
}
