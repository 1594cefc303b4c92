//! The records of the domain.

use super::{ATTACKER, DOMAIN, DnsAttack, DomainPolicy, EXCHANGER, POLICY_HOST};

/// The types of records (RFC 1035 section 3.2.2, RFC 6698 section 7.1).
const A: u16 = 1;
const NS: u16 = 2;
const MX: u16 = 15;
const TXT: u16 = 16;
const TLSA: u16 = 52;

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The code: 0 without an error, 2 for a failure, 3 if the name does not exist.
    pub(super) code: u8,
    /// Whether DNSSEC proves it.
    pub(super) secure: bool,
    /// The data of the records of the type that was asked for.
    pub(super) records: Vec<Vec<u8>>,
}

/// The records, and what the attacker does to them.
#[derive(Debug)]
pub(super) struct Zone {
    policy: DomainPolicy,
    /// The public key of the exchanger, in the encoding of TLSA selector 1.
    key: Vec<u8>,
    attacks: Vec<DnsAttack>,
}

impl Zone {
    pub(super) fn new(policy: DomainPolicy, key: Vec<u8>) -> Self {
        Self { policy, key, attacks: Vec::new() }
    }

    pub(super) fn attack(&mut self, attacks: &[DnsAttack]) {
        self.attacks = attacks.to_vec();
    }

    /// Answers a question. The name is in lower case, without the final dot; that of the root is empty.
    pub(super) fn answer(&self, name: &str, kind: u16) -> Answer {
        use DnsAttack::{ChangeId, FailMx, FailRecord, FailTlsa, RedirectMx, RemoveRecord};
        let is_attacked = |attack| self.attacks.contains(&attack);
        let is_signed = self.policy != DomainPolicy::MtaSts;
        let has_record = self.policy != DomainPolicy::Dane;
        let failure = Answer { code: 2, ..Answer::default() };
        let record = name.strip_suffix(DOMAIN).is_some_and(|it| it == "_mta-sts.");
        // The port of the exchanger may be any.
        let tlsa = name.strip_suffix(EXCHANGER).and_then(|it| it.strip_suffix("._tcp."));
        let is_tlsa = tlsa.is_some_and(|it| it.starts_with('_'));
        let (of_type, data) = match name {
            // Every resolver that validates proves the root.
            "" => return Answer { secure: true, records: of(kind, NS, encoded("ns.test")), code: 0 },
            DOMAIN if kind == MX && is_attacked(FailMx) => return failure,
            DOMAIN => {
                let exchanger = if is_attacked(RedirectMx) { ATTACKER } else { EXCHANGER };
                (MX, [&[0, 10], &encoded(exchanger)[..]].concat())
            }
            EXCHANGER | ATTACKER => (A, vec![127, 0, 0, 1]),
            POLICY_HOST if has_record => (A, vec![127, 0, 0, 1]),
            _ if record && has_record && is_attacked(FailRecord) => return failure,
            _ if record && has_record && !is_attacked(RemoveRecord) => {
                let text = if is_attacked(ChangeId) { "v=STSv1; id=2" } else { "v=STSv1; id=1" };
                (TXT, [&[text.len() as u8], text.as_bytes()].concat())
            }
            _ if is_tlsa && is_signed && is_attacked(FailTlsa) => return failure,
            // The whole key, so that no digest is needed.
            _ if is_tlsa && is_signed => (TLSA, [&[3, 1, 0], &self.key[..]].concat()),
            _ => return Answer { code: 3, secure: is_signed && name.ends_with(DOMAIN), records: Vec::new() },
        };
        Answer { code: 0, secure: is_signed && name.ends_with(DOMAIN), records: of(kind, of_type, data) }
    }
}

fn of(asked: u16, has: u16, data: Vec<u8>) -> Vec<Vec<u8>> {
    if asked == has { vec![data] } else { Vec::new() }
}

/// Returns a name in its encoding in messages.
fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|it| std::iter::once(it.len() as u8).chain(it.bytes()));
    labels.chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attack_changes_its_answer() {
        let name = format!("_25._tcp.{EXCHANGER}");
        let record = format!("_mta-sts.{DOMAIN}");
        for (policy, attack, name, kind) in [
            (DomainPolicy::MtaSts, DnsAttack::RemoveRecord, record.as_str(), TXT),
            (DomainPolicy::MtaSts, DnsAttack::FailRecord, &record, TXT),
            (DomainPolicy::MtaSts, DnsAttack::ChangeId, &record, TXT),
            (DomainPolicy::MtaSts, DnsAttack::RedirectMx, DOMAIN, MX),
            (DomainPolicy::Dane, DnsAttack::FailTlsa, &name, TLSA),
            (DomainPolicy::Dane, DnsAttack::FailMx, DOMAIN, MX),
        ] {
            let mut zone = Zone::new(policy, vec![1, 2, 3]);
            let before = zone.answer(name, kind);
            assert_eq!((before.code, before.records.len()), (0, 1), "{name}");
            assert_eq!(before.secure, policy == DomainPolicy::Dane);
            zone.attack(&[attack]);
            assert_ne!(zone.answer(name, kind), before, "{attack:?}");
        }
        assert_eq!(Zone::new(DomainPolicy::MtaSts, Vec::new()).answer(&name, TLSA).code, 3);
        assert_eq!(Zone::new(DomainPolicy::Dane, Vec::new()).answer(&record, TXT).code, 3);
    }
}
