//! `starttls inspect`: captures in, findings out.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::schema::fits_in;
use crate::shows;
use crate::support::{Run, starttls};

const SECRET: &str = "AGFsaWNlAGh1bnRlcjI=";

/// Returns a capture of one connection between two hosts. `C` and `S` start the lines of the client and the server.
fn capture(client: u8, conversation: &[&str]) -> Vec<u8> {
    let mut file: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101].map(u32::to_le_bytes).concat();
    let (mut next, mut time) = ([1_u32, 1_u32], u32::from(client) * 1_000);
    let mut send = |from: usize, flags: u8, payload: &[u8]| {
        let ends = [([192, 0, 2, client], 40_000_u16), ([192, 0, 2, 250], 587)];
        let ack = if flags == 2 { 0 } else { next[1 - from] };
        let mut packet = vec![0x45, 0];
        packet.extend((40 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        packet.extend(ends[from].0);
        packet.extend(ends[1 - from].0);
        packet.extend(ends[from].1.to_be_bytes());
        packet.extend(ends[1 - from].1.to_be_bytes());
        packet.extend(next[from].to_be_bytes());
        packet.extend(ack.to_be_bytes());
        packet.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet.extend(payload);
        time += 1;
        let len = packet.len() as u32;
        file.extend([1_700_000_000, time, len, len].map(u32::to_le_bytes).concat());
        file.extend(packet);
        next[from] += payload.len() as u32 + u32::from(flags & 3 != 0);
    };
    send(0, 2, b"");
    send(1, 0x12, b"");
    for line in conversation {
        let from = usize::from(line.starts_with('S'));
        send(from, 0x10, format!("{}\r\n", &line[3..]).as_bytes());
    }
    send(0, 0x11, b"");
    send(1, 0x11, b"");
    send(0, 0x10, b"");
    file
}

fn login(client: u8) -> Vec<u8> {
    let auth = format!("C: AUTH PLAIN {SECRET}");
    capture(
        client,
        &[
            "S: 220 mail.example.com ESMTP",
            "C: EHLO client.example",
            "S: 250-mail.example.com\r\n250 STARTTLS",
            &auth,
            "S: 235 2.7.0 OK",
            "C: QUIT",
            "S: 221 Bye",
        ],
    )
}

fn quiet(client: u8, extension: &str) -> Vec<u8> {
    let list = format!("S: 250-mail.example.com\r\n250 {extension}");
    capture(
        client,
        &["S: 220 mail.example.com ESMTP", "C: EHLO client.example", &list, "C: QUIT", "S: 221 Bye"],
    )
}

fn lines(run: &Run) -> Vec<Value> {
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(|line| fits_in("inspect.json", line));
    lines
}

#[test]
fn a_login_in_cleartext_is_reported_without_its_secret() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("login.pcap");
    std::fs::write(&path, login(1)).unwrap();
    let path = path.to_str().unwrap();
    let text = Run::of(&mut starttls(["inspect", "--verbose", path])).exits(1);
    shows!("inspect", text.stdout);
    let json = Run::of(&mut starttls(["inspect", "--format", "json", path])).exits(1);
    let report = lines(&json);
    assert_eq!(report[0]["credentials"][0]["user"], "alice");
    assert_eq!(report[0]["findings"][0]["id"], "obs-credentials");
    assert_eq!(report.last().unwrap()["type"], "capture");
    let eve = Run::of(&mut starttls(["inspect", "--format", "eve", path])).exits(1);
    let event: Value = serde_json::from_str(&eve.stdout).unwrap();
    assert_eq!((&event["event_type"], &event["dest_port"]), (&"starttls".into(), &587.into()));
    assert_eq!(event["starttls"]["findings"][0]["id"], "obs-credentials");
    let zeek = Run::of(&mut starttls(["inspect", "--format", "zeek", path])).exits(1);
    let columns = |start: &str| {
        let line = zeek.stdout.lines().find(|line| line.starts_with(start)).unwrap();
        line.split('\t').count()
    };
    assert_eq!(columns("#fields"), columns("1700000000.") + 1, "{}", zeek.stdout);
    for output in [&text.stdout, &json.stdout, &eve.stdout, &zeek.stdout] {
        assert!(!output.contains("hunter2") && !output.contains(SECRET), "{output}");
    }
    Run::of(&mut starttls(["inspect", "--filter", "imap", path])).exits(7);
    Run::of(&mut starttls(["inspect", "--filter", "587,imap", path])).exits(1);
}

#[test]
fn an_offer_to_all_but_one_client_is_likely_stripped() {
    let folder = TempDir::new().unwrap();
    let captures = [(1, "STARTTLS"), (2, "SIZE 1000"), (3, "STARTTLS")];
    let paths: Vec<String> = captures
        .iter()
        .map(|(client, extension)| {
            let path = folder.path().join(format!("{client}.pcap"));
            std::fs::write(&path, quiet(*client, extension)).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let mut command = starttls(["inspect"]);
    let run = Run::of(command.args(&paths)).exits(1);
    shows!("inspect-stripped", run.stdout);
    // Offered at first and to no client later: the configuration has changed.
    Run::of(starttls(["inspect"]).args(&paths[..2])).exits(0);
}

#[test]
fn a_pipe_is_read_and_a_file_that_is_cut_off_ends_with_a_warning() {
    let file = login(1);
    let mut command = starttls(["inspect", "--format", "json", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&file[..file.len() - 5]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("warning: -: the file ends within packet"));
}

#[test]
fn a_growing_file_is_followed_until_the_interruption() {
    let folder = TempDir::new().unwrap();
    let (path, file) = (folder.path().join("growing.pcap"), login(1));
    let (start, rest) = file.split_at(file.len() / 2);
    std::fs::write(&path, start).unwrap();
    let mut command = starttls(["inspect", "--follow", "--format", "json", path.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(rest).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("obs-credentials"), "{line}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    output.read_to_string(&mut line).unwrap();
    assert!(line.contains("\"type\":\"capture\""), "{line}");
    // An interruption ends the report early and does not change the exit code.
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn what_is_not_a_capture_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mail.txt");
    std::fs::write(&path, "From: a\nTo: b\n").unwrap();
    let run = Run::of(&mut starttls(["inspect", path.to_str().unwrap()])).exits(2);
    assert!(
        run.stderr.contains("expected a capture (pcap, pcapng, or either with gzip), found \"From"),
        "{}",
        run.stderr
    );
    std::fs::write(&path, "").unwrap();
    let run = Run::of(&mut starttls(["inspect", path.to_str().unwrap()])).exits(2);
    assert!(run.stderr.contains("found an empty file"), "{}", run.stderr);
    Run::of(&mut starttls(["inspect", "/does/not/exist"])).exits(2);
    Run::of(&mut starttls(["inspect", "--filter", "no such", path.to_str().unwrap()])).exits(2);
}

#[test]
fn every_finding_is_explained() {
    for rule in starttls_inspect::RULES {
        let text = Run::of(&mut starttls(["explain", rule.id])).exits(0).stdout;
        assert!(text.contains(rule.title) && text.contains("Fix\n"), "{text}");
    }
}
