//! Reads the targets to audit: first the arguments, then the lines of the file.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::args::Check;
use crate::error::Failed;
use crate::target::{Host, Target, split_port};

/// One target as it was written, and its meaning.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Its line in the file, from 1.
    pub(crate) number: Option<usize>,
    pub(crate) meaning: Result<Meaning, Failed>,
}

impl Line {
    fn service(target: Target, number: Option<usize>) -> Self {
        Self { text: target.to_string(), number, meaning: Ok(Meaning::Service(target)) }
    }
}

/// The meaning of a target.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// One service.
    Service(Target),
    /// All services that a domain announces.
    Domain(Host),
}

/// A target as it was written, and its line.
#[derive(Clone, Debug)]
pub(crate) struct WrittenTarget {
    pub(crate) text: String,
    pub(crate) line: Option<usize>,
}

/// The targets without duplicates, and every place where each is written.
pub(crate) struct Targets {
    /// In order, without duplicates.
    pub(crate) distinct: Vec<Line>,
    /// For the text of each distinct target, every place where it is written, in this spelling or another.
    pub(crate) same: HashMap<String, Vec<WrittenTarget>>,
}

impl Targets {
    /// Finds targets with the same meaning. Each is audited once and reported for each line.
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        let mut first: HashMap<String, String> = HashMap::new();
        let (mut distinct, mut same) = (Vec::new(), HashMap::<String, Vec<WrittenTarget>>::new());
        for line in lines {
            let asked = WrittenTarget { text: line.text.clone(), line: line.number };
            let leader = first.entry(line.key()).or_insert_with(|| line.text.clone());
            let all = same.entry(leader.clone()).or_default();
            if all.is_empty() {
                distinct.push(line);
            }
            all.push(asked);
        }
        Self { distinct, same }
    }

    /// Returns the number of targets with duplicates.
    pub(crate) fn len(&self) -> usize {
        self.same.values().map(Vec::len).sum()
    }
}

impl Line {
    /// Returns a key that is equal for targets with the same meaning.
    pub(crate) fn key(&self) -> String {
        match &self.meaning {
            Ok(Meaning::Service(target)) => target.to_string(),
            Ok(Meaning::Domain(domain)) => domain.ascii.clone(),
            Err(_) => self.text.clone(),
        }
    }
}

/// The largest file of targets, in octets.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Returns all targets. An invalid argument is an error. An invalid line of the file is returned as a failed target.
pub(crate) fn read(args: &Check) -> Result<Vec<Line>, Failed> {
    let meaning = |text: &str| match parse(text)? {
        Meaning::Domain(_) if args.peer.connect.is_some() => {
            let hint = format!("specify the protocol, for example smtp://{}", text.escape_debug());
            let why = "--connect cannot be used with a domain, whose services are announced in DNS";
            Err(Failed::usage(why).hint(Some(hint)))
        }
        meaning => Ok(meaning),
    };
    let mut lines = Vec::new();
    for text in &args.targets {
        match network(text)? {
            Some(services) => lines.extend(services.into_iter().map(|it| Line::service(it, None))),
            None => lines.push(Line { text: text.clone(), number: None, meaning: Ok(meaning(text)?) }),
        }
    }
    if let Some(path) = &args.file {
        let bytes = crate::input::read_or_stdin(path, MAX_FILE)?;
        // A line that is not UTF-8 must not prevent the audit of the others.
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        let written = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        for (index, line) in written.enumerate().filter(|(_, line)| !line.is_empty()) {
            let number = Some(index + 1);
            let one = |meaning| Line { text: line.to_owned(), number, meaning };
            match network(line) {
                Ok(Some(services)) => lines.extend(services.into_iter().map(|it| Line::service(it, number))),
                Ok(None) => lines.push(one(meaning(line))),
                Err(failed) => lines.push(one(Err(failed))),
            }
        }
    }
    Ok(lines)
}

/// The most addresses of one network: /22 in IPv4, /118 in IPv6.
const MOST_ADDRESSES: u128 = 1024;

/// Reads a network as a target, `smtp://192.0.2.0/28` or `imap://[2001:db8::]/120:1143`, into one target for each of
/// its hosts. Returns `None` for everything else.
fn network(text: &str) -> Result<Option<Vec<Target>>, Failed> {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let Some((address, length)) = rest.split_once('/') else { return Ok(None) };
    let address = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(None) };
    let (length, port) = length.split_once(':').map_or((length, None), |(length, port)| (length, Some(port)));
    let invalid = |expected: &str| {
        Failed::usage(format!("invalid network \"{}\": expected {expected}", text.escape_debug()))
    };
    let network = length.parse().ok().and_then(|length| IpNet::new(address, length).ok());
    let network = network.ok_or_else(|| invalid("an address, / and a prefix length"))?;
    let Some(scheme) = scheme else {
        let hint = Some(format!("specify the protocol, for example smtp://{network}"));
        return Err(invalid("a protocol, as in smtp://ADDRESS/LENGTH").hint(hint));
    };
    let hosts = 1_u128.checked_shl((network.max_prefix_len() - network.prefix_len()).into());
    if hosts.is_none_or(|hosts| hosts > MOST_ADDRESSES) {
        return Err(invalid(&format!("at most {MOST_ADDRESSES} addresses")));
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let host = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let targets = network.hosts().map(|address| format!("{scheme}://{}{port}", host(address)).parse());
    targets.collect::<Result<Vec<_>, _>>().map(Some)
}

fn parse(text: &str) -> Result<Meaning, Failed> {
    if let Some(domain) = domain(text)? {
        return Ok(Meaning::Domain(domain));
    }
    Ok(Meaning::Service(text.parse()?))
}

/// Returns the domain if the text is a name alone. An address is not a domain.
fn domain(text: &str) -> Result<Option<Host>, Failed> {
    if text.contains("://") {
        return Ok(None);
    }
    match split_port(text)? {
        (name, None) if name.parse::<IpAddr>().is_err() => Ok(Some(name.trim_end_matches('.').parse()?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let targets = network(text).map_err(|failed| failed.to_string())?;
        Ok(targets.into_iter().flatten().map(|target| target.to_string()).collect())
    }

    #[test]
    fn a_network_is_a_target_for_each_of_its_hosts() {
        let two = ["smtp://192.0.2.1", "smtp://192.0.2.2"].map(str::to_owned);
        for text in ["smtp://192.0.2.0/30", "smtp://192.0.2.2/30/", "SMTP+starttls://192.0.2.0/30:25"] {
            assert_eq!(read(text).unwrap(), two, "{text}");
        }
        assert_eq!(read("imaps://192.0.2.7/32:1993").unwrap(), ["imaps://192.0.2.7:1993"]);
        let six = read("imap://[2001:db8::]/126:1143").unwrap();
        assert_eq!(six.len(), 4);
        assert_eq!(six[1], "imap://[2001:db8::1]:1143");
        assert_eq!(read("smtp://198.51.100.0/22").unwrap().len(), 1022);
        for other in
            ["smtp://192.0.2.1", "example.com", "imap://mail.example.com/INBOX", "mail.example.com:25/"]
        {
            assert_eq!(read(other), Ok(Vec::new()), "{other}");
        }
    }

    #[test]
    fn errors_of_networks_contain_what_was_expected() {
        for (text, expected) in [
            ("smtp://10.0.0.0/8", "at most 1024 addresses"),
            ("smtp://[2001:db8::]/0", "at most 1024 addresses"),
            ("smtp://192.0.2.0/33", "a prefix length"),
            ("smtp://192.0.2.0/x", "a prefix length"),
            ("192.0.2.0/28", "a protocol, as in smtp://ADDRESS/LENGTH"),
            ("smpt://192.0.2.0/30", "unknown protocol"),
            ("smtp://192.0.2.0/30:x", "invalid host and port"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
