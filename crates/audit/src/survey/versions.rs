//! The versions that a server offers.

use starttls_hello::{Known, Support, Version};

use super::judge::{Judge, any};
use crate::check::{Check, id};
use crate::finding::FindingBuilder;
use crate::message::{self, Statement, Template};
use crate::report::{CheckOutcome, Severity};

/// SSL 2.0 and 3.0. SSL 2.0 exposes every server with the same key (DROWN).
pub(super) fn ssl(judge: &Judge<'_>) -> FindingBuilder {
    let found = offered(judge, &[Version::Ssl3, Version::Ssl2]);
    let finding = unwanted(judge, id::TLS_SSL, [Version::Ssl3, Version::Ssl2]);
    match found.iter().any(|(version, _)| *version == Version::Ssl2) {
        true => finding.severity(Severity::Critical),
        false => finding,
    }
}

/// TLS 1.0 and 1.1 (RFC 8996).
pub(super) fn deprecated(judge: &Judge<'_>) -> FindingBuilder {
    unwanted(judge, id::TLS_DEPRECATED, [Version::Tls11, Version::Tls10])
}

fn unwanted(judge: &Judge<'_>, check: &'static Check, versions: [Version; 2]) -> FindingBuilder {
    let found = offered(judge, &versions);
    if !found.is_empty() {
        let summary = match found.as_slice() {
            [(one, _)] => message::VERSION_OFFERED.with(&[("version", one)]),
            _ => joined(message::VERSIONS_OFFERED, versions),
        };
        return judge.found(check, summary, found.iter().map(|(_, hello)| *hello));
    }
    match any(versions.iter().map(|version| judge.facts.version(*version))) {
        Known::Is(_, witness) => {
            judge.absent(check, joined(message::VERSIONS_NOT_OFFERED, versions), witness)
        }
        unknown => judge.unknown(check, unknown),
    }
}

/// Returns a sentence on two versions of one family: "TLS 1.1 and 1.0".
fn joined(template: Template, versions: [Version; 2]) -> Statement {
    let [first, last] = versions;
    let last = last.name().split_once(' ').map_or(last.name(), |(_, number)| number);
    template.with(&[("first", &first), ("last", &last)])
}

/// Whether TLS 1.2 or 1.3 is offered.
pub(super) fn none(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_NONE;
    if let Some(session) = judge.handshake.version.filter(|session| *session >= Version::Tls12) {
        return FindingBuilder::pass(check, message::SESSION_WITH_VERSION.with(&[("version", &session)]));
    }
    let old = offered(judge, &[Version::Tls11, Version::Tls10, Version::Ssl3, Version::Ssl2]);
    match (any([Version::Tls13, Version::Tls12].map(|version| judge.facts.version(version))), old.first()) {
        (Known::Is(Support::Offered, witness), _) => {
            judge.absent(check, "TLS 1.2 or 1.3 is offered", witness)
        }
        (Known::Is(Support::NotOffered, witness), Some((best, hello))) => {
            judge.found(check, message::NOTHING_BETTER.with(&[("version", best)]), [*hello, witness.hello])
        }
        (unknown, _) => judge.unknown(check, unknown),
    }
}

/// Whether TLS 1.3 is offered.
pub(super) fn old(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_OLD;
    match judge.facts.version(Version::Tls13) {
        _ if judge.handshake.version == Some(Version::Tls13) => {
            FindingBuilder::pass(check, "a handshake succeeds with TLS 1.3")
        }
        Known::Is(Support::Offered, witness) => judge.absent(check, "TLS 1.3 is offered", witness),
        Known::Is(Support::NotOffered, witness) => {
            judge.found(check, String::from("TLS 1.3 is not offered"), [witness.hello])
        }
        unknown => judge.unknown(check, unknown),
    }
}

/// Returns those of the versions that are offered, with the hello that shows it.
pub(super) fn offered(judge: &Judge<'_>, versions: &[Version]) -> Vec<(Version, usize)> {
    let offered = versions.iter().filter_map(|version| match judge.facts.version(*version) {
        Known::Is(Support::Offered, witness) => Some((*version, witness.hello)),
        _ => None,
    });
    offered.collect()
}

/// Joins the names of versions: "TLS 1.1 and 1.0", "SSL 3.0".
pub(super) fn names(versions: &[Version]) -> String {
    let mut text = String::new();
    let mut family = "";
    for (index, version) in versions.iter().enumerate() {
        let (own, number) = version.name().split_once(' ').unwrap_or(("", version.name()));
        let joint = match index {
            0 => "",
            last if last + 1 == versions.len() => " and ",
            _ => ", ",
        };
        text += joint;
        if own != family {
            text += own;
            text.push(' ');
        }
        text += number;
        family = own;
    }
    text
}

/// Returns a note.
pub(super) fn note(check: &'static Check, text: String) -> FindingBuilder {
    FindingBuilder::new(check, CheckOutcome::Info, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_family_are_joined() {
        use Version::{Ssl2, Ssl3, Tls10, Tls11, Tls12};
        assert_eq!(names(&[Tls11, Tls10]), "TLS 1.1 and 1.0");
        assert_eq!(names(&[Tls12, Tls11, Tls10, Ssl3]), "TLS 1.2, 1.1, 1.0 and SSL 3.0");
        assert_eq!(names(&[Ssl3, Ssl2]), "SSL 3.0 and 2.0");
    }
}
