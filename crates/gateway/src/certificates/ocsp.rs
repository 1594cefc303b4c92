//! OCSP responses (RFC 6960): what has to be known of one before it is sent along. Its signature is between the authority
//! and the client.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use time::{Date, Month};
use x509_parser::prelude::X509Certificate;

/// What a response says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) revoked: bool,
    /// In seconds since 1970.
    pub(super) this_update: i64,
    /// Until when it counts. Without it newer ones are there at any time (section 4.2.2.1), and how old this one may be
    /// is for the client to say.
    pub(super) next_update: Option<i64>,
}

/// Clocks differ by so many seconds.
const SKEW: i64 = 300;

impl Status {
    /// Whether the response is not too old, and not from the future.
    pub(super) fn counts_at(&self, now: i64) -> bool {
        self.this_update <= now + SKEW && self.next_update.is_none_or(|until| now < until)
    }
}

/// Why a response says nothing of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is none, or is not well-formed.
    NoResponse,
    /// The authority would not answer.
    NoAnswer,
    /// It is about others.
    Another,
}

/// Tags of DER.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const ENUMERATED: u8 = 0x0a;
    pub(super) const TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    /// `[0]`, around another element.
    pub(super) const FIRST: u8 = 0xa0;
    /// `certStatus`.
    pub(super) const GOOD: u8 = 0x80;
    pub(super) const REVOKED: u8 = 0xa1;
}

/// id-pkix-ocsp-basic.
const BASIC: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
/// SHA-1 and SHA-256.
const HASHES: [&[u8]; 2] = [b"\x2b\x0e\x03\x02\x1a", b"\x60\x86\x48\x01\x65\x03\x04\x02\x01"];

/// Elements one after the other.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, short], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(short & 3))?;
                (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    fn inside(&mut self, wanted: u8) -> Option<Der<'a>> {
        self.expect(wanted).map(Der)
    }

    /// Passes over an element that need not be there.
    fn skip(&mut self, tags: &[u8]) {
        if self.0.first().is_some_and(|tag| tags.contains(tag)) {
            self.next();
        }
    }
}

/// What the response says of this certificate.
pub(super) fn read(response: &[u8], certificate: &X509Certificate<'_>) -> Result<Status, Unfit> {
    let mut outer = Der(response).inside(tag::SEQUENCE).ok_or(Unfit::NoResponse)?;
    // Section 4.2.1: successful is 0, and all others have no more to say.
    if outer.expect(tag::ENUMERATED).ok_or(Unfit::NoResponse)? != [0] {
        return Err(Unfit::NoAnswer);
    }
    let mut answers = answers(outer).ok_or(Unfit::NoResponse)?;
    while !answers.0.is_empty() {
        let one = answers.inside(tag::SEQUENCE).ok_or(Unfit::NoResponse)?;
        let (about, status) = single(one, certificate).ok_or(Unfit::NoResponse)?;
        if about {
            return Ok(status);
        }
    }
    Err(Unfit::Another)
}

/// The answers in a BasicOCSPResponse.
fn answers(mut outer: Der<'_>) -> Option<Der<'_>> {
    let mut bytes = outer.inside(tag::FIRST)?.inside(tag::SEQUENCE)?;
    bytes.expect(tag::OID).filter(|kind| *kind == BASIC)?;
    let mut data = bytes.inside(tag::OCTETS)?.inside(tag::SEQUENCE)?.inside(tag::SEQUENCE)?;
    // Its version; then who answers, and when.
    data.skip(&[tag::FIRST]);
    data.next()?;
    data.expect(tag::TIME)?;
    data.inside(tag::SEQUENCE)
}

/// Whether an answer is about this certificate, and what it says.
fn single(mut answer: Der<'_>, certificate: &X509Certificate<'_>) -> Option<(bool, Status)> {
    let mut id = answer.inside(tag::SEQUENCE)?;
    let hash = id.inside(tag::SEQUENCE)?.expect(tag::OID)?;
    let issuer = id.expect(tag::OCTETS)?;
    id.expect(tag::OCTETS)?;
    let serial = id.expect(tag::INTEGER)?;
    let (state, _) = answer.next()?;
    let this_update = time(answer.expect(tag::TIME)?)?;
    let next_update = match answer.inside(tag::FIRST) {
        Some(mut next) => Some(time(next.expect(tag::TIME)?)?),
        None => None,
    };
    let name = certificate.tbs_certificate.issuer.as_raw();
    let same_issuer = match HASHES.iter().position(|known| *known == hash) {
        Some(0) => digest(&SHA1_FOR_LEGACY_USE_ONLY, name).as_ref() == issuer,
        Some(_) => digest(&SHA256, name).as_ref() == issuer,
        None => true,
    };
    let about =
        same_issuer && serial == certificate.raw_serial() && [tag::GOOD, tag::REVOKED].contains(&state);
    Some((about, Status { revoked: state == tag::REVOKED, this_update, next_update }))
}

/// `20260102030405Z` (RFC 5280 section 4.1.2.5.2) in seconds since 1970.
fn time(text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|it| it.len() == 14 && it.iter().all(u8::is_ascii_digit))?;
    let number =
        |from: usize, to: usize| digits[from..to].iter().fold(0, |sum, it| sum * 10 + u16::from(it - b'0'));
    let small = |from: usize| number(from, from + 2) as u8;
    let date =
        Date::from_calendar_date(number(0, 4).into(), Month::try_from(small(4)).ok()?, small(6)).ok()?;
    Some(date.with_hms(small(8), small(10), small(12)).ok()?.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(time(b"19700102000001Z"), Some(86_401));
        assert_eq!(time(b"20260228235959Z"), Some(1_772_323_199));
        for wrong in [&b""[..], b"20260228235959", b"20260229000000Z", b"20261301000000Z", b"2026022823595-Z"]
        {
            assert_eq!(time(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn elements_end_where_they_say_or_are_none() {
        for wrong in [
            &b"\x30"[..],
            b"\x30\x01",
            b"\x30\x80",
            b"\x30\x81",
            b"\x30\x84\0\0\0\0",
            b"\x30\x83\xff\xff\xff",
        ] {
            assert!(Der(wrong).next().is_none(), "{}", wrong.escape_ascii());
        }
        let mut two = Der(b"\x02\x81\x01\x07\x05\x00");
        assert_eq!(
            (two.next(), two.next(), two.next()),
            (Some((2, &b"\x07"[..])), Some((5, &b""[..])), None)
        );
    }
}
