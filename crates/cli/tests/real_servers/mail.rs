//! A message is sent through Postfix and read from Dovecot unchanged.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use starttls::login::Account;
use starttls::proto::{imap::IMAP, pop3::POP3};
use starttls::{Connector, Encrypted, Endpoint};
use starttls_testkit::real::{RunningServer, Setup, start_mail_host};

use super::dns_server;
use super::process::{DEADLINE, Run, starttls};

struct Host {
    running: RunningServer,
    connector: Connector,
    ca_file: std::path::PathBuf,
}

impl Host {
    fn start() -> Self {
        let setup = Setup::new().unwrap();
        let running = start_mail_host(&setup).unwrap();
        let ca_file = setup.authority.write_to(running.folder()).unwrap();
        let connector =
            Connector::builder().no_system_roots().roots_pem(setup.authority.root_pem()).timeout(DEADLINE);
        Self { running, connector: connector.build().unwrap(), ca_file }
    }

    /// Returns `send` with this protocol and a login.
    fn send(&self, protocol: &str) -> Command {
        let endpoint = self.running.endpoint(protocol).unwrap();
        let mut command = starttls(["send", "--timeout", "30s", "--no-system-roots", "--ca-file"]);
        command
            .arg(&self.ca_file)
            .arg(format!("{protocol}://{}", endpoint.address))
            .args(["--server-name", &endpoint.server_name, "--from", "test@example.test"])
            .args(["--to", "test@example.test", "--user", &self.running.user])
            .env("STARTTLS_PASSWORD", &self.running.password);
        command
    }

    fn log_in(&self, protocol: &'static starttls::proto::Protocol) -> Encrypted<TcpStream> {
        let endpoint = self.running.endpoint(protocol.name).unwrap();
        let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port());
        let to = Endpoint::new(&endpoint.server_name, port).at(ip, port);
        let mut stream = self.connector.blocking().connect(protocol, to).unwrap();
        let account = Account::password(&self.running.user, &self.running.password);
        account.log_in_blocking(protocol, &mut stream).unwrap();
        stream.io().set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Returns the newest of `count` messages through IMAP.
    fn by_imap(&self, count: usize) -> Vec<u8> {
        let mut stream = self.log_in(&IMAP);
        let started = Instant::now();
        loop {
            let answer = ask(&mut stream, b"a SELECT INBOX\r\n", |heard| lines_end(heard, b"a OK"));
            if text(&answer).contains(&format!("* {count} EXISTS")) {
                break;
            }
            assert!(started.elapsed() < DEADLINE, "no message came: {}", text(&answer));
            std::thread::sleep(Duration::from_millis(50));
        }
        let fetch = format!("b FETCH {count} BODY.PEEK[]\r\n");
        let answer = ask(&mut stream, fetch.as_bytes(), |heard| lines_end(heard, b"b OK"));
        let line = answer.iter().position(|&byte| byte == b'\n').unwrap();
        let octets =
            text(&answer[..line]).rsplit_once('{').unwrap().1.trim_end_matches(['}', '\r']).parse::<usize>();
        answer[line + 1..][..octets.unwrap()].to_vec()
    }

    /// Returns the newest of `count` messages through POP3.
    fn by_pop3(&self, count: usize) -> Vec<u8> {
        let mut stream = self.log_in(&POP3);
        let command = format!("RETR {count}\r\n");
        let answer = ask(&mut stream, command.as_bytes(), |heard| heard.ends_with(b"\r\n.\r\n"));
        let line = answer.iter().position(|&byte| byte == b'\n').unwrap();
        let block = &answer[line + 1..answer.len() - 3];
        let unstuffed =
            block.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_prefix(b".").unwrap_or(line));
        unstuffed.flatten().copied().collect()
    }

    fn is_fetched(&self, count: usize, sent: &[u8]) {
        for (how, got) in [("IMAP", self.by_imap(count)), ("POP3", self.by_pop3(count))] {
            // Each server adds trace headers before the message.
            let context =
                || format!("{how}: {} octets came, {} were sent: {}", got.len(), sent.len(), text(&got));
            assert!(got.ends_with(sent), "{}", context());
            assert!(got[..got.len() - sent.len()].ends_with(b"\r\n"), "{how}");
        }
    }
}

fn ask(stream: &mut Encrypted<TcpStream>, command: &[u8], done: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    stream.write_all(command).unwrap();
    stream.flush().unwrap();
    let (mut heard, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    while !done(&heard) {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the end, after {}", text(&heard));
        heard.extend_from_slice(&chunk[..count]);
    }
    heard
}

/// Returns whether the last line is complete and starts with `start`.
fn lines_end(heard: &[u8], start: &[u8]) -> bool {
    let Some(whole) = heard.strip_suffix(b"\r\n") else { return false };
    let last = whole.iter().rposition(|&byte| byte == b'\n').map_or(whole, |at| &whole[at + 1..]);
    last.starts_with(start)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let host = Host::start();
    // Dots at the start of lines, and a last line without an end.
    let dots = b"From: test@example.test\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\
        Message-Id: <dots@example.test>\r\nSubject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n.\r\nMAIL FROM:<x>\r\n..no end";
    for (count, arguments) in [(1, &[][..]), (2, &["--no-chunking"])] {
        let run = Run::with_input(host.send("submission").args(arguments), dots).exits(0);
        assert_eq!(run.stderr.contains("C: BDAT"), count == 1, "{}", run.stderr);
        host.is_fetched(count, &[&dots[..], b"\r\n"].concat());
    }
    // The same message from a file with LF line ends.
    let unix = text(dots).replace("\r\n", "\n");
    Run::with_input(&mut host.send("smtp"), unix.as_bytes()).exits(0);
    host.is_fetched(3, &[&dots[..], b"\r\n"].concat());
}

#[test]
fn a_large_attachment_comes_back_as_it_was_sent() {
    let host = Host::start();
    let folder = tempfile::tempdir().unwrap();
    let octets: Vec<u8> =
        (0..10 * 1024 * 1024_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = folder.path().join("große Datei.bin");
    std::fs::write(&file, &octets).unwrap();
    let mut command = host.send("submission");
    command.args(["--subject", "Grüße aus Zürich 🚀", "--body", ".\n.Ein Punkt\nund kein Ende", "--attach"]);
    let run = Run::of(command.arg(&file).args(["--header", "X-Umlaut: äöü", "--format", "json"])).exits(0);
    let report = run.json();
    let got = host.by_imap(1);
    assert_eq!(got, host.by_pop3(1));
    let sent = usize::try_from(report["octets"].as_u64().unwrap()).unwrap();
    assert!(sent > octets.len() * 4 / 3 && got.len() > sent);
    read_back(folder.path(), &got, &octets);
}

/// Parses the message with Python and compares the attachment.
fn read_back(folder: &Path, message: &[u8], octets: &[u8]) {
    let (eml, out) = (folder.join("message.eml"), folder.join("attachment"));
    std::fs::write(&eml, message).unwrap();
    let script = "import email,email.policy,sys\n\
        m=email.message_from_binary_file(open(sys.argv[1],'rb'),policy=email.policy.default)\n\
        print(m['Subject']);print(m['X-Umlaut'])\n\
        print(repr(m.get_body().get_content()))\n\
        a=next(m.iter_attachments());print(a.get_filename())\n\
        open(sys.argv[2],'wb').write(a.get_content())\n";
    let python =
        Command::new("timeout").args(["150", "python3", "-c", script]).arg(&eml).arg(&out).output().unwrap();
    let said = text(&python.stdout);
    assert!(python.status.success(), "{said}{}", text(&python.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["Grüße aus Zürich 🚀", "äöü"]);
    assert_eq!(lines[2].trim_end_matches("\\n'").trim_matches('\''), ".\\n.Ein Punkt\\nund kein Ende");
    assert_eq!(lines[3], "große Datei.bin");
    assert!(std::fs::read(out).unwrap() == octets, "the attachment is another one");
}

#[test]
fn each_recipient_gets_its_own_answer() {
    let host = Host::start();
    let report = Run::with_input(
        host.send("submission").args(["--to", "nobody@", "--until", "rcpt", "--format", "json"]),
        b"",
    );
    let report = report.exits(1).json();
    assert_eq!(report["recipients"][0]["accepted"], true, "{report}");
    assert_eq!(report["recipients"][1]["accepted"], false, "{report}");
    assert_eq!(report["recipients"][1]["code"], 501, "{report}");

    // The submission server requires a login.
    let endpoint = host.running.endpoint("submission").unwrap();
    let mut command = starttls(["send", "--no-system-roots", "--to", "test@example.test", "--body", "hello"]);
    command.arg("--ca-file").arg(&host.ca_file).arg(format!("submission://{}", endpoint.address));
    Run::of(command.args(["--server-name", &endpoint.server_name])).exits(1).says("--user NAME");

    // Delivery reports are requested. A missing extension is an error before anything is sent.
    let run =
        Run::with_input(host.send("submission").args(["--notify", "success,failure"]), b"Subject: x\n\nx\n");
    run.exits(0).says("NOTIFY=SUCCESS,FAILURE");
    Run::with_input(host.send("submission").arg("--require-tls"), b"Subject: x\n\nx\n")
        .exits(1)
        .says("REQUIRETLS");
}

/// Starts a relay on port 25 that forwards to this address.
fn forwarder(to: SocketAddr) -> IpAddr {
    let ip = starttls_testkit::process::own_loopback();
    let listener = TcpListener::bind((ip, 25)).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(to).unwrap();
            for (mut from, mut to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far.try_clone().unwrap(), near.try_clone().unwrap()),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    ip
}

#[test]
fn a_domain_gets_its_mail_at_the_first_exchanger_that_answers() {
    let host = Host::start();
    let smtp = host.running.endpoint("smtp").unwrap();
    let zone = format!(
        "example.test MX 10 away.example.test
         example.test MX 20 {name}
         away.example.test A {nobody}
         {name} A {somebody}",
        name = smtp.server_name,
        nobody = starttls_testkit::process::own_loopback(),
        somebody = forwarder(smtp.address),
    );
    let mut command = starttls(["send", "--mx", "--timeout", "30s", "--no-system-roots", "--ca-file"]);
    command.arg(&host.ca_file).args([
        "--resolver",
        &dns_server::server(&zone).to_string(),
        "--format",
        "json",
    ]);
    command.args([
        "--from",
        "john@example.com",
        "--to",
        "test@example.test",
        "--subject",
        "by MX",
        "--body",
        "x",
    ]);
    let report = Run::of(&mut command).exits(0).json();
    let attempts: Vec<_> =
        report["attempts"].as_array().unwrap().iter().map(|it| it["target"].as_str().unwrap()).collect();
    assert_eq!(attempts, ["smtp://away.example.test", "smtp://mail.example.test"]);
    assert!(
        report["attempts"][0]["error"].is_string() && report["recipients"][0]["accepted"] == true,
        "{report}"
    );
    assert!(text(&host.by_imap(1)).contains("Subject: by MX"));
}
