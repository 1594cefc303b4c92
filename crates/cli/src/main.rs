//! The `starttls` command.
#![forbid(unsafe_code)]

mod args;
mod attack;
mod check;
mod connect;
mod diagnose;
mod dns;
mod exit;
mod failure;
mod gateway;
mod inside;
mod lab;
mod login;
mod output;
mod peer;
mod sasl;
#[cfg(test)]
mod schema;
mod send;
mod talk;
mod target;
mod usage;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failed;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error).into(),
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        talk::error(&"cannot start the runtime", None);
        return exit::BUG.into();
    };
    let result = runtime.block_on(run(cli.command));
    // A read of standard input that nobody waits for any more must not hold the program.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(failed) => {
            if !failed.message.is_empty() {
                talk::error(&failed, failed.hint.as_deref());
            }
            failed.code.into()
        }
    }
}

async fn run(command: Command) -> Result<u8, Failed> {
    match command {
        Command::Attack(args) => attack::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Explain(args) => check::explain(&args),
        Command::Connect(args) => connect::run(&args).await,
        Command::Gateway(args) => gateway::run(&args).await,
        Command::Lab(args) => lab::run(&args).await,
        Command::Login(args) => login::run(&args).await,
        Command::Sasl(args) => sasl::run(&args),
        Command::Send(args) => send::run(&args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "starttls", &mut script);
            std::io::stdout().lock().write_all(&script)?;
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
            found.ok_or_else(|| Failed::usage(format!("there is no command \"{}\"", name.escape_debug())))?
        }
    };
    let mut page_text = Vec::new();
    clap_mangen::Man::new(page).render(&mut page_text)?;
    std::io::stdout().lock().write_all(&page_text)?;
    Ok(exit::DONE)
}
