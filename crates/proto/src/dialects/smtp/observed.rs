//! What an observer of cleartext reads: how connections begin, what carries content, logins, names, chunks and lists.

use super::data::Part;
use super::{Last, Smtp};
use crate::credentials::{CommandLine, response, result_of_code};
use crate::malformed::malformed;
use crate::text::{has_verb, lines, opens_with_reply, word_at};
use crate::{
    AwaitedInput, HelloAnswer, LoginPart, LoginResponse, Malformed, ObservedDialect, OpeningFit, Side,
};

impl ObservedDialect for Smtp {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::possible(match from {
            Side::Server => opens_with_reply(first),
            Side::Client if self.hello == "EHLO" => has_verb(first, 0, &[b"EHLO", b"HELO"]),
            Side::Client => has_verb(first, 0, &[self.hello.as_bytes()]),
        })
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        has_verb(msg, 0, &[b"MAIL", b"RCPT", b"DATA", b"BDAT", b"BURL"])
    }

    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let line = CommandLine::parse(msg);
        line.sasl(1).filter(|_| line.upper(0).as_deref() == Some(b"AUTH"))
    }

    fn is_challenge(&self, msg: &[u8]) -> bool {
        msg.starts_with(b"334")
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        response(mechanism, step, msg.trim_ascii())
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        result_of_code(msg)
    }

    fn hello_name<'a>(&self, msg: &'a [u8]) -> Option<&'a [u8]> {
        let (_, name) = lines(msg).next()?.split_at_checked(4)?;
        let name =
            name.strip_prefix(b" ").filter(|_| has_verb(msg, 0, &[b"EHLO", b"LHLO", b"HELO"]))?.trim_ascii();
        (!name.is_empty()).then_some(name)
    }

    fn is_incomplete_hello(&self, msg: &[u8]) -> bool {
        msg.trim_ascii().eq_ignore_ascii_case(b"EHLO")
    }

    fn hello_answer(&self, msg: &[u8]) -> HelloAnswer {
        // The first line names the server.
        let keywords = || lines(msg).skip(1).map(|line| word_at(line.get(4..).unwrap_or_default(), 0));
        HelloAnswer {
            is_refusal: !msg.starts_with(b"250"),
            is_masked: keywords().any(is_masked),
            lists_chunks: keywords().any(|word| word.eq_ignore_ascii_case(b"CHUNKING")),
        }
    }

    fn chunk(&self, msg: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.last != Last::Chunk {
            return Ok(None);
        }
        let mut words = msg.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let octets = words.nth(1).and_then(|word| str::from_utf8(word).ok()?.parse().ok());
        octets.map(Some).ok_or(malformed("the length of a chunk"))
    }

    fn has_ambiguous_content(&self) -> bool {
        self.last == Last::Data(Part::Ambiguous)
    }

    fn awaited_input(&self, msg: &[u8]) -> Option<AwaitedInput> {
        match msg {
            [b'2' | b'4' | b'5', _, _, b' ' | b'\r', ..] => Some(AwaitedInput::Command),
            [b'3', ..] => Some(AwaitedInput::Content),
            _ => None,
        }
    }

    /// A client may send chunks before it gets an answer.
    fn can_resume(&self, chunks: Option<bool>) -> bool {
        chunks == Some(false)
    }
}

/// Returns whether a firewall has overwritten this keyword: `XXXXXXXA`, as long as the word that it replaces. Eight octets are
/// the length of STARTTLS, but also of CHUNKING and 8BITMIME, so the list does not show which it was.
fn is_masked(word: &[u8]) -> bool {
    matches!(word, [mask @ .., last] if word.len() == 8
        && mask.iter().all(|octet| *octet == b'X') && last.is_ascii_uppercase())
}
