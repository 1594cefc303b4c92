//! Protocol Buffers, as far as the X Protocol needs them: fields without a schema.

use alloc::vec::Vec;

use crate::Malformed;
use crate::malformed::malformed;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number or a Boolean.
    Varint(u64),
    /// A string, or the fields of a message.
    Bytes(&'a [u8]),
    /// A number of fixed length.
    Fixed,
}

/// The remaining fields of a message, with their numbers.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// Returns the last value of this field that is a string or a message, as readers of Protocol Buffers do.
    pub(super) fn bytes(self, number: u64) -> Option<&'a [u8]> {
        self.flatten().filter(|field| field.0 == number).filter_map(|(_, value)| value.as_bytes()).last()
    }

    /// Returns every value of this field that is a string or a message.
    pub(super) fn all(self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.flatten().filter(move |field| field.0 == number).filter_map(|(_, value)| value.as_bytes())
    }

    /// Returns the last value of this field that is a number.
    pub(super) fn varint(self, number: u64) -> Option<u64> {
        let varint = |(found, value)| match value {
            Value::Varint(value) if found == number => Some(value),
            _ => None,
        };
        self.flatten().filter_map(varint).last()
    }

    /// Checks that all octets are whole fields.
    pub(super) fn check(mut self) -> Result<(), Malformed> {
        self.try_for_each(|field| field.map(drop))
    }

    fn take(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Varint(self.number()?),
            1 => self.octets(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.octets(length)?)
            }
            5 => self.octets(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        (key >> 3 != 0).then_some((key >> 3, value))
    }

    fn octets(&mut self, length: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets)
    }

    /// Takes a number in groups of seven bits, the lowest first. 64 bits take ten octets.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_none() {
            // After a field that cannot be parsed, the start of the next field is unknown.
            self.0 = &[];
        }
        Some(field.ok_or(malformed("fields of Protocol Buffers")))
    }
}

impl<'a> Value<'a> {
    fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) | Self::Fixed => None,
        }
    }
}

/// Returns a field with a number.
pub(super) fn varint(number: u8, value: u64) -> Vec<u8> {
    let mut out = alloc::vec![number << 3];
    write_number(value, &mut out);
    out
}

/// Returns a field with a string, or with the fields of a message.
pub(super) fn bytes(number: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = alloc::vec![number << 3 | 2];
    write_number(contents.len() as u64, &mut out);
    out.extend_from_slice(contents);
    out
}

fn write_number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 127, 128, 5001, u64::MAX] {
            let message = [bytes(1, b"tls"), varint(2, value), bytes(1, b"")].concat();
            let fields = Fields(&message);
            assert_eq!(fields.check(), Ok(()));
            assert_eq!((fields.bytes(1), fields.varint(2)), (Some(&b""[..]), Some(value)));
            assert_eq!(fields.all(1).collect::<Vec<_>>(), [&b"tls"[..], b""]);
        }
    }

    #[test]
    fn cut_and_unknown_fields_are_refused() {
        for message in [
            &b"\x0a"[..],
            b"\x0a\x02a",
            b"\x08\x80",
            b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            b"\x09\0\0\0\0\0\0\0",
            b"\x0d\0\0\0",
            b"\x0b\x0c",
            b"\x00\x00",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(Fields(message).check().is_err(), "{message:?}");
        }
        assert_eq!(Fields(b"\x09\0\0\0\0\0\0\0\0\x15\0\0\0\0").check(), Ok(()));
    }
}
