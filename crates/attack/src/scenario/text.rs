//! The texts of a scenario for each protocol.

use std::collections::BTreeMap;

use serde::Deserialize;
use starttls::proto::{Identity, Protocol};

use crate::canary::Canary;
use crate::error::ScenarioError;

/// A text for every protocol, or one for each: `"imap"`, or `"smtp submission lmtp"` for protocols that share a text. The text
/// for `"*"` is for those that no rule of the scenario names.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ScenarioText {
    Shared(Text),
    ByProtocol(BTreeMap<String, Text>),
}

/// A text, or octets in hexadecimal. `{mark}`, `{user}` and `{port}` are replaced with the values of the run, `{many}` with
/// more than fifty mechanisms, and `{many:AUTH=}` or `{many:<a>|</a>}` with the same mechanisms and a text around each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Text {
    Plain(String),
    Octets {
        hex: String,
    },
    /// The first half of an answer with this text, as the dialect writes it.
    Start {
        start_of_answer: String,
    },
}

/// The values for the placeholders in texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) canary: &'a Canary,
    /// The port on 127.0.0.1 for clients that follow a redirect. It is written with five digits.
    pub(crate) port: u16,
}

/// The name of the text for the protocols that no rule of a scenario names.
pub(super) const OTHERS: &str = "*";

impl ScenarioText {
    /// Returns whether this protocol has a text of its own.
    pub(super) fn names(&self, protocol: &str) -> bool {
        matches!(self, Self::ByProtocol(_)) && self.of(protocol).is_some()
    }

    /// Returns the text for a protocol, or for [`OTHERS`].
    pub(super) fn of(&self, protocol: &str) -> Option<&Text> {
        match self {
            Self::Shared(text) => Some(text),
            Self::ByProtocol(texts) => {
                let mine = |key: &&String| key.split(' ').any(|name| name == protocol);
                texts.keys().find(mine).and_then(|key| texts.get(key))
            }
        }
    }

    /// Returns the protocols with a text of their own.
    #[cfg(test)]
    pub(super) fn protocols(&self) -> Vec<&str> {
        match self {
            Self::Shared(_) => Vec::new(),
            Self::ByProtocol(texts) => {
                texts.keys().flat_map(|names| names.split(' ')).filter(|name| *name != OTHERS).collect()
            }
        }
    }
}

impl Text {
    /// Returns the bytes to send in a run.
    pub(super) fn bytes(&self, protocol: &Protocol, with: Filling<'_>) -> Result<Vec<u8>, ScenarioError> {
        match self {
            Self::Plain(text) => Ok(filled(text, with).into_bytes()),
            Self::Octets { hex } => octets(hex, with),
            Self::Start { start_of_answer } => {
                let mut answer = Vec::new();
                let dialect = protocol.new_dialect(Identity::new("localhost"));
                dialect.write_answer(1, filled(start_of_answer, with).as_bytes(), &mut answer);
                answer.truncate(answer.len() / 2);
                Ok(answer)
            }
        }
    }
}

fn filled(text: &str, with: Filling<'_>) -> String {
    let Filling { canary, port } = with;
    let text = text.replace("{mark}", &canary.mark).replace("{user}", &canary.user);
    let text = text.replace("{port}", &format!("{port:05}")).replace("{many}", &many("", ""));
    match text.split_once("{many:").and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        Some((start, (around, end))) => {
            let (before, after) = around.split_once('|').unwrap_or((around, ""));
            [start, &many(before, after), end].concat()
        }
        None => text,
    }
}

/// Returns more than fifty SASL mechanisms, the known ones first, each between `before` and `after`.
fn many(before: &str, after: &str) -> String {
    let known =
        ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL", "NTLM"];
    let made_up = (1..=47).map(|number| format!("X-MECHANISM-{number:02}"));
    let names = known.into_iter().map(String::from).chain(made_up);
    names.map(|name| format!("{before}{name}{after}")).collect::<Vec<_>>().join(" ")
}

/// Parses octets in hexadecimal, with texts in single quotes: `04 10 '{mark}'`.
fn octets(hex: &str, with: Filling<'_>) -> Result<Vec<u8>, ScenarioError> {
    let mut out = Vec::new();
    for (at, part) in hex.split('\'').enumerate() {
        if at % 2 == 1 {
            out.extend(filled(part, with).into_bytes());
            continue;
        }
        for octet in part.split_whitespace() {
            out.push(
                u8::from_str_radix(octet, 16).map_err(|_| ScenarioError::InvalidOctet(octet.to_owned()))?,
            );
        }
    }
    Ok(out)
}
