//! The command line. Help, the manual page and the completions are generated from it.

#[cfg(feature = "attack")]
mod attack;
mod check;
mod common;
mod connect;
#[cfg(feature = "gateway")]
mod gateway;
mod hello;
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(feature = "lab")]
mod lab;
mod login;
mod policy;
#[cfg(feature = "gateway")]
mod policy_service;
mod send;
mod survey;
#[cfg(feature = "web")]
mod web;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::ArgValueCandidates;
use clap_complete::engine::CompletionCandidate;

use crate::exit;

#[cfg(feature = "attack")]
pub(crate) use attack::{Attack, AttackFormat, FailOn};
pub(crate) use check::{Check, Explain, ReportFormat};
pub(crate) use common::{Format, Output, Peer, Progress, Resolver, Trace, Trust, Way, When};
pub(crate) use connect::{Connect, ConnectFormat};
#[cfg(feature = "gateway")]
pub(crate) use gateway::{Gateway, Offer};
pub(crate) use hello::Hello;
#[cfg(feature = "inspect")]
pub(crate) use inspect::{Inspect, InspectFormat};
#[cfg(feature = "lab")]
pub(crate) use lab::Lab;
pub(crate) use login::{Credentials, Login, Principal, Sasl};
pub(crate) use policy::{Policy, PolicyCheck, PolicyCommand, PolicyReport, PolicySts, PolicyTlsa, StsPart};
#[cfg(feature = "gateway")]
pub(crate) use policy_service::{
    ListenAt, PartialArg, PolicyForget, PolicyList, PolicyServe, PolicyShow, StoreAt,
};
pub(crate) use send::{Send, Stop};
pub(crate) use survey::{
    OptOutChange, OptOutCommand, OptOutShow, StatusFormat, Survey, SurveyCommand, SurveyJoin, SurveyMachine,
    SurveyPace, SurveyRun, SurveyStatus, SurveyVerify,
};
#[cfg(feature = "nats")]
pub(crate) use survey::{SurveyCollect, SurveyQueue, SurveyWork};
#[cfg(feature = "web")]
pub(crate) use web::Web;

/// Use, test and understand STARTTLS: the upgrade of a cleartext connection to TLS on the same port
#[derive(Debug, Parser)]
#[command(name = "starttls", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "attack")]
    Attack(Box<Attack>),
    Check(Box<Check>),
    Connect(Box<Connect>),
    Explain(Explain),
    #[cfg(feature = "gateway")]
    Gateway(Box<Gateway>),
    Hello(Box<Hello>),
    #[cfg(feature = "inspect")]
    Inspect(Box<Inspect>),
    #[cfg(feature = "lab")]
    Lab(Lab),
    Login(Box<Login>),
    Policy(Policy),
    Sasl(Sasl),
    Send(Box<Send>),
    Survey(Survey),
    #[cfg(feature = "web")]
    Web(Box<Web>),
    /// Print the completion script for a shell
    ///
    /// The script completes commands, options, files, protocols, and the ids of checks and attacks. It runs starttls
    /// for that, which must be on the search path.
    #[command(after_help = "Examples:
  source <(starttls completions bash)                  in ~/.bashrc
  source <(starttls completions zsh)                   in ~/.zshrc, after compinit
  starttls completions fish | source                   in ~/.config/fish/config.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one command (roff)
    Man {
        /// The command
        #[arg(add = ArgValueCandidates::new(command_names))]
        command: Option<String>,
    },
}

/// Returns the names of the commands, to complete them.
fn command_names() -> Vec<CompletionCandidate> {
    let program = Cli::command();
    program.get_subcommands().map(|it| CompletionCandidate::new(it.get_name())).collect()
}
