//! What a scenario says, in the words of each protocol.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::canary::Canary;

/// Words for every protocol, or for some: `"imap"`, or `"smtp submission lmtp"` for those that share theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ScenarioText {
    Everywhere(Text),
    ByProtocol(BTreeMap<String, Text>),
}

/// Text as it is said, or octets in hexadecimal. `{mark}`, `{user}` and `{port}` stand for what a run has, `{many}`
/// for more than fifty mechanisms, and `{many:AUTH=}` or `{many:<a>|</a>}` for the same with something around each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Text {
    Said(String),
    Octets { hex: String },
}

/// What the words of one run are filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) canary: &'a Canary,
    /// Where a client that follows a redirect arrives, on 127.0.0.1; five digits.
    pub(crate) port: u16,
}

impl ScenarioText {
    pub(super) fn of(&self, protocol: &str) -> Option<&Text> {
        match self {
            Self::Everywhere(text) => Some(text),
            Self::ByProtocol(texts) => {
                let mine = |key: &&String| key.split(' ').any(|name| name == protocol);
                texts.keys().find(mine).and_then(|key| texts.get(key))
            }
        }
    }

    /// The protocols that have words of their own.
    #[cfg(test)]
    pub(super) fn protocols(&self) -> Vec<&str> {
        match self {
            Self::Everywhere(_) => Vec::new(),
            Self::ByProtocol(texts) => texts.keys().flat_map(|names| names.split(' ')).collect(),
        }
    }
}

impl Text {
    /// The bytes to be said in a run.
    pub(super) fn bytes(&self, with: Filling<'_>) -> Result<Vec<u8>, String> {
        match self {
            Self::Said(text) => Ok(filled(text, with).into_bytes()),
            Self::Octets { hex } => octets(hex, with),
        }
    }
}

fn filled(text: &str, with: Filling<'_>) -> String {
    let Filling { canary, port } = with;
    let text = text.replace("{mark}", &canary.mark).replace("{user}", &canary.user);
    let text = text.replace("{port}", &format!("{port:05}")).replace("{many}", &many("", ""));
    match text.split_once("{many:").and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        Some((start, (around, end))) => {
            let (before, behind) = around.split_once('|').unwrap_or((around, ""));
            [start, &many(before, behind), end].concat()
        }
        None => text,
    }
}

/// As many names of SASL mechanisms as no client expects, the known ones first, with this around each.
fn many(before: &str, behind: &str) -> String {
    let known =
        ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL", "NTLM"];
    let made_up = (1..=47).map(|number| format!("X-MECHANISM-{number:02}"));
    let names = known.into_iter().map(String::from).chain(made_up);
    names.map(|name| format!("{before}{name}{behind}")).collect::<Vec<_>>().join(" ")
}

/// Octets in hexadecimal, with texts in single quotes: `04 10 '{mark}'`.
fn octets(hex: &str, with: Filling<'_>) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for (at, part) in hex.split('\'').enumerate() {
        if at % 2 == 1 {
            out.extend(filled(part, with).into_bytes());
            continue;
        }
        for octet in part.split_whitespace() {
            out.push(u8::from_str_radix(octet, 16).map_err(|_| format!("{octet:?} is no octet"))?);
        }
    }
    Ok(out)
}
