//! DER (X.690) with definite lengths. The reader never copies, never recurses, and never reads beyond its input.

use std::fmt;

/// Tags of the universal class (X.680 section 8.4), and the first context-specific ones.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// Returns the tag of `[number]` with a primitive content.
    pub(crate) const fn primitive(number: u8) -> u8 {
        0x80 | number
    }

    /// Returns the tag of `[number]` with elements inside.
    pub(crate) const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Input that is not the expected DER: which field, where, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedDer {
    field: &'static str,
    /// The offset of the field, in octets from the start of the input.
    offset: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Another element than the expected one.
    Tag { expected: u8, found: u8 },
    /// The input ends inside of the element, or before it.
    Truncated,
    /// A length that DER does not allow: indefinite, or longer than four octets.
    Length,
    /// The content is not a value of this type.
    Value,
    /// Octets follow where the structure ends.
    Trailing(usize),
}

impl MalformedDer {
    /// Returns the name of the field that is malformed.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// Returns the offset of that field, in octets from the start of the input.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for MalformedDer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, offset, fault } = self;
        write!(f, "invalid {field} at octet {offset}: ")?;
        match fault {
            Fault::Tag { expected, found } => {
                write!(f, "expected an element with tag {expected:#04x}, found {found:#04x}")
            }
            Fault::Truncated => f.write_str("expected more octets, found the end"),
            Fault::Length => f.write_str("expected a definite length of at most 4 octets"),
            Fault::Value => f.write_str("the content is not a value of its type"),
            Fault::Trailing(count) => write!(f, "expected the end, found {count} more octets"),
        }
    }
}

impl std::error::Error for MalformedDer {}

/// Reads elements one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The offset of `rest` from the start of the outermost input.
    offset: usize,
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// The element with its tag and length.
    pub(crate) der: &'a [u8],
    field: &'static str,
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(der: &'a [u8]) -> Self {
        Self { rest: der, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next element, whatever its tag.
    pub(crate) fn any(&mut self, field: &'static str) -> Result<Element<'a>, MalformedDer> {
        let fail = |fault| MalformedDer { field, offset: self.offset, fault };
        let Some((&[tag, length], after)) = self.rest.split_first_chunk::<2>() else {
            return Err(fail(Fault::Truncated));
        };
        let (length, after) = match length {
            0..=0x7f => (usize::from(length), after),
            0x81..=0x84 => {
                let count = usize::from(length & 0x7f);
                let (octets, after) = after.split_at_checked(count).ok_or_else(|| fail(Fault::Truncated))?;
                let length = octets.iter().fold(0_u32, |sum, &octet| sum << 8 | u32::from(octet));
                (usize::try_from(length).map_err(|_| fail(Fault::Length))?, after)
            }
            _ => return Err(fail(Fault::Length)),
        };
        let (content, after) = after.split_at_checked(length).ok_or_else(|| fail(Fault::Truncated))?;
        let size = self.rest.len() - after.len();
        let element = Element { tag, content, der: &self.rest[..size], field, offset: self.offset };
        (self.rest, self.offset) = (after, self.offset + size);
        Ok(element)
    }

    /// Reads the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8, field: &'static str) -> Result<Element<'a>, MalformedDer> {
        match self.rest.first() {
            Some(&found) if found != tag => {
                let fault = Fault::Tag { expected: tag, found };
                Err(MalformedDer { field, offset: self.offset, fault })
            }
            _ => self.any(field),
        }
    }

    /// Reads the next element if it has this tag.
    pub(crate) fn optional(
        &mut self,
        tag: u8,
        field: &'static str,
    ) -> Result<Option<Element<'a>>, MalformedDer> {
        match self.rest.first() {
            Some(&found) if found == tag => self.any(field).map(Some),
            _ => Ok(None),
        }
    }

    /// Fails if anything is left.
    pub(crate) fn end(&self, field: &'static str) -> Result<(), MalformedDer> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(MalformedDer { field, offset: self.offset, fault: Fault::Trailing(count) }),
        }
    }
}

impl<'a> Element<'a> {
    /// Returns a reader of the elements inside.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { rest: self.content, offset: self.offset + (self.der.len() - self.content.len()) }
    }

    pub(crate) fn invalid(&self) -> MalformedDer {
        MalformedDer { field: self.field, offset: self.offset, fault: Fault::Value }
    }

    /// Returns the octets of a BIT STRING without unused bits, which is what keys and signatures are.
    pub(crate) fn whole_bits(&self) -> Result<&'a [u8], MalformedDer> {
        match self.content {
            [0, octets @ ..] => Ok(octets),
            _ => Err(self.invalid()),
        }
    }

    /// Returns the value of an INTEGER or ENUMERATED from 0 to 255.
    pub(crate) fn small(&self) -> Result<u8, MalformedDer> {
        match self.content {
            [value @ 0..=0x7f] | [0, value] => Ok(*value),
            _ => Err(self.invalid()),
        }
    }

    /// Returns the value of a BOOLEAN. DER has only 0x00 and 0xff, but other values occur and mean true (X.690 section 8.2).
    pub(crate) fn boolean(&self) -> Result<bool, MalformedDer> {
        match self.content {
            [value] => Ok(*value != 0),
            _ => Err(self.invalid()),
        }
    }

    /// Returns the time of a UTCTime or GeneralizedTime, in seconds since 1970.
    pub(crate) fn time(&self) -> Result<i64, MalformedDer> {
        let time = match self.tag {
            tag::UTC_TIME => crate::validity::utc_time(self.content),
            tag::GENERALIZED_TIME => crate::validity::generalized_time(self.content),
            found => {
                let fault = Fault::Tag { expected: tag::GENERALIZED_TIME, found };
                return Err(MalformedDer { field: self.field, offset: self.offset, fault });
            }
        };
        time.ok_or_else(|| self.invalid())
    }
}

/// An object identifier (X.660), as in `2.5.29.17`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Oid<'a>(&'a [u8]);

impl<'a> Oid<'a> {
    /// Returns the object identifier with this content, without tag and length.
    pub const fn from_content(content: &'a [u8]) -> Self {
        Self(content)
    }

    /// Returns the content of the element, without tag and length.
    pub const fn content(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Display for Oid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arc = 0_u128;
        let mut is_first = true;
        for &octet in self.0 {
            // An identifier of this size is not a real one.
            if arc > u128::MAX >> 7 {
                return f.write_str("...");
            }
            arc = arc << 7 | u128::from(octet & 0x7f);
            if octet & 0x80 != 0 {
                continue;
            }
            match (is_first, arc) {
                (true, 0..80) => write!(f, "{}.{}", arc / 40, arc % 40)?,
                (true, _) => write!(f, "2.{}", arc - 80)?,
                (false, _) => write!(f, ".{arc}")?,
            }
            (arc, is_first) = (0, false);
        }
        Ok(())
    }
}

impl fmt::Debug for Oid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_with_an_invalid_length_is_malformed() {
        let read = |der: &'static [u8]| Reader::new(der).expect(2, "value").map(|it| it.content);
        assert_eq!(read(&[2, 0x81, 1, 7, 8]), Ok(&[7][..]));
        for (wrong, fault) in [
            (&[][..], Fault::Truncated),
            (&[2], Fault::Truncated),
            (&[2, 0x82, 1], Fault::Truncated),
            (&[2, 2, 7], Fault::Truncated),
            (&[2, 0x80, 0], Fault::Length),
            (&[2, 0x85, 0, 0, 0, 0, 1, 7], Fault::Length),
            (&[2, 0x84, 255, 255, 255, 255], Fault::Truncated),
            (&[3, 1, 7], Fault::Tag { expected: 2, found: 3 }),
        ] {
            assert_eq!(read(wrong), Err(MalformedDer { field: "value", offset: 0, fault }), "{wrong:?}");
        }
    }

    #[test]
    fn errors_contain_the_offset_in_the_whole_input() {
        let mut outer =
            Reader::new(&[0x30, 5, 2, 1, 7, 4, 9]).expect(tag::SEQUENCE, "outer").unwrap().reader();
        outer.any("first").unwrap();
        let error = outer.any("second").unwrap_err();
        assert_eq!(error.to_string(), "invalid second at octet 5: expected more octets, found the end");
    }

    #[test]
    fn object_identifiers_are_written_in_dots() {
        for (content, text) in [
            (&[0x55, 29, 17][..], "2.5.29.17"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "1.2.840.113549.1.1.11"),
            (&[0x88, 0x37, 3], "2.999.3"),
            (&[], ""),
            (&[0x55, 0x80], "2.5"),
            (
                &[
                    0x55, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
                ],
                "2.5...",
            ),
        ] {
            assert_eq!(Oid::from_content(content).to_string(), text);
        }
    }
}
