//! Runs `tables/dane.txt`.

use std::collections::{BTreeMap, BTreeSet};

use starttls_dns::{
    Answers, DnsAnswer, DnsName, DnsQuestion, FailureKind, Mx, MxTarget, RecordData, RecordType, TlsaData,
};
use starttls_policy::dane::{DaneStep, DomainFacts, Gathered, HostDane, NextHop, gather};
use starttls_policy::decide::{
    DaneState, Decision, HostRule, PartialDane, PolicyChoice, decide, host_rule, require_tls_rule,
};
use starttls_policy::sts::{StsPolicy, parse_policy};

use crate::support::{Case, cases, complain};

const TABLE: &str = include_str!("tables/dane.txt");

#[test]
fn every_case_of_the_table() {
    let mut problems = Vec::new();
    for case in cases(TABLE) {
        if let Err(problem) = run(&case) {
            problems.push(format!("{}: {problem}", case.name));
        }
    }
    complain(&problems);
}

#[test]
fn every_step_has_a_case() {
    let text: BTreeSet<&str> = TABLE.split_ascii_whitespace().collect();
    for step in DaneStep::ALL {
        let name = format!("{step:?}");
        // M10 has a test of its own: it needs many rows.
        assert!(name == "M10" || text.contains(name.as_str()), "{name} has no case");
        assert!(step.meaning().len() > 20, "{name}");
    }
}

#[test]
fn a_domain_with_too_many_exchangers_is_never_wholly_secure() {
    let domain: DnsName = "example.test".parse().unwrap();
    let exchangers = (0..40).map(|index| {
        let target = MxTarget::new(&format!("mx{index:02}.example.test"));
        RecordData::Mx(Mx { preference: 10, target })
    });
    let secure = |records| DnsAnswer::Found { records, secure: true, aliases: Vec::new(), ttl: 60 };
    let mut answers = Answers::default();
    let mut asked = 0;
    let facts = loop {
        match gather(&NextHop::Domain(domain.clone()), 25, &answers) {
            Gathered::Done(facts) => break facts,
            Gathered::Ask(questions) => {
                assert!(!questions.is_empty());
                asked += questions.len();
                for question in questions {
                    let answer = match question.record {
                        RecordType::Mx => secure(exchangers.clone().collect()),
                        RecordType::A => secure(vec![RecordData::Address("192.0.2.1".parse().unwrap())]),
                        RecordType::Tlsa => secure(vec![tlsa("3 1 1")]),
                        _ => DnsAnswer::NoData { secure: true, ttl: 60 },
                    };
                    answers.insert(question, answer);
                }
            }
        }
    };
    assert_eq!(asked, 1 + 32 * 3);
    assert_eq!(facts.hosts.last().unwrap().steps, [DaneStep::M10]);
    assert_eq!(DaneState::of(&facts), DaneState::Some);
}

fn run(case: &Case<'_>) -> Result<(), String> {
    let mut next_hop = NextHop::Domain("example.test".parse().unwrap());
    let mut rows = BTreeMap::new();
    let (mut sts, mut choice) = (None, PolicyChoice::Best);
    let mut expected = Vec::new();
    for line in case.lines.iter().filter(|it| !it.is_empty()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["=>", key, rest @ ..] => expected.push((*key, rest.join(" "))),
            ["next-hop", host] => {
                let name = host.trim_matches(['[', ']']).parse().unwrap();
                next_hop = if host.starts_with('[') { NextHop::Host(name) } else { NextHop::Domain(name) };
            }
            ["choice", word] => {
                choice = match *word {
                    "dane" => PolicyChoice::Dane,
                    "sts" => PolicyChoice::Sts,
                    "none" => PolicyChoice::None,
                    other => panic!("{other}"),
                };
            }
            ["sts", mode, patterns @ ..] => sts = Some(policy(mode, patterns)),
            [name, record, state, rest @ ..] => {
                let question = DnsQuestion { name: name.parse().unwrap(), record: record_type(record) };
                rows.insert(question.clone(), answer(question.record, state, rest));
            }
            other => panic!("{other:?}"),
        }
    }
    let (facts, asked) = search(&next_hop, &rows)?;
    if let Some(unasked) = rows.keys().find(|it| !asked.contains(it)) {
        return Err(format!("{unasked} was not asked"));
    }
    assert!(!expected.is_empty(), "{} expects nothing", case.name);
    for (key, value) in expected {
        let found = observe(key, &value, &facts, sts.as_ref(), choice);
        if found != value {
            return Err(format!("{key}: expected \"{value}\", found \"{found}\""));
        }
    }
    Ok(())
}

/// Answers the questions from the rows, until the search ends.
fn search(
    next_hop: &NextHop,
    rows: &BTreeMap<DnsQuestion, DnsAnswer>,
) -> Result<(DomainFacts, Vec<DnsQuestion>), String> {
    let (mut answers, mut asked) = (Answers::default(), Vec::new());
    for _ in 0..8 {
        match gather(next_hop, 25, &answers) {
            Gathered::Done(facts) => return Ok((facts, asked)),
            Gathered::Ask(questions) => {
                for question in questions {
                    let other_family = DnsQuestion { record: RecordType::A, ..question.clone() };
                    let answer = match rows.get(&question) {
                        Some(answer) => answer.clone(),
                        None if question.record == RecordType::Aaaa && rows.contains_key(&other_family) => {
                            DnsAnswer::NoData { secure: false, ttl: 3600 }
                        }
                        None => return Err(format!("{question} has no row")),
                    };
                    asked.push(question.clone());
                    answers.insert(question, answer);
                }
            }
        }
    }
    Err(String::from("the search does not end"))
}

fn observe(
    key: &str,
    value: &str,
    facts: &DomainFacts,
    sts: Option<&StsPolicy>,
    choice: PolicyChoice,
) -> String {
    let records = || {
        facts.hosts.iter().find_map(|it| match &it.dane {
            HostDane::Records(records) => Some(records),
            _ => None,
        })
    };
    match key {
        "steps" => {
            let steps = facts.steps.iter().chain(facts.hosts.iter().flat_map(|it| &it.steps));
            steps.map(|it| format!("{it:?}")).collect::<Vec<_>>().join(" ")
        }
        "state" => format!("{:?}", DaneState::of(facts)),
        "decision" => shown(&decide(facts, sts, PartialDane::Sts)),
        "partial-dane" => shown(&decide(facts, sts, PartialDane::Dane)),
        "names" => joined(&records().unwrap().names),
        "base" => records().unwrap().base.to_string(),
        "ttl" => facts.ttl.unwrap().to_string(),
        "order" => {
            facts.hosts.iter().filter_map(|it| Some(it.name()?.to_string())).collect::<Vec<_>>().join(" ")
        }
        "host" | "require-tls" => {
            let name = value.split(' ').next().unwrap();
            let host = facts.hosts.iter().find(|it| it.name().is_some_and(|it| it.as_str() == name)).unwrap();
            let rule = if key == "host" { host_rule } else { require_tls_rule };
            format!("{name} {}", shown_rule(rule(facts, host, sts, choice)))
        }
        other => panic!("{other}"),
    }
}

fn shown_rule(rule: HostRule<'_>) -> String {
    match rule {
        HostRule::Skip(reason) => {
            assert!(!reason.to_string().is_empty());
            String::from("skip")
        }
        HostRule::Opportunistic => String::from("opportunistic"),
        HostRule::Require { dane, pkix } => {
            let word = |applies, word| if applies { word } else { "" };
            format!("require{}{}", word(dane.is_some(), " dane"), word(pkix, " pkix"))
        }
    }
}

fn shown(decision: &Decision) -> String {
    match decision {
        Decision::Secure(patterns) => format!("secure {}", patterns.join(":")),
        Decision::Defer(reason) => format!("TEMP {reason}"),
        other => other.level().to_owned(),
    }
}

fn joined(names: &[DnsName]) -> String {
    names.iter().map(DnsName::as_str).collect::<Vec<_>>().join(" ")
}

fn policy(mode: &str, patterns: &[&str]) -> StsPolicy {
    let mut text = format!("version: STSv1\nmode: {mode}\nmax_age: 604800\n");
    patterns.iter().for_each(|it| text.push_str(&format!("mx: {it}\n")));
    parse_policy(text.as_bytes()).policy.unwrap()
}

fn record_type(word: &str) -> RecordType {
    let types = [RecordType::A, RecordType::Aaaa, RecordType::Cname, RecordType::Mx, RecordType::Tlsa];
    types.into_iter().find(|it| it.name() == word).unwrap()
}

fn answer(record: RecordType, state: &str, rest: &[&str]) -> DnsAnswer {
    let (mut rest, mut ttl) = (rest, 3600);
    if let [first, others @ ..] = rest
        && let Some(seconds) = first.strip_prefix("ttl=")
    {
        (rest, ttl) = (others, seconds.parse().unwrap());
    }
    let secure = match state {
        "secure" => true,
        "insecure" => false,
        "failed" => return DnsAnswer::Failed(FailureKind::ServFail.into()),
        "nodata" | "nodata-secure" => return DnsAnswer::NoData { secure: state.ends_with("secure"), ttl },
        "noname" | "noname-secure" => return DnsAnswer::NoName { secure: state.ends_with("secure"), ttl },
        other => panic!("{other}"),
    };
    let mut aliases = Vec::new();
    if let ["via", others @ ..] = rest {
        // Names before the data: data begins with a digit.
        let names =
            others.iter().take_while(|it| it.parse::<std::net::IpAddr>().is_err() && it.contains('.'));
        aliases = names.map(|it| it.parse().unwrap()).collect();
        rest = &others[aliases.len()..];
    }
    let data = rest.join(" ");
    let records = data.split(", ").map(|it| datum(record, it)).collect();
    DnsAnswer::Found { records, secure, aliases, ttl }
}

fn datum(record: RecordType, text: &str) -> RecordData {
    match record {
        RecordType::A | RecordType::Aaaa => RecordData::Address(text.parse().unwrap()),
        RecordType::Cname => RecordData::Name(text.parse().unwrap()),
        RecordType::Mx => {
            let (preference, target) = text.split_once(' ').unwrap();
            RecordData::Mx(Mx { preference: preference.parse().unwrap(), target: MxTarget::new(target) })
        }
        RecordType::Tlsa => tlsa(text),
        other => panic!("{other}"),
    }
}

fn tlsa(text: &str) -> RecordData {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |index: usize| words[index].parse::<u8>().unwrap();
    let data = match (number(2), words.get(3)) {
        (_, Some(&"short")) => vec![1; 20],
        (0, _) => vec![0x30, 3, 2, 1, 1],
        (1, _) => vec![1; 32],
        _ => vec![2; 64],
    };
    RecordData::Tlsa(TlsaData { usage: number(0), selector: number(1), matching: number(2), data })
}
