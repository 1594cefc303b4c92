//! Arguments of `inspect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use starttls_inspect::Weight;

use super::common::Output;

/// Read packet captures and report for each connection whether TLS was offered, requested, granted and used
///
/// Reads pcap and pcapng files, compressed with gzip or not, or a pipe from tcpdump. Nothing is sent, and no privilege
/// is needed. A value is "no" only if the packets prove it; what they do not show is "unknown" and never a finding.
/// Passwords, tokens and responses are in no output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  starttls inspect capture.pcap
  starttls inspect monday.pcap.gz tuesday.pcapng --format json | jq 'select(.type == \"connection\")'
  tcpdump -i any -U -s 0 -w - tcp | starttls inspect -
  starttls inspect capture.pcap --only-findings --fail-on high
  starttls explain obs-stripped

Exit codes:
  0   no finding at or above --fail-on
  1   findings at or above --fail-on
  2   wrong usage, an unreadable file, or a file that is not a capture
  7   inconclusive: no connection showed anything
  70  a bug in this program
A file that was cut off, and an interruption, end the report early and do not change the exit code.")]
pub(crate) struct Inspect {
    /// Captures, read one after the other; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// json: one object per line, for each connection when it ends, then for each server, each client and the
    /// capture; eve: events as of Suricata; zeek: a log as of Zeek
    #[arg(long, value_enum, default_value_t = InspectFormat::Text)]
    pub(crate) format: InspectFormat,

    /// The least severe finding for which the exit code is 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = WeightArg::Medium)]
    pub(crate) fail_on: WeightArg,

    /// Show only connections with findings at or above low
    #[arg(long)]
    pub(crate) only_findings: bool,

    /// Show only connections of these protocols, addresses or ports
    #[arg(long, value_name = "PROTO|ADDR|PORT,…", value_delimiter = ',')]
    pub(crate) filter: Vec<String>,

    /// The memory for all connections; beyond it, connections are given up and counted
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub(crate) memory: usize,

    /// The most connections at the same time
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = connections)]
    pub(crate) flows: usize,

    /// Wait for more packets at the end of the last file, until the command is interrupted
    #[arg(long)]
    pub(crate) follow: bool,

    /// Treat packets with other VLAN tags as other connections
    #[arg(long)]
    pub(crate) by_vlan: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectFormat {
    Text,
    Json,
    Eve,
    Zeek,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightArg {
    Info,
    Low,
    Medium,
    High,
}

impl From<WeightArg> for Weight {
    fn from(severity: WeightArg) -> Self {
        match severity {
            WeightArg::Info => Self::Info,
            WeightArg::Low => Self::Low,
            WeightArg::Medium => Self::Medium,
            WeightArg::High => Self::High,
        }
    }
}

/// Parses a number of octets with a unit: 64K, 256M, 2G.
fn size(text: &str) -> Result<usize, String> {
    let expected = || String::from("expected a number with a unit, such as 64K, 256M or 2G");
    let (digits, shift) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((digits, "K" | "k")) => (digits, 10),
        Some((digits, "M" | "m")) => (digits, 20),
        Some((digits, "G" | "g")) => (digits, 30),
        _ => return Err(expected()),
    };
    let number: usize = digits.parse().map_err(|_| expected())?;
    let least = 1 << 20;
    let size = number.checked_mul(1 << shift).ok_or_else(expected)?;
    if size < least { Err(String::from("expected at least 1M")) } else { Ok(size) }
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(String::from("expected a number of at least 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        for wrong in ["", "M", "256", "1K", "-1M", "99999999999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
