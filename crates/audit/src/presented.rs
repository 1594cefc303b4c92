//! The certification path in the certificates that a server presents, and its expiry.

use starttls::rustls::pki_types::CertificateDer;
use starttls::{CertificateFailure, CertificateVerdict, TlsFacts};

use crate::report::{CertificateReport, Expiry, Presented};

impl Presented {
    /// Returns the certificates of a handshake that succeeded.
    pub(crate) fn of(facts: &TlsFacts) -> Self {
        let verified = facts.verdict == CertificateVerdict::Verified;
        Self::new(verified, facts.verdict.to_string(), &facts.chain, &facts.path)
    }

    /// Returns the certificates of a handshake that failed because of its certificate.
    pub(crate) fn refused(failure: &CertificateFailure, chain: &[CertificateDer<'_>]) -> Self {
        Self::new(false, format!("not verified: {failure}"), chain, &[])
    }

    fn new(
        verified: bool,
        verdict: String,
        presented: &[CertificateDer<'_>],
        verifies: &[CertificateDer<'_>],
    ) -> Self {
        let chain: Vec<_> = presented.iter().map(|der| CertificateReport::read(der)).collect();
        let position = |der: &CertificateDer<'_>| presented.iter().position(|it| it == der);
        let path = match verifies {
            [] => linked(&chain),
            verifies => verifies.iter().filter_map(position).collect(),
        };
        let expires = expiry(&chain, &path);
        Self { verified, verdict, chain, path, expires }
    }

    /// Returns the certificates of the path.
    pub(crate) fn on_path(&self) -> impl Iterator<Item = &CertificateReport> {
        self.path.iter().filter_map(|index| self.chain.get(*index))
    }

    /// Returns the certificates that clients do not need: those that are neither on the path nor its root.
    pub(crate) fn superfluous(&self) -> impl Iterator<Item = &CertificateReport> {
        let needed = |it: &CertificateReport| self.on_path().any(|link| link.sha256 == it.sha256);
        let root = self.on_path().last().map(|top| top.issuer.as_str());
        let is_root =
            move |it: &CertificateReport| it.subject == it.issuer && Some(it.subject.as_str()) == root;
        self.chain.iter().filter(move |it| !needed(it) && !is_root(it))
    }
}

/// Returns the indices of the certificates that are linked by the names of their issuers. If several certificates have the
/// name of an issuer, one that is valid now is preferred.
fn linked(chain: &[CertificateReport]) -> Vec<usize> {
    let mut path = Vec::from_iter((!chain.is_empty()).then_some(0));
    while let Some(last) = path.last().and_then(|index| chain.get(*index)) {
        let is_next = |(index, it): &(usize, &CertificateReport)| {
            !path.contains(index) && it.subject == last.issuer && it.unreadable.is_none()
        };
        let mut next: Vec<_> = chain.iter().enumerate().filter(is_next).collect();
        next.sort_by_key(|(_, it)| it.days_left < 0);
        match next.first() {
            // A root is a trust anchor: clients ignore its dates (RFC 5280 section 6.1.1).
            Some((index, it)) if it.subject != it.issuer && last.subject != last.issuer => path.push(*index),
            _ => break,
        }
    }
    path
}

fn expiry(chain: &[CertificateReport], path: &[usize]) -> Option<Expiry> {
    let links = path.iter().filter_map(|index| chain.get(*index));
    let first = links.filter(|it| it.unreadable.is_none()).min_by_key(|it| it.not_after_unix)?;
    Some(Expiry {
        subject: first.subject.clone(),
        not_after: first.not_after.clone(),
        not_after_unix: first.not_after_unix,
        days_left: first.days_left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, issuer: &str, days_left: i64) -> CertificateReport {
        let [subject, issuer] = [subject, issuer].map(str::to_owned);
        let sha256 = format!("{subject} {days_left}");
        CertificateReport {
            subject,
            issuer,
            not_after_unix: days_left,
            days_left,
            sha256,
            ..CertificateReport::default()
        }
    }

    #[test]
    fn certificates_are_linked_by_their_issuers_and_unrelated_ones_ignored() {
        let chain = [
            certificate("leaf", "link", 500),
            certificate("stranger", "stranger", -1),
            certificate("link", "root", -50),
            certificate("link", "root", 300),
            certificate("root", "root", 2),
        ];
        let path = linked(&chain);
        assert_eq!(path, [0, 3]);
        assert_eq!(
            expiry(&chain, &path).map(|it| (it.subject, it.not_after_unix)),
            Some(("link".to_owned(), 300))
        );
        let presented = Presented { path, chain: chain.to_vec(), ..Presented::default() };
        let superfluous: Vec<_> = presented.superfluous().map(|it| it.sha256.as_str()).collect();
        assert_eq!(superfluous, ["stranger -1", "link -50"]);
        assert_eq!(linked(&[]), Vec::<usize>::new());
        assert_eq!(linked(&[certificate("self", "self", 1), certificate("self", "self", 2)]), [0]);
    }
}
