//! BER as LDAP restricts it (RFC 4511 section 5.1): definite lengths, tags of one octet.

use alloc::vec::Vec;
use core::ops::Range;

use crate::Malformed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;

/// Returns the tag at the start of `buf` and the range of its contents, or `None` while the header is incomplete.
///
/// Every definite length is accepted, with leading zeros, in up to four octets (X.690 section 8.1.3).
pub(crate) fn header(buf: &[u8]) -> Result<Option<(u8, Range<usize>)>, Malformed> {
    let [tag, first, rest @ ..] = buf else { return Ok(None) };
    let (length, start) = match first {
        0..=0x7f => (usize::from(*first), 2),
        0x81..=0x84 => {
            let octets = usize::from(first & 0x7f);
            let Some(length) = rest.get(..octets) else { return Ok(None) };
            (length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), 2 + octets)
        }
        _ => return Err(malformed("a definite length of at most four octets")),
    };
    if length > MAX_MESSAGE - start {
        return Err(malformed("an element of at most 64 KiB"));
    }
    Ok(Some((*tag, start..start + length)))
}

/// The remaining elements of a message, or of the contents of an element.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a>(pub(crate) &'a [u8]);

impl<'a> Elements<'a> {
    /// Returns the contents of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next().transpose()? {
            Some((found, contents)) if found == tag => Ok(contents),
            _ => Err(malformed("the element that belongs here")),
        }
    }

    /// Returns the next element as an INTEGER or ENUMERATED of at most four octets.
    pub(crate) fn number(&mut self, tag: u8) -> Result<i32, Malformed> {
        let octets = self.expect(tag)?;
        match octets {
            [first, ..] if octets.len() <= 4 => {
                let sign = if first & 0x80 == 0 { 0 } else { -1 };
                Ok(octets.iter().fold(sign, |number, octet| number << 8 | i32::from(*octet)))
            }
            _ => Err(malformed("a number of at most 32 bits")),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(u8, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = header(self.0).and_then(|header| {
            let element =
                header.and_then(|(tag, at)| Some((tag, self.0.get(at.clone())?, self.0.get(at.end..)?)));
            element.ok_or(malformed("a whole element"))
        });
        // After an element that cannot be parsed, the start of the next element is unknown.
        self.0 = whole.map(|(_, _, behind)| behind).unwrap_or_default();
        Some(whole.map(|(tag, contents, _)| (tag, contents)))
    }
}

/// Returns an element with these parts as its contents, with the shortest form of the length.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(length @ 0..=0x7f) => out.push(length),
        _ => {
            let octets = length.to_be_bytes();
            let zeros = octets.iter().take_while(|octet| **octet == 0).count();
            out.push(0x80 | (octets.len() - zeros) as u8);
            out.extend(octets.iter().skip(zeros));
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Returns a non-negative INTEGER or ENUMERATED in its shortest form.
pub(crate) fn number(tag: u8, number: i32) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let skipped = octets.windows(2).take_while(|pair| pair[0] == 0 && pair[1] < 0x80).count();
    element(tag, &[octets.get(skipped..).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definite_length_is_read_and_nothing_else() {
        for (bytes, expected) in [
            (&[0x30][..], Ok(None)),
            (&[0x30, 5], Ok(Some((0x30, 2..7)))),
            (&[0x30, 0x81], Ok(None)),
            (&[0x30, 0x81, 5], Ok(Some((0x30, 3..8)))),
            (&[0x30, 0x84, 0, 0, 0], Ok(None)),
            (&[0x30, 0x84, 0, 0, 0, 0x28], Ok(Some((0x30, 6..46)))),
        ] {
            assert_eq!(header(bytes), expected, "{bytes:?}");
        }
        for bytes in [
            &[0x30, 0x80][..],
            &[0x30, 0x85, 0],
            &[0x30, 0xff],
            &[0x30, 0x83, 1, 0, 0],
            &[0x30, 0x84, 255, 255, 255, 255],
        ] {
            assert!(header(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_and_lengths_round_trip() {
        for value in [0, 1, 127, 128, 255, 256, 32767, 32768, 8_388_608, i32::MAX] {
            let bytes = number(2, value);
            assert_eq!(Elements(&bytes).number(2), Ok(value), "{bytes:?}");
        }
        assert_eq!(number(2, 128), [2, 2, 0, 128]);
        assert_eq!(Elements(&[2, 1, 0xff]).number(2), Ok(-1));
        assert!(Elements(&[2, 0]).number(2).is_err());
        assert!(Elements(&[2, 5, 0, 0, 0, 0, 1]).number(2).is_err());
        for length in [0, 127, 128, 255, 256, 65_000] {
            let bytes = element(4, &[&vec![7; length]]);
            let mut elements = Elements(&bytes);
            assert_eq!(elements.expect(4).unwrap().len(), length);
            assert!(elements.next().is_none());
        }
        assert!(Elements(&[4, 3, 1, 2]).expect(4).is_err());
    }
}
