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
    let html = Run::of(&mut starttls(["inspect", "--format", "html", path])).exits(1);
    for part in ["obs-credentials", "<svg class=\"sequence\"", "leaked: login of alice", "Fix:"] {
        assert!(html.stdout.contains(part), "{part}: {}", html.stdout);
    }
    assert!(!html.stdout.contains("<script") && html.stdout.trim_end().ends_with("</html>"));
    for output in [&text.stdout, &json.stdout, &eve.stdout, &zeek.stdout, &html.stdout] {
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

/// Writes captures into a folder and returns their paths.
fn files<const N: usize>(folder: &TempDir, captures: [Vec<u8>; N]) -> [String; N] {
    let mut number = 0;
    captures.map(|capture| {
        number += 1;
        let path = folder.path().join(format!("{number}.pcap"));
        std::fs::write(&path, capture).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

/// Returns a conversation whose server lists this extension, with what follows the list.
fn mail(client: u8, extension: &str, rest: &[&str]) -> Vec<u8> {
    let list = format!("S: 250-mail.example.com\r\n250 {extension}");
    let start = ["S: 220 mail.example.com ESMTP", "C: EHLO client.example", &list];
    capture(client, &[&start[..], rest].concat())
}

#[test]
fn a_server_of_the_baseline_that_does_not_offer_is_likely_stripped() {
    let folder = TempDir::new().unwrap();
    let [offers, lacks] = files(&folder, [quiet(1, "STARTTLS"), quiet(2, "SIZE 1000")]);
    let earlier = Run::of(&mut starttls(["inspect", "--format", "json", &offers])).exits(0);
    let audit = r#"{"endpoints":[{"address":"192.0.2.250:587","server_name":"mail.example.com","port":587,
        "findings":[{"id":"srv-offered","outcome":"pass"}]}]}"#;
    Run::of(&mut starttls(["inspect", &lacks])).exits(0);
    for report in [earlier.stdout.as_str(), audit] {
        let path = folder.path().join("servers.json");
        std::fs::write(&path, report).unwrap();
        let run = Run::of(&mut starttls(["inspect", &lacks, "--baseline", path.to_str().unwrap()])).exits(1);
        assert!(run.stdout.contains("STRIPPED (likely)"), "{}", run.stdout);
        assert!(run.stdout.contains("according to the baseline"), "{}", run.stdout);
    }
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, "{}").unwrap();
    let run = Run::of(&mut starttls(["inspect", &lacks, "--baseline", wrong.to_str().unwrap()])).exits(2);
    assert!(run.stderr.contains("expected a JSON report of an inspection"), "{}", run.stderr);
}

#[test]
fn the_difference_between_two_captures_is_proof() {
    let folder = TempDir::new().unwrap();
    let quit = ["C: QUIT", "S: 221 Bye"];
    let [near, far] = files(&folder, [mail(1, "XXXXXXXA", &quit), mail(1, "STARTTLS", &quit)]);
    let run = Run::of(&mut starttls(["inspect", "--compare", &near, &far])).exits(1);
    shows!("inspect-compare", run.stdout);
    let json = Run::of(&mut starttls(["inspect", "--format", "json", "--compare", &near, &far])).exits(1);
    let report = lines(&json);
    assert_eq!(
        (&report[0]["type"], &report[0]["findings"][0]["certainty"]),
        (&"difference".into(), &"proven".into())
    );
    assert_eq!((&report[1]["type"], &report[1]["matched"]), (&"comparison".into(), &1.into()));
    let same = Run::of(&mut starttls(["inspect", "--compare", &far, &far])).exits(0);
    assert!(same.stdout.starts_with("connections in both captures: 1, different: 0;"), "{}", same.stdout);
    // Logins that differ are not shown.
    let login = |user: &str| mail(1, "SIZE 1", &[&format!("C: AUTH PLAIN {user}"), "S: 235 OK"]);
    let [near, far] = files(&folder, [login(SECRET), login("AGFsaWNlAGh1bnRlcjM=")]);
    let run = Run::of(&mut starttls(["inspect", "--format", "json", "--compare", &near, &far])).exits(1);
    assert!(
        run.stdout.contains("octets of the client differ") && !run.stdout.contains("AGFsaWNl"),
        "{}",
        run.stdout
    );
}

#[test]
fn the_packets_of_connections_with_findings_are_written() {
    let folder = TempDir::new().unwrap();
    let [quiet, login] = files(&folder, [quiet(1, "STARTTLS"), login(2)]);
    let path = folder.path().join("findings.pcapng");
    let path = path.to_str().unwrap();
    let run = Run::of(&mut starttls(["inspect", &quiet, &login, "--write", path])).exits(1);
    assert!(run.stderr.contains("which may include passwords"), "{}", run.stderr);
    let written = std::fs::read(path).unwrap();
    assert!(written.windows(15).any(|it| it == b"obs-credentials"));
    let whole = Run::of(&mut starttls(["inspect", "--format", "json", &login])).exits(1);
    let again = Run::of(&mut starttls(["inspect", "--format", "json", path])).exits(1);
    assert_eq!(again.stdout, whole.stdout);
    let run = Run::of(&mut starttls(["inspect", "-", "--write", path])).exits(2);
    assert!(run.stderr.contains("hint: save the packets first"), "{}", run.stderr);
}

#[test]
fn reports_can_leave_out_users_addresses_and_names() {
    let folder = TempDir::new().unwrap();
    let [path] = files(&folder, [login(1)]);
    let show = |arguments: &[&str]| {
        let mut command = starttls(["inspect", "--format", "json", &path]);
        Run::of(command.args(arguments)).exits(1).stdout
    };
    let hashed = show(&["--show-users", "hash"]);
    assert!(hashed.contains("obs-credentials") && !hashed.contains("alice"), "{hashed}");
    assert!(hashed.contains("2bd806c97f0e00af"), "{hashed}");
    let without = show(&["--show-users", "no"]);
    assert!(without.contains("\"user\":null") && without.contains("192.0.2.1"), "{without}");
    let anonymous = show(&["--anonymize"]);
    assert!(anonymous.contains("\"client\":\"10.0.0."), "{anonymous}");
    for known in ["alice", "192.0.2.", "example"] {
        assert!(!anonymous.contains(known), "{known}: {anonymous}");
    }
}

#[test]
fn two_halves_of_a_connection_can_be_merged() {
    let folder = TempDir::new().unwrap();
    let whole = login(1);
    // One interface per direction: every packet of the client in one file, every packet of the server in the other.
    let mut halves = [whole[..24].to_vec(), whole[..24].to_vec()];
    let mut rest = &whole[24..];
    while let Some((head, _)) = rest.split_at_checked(16) {
        let len = 16 + u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        halves[usize::from(rest[16 + 15] == 250)].extend(&rest[..len]);
        rest = &rest[len..];
    }
    let [client, server, path] = files(&folder, [halves[0].clone(), halves[1].clone(), whole]);
    let merged =
        Run::of(&mut starttls(["inspect", "--format", "json", "--merge", &client, &server])).exits(1);
    let expected = Run::of(&mut starttls(["inspect", "--format", "json", &path])).exits(1);
    assert_eq!(merged.stdout, expected.stdout);
}

#[test]
fn a_port_can_be_given_a_protocol() {
    let folder = TempDir::new().unwrap();
    // A client that greets first and a server that only closes: nothing but the port names the protocol.
    let conversation = ["S: 220 ready", "C: NOOP", "S: 200 ok", "C: QUIT", "S: 221 bye"];
    let [path] = files(&folder, [capture(1, &conversation)]);
    let protocol = |arguments: &[&str]| {
        let mut command = starttls(["inspect", "--format", "json", &path]);
        let run = command.args(arguments).output().unwrap();
        let line: Value =
            serde_json::from_slice(run.stdout.split(|octet| *octet == b'\n').next().unwrap()).unwrap();
        line["protocol"].clone()
    };
    assert_eq!(protocol(&["--port", "587=ftp"]), "ftp");
    assert_eq!(protocol(&["--port", "587=lmtp"]), "lmtp");
    let wrong = Run::of(&mut starttls(["inspect", "--port", "25=none", &path])).exits(2);
    assert!(wrong.stderr.contains("expected a port and a protocol"), "{}", wrong.stderr);
}

#[test]
fn totals_are_written_at_an_interval() {
    let mut command = starttls(["inspect", "--format", "json", "--interval", "50ms", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&login(1)).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // The input stays open, so the totals cannot be those of the end.
    let progress =
        output.by_ref().lines().map(Result::unwrap).find(|line| line.contains("\"progress\"")).unwrap();
    fits_in("inspect.json", &serde_json::from_str(&progress).unwrap());
    drop(input);
    assert!(output.lines().map(Result::unwrap).any(|line| line.contains("\"type\":\"capture\"")));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
