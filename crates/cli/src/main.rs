//! The `starttls` command.
#![forbid(unsafe_code)]

mod args;
mod attack;
mod candidates;
mod check;
mod completion;
mod connect;
mod console;
mod dns;
#[cfg(test)]
mod documented;
mod error;
mod exit;
mod gateway;
mod hello;
mod hint;
mod input;
mod inspect;
mod interruption;
mod lab;
mod login;
mod output;
mod peer;
mod policy;
mod sasl;
#[cfg(test)]
mod schema;
mod send;
mod session;
mod target;
mod usage;

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
    if let Command::Gateway(args) = command {
        return gateway::run(&args).await;
    }
    let mut interruption = Interruption::listen()?;
    let reports =
        matches!(command, Command::Attack(_) | Command::Check(_) | Command::Inspect(_) | Command::Lab(_));
    let mut running = tokio::spawn(run(command, interruption.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        code = interruption.code(), if !reports => {
            running.abort();
            // The task drops the command's resources, unless it is blocked.
            let _ = tokio::time::timeout(RELEASE, running).await;
            login::secret::restore_terminal();
            starttls_processes::end_descendants();
            return Ok(code);
        }
    };
    ended.unwrap_or_else(|error| Err(Failed::new(exit::BUG, error.to_string())))
}

async fn run(command: Command, interruption: Interruption) -> Result<u8, Failed> {
    match command {
        Command::Attack(args) => attack::run(&args, interruption).await,
        Command::Check(args) => check::run(&args, interruption).await,
        Command::Explain(args) => check::explain(&args),
        Command::Connect(args) => connect::run(&args).await,
        Command::Gateway(args) => gateway::run(&args).await,
        Command::Hello(args) => hello::run(&args).await,
        Command::Inspect(args) => inspect::run(&args, interruption).await,
        Command::Lab(args) => lab::run(&args, interruption).await,
        Command::Login(args) => login::run(&args).await,
        Command::Policy(args) => policy::run(&args).await,
        Command::Sasl(args) => sasl::run(&args).await,
        Command::Send(args) => send::run(&args).await,
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
