//! B6: one deadline for everything from the connection attempt to the end of the handshake.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::process::DEADLINE;
use crate::support::scripted_server::{Step, closed, send, server, smtp_answering};
use crate::support::{Run, starttls};

fn times_out(scheme: &str, address: SocketAddr, step: &str) {
    let target = format!("{scheme}://{address}");
    // The server was reached, and TLS failed.
    let code = if step == "the TLS handshake" { 5 } else { 3 };
    // Long enough for the steps before, on a busy machine.
    let run = Run::of(&mut starttls(["connect", "--timeout", "5s", &target])).exits(code);
    assert!(
        run.stderr.contains(&format!("error: timed out after 5 s, waiting for {step}")),
        "{}",
        run.stderr
    );
}

#[test]
fn b6_a_peer_that_stalls_is_left_in_time_and_the_step_is_named() {
    let greets = send("220 mail.example.test ESMTP\r\n");
    std::thread::scope(|scope| {
        for (scheme, address, step) in [
            ("smtp", server([Step::Stall]), "the greeting"),
            ("smtp", server([greets, Step::Stall]), "the answer to the hello"),
            ("smtp", smtp_answering(""), "the answer to the upgrade request"),
            ("smtp", smtp_answering("220 half a li"), "the answer to the upgrade request"),
            ("smtp", smtp_answering("220 Go ahead\r\n"), "the TLS handshake"),
            ("ldap", server([Step::Stall]), "the answer to the upgrade request"),
            ("imaps", server([Step::Stall]), "the TLS handshake"),
        ] {
            scope.spawn(move || times_out(scheme, address, step));
        }
    });
}

#[test]
fn b6_a_peer_that_dribbles_is_left_in_time() {
    use std::io::Write;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while stream.write_all(b"2").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
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
    for arguments in [
        &["connect", "smtp://"][..],
        &["connect", "imaps://"],
        &["login", "--user", "u", "submission://"],
        &["send", "--to", "a@example.test", "--body", "x", "smtp://"],
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (target, options) = arguments.split_last().unwrap();
        let mut command = starttls(options);
        command.args(["--timeout", "2s", &format!("{target}{address}")]).env("STARTTLS_PASSWORD", "sesame");
        let is_over = AtomicBool::new(false);
        let (run, events) = std::thread::scope(|scope| {
            let accepting = scope.spawn(|| connections(&listener, &is_over));
            let run = Run::of(&mut command);
            is_over.store(true, Ordering::SeqCst);
            (run, accepting.join().unwrap())
        });
        assert!(run.stderr.contains("timed out after 2 s"), "{arguments:?}: {}", run.stderr);
        let after = events.iter().skip_while(|event| **event == "opened");
        assert!(after.clone().all(|event| *event == "closed"), "{arguments:?}: {events:?}");
    }
}

/// Accepts connections and sends nothing, until the client is over and all have ended. Returns what happened, in order.
fn connections(listener: &TcpListener, is_over: &AtomicBool) -> Vec<&'static str> {
    listener.set_nonblocking(true).unwrap();
    let (mut open, mut events, deadline) = (Vec::new(), Vec::new(), Instant::now() + 2 * DEADLINE);
    loop {
        assert!(Instant::now() < deadline, "{events:?}");
        let is_last = is_over.load(Ordering::SeqCst);
        let (ended, left): (Vec<TcpStream>, Vec<_>) = open.into_iter().partition(has_ended);
        open = left;
        // A connection that was opened before another one ended is waiting by now.
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            open.push(stream);
            events.push("opened");
        }
        events.extend(ended.iter().map(|_| "closed"));
        if is_last && !events.is_empty() && open.is_empty() {
            return events;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads what has arrived. Returns whether the client has closed the connection.
fn has_ended(stream: &TcpStream) -> bool {
    let mut stream = stream;
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
