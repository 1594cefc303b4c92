//! Arguments of `inspect`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use starttls_inspect::{ShownUsers, Weight};

use super::common::{Output, duration};

/// Read packet captures and report for each connection whether TLS was offered, requested, granted and used
///
/// Reads pcap and pcapng files, compressed with gzip or not, or a pipe from tcpdump. Nothing is sent, and no privilege
/// is needed. A value is "no" only if the packets prove it; what they do not show is "unknown" and never a finding.
/// Passwords, tokens and responses are in no output.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  starttls inspect capture.pcap
  starttls inspect monday.pcap.gz tuesday.pcapng --format json | jq 'select(.type == \"connection\")'
  tcpdump -i any -U -s 0 -w - tcp | starttls inspect -
  starttls inspect capture.pcap --only-findings --fail-on high
  starttls inspect capture.pcap --format html --output findings.html
  starttls inspect capture.pcap --baseline servers.json --write findings.pcapng
  starttls inspect --compare client-side.pcap server-side.pcap
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
    #[arg(required_unless_present = "compare", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Compare two captures of the same connections, from the client's and from the server's side of a device: what the
    /// device changed
    #[arg(long, num_args = 2, value_names = ["NEAR", "FAR"],
        conflicts_with_all = ["files", "follow", "merge", "interval", "write", "filter", "only_findings", "anonymize"])]
    pub(crate) compare: Vec<PathBuf>,

    /// json: one object per line, for each connection when it ends, then for each server, each client and the
    /// capture; html: a page with a picture of each connection that has findings; eve: events as of Suricata; zeek: a
    /// log as of Zeek
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

    /// Put the packets of all files into the order of their time stamps
    #[arg(long, conflicts_with = "follow")]
    pub(crate) merge: bool,

    /// Servers that are known to offer the upgrade: the JSON report of an earlier inspection or of "check"
    #[arg(long, value_name = "FILE", conflicts_with = "anonymize")]
    pub(crate) baseline: Option<PathBuf>,

    /// Treat servers on this port as servers of this protocol where several protocols fit: 2525=smtp
    #[arg(long, value_name = "PORT=PROTO,…", value_delimiter = ',', value_parser = port)]
    pub(crate) port: Vec<(u16, u16)>,

    /// Write the packets of connections with findings at or above low to a pcapng file. They contain what was in the
    /// capture, passwords too
    #[arg(long, value_name = "FILE", conflicts_with = "follow")]
    pub(crate) write: Option<PathBuf>,

    /// Show the totals at this interval while the captures are read
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) interval: Option<Duration>,

    /// How to show the users of logins
    #[arg(long, value_enum, default_value_t = UsersArg::Yes)]
    pub(crate) show_users: UsersArg,

    /// Replace all addresses, the same one always by the same other one, and leave out names and texts
    #[arg(long)]
    pub(crate) anonymize: bool,

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
    Html,
    Eve,
    Zeek,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsersArg {
    /// As they are
    Yes,
    /// As a hash, to count the logins of one user
    Hash,
    /// Not at all
    No,
}

impl From<UsersArg> for ShownUsers {
    fn from(users: UsersArg) -> Self {
        match users {
            UsersArg::Yes => Self::Yes,
            UsersArg::Hash => Self::Hash,
            UsersArg::No => Self::No,
        }
    }
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

/// Parses a port and the protocol of its servers. Returns the port, and the protocol's own port.
fn port(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('=').and_then(|(port, name)| {
        let port = port.parse().ok().filter(|port| *port > 0)?;
        Some((port, starttls::proto::protocol(name)?.port))
    });
    parsed.ok_or_else(|| String::from("expected a port and a protocol, such as 2525=smtp"))
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
    fn ports_have_a_protocol() {
        assert_eq!(port("2525=smtp"), Ok((2525, 25)));
        for wrong in ["2525", "=smtp", "0=smtp", "2525=none", "99999=smtp"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        for wrong in ["", "M", "256", "1K", "-1M", "99999999999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
