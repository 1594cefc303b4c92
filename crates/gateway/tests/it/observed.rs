//! The log and the metrics of the gateway.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use starttls::Error;
use starttls::proto::smtp::SMTP;
use starttls::proto::{Identity, Server, Side, TlsSupport};
use starttls_gateway::admission::LimitReached;
use starttls_gateway::config::{Listener, Log};
use starttls_gateway::log::Logger;
use starttls_gateway::metrics::{Metrics, serve};
use starttls_gateway::report::{Reporter, SessionLine};
use starttls_gateway::{
    ClientAddresses, EarlyDialUse, LogLevel, SessionFailure, SessionObserver, SessionOutcome, SessionRecord,
};
use starttls_inspect::{ConnectionReport, Conversation, ConversationEnd, Moment};
use starttls_lab::ca::Leaf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::DEADLINE;
use crate::folder::Folder;
use crate::proxy_protocol::facts_of_a_client;

fn listener() -> Listener {
    let folder = Folder::new();
    let text = "[[listener]]\nname = \"mx\"\nlisten = \"smtps://127.0.0.1\"\ncertificates = \"DIR/live\"\nforward = \"smtp://127.0.0.1\"\n";
    folder.parse(text).unwrap().listeners.remove(0)
}

fn record(failure: Option<SessionFailure>) -> SessionRecord {
    let client = ClientAddresses { address: Some("192.0.2.1:50000".parse().unwrap()), local: None };
    SessionRecord {
        server_name: Some(String::from("a.example.com")),
        backend: Some("smtp://127.0.0.1:25".into()),
        octets_up: 1000,
        octets_down: 20,
        until_backend: Some(Duration::from_millis(3)),
        duration: Duration::from_micros(1_234_567),
        failure: failure.map(Box::new),
        ..SessionRecord::new(client)
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the text of a log when it has this many lines. A dropped log waits for its thread for a second only.
fn written(log: &Path, count: usize) -> String {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= count {
            return text;
        }
        assert!(since.elapsed() < DEADLINE, "{text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_session_is_one_line_of_json() {
    let folder = Folder::empty();
    let path = folder.path().join("log");
    let log = Logger::open(&Log::File(path.clone())).unwrap();
    let reporter = Reporter::new(log, Arc::default());
    let received = b"\x1b[31m\nfaked line\xff".to_vec();
    let broken = SessionFailure::Protocol { side: Side::Client, expected: "a command", received };
    reporter.session(&listener(), &record(Some(broken)));
    reporter.log.event(LogLevel::Info, "reloaded", "2 certificates");
    drop(reporter);
    let text = written(&path, 2);
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    let [session, event] = &lines(&text)[..] else { panic!("{text}") };
    for (key, value) in [
        ("level", "warn".into()),
        ("listener", "mx".into()),
        ("protocol", "submission".into()),
        ("client", "192.0.2.1:50000".into()),
        ("verdict", "violation".into()),
        ("error", "client: expected a command, got 17 octets".into()),
        ("backend", "smtp://127.0.0.1:25".into()),
        ("until_backend_ms", Value::from(3.0)),
        ("sent", 1000.into()),
        ("received", 20.into()),
        ("duration_ms", Value::from(1234.567)),
        ("server_name", "a.example.com".into()),
        ("tls", Value::Null),
    ] {
        assert_eq!(session[key], value, "{text}");
    }
    assert!(session["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&event["event"], &event["what"]), (&"reloaded".into(), &"2 certificates".into()));
}

#[test]
fn what_the_network_saw_is_a_line_of_its_own() {
    let folder = Folder::empty();
    let path = folder.path().join("log");
    let reporter = Reporter::new(Logger::open(&Log::File(path.clone())).unwrap(), Arc::default());
    let mut conversation = Conversation::new(25);
    for (side, text) in
        [(Side::Server, "220 mx\r\n"), (Side::Client, "EHLO a\r\n"), (Side::Server, "250 mx\r\n")]
    {
        conversation.receive(side, text.as_bytes(), Moment::default());
    }
    let ends = ["192.0.2.1:50000", "192.0.2.2:25"].map(|end| end.parse().unwrap());
    let facts = conversation.finish(ConversationEnd::Closed);
    let times = (Moment::default(), Moment::default());
    reporter.observed(&listener(), &ConnectionReport::observed(7, ends.into(), times, facts));
    drop(reporter);
    let text = written(&path, 1);
    let [line] = &lines(&text)[..] else { panic!("{text}") };
    for (key, value) in [
        ("type", Value::from("connection")),
        ("id", 7.into()),
        ("client", "192.0.2.1:50000".into()),
        ("protocol", "smtp".into()),
        ("offered", "no".into()),
        ("tls", "never".into()),
    ] {
        assert_eq!(line[key], value, "{text}");
    }
}

#[test]
fn a_listener_is_observed_if_its_configuration_says_so() {
    assert!(!listener().observe);
    let folder = Folder::new();
    let text = |value: &str| {
        format!(
            "[[listener]]\nlisten = \"smtps://127.0.0.1\"\ncertificates = \"DIR/live\"\nobserve = {value}\nforward = \"smtp://127.0.0.1\"\n"
        )
    };
    assert!(folder.parse(&text("true")).unwrap().listeners[0].observe);
    assert!(folder.parse(&text("\"yes\"")).is_err());
}

#[tokio::test]
async fn the_log_has_the_subject_of_a_clients_certificate() {
    let folder = Folder::new();
    for (name, shown) in [("device-7", "CN=device-7"), ("a\n\u{1b}[31m", "CN=a\\n\\x1b[31m")] {
        let leaf = Leaf { common_name: Some(String::from(name)), ..Leaf::default() };
        let front = facts_of_a_client(&folder, &leaf).await;
        let session = SessionRecord { downstream: Some(front.into()), ..record(None) };
        let line = serde_json::to_value(SessionLine::of(&listener(), &session)).unwrap();
        assert_eq!(line["tls"]["subject"], shown, "{line}");
    }
    let line = serde_json::to_value(SessionLine::of(&listener(), &record(None))).unwrap();
    assert_eq!(line.get("tls"), None);
}

#[test]
fn what_a_client_said_is_not_in_the_log() {
    let folder = Folder::empty();
    let path = folder.path().join("log");
    let reporter = Reporter::new(Logger::open(&Log::File(path.clone())).unwrap(), Arc::default());
    let server = Server::new(&SMTP, Identity::new("mx"), TlsSupport::Available, &mut Vec::new());
    let injected = server.receive(b"STARTTLS\r\nAUTH PLAIN secret\r\n", &mut Vec::new()).unwrap_err();
    let plain = Error::PlaintextNotTls { by: Side::Client, received: b"USER secret".to_vec() };
    for failure in [
        SessionFailure::Protocol {
            side: Side::Client,
            expected: "a command",
            received: b"PASS secret\n".to_vec(),
        },
        SessionFailure::Tls { side: Side::Client, source: Error::Protocol(injected) },
        SessionFailure::Tls { side: Side::Client, source: plain },
    ] {
        reporter.session(&listener(), &record(Some(failure)));
    }
    drop(reporter);
    let text = written(&path, 3);
    assert!(!text.contains("secret"), "{text}");
    let verdicts: Vec<Value> = lines(&text).iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["violation"; 3]);
}

#[test]
fn cleartext_is_a_verdict_only_where_it_may_be() {
    let verdict = |starttls: &str| {
        let folder = Folder::new();
        let text = format!(
            "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1\"\ncertificates = \"DIR/live\"\n{starttls}\
             forward = \"smtp://127.0.0.1:2525\"\n"
        );
        SessionOutcome::of(&folder.parse(&text).unwrap().listeners[0], &record(None)).name()
    };
    assert_eq!(verdict("starttls = \"optional\"\n"), "cleartext");
    assert_eq!(verdict("starttls = \"required\"\n"), "not-upgraded");
    assert_eq!(verdict("starttls = \"hidden\"\n"), "not-upgraded");
}

#[test]
fn a_log_without_a_reader_delays_no_session() {
    let folder = Folder::empty();
    let path = folder.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Opens both ends of the pipe, because opening one end waits for the other.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let log = Logger::open(&Log::File(path)).unwrap();
    for _ in 0..20_000 {
        log.event(LogLevel::Info, "one", "of too many for a pipe");
    }
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(log);
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE).expect("the log has an end");
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew() {
    let folder = Folder::empty();
    let path = folder.path().join("log");
    let log = Logger::open(&Log::File(path.clone())).unwrap();
    log.event(LogLevel::Info, "one", "");
    // The first line has to be written before the file is moved.
    written(&path, 1);
    fs::rename(&path, folder.path().join("old")).unwrap();
    log.reopen();
    log.event(LogLevel::Info, "two", "");
    drop(log);
    let events = |name: &str| lines(&written(&folder.path().join(name), 1));
    assert_eq!((&events("old")[0]["event"], &events("log")[0]["event"]), (&"one".into(), &"two".into()));
}

#[test]
fn a_log_that_cannot_keep_up_says_how_much_it_lost() {
    let folder = Folder::empty();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Both ends are open, and no process reads.
    let held = fs::File::options().read(true).write(true).open(&path).unwrap();
    let log = Logger::open(&Log::File(path.clone())).unwrap();
    for _ in 0..20_000 {
        log.event(LogLevel::Info, "flood", "0123456789012345678901234567890123456789");
    }
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{BufRead, BufReader};
        BufReader::new(held).lines().for_each(|line| drop(sender.send(line.unwrap())));
    });
    let next = || serde_json::from_str::<Value>(&heard.recv_timeout(DEADLINE).unwrap()).unwrap();
    // Read more than the capacity of a pipe, so that the queue has space again.
    let mut written = (0..2000).filter(|_| next()["event"] == "flood").count() as u64;
    log.event(LogLevel::Info, "last", "");
    let lost = loop {
        let line = next();
        match line["event"].as_str().unwrap() {
            "flood" => written += 1,
            "lost" => break line["lines"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(next()["event"], "last");
    assert_eq!(written + lost, 20_000);
}

async fn asked(metrics: &Arc<Metrics>, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, metrics.clone()));
    let asking = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A server that closes a connection with unread data resets it, so the read may fail.
        let _ = tcp.read_to_string(&mut answer).await;
        answer
    };
    let answer = timeout(DEADLINE, asking).await.unwrap();
    serving.abort();
    answer
}

#[tokio::test]
async fn metrics_are_counted_and_shown() {
    let metrics = Arc::new(Metrics::new());
    let mx = metrics.listener("mx");
    let folder = Folder::new();
    let text = "[[listener]]\nlisten = \"imaps://127.0.0.1\"\ncertificates = \"DIR/live\"\nforward = \"imap://127.0.0.1\"\n";
    let config = folder.parse(text).unwrap();
    let certificates = &config.listeners[0].tls().unwrap().certificates;
    metrics.certificates([("imaps", &**certificates)].into_iter());
    (0..4).for_each(|_| mx.connected());
    mx.ended(&listener(), &SessionRecord { early_dial: Some(EarlyDialUse::Unused), ..record(None) });
    mx.ended(&listener(), &record(Some(SessionFailure::LimitReached(LimitReached::Rate))));
    mx.ended(&listener(), &record(Some(SessionFailure::Idle(Duration::from_secs(1)))));
    metrics.reloaded(false);
    let answer = asked(&metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text;"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    for line in [
        "starttls_gateway_connections_total{listener=\"mx\"} 4",
        "starttls_gateway_open_connections{listener=\"mx\"} 1",
        "starttls_gateway_refused_total{listener=\"mx\",reason=\"rate\"} 1",
        "starttls_gateway_refused_total{listener=\"mx\",reason=\"total\"} 0",
        "starttls_gateway_sessions_total{listener=\"mx\",verdict=\"not-upgraded\"} 1",
        "starttls_gateway_sessions_total{listener=\"mx\",verdict=\"timed-out\"} 1",
        "starttls_gateway_early_dials_total{listener=\"mx\",outcome=\"unused\"} 1",
        "starttls_gateway_early_dials_total{listener=\"mx\",outcome=\"used\"} 0",
        "starttls_gateway_payload_bytes_total{listener=\"mx\",to=\"backend\"} 3000",
        "starttls_gateway_session_seconds_bucket{le=\"1.0\",listener=\"mx\"} 0",
        "starttls_gateway_session_seconds_bucket{le=\"5.0\",listener=\"mx\"} 3",
        "starttls_gateway_reloads_total{outcome=\"kept\"} 1",
        "# EOF",
    ] {
        assert!(body.lines().any(|it| it == line), "{line} is not in\n{body}");
    }
    assert_eq!(
        body.lines().filter(|line| line.starts_with("starttls_gateway_certificate_expiry")).count(),
        2
    );
    mx.ended(&listener(), &record(None));
    assert!(metrics.render().contains("starttls_gateway_open_connections{listener=\"mx\"} 0\n"));
}

/// Connections that send no request, and connections that request the metrics and do not read them.
#[tokio::test]
async fn health_is_answered_beside_stalled_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new());
    // The metrics have to be larger than all socket buffers.
    let many: Vec<_> = (0..200).map(|number| metrics.listener(&format!("{number:0>100}"))).collect();
    many.iter().for_each(|it| it.connected());
    let serving = tokio::spawn(serve(listener, metrics.clone()));
    let health = async || {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    };
    let asking = async {
        let mut others = Vec::new();
        for number in 0..400 {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            if number % 20 == 1 {
                tcp.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
            }
            others.push(tcp);
            if number % 20 == 0 {
                health().await;
            }
        }
        // The server closes a connection that sends no request.
        let mut mute = others.pop().unwrap();
        assert_eq!(mute.read(&mut [0; 16]).await.unwrap_or(0), 0);
        health().await;
    };
    timeout(DEADLINE, asking).await.expect("health is not answered");
    serving.abort();
}

#[tokio::test]
async fn health_is_asked_for() {
    let metrics = Arc::new(Metrics::new());
    for (request, status, body) in [
        ("GET /health HTTP/1.1\r\n\r\n", "200 OK", "ok\n"),
        ("HEAD /health HTTP/1.1\r\n\r\n", "200 OK", ""),
        ("GET /else HTTP/1.1\r\n\r\n", "404 Not Found", "use /metrics or /health\n"),
        ("POST /health HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "use GET or HEAD\n"),
    ] {
        let answer = asked(&metrics, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, body);
    }
    metrics.drain();
    let answer = asked(&metrics, "GET /health HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // A head that exceeds the limit gets no answer.
    assert_eq!(asked(&metrics, &"x".repeat(20_000)).await, "");
}
