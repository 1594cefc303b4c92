//! The part of DER (X.690) that is needed to find a field of a certificate.

/// Returns the content of the element with this tag at the start of `der`, and what follows it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (octets.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet)), rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_with_an_invalid_length_is_none() {
        assert_eq!(element(&[2, 0x81, 1, 7, 8], 2), Some((&[7][..], &[8][..])));
        for wrong in [&[][..], &[2], &[2, 0x82, 1], &[2, 2, 7], &[2, 0x80, 0], &[2, 0x84, 255, 255, 255, 255]]
        {
            assert_eq!(element(wrong, 2), None, "{wrong:?}");
        }
        assert_eq!(element(&[2, 1, 7], 3), None);
    }
}
