//! Asks DNS and policy hosts, with the feature `drive`.

mod fetch;
mod lookup;
// The store tells by the number of a file whether another process has replaced it.
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod store;

pub use fetch::{FetchedPolicy, PolicyFetcher};
pub use lookup::{StsFault, StsLookup, look_up_sts};
#[cfg(unix)]
pub use service::{KeptAnswer, PolicyService, ServiceNumbers, ServiceSettings, Warn};
#[cfg(unix)]
pub use store::{PolicyStore, StoreError, StoredPolicy};

use starttls_dns::{Answers, DnsAnswer, DnsName, FailureKind, RecordData, RecordType, Stub};

use crate::dane::{DomainFacts, Gathered, NextHop, gather};

/// Asks everything that [`gather`] needs.
pub async fn domain_facts(stub: &Stub, next_hop: &NextHop, port: u16) -> DomainFacts {
    let mut answers = Answers::default();
    loop {
        let questions = match gather(next_hop, port, &answers) {
            Gathered::Done(facts) => return facts,
            Gathered::Ask(questions) => questions,
        };
        stub.ask_all(questions.clone(), &mut answers).await;
        for question in questions {
            if answers.get(&question.name, question.record).is_none() {
                answers.insert(question, DnsAnswer::Failed(FailureKind::Unreachable.into()));
            }
        }
    }
}

/// Asks for the TXT records at a name. The second value is the time to live, if there is an answer.
///
/// # Errors
/// The reason, if the question failed.
pub async fn texts(stub: &Stub, name: &DnsName) -> Result<(Vec<Vec<u8>>, Option<u32>), String> {
    let question = starttls_dns::DnsQuestion { name: name.clone(), record: RecordType::Txt };
    let answer = stub.ask(&question).await;
    if let Some(failure) = answer.failure() {
        return Err(format!("the lookup of {question} failed: {failure}"));
    }
    let texts = answer
        .records()
        .iter()
        .filter_map(|it| if let RecordData::Txt(text) = it { Some(text.clone()) } else { None });
    Ok((texts.collect(), answer.ttl()))
}
