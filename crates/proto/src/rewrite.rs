//! Changes to capability lists, for protocols in which an entry is a line or a word that starts with its keyword.

use alloc::vec::Vec;

use crate::CapabilityRewrite;
use crate::text::{lines, words};

/// The keywords of one protocol's list. They ignore case.
pub(crate) struct Keywords {
    /// The keyword of the upgrade.
    pub(crate) upgrade: &'static str,
    /// The keyword before a list of SASL mechanisms.
    pub(crate) mechanisms: &'static str,
    /// The other keywords of logins.
    pub(crate) credentials: &'static [&'static str],
    /// The keywords with which a server offers to accept information about the client from a proxy.
    pub(crate) on_behalf: &'static [&'static str],
}

impl Keywords {
    /// Returns the entry with this change, or `None` if nothing is left of it.
    pub(crate) fn rewritten(&self, entry: &[u8], how: CapabilityRewrite) -> Option<Vec<u8>> {
        let end = entry.iter().position(|byte| matches!(byte, b' ' | b'=')).unwrap_or(entry.len());
        let (keyword, behind) = entry.split_at(end);
        let is = |known: &str| keyword.eq_ignore_ascii_case(known.as_bytes());
        let any = |list: &[&str]| list.iter().any(|known| is(known));
        match how {
            CapabilityRewrite::DropUpgrade if is(self.upgrade) => None,
            CapabilityRewrite::DropCredentials if is(self.mechanisms) || any(self.credentials) => None,
            CapabilityRewrite::DropOnBehalf if any(self.on_behalf) => None,
            _ if is(self.mechanisms) => {
                // Servers send `AUTH=PLAIN` for clients that are older than the specification.
                let (sign, listed) = behind.split_at_checked(1).unwrap_or_default();
                let kept: Vec<_> = words(listed).filter(|word| !drops(how, word)).collect();
                match kept.len() {
                    same if same == words(listed).count() => Some(entry.to_vec()),
                    0 => None,
                    _ => Some([keyword, sign, &kept.join(&b' ')].concat()),
                }
            }
            _ => Some(entry.to_vec()),
        }
    }

    /// Returns the list with this change.
    pub(crate) fn rewrite<'a>(
        &self,
        list: impl Iterator<Item = &'a [u8]>,
        how: CapabilityRewrite,
    ) -> Vec<Vec<u8>> {
        let mut offered = false;
        let mut rewritten: Vec<_> = list
            .inspect(|entry| offered |= self.rewritten(entry, CapabilityRewrite::DropUpgrade).is_none())
            .filter_map(|entry| self.rewritten(entry, how))
            .collect();
        if how == CapabilityRewrite::AddUpgrade && !offered {
            rewritten.push(self.upgrade.as_bytes().to_vec());
        }
        rewritten
    }
}

/// Returns whether this change removes this mechanism. `mechanism` may start with `AUTH=`. Changes remove mechanisms
/// that are bound to the TLS connection (RFC 5802 section 6), and EXTERNAL, which depends on the owner of that
/// connection.
pub(crate) fn drops(how: CapabilityRewrite, mechanism: &[u8]) -> bool {
    let name = mechanism.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
    match how {
        CapabilityRewrite::DropChannelBinding => {
            name.len().checked_sub(5).is_some_and(|at| name[at..].eq_ignore_ascii_case(b"-PLUS"))
        }
        CapabilityRewrite::DropExternal => name.eq_ignore_ascii_case(b"EXTERNAL"),
        _ => false,
    }
}

/// Returns a block with this change to its entries, which are lines up to a line of one dot. Other messages are
/// returned unchanged.
pub(crate) fn rewrite_block(msg: &[u8], keywords: &Keywords, how: CapabilityRewrite) -> Vec<u8> {
    let mut list: Vec<_> = lines(msg).collect();
    if list.len() < 2 || list.pop() != Some(b".") {
        return msg.to_vec();
    }
    let status = list.remove(0);
    let rewritten = keywords.rewrite(list.into_iter(), how);
    let whole = [status].into_iter().chain(rewritten.iter().map(Vec::as_slice)).chain([b"." as &[u8]]);
    whole.flat_map(|line| [line, b"\r\n"]).collect::<Vec<_>>().concat()
}
