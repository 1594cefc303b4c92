//! First flights of a server that no TLS library sends.

use starttls::rustls::SignatureScheme;
use starttls::rustls::pki_types::CertificateDer;
use starttls::rustls::sign::CertifiedKey;

/// The random of the ServerHello.
const RANDOM: [u8; 32] = [7; 32];
/// The fatal alert protocol_version in TLS 1.0 (RFC 2246 section 7.2).
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
/// The fatal alert handshake_failure (RFC 8446 section 6.2).
pub(super) const HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
/// An ALPN protocol that clients do not offer.
const ALPN: &[u8] = b"x-not-offered";
/// The base point of P-256 (SEC 2 section 2.4.2): a valid key share, for which no private key is needed here.
const BASE_POINT: &[u8; 65] = &[
    4, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3,
    0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// Returns whether these bytes start with a complete TLS record.
pub(super) fn whole_record(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, high, low, rest @ ..] if rest.len() >= usize::from(u16::from_be_bytes([*high, *low])))
}

/// Returns ServerHello, Certificate, ServerKeyExchange and ServerHelloDone of TLS 1.2 (RFC 5246 section 7.3, RFC 8422
/// section 5.4), for a certificate with a P-256 key. The ServerHello selects an ALPN protocol that the client did not offer.
/// A client that accepts it sends its ClientKeyExchange.
pub(super) fn with_alpn(client_hello: &[u8], certificate: &CertifiedKey) -> Vec<u8> {
    answer_with_alpn(client_hello, certificate).unwrap_or_else(|| HANDSHAKE_FAILURE.to_vec())
}

fn answer_with_alpn(client_hello: &[u8], certificate: &CertifiedKey) -> Option<Vec<u8>> {
    const ECDHE_ECDSA: [u16; 3] = [0xc02b, 0xc02c, 0xcca9];
    let offered = suites(client_hello)?;
    let suite = ECDHE_ECDSA.into_iter().find(|it| offered.contains(it))?;
    let entry = [&[ALPN.len() as u8], ALPN].concat();
    let list = [&length(entry.len())[1..], &entry].concat();
    // Secure renegotiation is confirmed (RFC 5746 section 3.6): clients may refuse a server without it.
    let extensions = [&[0xff, 1, 0, 1, 0][..], &[0, 16], &length(list.len())[1..], &list].concat();
    let extensions = [&length(extensions.len())[1..], &extensions].concat();
    let share = [&[3, 0, 23, BASE_POINT.len() as u8][..], BASE_POINT].concat();
    let signed = [client_hello.get(CLIENT_RANDOM..CLIENT_RANDOM + 32)?, &RANDOM, &share].concat();
    let signer = certificate.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])?;
    let signature = signer.sign(&signed).ok()?;
    let exchange = [&share[..], &[4, 3], &length(signature.len())[1..], &signature].concat();
    let messages = [
        (2, server_hello(3, suite, &extensions)),
        (11, certificates(&certificate.cert)),
        (12, exchange),
        (14, Vec::new()),
    ];
    Some(flight(3, &messages))
}

/// Returns ServerHello, Certificate and ServerHelloDone of TLS 1.0 (RFC 2246 section 7.4) with an RSA key exchange that the
/// client offers. A client that accepts it sends its ClientKeyExchange. The answer is an alert if the client offers no RSA
/// key exchange.
pub(super) fn in_tls_1_0(client_hello: &[u8], chain: &[CertificateDer<'_>]) -> Vec<u8> {
    const RSA: [u16; 4] = [0x002f, 0x0035, 0x000a, 0x003c];
    let offered = suites(client_hello).unwrap_or_default();
    let Some(suite) = RSA.into_iter().find(|it| offered.contains(it)) else {
        return PROTOCOL_VERSION.to_vec();
    };
    flight(1, &[(2, server_hello(1, suite, &[])), (11, certificates(chain)), (14, Vec::new())])
}

fn server_hello(minor: u8, suite: u16, extensions: &[u8]) -> Vec<u8> {
    [&[3, minor][..], &RANDOM, &[0], &suite.to_be_bytes(), &[0], extensions].concat()
}

fn certificates(chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let list: Vec<u8> = chain.iter().flat_map(|it| [&length(it.len())[..], it].concat()).collect();
    [&length(list.len())[..], &list].concat()
}

/// Returns handshake messages, each in a record of its own.
fn flight(minor: u8, messages: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let record = |(kind, body): &(u8, Vec<u8>)| {
        let message = [&[*kind], &length(body.len())[..], body].concat();
        [&[0x16, 3, minor][..], &length(message.len())[1..], &message].concat()
    };
    messages.iter().flat_map(record).collect()
}

/// Returns a length in three octets, of which the last two are a length in two octets.
fn length(length: usize) -> [u8; 3] {
    let [.., a, b, c] = length.to_be_bytes();
    [a, b, c]
}

/// The offset of the random in a ClientHello: after the headers of the record and the message, and the version.
const CLIENT_RANDOM: usize = 5 + 4 + 2;

/// Returns the cipher suites of a ClientHello, which follow the random and the session id.
fn suites(client_hello: &[u8]) -> Option<Vec<u16>> {
    let session = client_hello.get(CLIENT_RANDOM + 32..)?;
    let list = session.get(1 + usize::from(*session.first()?)..)?;
    let [high, low, rest @ ..] = list else { return None };
    let list = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_answer_takes_a_suite_that_was_offered() {
        let body = [&[3, 3][..], &[1; 32], &[2, 9, 9], &[0, 4, 0x13, 0x01, 0x00, 0x35], &[1, 0]].concat();
        let hello =
            [&[0x16, 3, 1][..], &length(body.len() + 4)[1..], &[1], &length(body.len()), &body].concat();
        assert!(whole_record(&hello) && !whole_record(&hello[..hello.len() - 1]));
        let answer = in_tls_1_0(&hello, &[]);
        assert_eq!(answer[..6], [0x16, 3, 1, 0, 42, 2]);
        assert_eq!(answer[5 + 4 + 2 + 32 + 1..][..3], [0x00, 0x35, 0]);
        assert_eq!(in_tls_1_0(&hello[..40], &[]), [0x15, 3, 1, 0, 2, 2, 70]);
    }
}
