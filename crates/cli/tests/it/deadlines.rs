//! B6: one deadline for everything from the connection attempt to the end of the handshake.

use std::net::SocketAddr;

use crate::support::scripted_server::{Step, closed, send, server, smtp_answering};
use crate::support::{Run, starttls};

fn times_out(scheme: &str, address: SocketAddr, step: &str) {
    let target = format!("{scheme}://{address}");
    // The server was reached, and TLS failed.
    let code = if step == "the TLS handshake" { 5 } else { 3 };
    let run = Run::of(&mut starttls(["connect", "--timeout", "300ms", &target])).exits(code);
    assert!(
        run.stderr.contains(&format!("error: timed out after 0.3 s, waiting for {step}")),
        "{}",
        run.stderr
    );
}

#[test]
fn b6_a_peer_that_stalls_is_left_in_time_and_the_step_is_named() {
    times_out("smtp", server([Step::Stall]), "the greeting");
    let greets = || send("220 mail.example.test ESMTP\r\n");
    times_out("smtp", server([greets(), Step::Stall]), "the answer to the hello");
    times_out("smtp", smtp_answering(""), "the answer to the upgrade request");
    times_out("smtp", smtp_answering("220 half a li"), "the answer to the upgrade request");
    times_out("smtp", smtp_answering("220 Go ahead\r\n"), "the TLS handshake");
    times_out("ldap", server([Step::Stall]), "the answer to the upgrade request");
    times_out("imaps", server([Step::Stall]), "the TLS handshake");
}

#[test]
fn b6_a_peer_that_dribbles_is_left_in_time() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while stream.write_all(b"2").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    times_out("pop3", address, "the greeting");
}

#[test]
fn b6_an_endless_greeting_is_cut() {
    let address = server([send(vec![b'+'; 1 << 20]), Step::Stall]);
    let run = Run::of(&mut starttls(["connect", &format!("pop3://{address}")])).exits(6);
    assert!(run.stderr.len() < 4096, "{} bytes of talk", run.stderr.len());
}

#[test]
fn a_refused_connection_is_reported() {
    let (_reserved, address) = closed();
    let run = Run::of(&mut starttls(["connect", &format!("smtp://{address}")])).exits(3);
    assert_eq!(
        run.stderr,
        format!("error: cannot connect to {address}: Connection refused (os error 111)\n")
    );
}

#[test]
fn the_name_has_no_address() {
    Run::of(&mut starttls(["connect", "smtp://nowhere.invalid"]))
        .exits(3)
        .says("cannot resolve \"nowhere.invalid\"");
}

/// The second connection, which diagnoses a failure, has the same deadline. The client opens no connection after the
/// deadline.
#[test]
fn b6_the_second_connection_is_within_the_deadline_too() {
    use std::io::Read;
    use std::sync::{Arc, Mutex};
    for arguments in [
        &["connect", "smtp://"][..],
        &["connect", "imaps://"],
        &["login", "--user", "u", "submission://"],
        &["send", "--to", "a@example.test", "--body", "x", "smtp://"],
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let recorded = events.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                recorded.lock().unwrap().push("opened");
                let recorded = recorded.clone();
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut stream.by_ref(), &mut std::io::sink());
                    recorded.lock().unwrap().push("closed");
                });
            }
        });
        let (target, options) = arguments.split_last().unwrap();
        let mut command = starttls(options);
        command.args(["--timeout", "2s", &format!("{target}{address}")]).env("STARTTLS_PASSWORD", "sesame");
        let run = Run::of(&mut command);
        assert!(run.stderr.contains("timed out after 2 s"), "{arguments:?}: {}", run.stderr);
        let events = events.lock().unwrap().clone();
        let after = events.iter().skip_while(|event| **event == "opened");
        assert!(
            events.len() > 1 && after.clone().all(|event| *event == "closed"),
            "{arguments:?}: {events:?}"
        );
    }
}
