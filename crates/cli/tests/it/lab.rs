//! `starttls lab`: servers are ready when it reports them, and it leaves no files after a signal.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::shows;
use crate::support::process::{Live, starttls_with};
use crate::support::{Run, starttls};

fn stop(live: Live, signal: Signal) -> Run {
    kill(Pid::from_raw(live.id() as i32), signal).unwrap();
    live.end().exits(0)
}

#[test]
fn one_line_of_json_as_soon_as_all_listen_and_a_clean_stop() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut live = Live::start(&mut starttls_with("--default-signal", ["lab", "--format", "json"]));
        let line: Value = serde_json::from_str(live.hears("\n").stdout()).unwrap();
        assert_eq!(line["schema_version"], 1);
        let servers = line["servers"].as_array().unwrap();
        let upgrading = servers.iter().filter(|it| it["implicit_tls"] == false);
        assert_eq!(upgrading.count(), starttls::proto::PROTOCOLS.len());
        for server in servers {
            TcpStream::connect(server["address"].as_str().unwrap()).unwrap();
        }
        let ca_file = PathBuf::from(line["ca_file"].as_str().unwrap());
        assert!(ca_file.is_file());
        let smtp = servers.iter().find(|it| it["protocol"] == "smtp").unwrap()["url"].as_str().unwrap();
        Run::of(starttls(["connect", smtp, "--no-system-roots", "--ca-file"]).arg(&ca_file)).exits(0);

        let id = live.id();
        let run = stop(live, signal);
        assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
        assert!(!ca_file.parent().unwrap().exists(), "{} is left behind", ca_file.display());
        assert!(!Path::new(&format!("/proc/{id}/task/{id}/children")).exists());
    }
}

#[test]
fn a_table_for_people() {
    let mut live = Live::start(&mut starttls(["lab", "--only", "smtp,imaps,ldap"]));
    live.hears("Ctrl-C stops");
    let run = stop(live, Signal::SIGINT);
    let password = run.stdout.lines().find_map(|line| line.strip_prefix("password  ")).unwrap();
    shows!("lab", run.stdout.replace(password, "PASSWORD"));
}

#[test]
fn a_reader_may_close_the_pipe_early() {
    let mut live = Live::start(&mut starttls(["lab", "--format", "json"]));
    live.hears("\n");
    live.hang_up();
    stop(live, Signal::SIGTERM);
}

#[test]
fn a_wrong_name_is_reported_before_anything_starts() {
    let run = Run::of(&mut starttls(["lab", "--only", "smtp,sntp"])).exits(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("unknown protocol \"sntp\""), "{}", run.stderr);
}
