//! TLS records: the reader hops from header to header and keeps no payload.

/// The longest record. TLS 1.2 permits 2048 octets more than the 16 KiB of cleartext.
const MAX_RECORD: usize = 16 * 1024 + 2048;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Returns whether TLS or SSL 2.0 can start with these octets: false as soon as they cannot.
pub(crate) fn is_record_start(bytes: &[u8]) -> bool {
    match *bytes {
        [CHANGE_CIPHER_SPEC..=APPLICATION_DATA] => true,
        [CHANGE_CIPHER_SPEC..=APPLICATION_DATA, 3] => true,
        [CHANGE_CIPHER_SPEC..=APPLICATION_DATA, 3, 0..=4, ..] => true,
        // The two-octet header of SSL 2.0, and the type of its hello.
        [high] | [high, _] if high & 0x80 != 0 => true,
        [high, _, 1 | 4, ..] if high & 0x80 != 0 => true,
        _ => false,
    }
}

/// Returns whether these octets start with the record of a hello: type 1 for the client, 2 for the server.
pub(crate) fn is_hello_record(bytes: &[u8], kind: u8) -> bool {
    matches!(*bytes, [HANDSHAKE, 3, 0..=4, high, low, first, ..]
        if first == kind && (4..=MAX_RECORD).contains(&usize::from(u16::from_be_bytes([high, low]))))
}

/// A record of which the header, and for short records the first octets, were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) len: usize,
    /// The first two octets of the payload: level and description of an alert.
    pub(super) first: [u8; 2],
}

/// Hops over the records of one side.
#[derive(Debug, Default)]
pub(super) struct Hopper {
    /// The header and the first two octets of the payload.
    head: [u8; 7],
    have: usize,
    /// Octets of the payload to skip.
    skip: usize,
    is_started: bool,
    pub(super) is_lost: bool,
}

impl Hopper {
    /// Reads octets. Calls `found` for each record, and returns the octets that are not a record.
    pub(super) fn receive<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut found: impl FnMut(Record),
    ) -> Option<&'a [u8]> {
        if self.is_lost {
            return None;
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            if bytes.is_empty() {
                return None;
            }
            let start = bytes;
            let needed = match self.have {
                _ if self.is_ssl2(bytes) => 3,
                0..5 => 5,
                _ => 5 + self.len().min(2),
            };
            let taken = (needed - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            (self.have, bytes) = (self.have + taken, &bytes[taken..]);
            if !self.is_valid() {
                self.is_lost = true;
                return Some(start);
            }
            if self.is_ssl2(&[]) {
                if self.have == 3 {
                    let len = usize::from(u16::from_be_bytes([self.head[0] & 0x7f, self.head[1]]));
                    self.next_record(len.saturating_sub(1));
                }
                continue;
            }
            let len = self.len();
            if self.have >= 5 && self.have == 5 + len.min(2) {
                found(Record { kind: self.head[0], len, first: [self.head[5], self.head[6]] });
                self.next_record(len - len.min(2));
            }
        }
        None
    }

    fn next_record(&mut self, skip: usize) {
        *self = Self { skip, is_started: true, ..Self::default() };
    }

    /// Returns whether the first record is a hello in the format of SSL 2.0.
    fn is_ssl2(&self, bytes: &[u8]) -> bool {
        let first = if self.have > 0 { self.head.first() } else { bytes.first() };
        !self.is_started && first.is_some_and(|first| *first >= 0x80)
    }

    fn len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.head[3], self.head[4]]))
    }

    fn is_valid(&self) -> bool {
        let head = &self.head[..self.have.min(3)];
        let format = head.first().is_none_or(|first| *first < 0x80 || !self.is_started);
        is_record_start(head) && format && (self.have < 5 || self.is_ssl2(&[]) || self.len() <= MAX_RECORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_the_same_at_every_cut() {
        let stream = [
            &[22, 3, 1, 0, 3, 1, 0, 0][..],
            &[20, 3, 3, 0, 1, 1],
            &[21, 3, 3, 0, 2, 2, 40],
            &[23, 3, 3, 0, 0],
            &[23, 3, 3, 0, 5, 9, 9, 9, 9, 9],
        ]
        .concat();
        let read = |cut: usize| {
            let (mut hopper, mut records) = (Hopper::default(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                assert_eq!(hopper.receive(part, |record| records.push(record)), None);
            }
            records
        };
        let whole = read(0);
        assert_eq!(
            whole.iter().map(|it| (it.kind, it.len)).collect::<Vec<_>>(),
            [(22, 3), (20, 1), (21, 2), (23, 0), (23, 5)]
        );
        assert_eq!(whole[2].first, [2, 40]);
        for cut in 0..stream.len() {
            assert_eq!(read(cut), whole, "{cut}");
        }
    }

    #[test]
    fn cleartext_after_a_record_is_found() {
        let mut hopper = Hopper::default();
        assert_eq!(hopper.receive(b"\x17\x03\x03\0\x01x220 clear\r\n", |_| ()), Some(&b"220 clear\r\n"[..]));
        assert!(hopper.is_lost);
    }
}
