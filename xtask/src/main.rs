//! The commands for developers and for CI; `cargo xtask help` lists them.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it reports to the developer on the terminal")]

mod bench;
mod binaries;
mod captures;
mod clients;
mod dist;
mod docs;
mod endurance;
mod features;
mod fuzz;
mod msrv;
mod package;
mod process;
mod proof;
mod public_api;
mod repeat;
mod report;
mod seeds;
mod setup;
mod simulation;
mod suite;
mod targets;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  setup                          install what the tests need (Debian packages, cargo-deny)
  test                           run setup, then every check and every test
  ci                             the same as test
  fuzz [TARGET] [--seconds N]    run all fuzz targets, or one, for N seconds each (default 10)
  proof [--runs N]               audit all rogue and sound servers of the lab N times in a row (default 20), under load
  repeat [--runs N] [-- ARGS...] run the tests N times on an idle machine and N times beside two busy threads (default 10);
                                 ARGS go to cargo test instead of --workspace
  endurance                      run the gateway's endurance tests at their full size, and print their figures
  simulation [NAME]              run all tests of surveys on a simulated Internet, among them fifty kills of a large survey and
                                 fifty of one on a queue, or the tests whose name contains NAME
  simulation --domains N [--workers N] [--kills N]
                                 run a survey of N domains with workers (default 2) and a NATS server that are killed so often
                                 (default 0), check its rows and budgets, and print its figures
  recipes                        run the statements of docs/survey.md with DuckDB and ClickHouse (from PyPI)
  captures FOLDER                compare starttls inspect with the captures of a folder and its truth.tsv
  bench [--check]                run the benchmarks and write docs/benchmarks.md; with --check, fail if hostile input is too
                                 expensive, or the gateway is more expensive beside other proxies than recorded there
  bench audit                    measure an audit beside other tools (openssl, sslscan, sslyze, testssl.sh, nmap), and compare
                                 what they find
  bench inspect                  measure an inspection beside tshark, tcpflow and ndpiReader
  bench survey [-- DOMAINS...]   measure a survey on a simulated Internet beside sslscan and sslyze; with numbers of domains,
                                 print the figures only
  bench policy                   measure the policy service beside postfix-mta-sts-resolver
  bench gateway                  measure the gateway beside stunnel, nginx, HAProxy, hitch, Envoy and socat (without TLS)
  bench gateway ratios           measure only the gateway, Envoy and socat, for the ratios that `bench --check` compares
  bench TARGET [-- ARGS...]      run one benchmark with ARGS (negotiation: names of protocols)
  dist [--twice]                 build the release binary, the Debian package, the image and the archive in target/dist, and
                                 test them; with --twice, build in two folders and compare the bytes
  dist --binary FILE             the same with a binary that exists, such as target/debug/starttls
  features                       check the combinations of the features of the library and of the command
  targets                        type-check the library and the command for macOS and Windows
  msrv                           check the libraries with the oldest Rust that they promise
  package                        package the crates as for crates.io, in the order of their dependencies
  public-api [--check]           write the public interface of the libraries to crates/*/public-api.txt, or compare it
  docs                           build the documentation with the settings of docs.rs
  outside                        build a program outside of the workspace against the packages, and run it
  clients                        run client libraries of other projects over upgraded streams, against the lab
  docs-check                     check that every file named in the documentation exists
  help                           print this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["setup"] => setup::run(),
        ["test" | "ci"] => suite::run(),
        ["fuzz", ref rest @ ..] => fuzz::run(rest),
        ["captures", ref rest @ ..] => captures::run(rest),
        ["bench", ref rest @ ..] => bench::run(rest),
        ["proof", ref rest @ ..] => proof::run(rest),
        ["repeat", ref rest @ ..] => repeat::run(rest),
        ["dist", ref rest @ ..] => dist::run(rest),
        ["endurance"] => endurance::run(),
        ["simulation", ref rest @ ..] => simulation::run(rest),
        ["recipes"] => simulation::recipes(),
        ["features"] => features::run(),
        ["targets"] => targets::run(),
        ["msrv"] => msrv::run(),
        ["package"] => package::run(),
        ["public-api"] => public_api::write(),
        ["public-api", "--check"] => public_api::check(),
        ["outside"] => package::outside(),
        ["docs"] => package::docs(),
        ["clients"] => clients::run(),
        ["docs-check"] => docs::check(&root()),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            print!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Returns a command for the cargo that runs this program, in the repository.
fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}
