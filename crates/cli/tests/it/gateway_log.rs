//! The levels of the gateway's log, and the id that finds all lines of a session.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use starttls::proto::imap::IMAP;
use starttls::{Connector, Endpoint};
use starttls_testkit::process::{free_port, own_loopback};

use crate::gateway::{House, last_event, port, signal};
use crate::support::process::{DEADLINE, Live};
use crate::support::starttls;

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-password";

/// Logs in and out through the gateway.
fn session(house: &House, port: u16) {
    let root = fs::read(house.path("root.pem")).unwrap();
    let connector = Connector::builder().roots_pem(root).build().unwrap();
    let to = Endpoint::new("localhost", port).at("127.0.0.1", port);
    let mut stream = connector.blocking().connect(&IMAP, to).unwrap();
    stream.write_all(format!("a LOGIN {USER} {PASSWORD}\r\nb LOGOUT\r\n").as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answers = Vec::new();
    // The server may close without close_notify.
    let _ = stream.read_to_end(&mut answers);
    assert!(String::from_utf8_lossy(&answers).contains("b OK"), "{}", answers.escape_ascii());
}

/// Returns the lines of the log, once so many sessions have ended.
fn sessions(log: &Path, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.iter().filter(|line| line.get("verdict").is_some()).count() == count {
            return lines;
        }
        assert!(started.elapsed() < DEADLINE, "{count} sessions are not in\n{text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the events of the line's session, in their order; its end is its verdict.
fn story(lines: &[Value], id: &Value) -> Vec<String> {
    let own = lines.iter().filter(|line| line.get("session") == Some(id));
    own.map(|line| line.get("event").unwrap_or(&line["verdict"]).as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_id_of_a_session_is_in_all_its_lines_and_no_content_is() {
    let house = House::new();
    let mut gateway = starttls(["gateway", "--log-level", "trace", "-c"]);
    let live = Live::start(gateway.arg(house.configuration("log-level = \"error\"")));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    session(&house, port);
    session(&house, port);
    let lines = sessions(&house.path("log"), 2);
    let ends: Vec<&Value> = lines.iter().filter(|line| line.get("verdict").is_some()).collect();
    assert_ne!(ends[0]["session"], ends[1]["session"]);
    for end in ends {
        let events = story(&lines, &end["session"]);
        assert_eq!(events, ["connected", "negotiation", "handshake", "relay", "done"], "{lines:#?}");
    }
    let line = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    let (negotiation, handshake, relay) = (line("negotiation"), line("handshake"), line("relay"));
    assert_eq!((&negotiation["protocol"], &negotiation["outcome"]), (&"imap".into(), &"upgrade".into()));
    assert_eq!((&handshake["side"], &handshake["tls_version"]), (&"server".into(), &"TLS 1.3".into()));
    assert!(handshake["duration_ms"].is_number() && handshake["level"] == "debug", "{handshake}");
    assert!(relay["sent"].as_u64().unwrap() > 0 && relay["outcome"] == "done", "{relay}");
    signal(&live, Signal::SIGTERM);
    let run = live.end().exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let log = fs::read_to_string(house.path("log")).unwrap();
    assert!(!log.contains(USER) && !log.contains(PASSWORD) && !log.contains("LOGIN"), "{log}");
}

#[test]
fn a_level_leaves_out_what_is_less_important() {
    let house = House::new();
    let log = house.path("log");
    let configure = |level: &str, backend: &str| {
        let text = fs::read_to_string(house.configuration(&format!("log-level = \"{level}\""))).unwrap();
        house.write("gateway.toml", &text.replace(&house.imap(), backend));
    };
    configure("info", &house.imap());
    let live = Live::start(starttls(["gateway", "-c"]).arg(house.path("gateway.toml")));
    let listen = port(house.logged("started")[0]["what"].as_str().unwrap());
    session(&house, listen);
    let lines = sessions(&log, 1);
    assert!(lines.iter().all(|line| line["level"] == "info"), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.get("session").is_some()).count(), 1, "{lines:#?}");

    // The level changes with a reload. A session without a backend is an error, and one that succeeds is not.
    let down = format!("imap://{}", free_port(own_loopback()).unwrap());
    configure("info", &down);
    signal(&live, Signal::SIGHUP);
    house.logged("reloaded");
    fs::rename(&log, house.path("old-log")).unwrap();
    configure("error", &down);
    signal(&live, Signal::SIGHUP);
    let deadline = Instant::now() + DEADLINE;
    while !log.exists() {
        assert!(Instant::now() < deadline, "the log is not opened again");
        std::thread::sleep(Duration::from_millis(5));
    }
    house.connect(listen);
    let lines = sessions(&log, 1);
    assert_eq!((&lines[0]["verdict"], &lines[0]["level"]), (&"backend-down".into(), &"error".into()));
    // A reload that fails is one too.
    configure("loud", &down);
    signal(&live, Signal::SIGHUP);
    let kept = house.logged("kept");
    let what = last_event(&kept);
    assert!(what.contains("invalid level \"loud\"") && what.contains("\"error\", \"warn\""), "{what}");
    assert!(kept.iter().all(|line| line["level"] == "error"), "{kept:#?}");
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
}
