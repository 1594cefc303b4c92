//! Where the client connects: other addresses, sockets, address families; and recordings of the connection.

use std::os::unix::net::UnixListener;
use std::thread::spawn;

use starttls::proto::smtp;

use crate::support::{Run, starttls, tls_server};
use crate::{connect, endpoint, lab};

#[test]
fn another_address_is_dialled_with_the_same_name_verified() {
    let lab = lab();
    let port = endpoint(&lab, "smtp").address.port();
    let to = |target: &str, connect: &str| {
        let mut command =
            starttls(["connect", "--no-system-roots", target, "--connect", connect, "--ca-file"]);
        Run::of(command.arg(lab.ca_file()))
    };
    to("smtp://mail.example.test", &format!("127.0.0.1:{port}"))
        .exits(0)
        .says("mail.example.test (in the ClientHello)");
    to(&format!("smtp://mail.example.test:{port}"), "127.0.0.1").exits(0);
    let other = to("smtp://other.example.test", &format!("127.0.0.1:{port}")).exits(5);
    assert!(other.stderr.contains("not for other.example.test"), "{}", other.stderr);
}

#[test]
fn the_html_report_has_a_picture_of_the_conversation() {
    let lab = lab();
    let page = Run::of(connect(&lab, "smtp").args(["--format", "html"])).exits(0).stdout;
    for part in [
        "<svg class=\"sequence\"",
        "STARTTLS",
        "TLS starts here",
        "certificate: verified",
        "✓ encrypted",
        "inside TLS",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let failed =
        Run::of(connect(&lab, "smtp").args(["--format", "html", "--server-name", "other.example"])).exits(5);
    assert!(failed.stdout.contains("✕ TLS should have started here"), "{}", failed.stdout);
    assert!(!failed.stdout.contains("inside TLS"), "{}", failed.stdout);
    let refused = Run::of(connect(&lab, "smtp").args(["--format", "html", "--cleartext"])).exits(2);
    assert!(refused.stderr.contains("--format html cannot be used with --cleartext"), "{}", refused.stderr);
}

#[test]
fn a_name_is_verified_instead_of_the_host() {
    let lab = lab();
    Run::of(connect(&lab, "pop3").args(["--server-name", "mail.example.test"])).exits(0);
    let run = Run::of(connect(&lab, "pop3").args(["--server-name", "other.example.test"])).exits(5);
    assert!(
        run.stderr.contains("localhost") && run.stderr.contains("not for other.example.test"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_socket_in_the_file_system() {
    let lab = lab();
    let address = endpoint(&lab, "smtp").address;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smtp.sock");
    let listener = UnixListener::bind(&path).unwrap();
    spawn(move || {
        for client in listener.incoming().flatten() {
            let server = std::net::TcpStream::connect(address).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let (mut from, mut to) = (server, client);
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        }
    });
    let unix = format!("unix:{}", path.display());
    let mut command = starttls(["connect", "smtp://localhost", "--connect", &unix, "--ca-file"]);
    let run = Run::with_input(command.arg(lab.ca_file()), b"NOOP\n").exits(0);
    assert!(run.stdout.contains("250 2.0.0 OK"), "{}", run.stdout);

    let gone = format!("unix:{}/nobody.sock", folder.path().display());
    let run = Run::of(&mut starttls(["connect", "smtp://localhost", "--connect", &gone])).exits(3);
    assert!(run.stderr.contains("the connection to the socket"), "{}", run.stderr);
}

#[test]
fn one_family_only() {
    let lab = lab();
    // The lab may listen on 127.0.0.1 only, while `localhost` has addresses of both families.
    Run::of(connect(&lab, "smtp").arg("-4")).exits(0).says("127.0.0.1:");
    let port = endpoint(&lab, "smtp").address.port();
    let run = Run::of(&mut starttls(["connect", &format!("smtp://127.0.0.1:{port}"), "-6"])).exits(3);
    assert!(run.stderr.contains("no address of this family"), "{}", run.stderr);
}

#[test]
fn the_transcript_has_times_and_no_secrets() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let mut command = connect(&lab, "imap");
    Run::with_input(command.arg("--transcript").arg(&path), b"a LOGIN test sesame\n").exits(0);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(" S: * OK localhost") && text.contains(" C: ") && text.contains("STARTTLS\\r\\n\n"),
        "{text}"
    );
    assert!(text.contains("octets of TLS>") && text.contains("octets inside TLS>"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
    for line in text.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(
            time.parse::<f64>().is_ok() && (rest.starts_with("C: ") || rest.starts_with("S: ")),
            "{line}"
        );
    }
}

#[test]
fn the_transcript_of_cleartext_has_no_secrets_either() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript");
    let mut command = connect(&lab, "pop3");
    command.arg("--cleartext").arg("--transcript").arg(&path);
    Run::with_input(&mut command, b"USER test\nPASS sesame\n").exits(0);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("S: +OK") && text.contains("C: PASS ***"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
}

#[test]
fn keys_are_logged_where_the_option_or_the_environment_says() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    Run::of(connect(&lab, "smtp").arg("--keylog").arg(&one)).exits(0);
    Run::of(connect(&lab, "smtp").env("SSLKEYLOGFILE", &two)).exits(0);
    for path in [one, two] {
        let keys = std::fs::read_to_string(&path).unwrap();
        assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0 "), "{keys}");
    }
}

#[test]
fn a_client_certificate_is_presented_to_a_server_that_demands_one() {
    use starttls::ClientAuth;
    use starttls_lab::ca::{Authority, Leaf, Usage};
    let authority = Authority::new().unwrap();
    let roots = authority.root_pem();
    let address = tls_server::server(
        &smtp::SMTP,
        &authority,
        |it| it.client_auth(ClientAuth::Required, roots),
        |session| {
            tls_server::hear(session, b"QUIT\r\n");
            let _ = session.write_all(b"221 You are known here\r\n");
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let ca_file = authority.write_to(folder.path()).unwrap();
    let client =
        authority.issue(&Leaf { usage: Usage::Client, ..Leaf::named("client.example.test") }).unwrap();
    let (cert, key) = client.write_to(folder.path(), "client").unwrap();
    let target = format!("smtp://localhost:{}", address.port());
    let mut command = starttls(["connect", "--ca-file"]);
    command.arg(&ca_file).arg(&target);
    let run = Run::of(command.arg("--cert").arg(cert).arg("--key").arg(key)).exits(0);
    assert!(run.stdout.contains("221 You are known here"), "{}", run.stdout);

    let mut without = starttls(["connect", "--ca-file"]);
    let run = Run::of(without.arg(&ca_file).arg(&target)).exits(5);
    assert!(run.stderr.contains("CertificateRequired"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: ") && run.stderr.contains("--cert"), "{}", run.stderr);
}
