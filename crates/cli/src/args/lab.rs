//! The arguments of `lab`.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::common::Format;
use crate::candidates;

/// Run a sound server of each protocol on this machine, until Ctrl-C
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// The format of the list of servers; with json, one line is written as soon as all servers listen
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Run only these protocols
    #[arg(long, value_name = "PROTO,…", value_delimiter = ',', add = ArgValueCandidates::new(candidates::protocols))]
    pub(crate) only: Vec<String>,
}
