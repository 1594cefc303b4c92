//! What is to be audited: arguments first, then the lines of a file.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::args::Check;
use crate::failure::Failed;
use crate::target::{Host, Target, split_port};

/// One target as it was written, and what it means.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// The line of the file that has it, from 1.
    pub(crate) number: Option<usize>,
    pub(crate) meaning: Result<Meaning, Failed>,
}

/// What a target means.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// One service.
    Service(Target),
    /// All that a domain announces.
    Domain(Host),
}

/// A target as it was written, and where.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) line: Option<usize>,
}

/// Targets without repetition, and how often each is written.
pub(crate) struct Targets {
    /// In their order, each once.
    pub(crate) distinct: Vec<Line>,
    /// By the text of a distinct target: every time it is written, in this spelling or another.
    pub(crate) same: HashMap<String, Vec<Asked>>,
}

impl Targets {
    /// Finds the targets that mean the same. Each is audited once and reported for each line.
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        let mut first: HashMap<String, String> = HashMap::new();
        let (mut distinct, mut same) = (Vec::new(), HashMap::<String, Vec<Asked>>::new());
        for line in lines {
            let asked = Asked { text: line.text.clone(), line: line.number };
            let leader = first.entry(line.key()).or_insert_with(|| line.text.clone());
            let all = same.entry(leader.clone()).or_default();
            if all.is_empty() {
                distinct.push(line);
            }
            all.push(asked);
        }
        Self { distinct, same }
    }

    /// Returns how many targets are written.
    pub(crate) fn len(&self) -> usize {
        self.same.values().map(Vec::len).sum()
    }
}

impl Line {
    /// Returns what is the same for two targets that mean the same.
    fn key(&self) -> String {
        match &self.meaning {
            Ok(Meaning::Service(target)) => target.to_string(),
            Ok(Meaning::Domain(domain)) => domain.ascii.clone(),
            Err(_) => self.text.clone(),
        }
    }
}

/// Longest file of targets.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Every target. A wrong one among the arguments is an error; a wrong line of a file is passed on as such.
pub(crate) fn read(args: &Check) -> Result<Vec<Line>, Failed> {
    let meaning = |text: &str| match parse(text)? {
        Meaning::Domain(_) if args.peer.connect.is_some() => {
            let hint = format!("say what to dial there, for example smtp://{}", text.escape_debug());
            let why = "--connect bypasses DNS, and what a domain announces is in DNS";
            Err(Failed::usage(why).hint(Some(hint)))
        }
        meaning => Ok(meaning),
    };
    let mut lines = Vec::new();
    for text in &args.targets {
        lines.push(Line { text: text.clone(), number: None, meaning: Ok(meaning(text)?) });
    }
    if let Some(path) = &args.file {
        let bytes = crate::input::read_or_stdin(path, MAX_FILE)?;
        // A line that is no text is a bad line, and the others are as good as ever.
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        let written = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let numbered = written.enumerate().filter(|(_, line)| !line.is_empty());
        lines.extend(numbered.map(|(index, line)| Line {
            text: line.to_owned(),
            number: Some(index + 1),
            meaning: meaning(line),
        }));
    }
    Ok(lines)
}

fn parse(text: &str) -> Result<Meaning, Failed> {
    if let Some(domain) = domain(text)? {
        return Ok(Meaning::Domain(domain));
    }
    Ok(Meaning::Service(text.parse()?))
}

/// A name alone. An address announces nothing.
fn domain(text: &str) -> Result<Option<Host>, Failed> {
    if text.contains("://") {
        return Ok(None);
    }
    match split_port(text)? {
        (name, None) if name.parse::<IpAddr>().is_err() => Ok(Some(name.trim_end_matches('.').parse()?)),
        _ => Ok(None),
    }
}
