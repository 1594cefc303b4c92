//! Capability lists and changes to them (RFC 9051 section 7.2.2).

use alloc::vec::Vec;
use core::ops::Range;

use super::{MAX_TAG, split};
use crate::CapabilityRewrite;
use crate::rewrite::drops;
use crate::text::{lines, starts_with, verb, words};

/// Returns the message with this change applied to its capability list, if it has one.
pub(super) fn rewritten(msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
    let Some(list) = capabilities(msg) else { return msg.to_vec() };
    let is = |word: &[u8], known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    let mut kept: Vec<&[u8]> = words(&msg[list.clone()]).collect();
    match how {
        // LOGINDISABLED also tells a client to use TLS.
        CapabilityRewrite::DropUpgrade => kept.retain(|word| !is_offer(word) && !is(word, "LOGINDISABLED")),
        CapabilityRewrite::AddUpgrade => {
            // RFC 7888: without these a client announces each literal and waits. No literal passes before TLS.
            kept.retain(|word| !is(word, "LITERAL+") && !is(word, "LITERAL-"));
            if !kept.iter().any(|word| is_offer(word)) {
                kept.push(b"STARTTLS");
            }
        }
        CapabilityRewrite::DropCredentials => {
            kept.retain(|word| !starts_with(word, b"AUTH=") && !is(word, "SASL-IR"));
            if !kept.iter().any(|word| is(word, "LOGINDISABLED")) {
                kept.push(b"LOGINDISABLED");
            }
        }
        CapabilityRewrite::DropChannelBinding | CapabilityRewrite::DropExternal => {
            kept.retain(|word| !starts_with(word, b"AUTH=") || !drops(how, word));
        }
        CapabilityRewrite::DropOnBehalf => kept.retain(|word| !is(word, "ID")),
    }
    [&msg[..list.start], &kept.join(&b' '), &msg[list.end..]].concat()
}

pub(super) fn is_offer(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"STARTTLS")
}

/// Returns whether this is a status response or a continuation, which end with human-readable text (RFC 9051 section
/// 7.1).
pub(super) fn is_text(msg: &[u8]) -> bool {
    // `frame` calls this for each literal, so it examines only the start of the message.
    let start = msg.get(..2 * MAX_TAG).unwrap_or(msg);
    let (_, rest) = split(lines(start).next().unwrap_or_default());
    let (word, _) = split(rest.unwrap_or_default());
    msg.starts_with(b"+") || matches!(verb(word, &mut [0; 16]), b"OK" | b"NO" | b"BAD" | b"BYE" | b"PREAUTH")
}

/// Returns the range of the capability list in a response: `* CAPABILITY …` or `… OK [CAPABILITY …]`.
pub(super) fn capabilities(msg: &[u8]) -> Option<Range<usize>> {
    let line = lines(msg).next()?;
    let (tag, rest) = split(line);
    let (word, text) = split(rest?);
    let (list, code) = (text?, b"[CAPABILITY ");
    let start = line.len() - list.len();
    if tag == b"*" && word.eq_ignore_ascii_case(b"CAPABILITY") {
        return Some(start..line.len());
    }
    let end = list.iter().position(|&byte| byte == b']')?;
    let coded = is_text(line) && starts_with(list, code);
    coded.then(|| start + code.len()..start + end)
}
