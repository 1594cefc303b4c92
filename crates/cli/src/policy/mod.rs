//! `starttls policy`: DANE, MTA-STS and TLSRPT.

pub(crate) mod check;
mod keys;
pub(crate) mod report;
pub(crate) mod resolver;
#[cfg(feature = "gateway")]
mod serve;
#[cfg(feature = "gateway")]
mod stored;
#[cfg(feature = "gateway")]
pub(crate) mod stored_report;
mod sts;
mod tlsa;

use crate::args::{Policy, PolicyCommand};
use crate::error::Failed;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Policy) -> Result<u8, Failed> {
    match &args.command {
        PolicyCommand::Check(args) => check::run(args).await,
        #[cfg(feature = "gateway")]
        PolicyCommand::Forget(args) => stored::forget(args),
        #[cfg(feature = "gateway")]
        PolicyCommand::List(args) => stored::list(args),
        PolicyCommand::Report(args) => report::run(args),
        #[cfg(feature = "gateway")]
        PolicyCommand::Serve(args) => serve::run(args).await,
        #[cfg(feature = "gateway")]
        PolicyCommand::Show(args) => stored::show(args),
        PolicyCommand::Sts(args) => sts::run(args).await,
        PolicyCommand::Tlsa(args) => tlsa::run(args).await,
    }
}
