//! Changes to lists of capabilities, for the protocols in which an entry is a line or a word that starts with
//! its keyword.

use crate::CapabilityRewrite;
use crate::text::{lines, words};

/// The keywords of one protocol's list. Case does not matter.
pub(crate) struct Keywords {
    /// The upgrade.
    pub(crate) upgrade: &'static str,
    /// What stands before a list of SASL mechanisms.
    pub(crate) mechanisms: &'static str,
    /// What else logs somebody in.
    pub(crate) credentials: &'static [&'static str],
    /// The server's offers to be told on whose behalf a client speaks.
    pub(crate) on_behalf: &'static [&'static str],
}

impl Keywords {
    /// The entry with this change; `None` where nothing is left of it.
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
                // `AUTH=PLAIN` is said for clients that are older than the specification.
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

    /// The list with this change.
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

/// Whether this change takes out this mechanism, or `AUTH=` and a mechanism, and others not: because it is bound to
/// the TLS connection (RFC 5802 section 6), or goes by who that belongs to.
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

/// A block of entries, one a line, that ends with a line of one dot; anything else stays as it is.
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
