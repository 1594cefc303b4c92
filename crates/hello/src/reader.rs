//! A cursor over octets, and the vectors of the TLS presentation language (RFC 8446 section 3).

/// Reads from the front of a slice. Every method returns `None` when not enough is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u24(&mut self) -> Option<usize> {
        self.array().map(|[a, b, c]| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    /// A vector with a length of one octet.
    pub(crate) fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// A vector with a length of two octets.
    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A vector with a length of three octets.
    pub(crate) fn vector24(&mut self) -> Option<&'a [u8]> {
        let len = self.u24()?;
        self.take(len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a list of two-octet codes that fills `bytes`.
pub(crate) fn codes(bytes: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().copied().map(u16::from_be_bytes).collect())
}

/// Appends the length of `body` in `N` octets, and `body`. Octets beyond the maximum length are dropped.
pub(crate) fn put_vector<const N: usize>(out: &mut Vec<u8>, body: &[u8]) {
    let max = (1usize << (8 * N)) - 1;
    let body = body.get(..max).unwrap_or(body);
    let length = body.len().to_be_bytes();
    out.extend_from_slice(length.last_chunk::<N>().map_or(&[], |bytes| bytes.as_slice()));
    out.extend_from_slice(body);
}

/// Appends codes of two octets.
pub(crate) fn put_codes(out: &mut Vec<u8>, codes: impl IntoIterator<Item = u16>) {
    out.extend(codes.into_iter().flat_map(u16::to_be_bytes));
}
