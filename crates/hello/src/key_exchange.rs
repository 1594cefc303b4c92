//! ServerKeyExchange (RFC 5246 section 7.4.3, RFC 8422 section 5.4) and CertificateRequest (RFC 5246 section 7.4.4).

use crate::reader::{Reader, codes, put_codes, put_vector};
use crate::table::{Authentication, KeyExchange, NamedGroup, SignatureScheme, SuiteInfo};
use crate::version::Version;

/// The octets of a signature of an RSA key of 2048 bits.
const SIGNATURE_OCTETS: usize = 256;

/// The parameters of an ephemeral key exchange. Numbers have no leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerKeyExchange {
    /// Elliptic curves.
    Ecdhe {
        /// The curve.
        curve: Curve,
        /// The server's point; empty for an explicit curve, which is not read further.
        point: Vec<u8>,
        /// The scheme of the signature; TLS 1.2 only.
        scheme: Option<SignatureScheme>,
    },
    /// Finite fields.
    Dhe {
        /// The prime.
        prime: Vec<u8>,
        /// The generator.
        generator: Vec<u8>,
        /// The server's value.
        public: Vec<u8>,
        /// The scheme of the signature; TLS 1.2 only.
        scheme: Option<SignatureScheme>,
    },
    /// A short RSA key of an export suite.
    RsaExport {
        /// The modulus.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: Vec<u8>,
    },
    /// Contents of another key exchange, or contents that could not be read.
    Unread(Vec<u8>),
}

/// The curve of an ECDHE exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// A registered curve.
    Named(NamedGroup),
    /// A curve over a prime field with explicit parameters (RFC 8422 forbids them).
    ExplicitPrime {
        /// The size of the field in bits.
        bits: u32,
    },
    /// A curve over a binary field with explicit parameters.
    ExplicitBinary {
        /// The size of the field in bits.
        bits: u32,
    },
}

impl ServerKeyExchange {
    pub(crate) fn read(body: &[u8], suite: Option<&SuiteInfo>, version: Option<Version>) -> Self {
        Self::parse(body, suite, version).unwrap_or_else(|| Self::Unread(body.to_vec()))
    }

    fn parse(body: &[u8], suite: Option<&SuiteInfo>, version: Option<Version>) -> Option<Self> {
        let suite = suite?;
        let signed = version == Some(Version::Tls12) && suite.authentication != Authentication::Anonymous;
        let scheme = |reader: &mut Reader<'_>| signed.then(|| reader.u16()).flatten().map(SignatureScheme);
        let mut reader = Reader(body);
        match suite.key_exchange {
            KeyExchange::Ecdhe => {
                let (curve, point) = match reader.u8()? {
                    1 => (Curve::ExplicitPrime { bits: bits(reader.vector8()?) }, &[][..]),
                    2 => (Curve::ExplicitBinary { bits: u32::from(reader.u16()?) }, &[][..]),
                    3 => (Curve::Named(NamedGroup(reader.u16()?)), reader.vector8()?),
                    _ => return None,
                };
                let named = matches!(curve, Curve::Named(_));
                let scheme = named.then(|| scheme(&mut reader)).flatten();
                Some(Self::Ecdhe { curve, point: point.to_vec(), scheme })
            }
            KeyExchange::Dhe => {
                let [prime, generator, public] =
                    [reader.vector16()?, reader.vector16()?, reader.vector16()?].map(number);
                Some(Self::Dhe { prime, generator, public, scheme: scheme(&mut reader) })
            }
            KeyExchange::Rsa => {
                let [modulus, exponent] = [reader.vector16()?, reader.vector16()?].map(number);
                Some(Self::RsaExport { modulus, exponent })
            }
            _ => None,
        }
    }

    /// Appends the body of the message. A signature is zeros: nothing here has a key.
    pub(crate) fn put(&self, out: &mut Vec<u8>, suite: Option<&SuiteInfo>) {
        match self {
            Self::Ecdhe { curve: Curve::Named(group), point, .. } => {
                out.push(3);
                put_codes(out, [group.0]);
                put_vector::<1>(out, point);
            }
            Self::Ecdhe { curve: Curve::ExplicitPrime { bits }, .. } => {
                out.push(1);
                put_vector::<1>(out, &number_of(*bits));
                put_curve(out, *bits);
            }
            Self::Ecdhe { curve: Curve::ExplicitBinary { bits }, .. } => {
                out.push(2);
                put_codes(out, [u16::try_from(*bits).unwrap_or(u16::MAX)]);
                // A trinomial with its middle exponent.
                out.push(1);
                put_vector::<1>(out, &[1]);
                put_curve(out, *bits);
            }
            Self::Dhe { prime, generator, public, .. } => {
                [prime, generator, public].into_iter().for_each(|number| put_vector::<2>(out, number));
            }
            Self::RsaExport { modulus, exponent } => {
                [modulus, exponent].into_iter().for_each(|number| put_vector::<2>(out, number));
            }
            Self::Unread(body) => return out.extend_from_slice(body),
        }
        if suite.is_some_and(|suite| suite.authentication != Authentication::Anonymous) {
            put_codes(out, self.scheme().map(|scheme| scheme.0));
            put_vector::<2>(out, &[0; SIGNATURE_OCTETS]);
        }
    }

    /// Returns the size of the field, prime or modulus in bits, where it is known.
    pub fn bits(&self) -> Option<u32> {
        match self {
            Self::Ecdhe { curve: Curve::Named(group), .. } => group.info().map(|info| u32::from(info.bits)),
            Self::Ecdhe { curve: Curve::ExplicitPrime { bits } | Curve::ExplicitBinary { bits }, .. } => {
                Some(*bits)
            }
            Self::Dhe { prime: number, .. } | Self::RsaExport { modulus: number, .. } => Some(bits(number)),
            Self::Unread(_) => None,
        }
    }

    /// Returns the scheme of the signature, where the message names one.
    pub const fn scheme(&self) -> Option<SignatureScheme> {
        match self {
            Self::Ecdhe { scheme, .. } | Self::Dhe { scheme, .. } => *scheme,
            Self::RsaExport { .. } | Self::Unread(_) => None,
        }
    }

    /// Returns the server's ephemeral value. The same value in two connections is reuse.
    pub fn public(&self) -> Option<&[u8]> {
        match self {
            Self::Ecdhe { point: public, .. } | Self::Dhe { public, .. } => Some(public),
            Self::RsaExport { .. } | Self::Unread(_) => None,
        }
        .filter(|public| !public.is_empty())
        .map(Vec::as_slice)
    }
}

/// Appends the coefficients, base point, order and cofactor of an explicit curve, and the server's point. The numbers have
/// the right length and no further meaning.
fn put_curve(out: &mut Vec<u8>, bits: u32) {
    let number = number_of(bits);
    let point = [&[4], &number[..], &number[..]].concat();
    for part in [&number[..], &number, &point, &number, &[1], &point] {
        put_vector::<1>(out, part);
    }
}

/// Returns the smallest number with this length in bits.
fn number_of(bits: u32) -> Vec<u8> {
    let octets = usize::try_from(bits.div_ceil(8)).unwrap_or_default();
    let mut number = vec![0; octets];
    if let Some(first) = number.first_mut() {
        *first = 1 << ((bits - 1) % 8);
    }
    number
}

/// Removes leading zeros.
fn number(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|octet| **octet == 0).count();
    bytes.get(zeros..).unwrap_or_default().to_vec()
}

/// Returns the length of a number in bits.
fn bits(bytes: &[u8]) -> u32 {
    let mut octets = bytes.iter().skip_while(|octet| **octet == 0);
    let Some(first) = octets.next() else { return 0 };
    let rest = u32::try_from(octets.count()).unwrap_or(u32::MAX / 8);
    (8 - first.leading_zeros()).saturating_add(rest.saturating_mul(8))
}

/// A request for a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The codes of the certificate types.
    pub types: Vec<u8>,
    /// The signature schemes; TLS 1.2 only.
    pub schemes: Vec<SignatureScheme>,
    /// The names of the authorities in DER.
    pub authorities: Vec<Vec<u8>>,
}

impl CertificateRequest {
    /// Appends the body of the message.
    pub(crate) fn put(&self, out: &mut Vec<u8>, version: Option<Version>) {
        put_vector::<1>(out, &self.types);
        let mut list = Vec::new();
        if version == Some(Version::Tls12) {
            put_codes(&mut list, self.schemes.iter().map(|scheme| scheme.0));
            put_vector::<2>(out, &list);
            list.clear();
        }
        self.authorities.iter().for_each(|name| put_vector::<2>(&mut list, name));
        put_vector::<2>(out, &list);
    }

    pub(crate) fn parse(body: &[u8], version: Option<Version>) -> Option<Self> {
        let mut reader = Reader(body);
        let types = reader.vector8()?.to_vec();
        let schemes = match version {
            Some(Version::Tls12) => codes(reader.vector16()?)?.into_iter().map(SignatureScheme).collect(),
            _ => Vec::new(),
        };
        let mut list = Reader(reader.vector16()?);
        let mut authorities = Vec::new();
        while !list.is_empty() {
            authorities.push(list.vector16()?.to_vec());
        }
        reader.is_empty().then_some(Self { types, schemes, authorities })
    }
}
