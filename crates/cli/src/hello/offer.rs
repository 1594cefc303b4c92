//! Builds the hello from the options.

use starttls_hello::{CipherSuite, NamedGroup, Question, SuiteClass, SuiteFamily, Version};
use starttls_report::nearest;

use crate::args::Hello;
use crate::error::Failed;

/// The largest number of suites that fits into a ClientHello with all its other parts.
const MAX_CODES: usize = 1000;

/// Parses the suites and groups, and builds the hello.
pub(super) fn question(args: &Hello) -> Result<Question, Failed> {
    let mut question = Question::usual(args.version);
    if args.version == Version::Ssl2 {
        if !args.suites.is_empty() || !args.groups.is_empty() {
            let hint = String::from("an SSL 2.0 server lists every kind that it has: one hello asks for all");
            return Err(Failed::usage("SSL 2.0 has neither suites nor groups to choose").hint(Some(hint)));
        }
        return Ok(question);
    }
    if !args.suites.is_empty() {
        question.suites = suites(args)?;
    }
    if !args.groups.is_empty() {
        question.groups = args.groups.iter().map(|name| group(name)).collect::<Result<_, _>>()?;
    }
    if question.suites.len().max(question.groups.len()) > MAX_CODES {
        return Err(Failed::usage(format!("expected at most {MAX_CODES} suites and groups")));
    }
    Ok(question)
}

fn suites(args: &Hello) -> Result<Vec<CipherSuite>, Failed> {
    let mut suites = Vec::new();
    for name in args.suites.iter().map(|name| name.trim()) {
        let class = SuiteClass::ALL.iter().find(|class| class.name().eq_ignore_ascii_case(name));
        let named = class.map(|class| of_class(*class, args.version)).filter(|list| !list.is_empty());
        let found = named.or_else(|| CipherSuite::by_name(name).map(|suite| vec![suite]));
        let found = found.ok_or_else(|| {
            let names = CipherSuite::all().flat_map(|(_, info)| [Some(info.name), info.openssl_name()]);
            unknown(
                "cipher suite",
                name,
                names.flatten().chain(SuiteClass::ALL.iter().map(|class| class.name())),
            )
        })?;
        // A suite that is listed twice is offered once, at its first position.
        for suite in found {
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
    }
    Ok(suites)
}

/// Returns the suites of a class that use certificates and exist at a version.
fn of_class(class: SuiteClass, version: Version) -> Vec<CipherSuite> {
    let modern = version == Version::Tls13;
    CipherSuite::all()
        .filter(|(suite, info)| {
            let family = if modern { SuiteFamily::Tls13 } else { SuiteFamily::Pki };
            suite.0 != 0 && info.class == class && info.family == family && info.min <= version
        })
        .map(|(suite, _)| suite)
        .collect()
}

fn group(name: &str) -> Result<NamedGroup, Failed> {
    let name = name.trim();
    NamedGroup::by_name(name)
        .ok_or_else(|| unknown("group", name, NamedGroup::all().map(|(_, info)| info.name)))
}

fn unknown(what: &str, name: &str, names: impl Iterator<Item = &'static str>) -> Failed {
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean {near}? a code such as 0xc02f works for any"),
        None => String::from("use an IANA or OpenSSL name, or a code such as 0xc02f"),
    };
    Failed::usage(format!("unknown {what} \"{}\"", name.escape_debug())).hint(Some(hint))
}

/// Returns whether the user can select suites for this version. An SSL 2.0 hello always offers all kinds.
pub(crate) fn has_suites(question: &Question) -> bool {
    question.version != Version::Ssl2
}
