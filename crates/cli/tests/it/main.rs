//! The command from the user's view: output, prompts and exit codes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod attack;
mod attack_domain;
mod attack_verdicts;
mod certificates;
mod check;
mod check_bulk;
mod check_domain;
mod check_endless;
mod check_formats;
mod check_output;
mod check_profile;
mod check_resume;
mod client_certificate;
mod client_name;
mod completion;
mod connection;
mod contrib;
mod deadlines;
mod documentation;
mod endless;
mod escaping;
mod gateway;
mod gateway_crowd;
mod gateway_files;
mod gateway_log;
mod gateway_memory;
mod gateway_restart;
mod hello;
mod hello_refused;
mod help;
mod host_header;
mod input;
mod inspect;
mod lab;
mod login;
mod manual;
mod output;
mod policy;
mod policy_check;
mod policy_serve;
mod proxy;
mod refusals;
mod report;
mod schema;
mod send;
mod send_policy;
mod session;
mod signals;
#[path = "../support/mod.rs"]
mod support;
mod survey;
mod survey_poison;
mod survey_probes;
mod survey_queue;
mod survey_recipes;
mod survey_start;
mod survey_watch;
mod usage;
mod web;
mod wrong_port;

use starttls_lab::{Lab, LabEndpoint, Options};
use std::process::Command;

use support::starttls;

/// Starts a lab.
fn lab() -> Lab {
    Lab::start(Options::default()).unwrap()
}

/// Returns `connect` to this server of the lab, which trusts the lab's root.
fn connect(lab: &Lab, scheme: &str) -> Command {
    connect_as(lab, scheme, endpoint(lab, scheme))
}

/// Returns `connect` to a server of the lab with another scheme.
fn connect_as(lab: &Lab, scheme: &str, endpoint: &LabEndpoint) -> Command {
    let mut command = starttls(["connect", "--no-system-roots", "--ca-file"]);
    command.arg(lab.ca_file()).arg(format!("{scheme}://localhost:{}", endpoint.address.port()));
    command
}

fn endpoint<'a>(lab: &'a Lab, scheme: &str) -> &'a LabEndpoint {
    lab.endpoint(scheme).unwrap()
}

/// Returns bash, which finds the program under test first.
fn shell() -> Command {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_starttls")).parent().unwrap();
    let mut bash = Command::new("bash");
    bash.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).env("COLUMNS", "100");
    bash
}

/// Compares with a snapshot, in which values that differ between runs are replaced.
macro_rules! shows {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            filters => crate::FILTERS.to_vec(),
        }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}
use shows;

const FILTERS: &[(&str, &str)] = &[
    (r"(://[^\s:/]+|127\.0\.0\.1|localhost|\.test):[0-9]{4,5}\b", "$1:PORT"),
    (r"port [0-9]{4,5}\b", "port PORT"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    // The times in the conversation of a report are aligned in a column.
    (r"(?m)^ {6}[ 0-9]{7}\.[0-9] ms", "              N ms"),
    (r"[0-9]+\.[0-9] ms", "N ms"),
    (r"[0-9]+\.[0-9]{2} s\b", "N s"),
    (r"report: starttls [0-9.]+, ", "report: starttls VERSION, "),
    (
        r"[0-9]+ bytes read, [0-9]+ written; [0-9]+ session tickets?",
        "N bytes read, N written; N session tickets",
    ),
    (
        r"[0-9]{4}-[0-9]{2}-[0-9]{2} to [0-9]{4}-[0-9]{2}-[0-9]{2}, [0-9]+ days left",
        "DATE to DATE, N days left",
    ),
    (r"[0-9]+ days left", "N days left"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "TIME"),
    (r"\b([0-9a-f]{2}:){7,19}[0-9a-f]{2}\b", "SERIAL"),
    (r"stream id='[0-9a-f]+'", "stream id='ID'"),
    // After the id of the stream, which can look like a tag.
    (r"\ba[0-9a-f]{8,16}\b", "TAG"),
    (r"[0-9]+ bytes were sent in cleartext, [0-9]+ received", "N bytes were sent in cleartext, N received"),
    (r"((Bind|Extended|Search)[A-Za-z]+) [0-9]+", "$1 ID"),
    (r"/tmp/starttls-lab-[A-Za-z0-9]+", "FOLDER"),
];
