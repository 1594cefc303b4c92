//! TLSA records: which of them a mail client uses (RFC 6698, RFC 7671, RFC 7672).

use sha2::{Digest, Sha256, Sha512};
use starttls_dns::TlsaData;

/// Why a record cannot be used for mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsaFault {
    /// Usage 0 or 1: public CAs are not trusted on port 25 (RFC 7672 section 3.1.3).
    PkixUsage,
    /// A usage that is not registered, or private.
    Usage,
    /// A selector that is not registered, or private.
    Selector,
    /// A matching type that is not registered, or private.
    Matching,
    /// A digest of the wrong length, or no data.
    Length,
    /// Data that is not a certificate or public key in DER.
    Der,
}

impl TlsaFault {
    /// Returns what is wrong, as a clause.
    pub fn text(self) -> &'static str {
        match self {
            Self::PkixUsage => "usages 0 and 1 do not apply to mail servers",
            Self::Usage => "the usage is not 2 or 3",
            Self::Selector => "the selector is not 0 or 1",
            Self::Matching => "the matching type is not 0, 1 or 2",
            Self::Length => "the data has the wrong length for the matching type",
            Self::Der => "the data is not a certificate or public key",
        }
    }
}

/// Returns why a mail client cannot use the record (RFC 7672 sections 3.1 and 3.1.3); `None` if it can.
pub fn fault(record: &TlsaData) -> Option<TlsaFault> {
    match record.usage {
        2 | 3 => {}
        0 | 1 => return Some(TlsaFault::PkixUsage),
        _ => return Some(TlsaFault::Usage),
    }
    if record.selector > 1 {
        return Some(TlsaFault::Selector);
    }
    match (record.matching, record.data.len()) {
        (1, 32) | (2, 64) => None,
        (0, 0) | (1 | 2, _) => Some(TlsaFault::Length),
        (0, _) => (!is_der_sequence(&record.data)).then_some(TlsaFault::Der),
        _ => Some(TlsaFault::Matching),
    }
}

/// Returns whether the octets are one DER SEQUENCE, as certificates and public keys are. What it contains is verified when
/// the record is used.
fn is_der_sequence(der: &[u8]) -> bool {
    let Some((&0x30, rest)) = der.split_first() else { return false };
    let Some((&first, rest)) = rest.split_first() else { return false };
    let (length, rest) = match usize::from(first) {
        short @ 0..=0x7f => (short, rest),
        long @ 0x81..=0x84 => {
            let Some((octets, rest)) = rest.split_at_checked(long - 0x80) else { return false };
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return false,
    };
    length == rest.len() && length > 0
}

/// Returns the records that a mail client matches: the usable ones, and of several digests for the same usage and selector
/// only the strongest (RFC 7671 section 9). Matching type 0 is not a digest and stays. Usage 3 comes first, because it needs
/// neither names nor dates.
pub fn usable(records: &[TlsaData]) -> Vec<TlsaData> {
    let sound: Vec<&TlsaData> = records.iter().filter(|it| fault(it).is_none()).collect();
    let strongest = |record: &TlsaData| {
        let same = sound.iter().filter(|it| (it.usage, it.selector) == (record.usage, record.selector));
        same.map(|it| it.matching).max().unwrap_or_default()
    };
    let kept = sound.iter().filter(|it| it.matching == 0 || it.matching == strongest(it));
    let mut kept: Vec<TlsaData> = kept.map(|it| (*it).clone()).collect();
    kept.sort_by_key(|it| std::cmp::Reverse(it.usage));
    kept.dedup();
    kept
}

/// What a TLSA record is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeyFacts {
    /// The certificate in DER; `None` if only the key is known.
    pub certificate: Option<Vec<u8>>,
    /// The SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
}

/// Returns the record for a certificate or key; `None` if the selector is the certificate and only the key is known, or if the
/// selector or the matching type is not registered.
pub fn record(usage: u8, selector: u8, matching: u8, of: &PublicKeyFacts) -> Option<TlsaData> {
    let der = match selector {
        0 => of.certificate.as_deref()?,
        1 => &of.spki,
        _ => return None,
    };
    let data = match matching {
        0 => der.to_vec(),
        1 => Sha256::digest(der).to_vec(),
        2 => Sha512::digest(der).to_vec(),
        _ => return None,
    };
    Some(TlsaData { usage, selector, matching, data })
}

/// Returns whether the record is that of this certificate or key.
pub fn matches(published: &TlsaData, of: &PublicKeyFacts) -> bool {
    record(published.usage, published.selector, published.matching, of)
        .is_some_and(|it| it.data == published.data)
}

/// Returns the position in the chain of the certificate that the record matches: the server's own for usage 3, another one for
/// usage 2. Whether the chain is valid is a different question.
pub fn matching_index(published: &TlsaData, chain: &[PublicKeyFacts]) -> Option<usize> {
    let mut candidates = chain.iter().enumerate();
    candidates
        .find(|(index, it)| (*index == 0) == (published.usage == 3) && matches(published, it))
        .map(|(index, _)| index)
}

/// Returns the line for a zone file. In the generic form (RFC 3597), name servers that do not know TLSA accept it.
pub fn zone_line(owner: &str, ttl: u32, record: &TlsaData, generic: bool) -> String {
    let owner = owner.trim_end_matches('.');
    if !generic {
        return format!("{owner}. {ttl} IN TLSA {record}");
    }
    let length = record.data.len() + 3;
    let fields = [record.usage, record.selector, record.matching];
    let hex: String = fields.iter().chain(&record.data).map(|octet| format!("{octet:02x}")).collect();
    format!("{owner}. {ttl} IN TYPE52 \\# {length} {hex}")
}

/// Parses a record as zone files have it: `3 1 1 9f86…`. Spaces inside the data are allowed.
///
/// # Errors
/// A clause that names the invalid part.
pub fn parse(text: &str) -> Result<TlsaData, String> {
    let mut words = text.split_ascii_whitespace();
    let mut number = |what| {
        let word = words.next().unwrap_or_default();
        word.parse::<u8>()
            .map_err(|_| format!("invalid {what} \"{}\": expected a number up to 255", word.escape_debug()))
    };
    let (usage, selector, matching) = (number("usage")?, number("selector")?, number("matching type")?);
    let digits: String = words.collect();
    let data = from_hex(&digits).ok_or("invalid data: expected an even number of hexadecimal digits")?;
    Ok(TlsaData { usage, selector, matching, data })
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut data = Vec::with_capacity(digits.len() / 2);
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        data.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
    }
    (!data.is_empty()).then_some(data)
}
