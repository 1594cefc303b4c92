//! `login` and `sasl`: the dialogue, the reports, and the sources of secrets.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use starttls::Acceptor;
use starttls::login::Account;
use starttls::proto::{base64, smtp::SMTP};
use starttls_lab::Lab;
use starttls_lab::ca::{Authority, Leaf};

use crate::support::process::Live;
use crate::support::tls_server::{Duplex, hear, rest};
use crate::support::{Run, starttls};
use crate::{endpoint, lab, schema, shows};

/// Returns `login` to this server of the lab, which trusts the lab's root.
fn login(lab: &Lab, scheme: &str) -> Command {
    let mut command = starttls(["login", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).arg(format!("{scheme}://localhost:{}", endpoint(lab, scheme).address.port()));
    command.env("STARTTLS_PASSWORD", lab.password());
    command
}

#[test]
fn every_server_of_the_lab_knows_the_user() {
    let lab = lab();
    for endpoint in lab.endpoints() {
        let (name, scheme) = (endpoint.protocol.name, endpoint.scheme);
        if !Account::supports(endpoint.protocol) {
            continue;
        }
        let (mechanism, user) = match name {
            // The lab's servers let clients in without a login, or authenticate them by their certificates.
            "lmtp" | "xmpp-server" => continue,
            "ftp" | "nut" => ("USER", "test"),
            "ldap" => ("SIMPLE", "uid=test,dc=example,dc=test"),
            "nats" => ("SIMPLE", "test"),
            "postgres" => ("PASSWORD", "test"),
            "mysql" => ("CACHING_SHA2_PASSWORD", "test"),
            _ => ("PLAIN", "test"),
        };
        let run = Run::of(login(&lab, scheme).args(["--user", user, "--format", "json"])).exits(0);
        assert_eq!(run.stderr, "", "{scheme}");
        let report = run.json();
        schema::fits_in("login.json", &report);
        assert_eq!(report["outcome"], "logged-in", "{report}");
        assert_eq!(report["login"]["mechanism"], mechanism, "{report}");
        assert_eq!(report["login"]["checked"], name != "nut", "{report}");
        assert!(!run.stdout.contains(lab.password()), "{report}");
        let mut wrong = login(&lab, scheme);
        let run = Run::of(wrong.args(["--user", user, "--format", "json"]).env("STARTTLS_PASSWORD", "wrong"));
        // upsd stores any user name and password without checking them.
        assert_eq!(run.code, if name == "nut" { 0 } else { 8 }, "{scheme}: {}", run.stdout);
        schema::fits_in("login.json", &run.json());
    }
}

#[test]
fn for_people() {
    let lab = lab();
    for scheme in ["imap", "ldap"] {
        let user = if scheme == "ldap" { "uid=test,dc=example,dc=test" } else { "test" };
        let run = Run::of(login(&lab, scheme).args(["--user", user])).exits(0);
        let inside = run.stderr.split_once("the protocol ").unwrap().1;
        shows!(format!("login-{scheme}"), format!("{}{inside}", run.stdout));
    }
    let quiet = Run::of(login(&lab, "smtp").args(["--user", "test", "-q"])).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("authenticated as test with PLAIN\n", ""));
    Run::of(login(&lab, "ldap").args(["--user", "test"])).exits(0);
    let late = Run::of(login(&lab, "nut").args(["--user", "test"])).exits(0);
    assert_eq!(late.stdout, "authenticated as test with USER, not checked yet\n");
    late.says("it does so when a command needs them");
}

#[test]
fn the_transcript_has_the_login_and_no_secret() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transcript.txt");
    for mechanism in ["PLAIN", "LOGIN"] {
        let mut command = login(&lab, "submission");
        command.args(["--user", "test", "--mechanism", mechanism, "-v", "--transcript"]).arg(&file);
        let run = Run::of(&mut command).exits(0);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains(&format!("C: AUTH {mechanism}")) && text.contains("S: 235 2.7.0 Welcome"),
            "{text}"
        );
        let token = base64::encode(format!("\0test\0{}", lab.password()).as_bytes());
        for told in [&text, &run.stdout, &run.stderr] {
            for secret in [lab.password(), &token, &base64::encode(lab.password().as_bytes())] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}

#[test]
fn a_secret_comes_from_where_it_is_kept() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{}\r\nmore\n", lab.password())).unwrap();
    let plain = || {
        let mut command = login(&lab, "imap");
        command.env_remove("STARTTLS_PASSWORD").args(["--user", "test", "-q"]);
        command
    };
    Run::of(plain().arg("--password-file").arg(&file)).exits(0);
    Run::of(plain().arg("--password-command").arg(format!("cat {}", file.display()))).exits(0);
    Run::with_input(plain().args(["--password-file", "-"]), lab.password().as_bytes()).exits(0);
    Run::of(&mut plain()).exits(2).says("is not a terminal to prompt on");
    Run::of(plain().args(["--password-command", "exit 3"])).exits(2).says("failed: exit status: 3");
    Run::of(plain().args(["--password-file", "/dev/null"])).exits(2).says("the password is empty");

    // On a terminal, the command prompts for the password without echo.
    let command = plain();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.collect::<Vec<_>>().join(std::ffi::OsStr::new(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]).arg(line).arg("/dev/null");
    let mut live = Live::start(&mut script);
    live.hears("Password: ");
    live.say(format!("{}\n", lab.password()).as_bytes());
    live.hears("authenticated as test");
    assert!(!live.stdout().contains(lab.password()), "{}", live.stdout());
    live.end().exits(0);
}

/// Starts an SMTP server with this offer in cleartext, which runs `inside` inside TLS.
fn server(
    offer: &'static str,
    inside: impl Fn(&mut dyn Duplex) + Send + 'static,
) -> (SocketAddr, tempfile::TempDir) {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    authority.write_to(folder.path()).unwrap();
    let issued = authority.issue(&Leaf::named("localhost")).unwrap();
    let acceptor = Acceptor::builder(&SMTP, "localhost").certificate_pem(issued.chain_pem, issued.key_pem);
    let acceptor = acceptor.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::Write;
            let _ = stream.write_all(b"220 mail\r\n");
            hear(&mut stream, b"\r\n");
            let _ = stream.write_all(format!("250-mail\r\n{offer}250 STARTTLS\r\n").as_bytes());
            hear(&mut stream, b"STARTTLS\r\n");
            let _ = stream.write_all(b"220 go\r\n");
            if let Ok(mut session) = acceptor.blocking().accept_implicit(stream) {
                inside(&mut session);
                let _ = session.close();
            }
        }
    });
    (address, folder)
}

/// Returns the output of a login to a server with these offers before and inside TLS and with these answers.
fn told(
    before: &'static str,
    offer: &'static str,
    answers: &'static [&str],
    arguments: &[&str],
    code: i32,
) -> String {
    let (address, folder) = server(before, move |session| {
        hear(session, b"\r\n");
        let _ = session.write_all(offer.as_bytes());
        for answer in answers {
            hear(session, b"\r\n");
            let _ = session.write_all(answer.as_bytes());
        }
        let _ = session.flush();
        if answers.last().is_none_or(|last| last.ends_with('\n')) {
            rest(session);
        }
    });
    let mut command = starttls(["login", "-q", "--user", "john", "--no-system-roots", "--ca-file"]);
    command.arg(folder.path().join("root.pem")).arg(format!("smtp://localhost:{}", address.port()));
    let run = Run::of(command.args(arguments).env("STARTTLS_PASSWORD", "sesame")).exits(code);
    assert!(!run.stderr.contains("sesame") && run.stdout.is_empty(), "{run:?}");
    format!("{arguments:?} {offer:?} {answers:?}\n{}\n", run.stderr)
}

#[test]
fn each_way_to_fail_says_what_to_do() {
    let plain = "250-mail\r\n250 AUTH PLAIN\r\n";
    let mut all = told("", plain, &["535 5.7.8 \x1b[31mwrong\r\n"], &[], 8);
    all += &told("", plain, &["454 4.7.0 not now\r\n"], &[], 7);
    all += &told("250-AUTH PLAIN\r\n", "250 mail\r\n", &[], &[], 8);
    all += &told("", "250 mail\r\n", &[], &[], 8);
    all += &told("", "250-mail\r\n250 AUTH CRAM-MD5\r\n", &[], &[], 8);
    all += &told("", plain, &[], &["--mechanism", "SCRAM-SHA-256"], 8);
    all += &told("", plain, &["504 5.5.4 what?\r\n"], &[], 8);
    all += &told("", "250-mail\r\n250 AUTH LOGIN\r\n", &["334 VXNl"], &[], 3);
    let xoauth = "250-mail\r\n250 AUTH XOAUTH2\r\n";
    all += &told("", xoauth, &["334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", "535 5.7.8 expired\r\n"], &["--token"], 8);
    all += &told("", xoauth, &[], &[], 8);
    all += &told("", "hello\r\n", &[], &[], 6);
    all += &told("", "250-mail\r\n250 AUTH SCRAM-SHA-256\r\n", &["235 in without a proof\r\n"], &[], 8);
    shows!("login-refusals", all);
}

#[test]
fn nothing_is_dialled_for_a_mistake() {
    let mut all = String::new();
    for arguments in [
        &["smtp://mail.example.com"][..],
        &["http://mail.example.com", "--user", "john"],
        &["imap://mail.example.com", "--mechanism", "EXTERNAL"],
        &["imap://mail.example.com", "--user", "john", "--mechanism", "rot13"],
        &["imap://mail.example.com", "--user", "john", "--password-file", "a", "--password-command", "b"],
        &["imap://mail.example.com", "--password", "sesame"],
    ] {
        let run = Run::of(starttls(["login"]).args(arguments)).exits(2);
        all += &format!("$ starttls login {}\n{}\n", arguments.join(" "), run.stderr);
    }
    shows!("login-usage", all);
}

fn sasl(arguments: &[&str], input: &str) -> Run {
    Run::with_input(starttls(["sasl"]).args(arguments).env("STARTTLS_PASSWORD", "sesame"), input.as_bytes())
}

#[test]
fn tokens_are_written_and_read() {
    let plain = sasl(&["plain", "--user", "john"], "").exits(0).stdout;
    assert_eq!(plain, "AGpvaG4Ac2VzYW1l\n");
    let read = sasl(&["PLAIN", "--decode"], &format!("AUTH PLAIN {plain}")).exits(0).stdout;
    assert_eq!(read, "acting as  (none)\nuser       john\npassword   sesame\n");
    assert_eq!(sasl(&["LOGIN", "--user", "john"], "").exits(0).stdout, "am9obg==\nc2VzYW1l\n");
    assert_eq!(sasl(&["EXTERNAL"], "").exits(0).stdout, "=\n");
    assert_eq!(sasl(&["EXTERNAL", "--authorize-as", "john"], "").exits(0).stdout, "am9obg==\n");
    let token = sasl(&["XOAUTH2", "--user", "john"], "").exits(0).stdout;
    assert_eq!(base64::decode(token.trim().as_bytes()).unwrap(), b"user=john\x01auth=Bearer sesame\x01\x01");
    assert_eq!(sasl(&["XOAUTH2", "--decode"], &token).exits(0).stdout, "user=john\nauth=Bearer sesame\n");
    // The example of RFC 2195, with the server's line as it is sent.
    let told = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n";
    let mut command = starttls(["sasl", "CRAM-MD5", "--user", "tim"]);
    let run = Run::with_input(command.env("STARTTLS_PASSWORD", "tanstaaftanstaaf"), told.as_bytes()).exits(0);
    assert_eq!(run.stdout, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\n");
    let first = sasl(&["SCRAM-SHA-256", "--user", "john"], "").exits(0).stdout;
    let read = sasl(&["SCRAM-SHA-256", "--decode"], &first).exits(0).stdout;
    assert!(read.starts_with("n\n(none)\nn=john\nr="), "{read}");
    // The mechanism is checked before the password is requested, which is not available here.
    Run::of(starttls(["sasl", "rot13", "--user", "john"]).env_remove("STARTTLS_PASSWORD"))
        .exits(2)
        .says("unknown mechanism \"ROT13\"")
        .says("PLAIN");
    // A mechanism without a second step does not wait for input.
    let mut command = starttls(["sasl", "PLAIN", "--user", "john"]);
    let run = Live::start(command.env("STARTTLS_PASSWORD", "sesame")).end().exits(0);
    assert_eq!(run.stdout, "AGpvaG4Ac2VzYW1l\n");
    sasl(&["PLAIN"], "").exits(2).says("--user");
    sasl(&["PLAIN", "--decode"], "AGpvaG4\n").exits(2).says("invalid Base64");
}
