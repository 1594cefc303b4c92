//! The `starttls` command.
#![forbid(unsafe_code)]

mod args;
#[cfg(feature = "attack")]
mod attack;
mod candidates;
mod check;
mod children;
mod completion;
#[cfg(any(feature = "gateway", feature = "web"))]
mod confinement;
mod connect;
mod console;
mod dns;
#[cfg(test)]
#[cfg(all(feature = "attack", feature = "gateway", feature = "inspect", feature = "lab"))]
mod documented;
mod error;
mod exit;
#[cfg(feature = "gateway")]
mod gateway;
mod hello;
mod hint;
mod input;
#[cfg(feature = "inspect")]
mod inspect;
mod interruption;
#[cfg(feature = "lab")]
mod lab;
mod login;
mod output;
mod peer;
mod policy;
mod sasl;
#[cfg(test)]
#[cfg(feature = "gateway")]
mod schema;
mod send;
mod session;
mod survey;
mod target;
mod usage;
#[cfg(feature = "web")]
mod web;

#[cfg(all(any(feature = "attack", feature = "gateway", feature = "web"), not(target_os = "linux")))]
compile_error!(
    "the commands attack, gateway and web need Linux: use --no-default-features --features inspect"
);
#[cfg(all(feature = "lab", not(unix)))]
compile_error!("the command lab needs Unix: use --no-default-features --features inspect");

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use error::Failed;
use interruption::Interruption;

fn main() -> ExitCode {
    match completion::answer() {
        Ok(false) => {}
        Ok(true) => return exit::DONE.into(),
        Err(error) => return usage::explain(&error).into(),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error).into(),
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        console::error(&"cannot start the threads of the runtime", None);
        return exit::BUG.into();
    };
    let result = runtime.block_on(until_interrupted(cli.command));
    // A pending read of standard input must not keep the program running.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(failed) => {
            if !failed.message.is_empty() {
                console::error(&failed, failed.hint.as_deref());
            }
            failed.code.into()
        }
    }
}

/// The time that a command has to release its resources.
const RELEASE: Duration = Duration::from_secs(2);

/// Runs a command until it ends or a signal arrives. The command runs on another thread, so that a blocking read does
/// not delay the end.
async fn until_interrupted(command: Command) -> Result<u8, Failed> {
    #[cfg(feature = "gateway")]
    if let Command::Gateway(args) = command {
        return gateway::run(&args).await;
    }
    let mut interruption = Interruption::listen()?;
    let reports = reports_when_interrupted(&command);
    let mut running = tokio::spawn(run(command, interruption.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        code = interruption.code(), if !reports => {
            running.abort();
            // The task drops the command's resources, unless it is blocked.
            let _ = tokio::time::timeout(RELEASE, running).await;
            login::secret::restore_terminal();
            children::end_descendants();
            return Ok(code);
        }
    };
    ended.unwrap_or_else(|error| Err(Failed::new(exit::BUG, error.to_string())))
}

/// Returns whether the command handles a signal itself, to report what it has found so far or to stop its servers.
fn reports_when_interrupted(command: &Command) -> bool {
    match command {
        Command::Check(_) | Command::Survey(_) => true,
        #[cfg(feature = "attack")]
        Command::Attack(_) => true,
        #[cfg(feature = "inspect")]
        Command::Inspect(_) => true,
        #[cfg(feature = "lab")]
        Command::Lab(_) => true,
        _ => false,
    }
}

async fn run(command: Command, interruption: Interruption) -> Result<u8, Failed> {
    match command {
        #[cfg(feature = "attack")]
        Command::Attack(args) => attack::run(&args, interruption).await,
        Command::Check(args) => check::run(&args, interruption).await,
        Command::Explain(args) => check::explain(&args),
        Command::Connect(args) => connect::run(&args).await,
        #[cfg(feature = "gateway")]
        Command::Gateway(args) => gateway::run(&args).await,
        Command::Hello(args) => hello::run(&args).await,
        #[cfg(feature = "inspect")]
        Command::Inspect(args) => inspect::run(&args, interruption).await,
        #[cfg(feature = "lab")]
        Command::Lab(args) => lab::run(&args, interruption).await,
        Command::Login(args) => login::run(&args).await,
        Command::Policy(args) => policy::run(&args).await,
        Command::Sasl(args) => sasl::run(&args).await,
        Command::Send(args) => send::run(&args).await,
        Command::Survey(args) => survey::run(args, interruption).await,
        #[cfg(feature = "web")]
        Command::Web(args) => web::run(&args).await,
        Command::Completions { shell } => {
            std::io::stdout().lock().write_all(&completion::script(shell)?)?;
            Ok(exit::DONE)
        }
        Command::Man { command } => manual(command.as_deref()),
    }
}

fn manual(name: Option<&str>) -> Result<u8, Failed> {
    let mut program = Cli::command();
    program.build();
    let page = match name {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| Failed::usage(format!("unknown command \"{}\"", name.escape_debug())))?
        }
    };
    let mut page_text = Vec::new();
    clap_mangen::Man::new(page).render(&mut page_text)?;
    std::io::stdout().lock().write_all(&page_text)?;
    Ok(exit::DONE)
}
