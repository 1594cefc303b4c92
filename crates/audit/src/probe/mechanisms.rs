//! The login mechanisms that a server lists or asks for in cleartext: which of them send the password itself?

use starttls::proto::{Dialect, LoginDialect, MessageReader, OfferedMechanism, Protocol, ReplyTo, Side};

use crate::check::Check;
use crate::finding::FindingBuilder;
use crate::message;
use crate::plan::Plan;
use crate::report::CheckOutcome;
use crate::session::Opening;

/// Mechanisms whose messages contain the password, or a token that is equivalent to it.
const BARE: &[&str] =
    &["PLAIN", "LOGIN", "USER", "SIMPLE", "PASSWORD", "MYSQL_CLEAR_PASSWORD", "OAUTHBEARER", "XOAUTH2"];

/// Returns the mechanisms in the server's list before TLS that send the password itself, as a report names them.
pub(super) fn listed(plan: &Plan, opening: &Opening) -> Vec<String> {
    let name = |offered: OfferedMechanism| match offered.name.as_str() {
        "USER" => plan.profile.user.to_owned(),
        _ => offered.name,
    };
    let list = match opening.hello.as_slice() {
        [] => (ReplyTo::Connect, opening.greeting.as_slice()),
        hello => (ReplyTo::Hello, hello),
    };
    let said = [(ReplyTo::Connect, opening.greeting.as_slice()), list];
    let (Some(login), messages) = read(plan.protocol, &said) else { return Vec::new() };
    // Mechanisms that the dialect has without a list are not the server's.
    let always = login.mechanisms(b"");
    let mut found: Vec<OfferedMechanism> = Vec::new();
    for offered in messages.iter().flat_map(|message| login.mechanisms(message)) {
        if BARE.contains(&offered.name.as_str()) && !always.contains(&offered) && !found.contains(&offered) {
            found.push(offered);
        }
    }
    found.into_iter().map(name).collect()
}

/// Returns the mechanisms that the server asks for in this answer to a login, if the answer names them.
pub(super) fn asked(protocol: &'static Protocol, answer: &[u8]) -> Vec<String> {
    let login = protocol.new_dialect(starttls::proto::Identity::new("")).into_login();
    let Some(login) = login else { return Vec::new() };
    let always = login.mechanisms(b"");
    let asked = login.mechanisms(answer).into_iter().filter(|it| !always.contains(it));
    asked.map(|it| it.name).collect()
}

/// Mechanisms that answer a challenge instead of sending the password. An eavesdropper can guess passwords offline.
const CHALLENGED: &[&str] = &[
    "CRAM-MD5",
    "DIGEST-MD5",
    "APOP",
    "NTLM",
    "MYSQL_NATIVE_PASSWORD",
    "CACHING_SHA2_PASSWORD",
    "CLIENT_ED25519",
    "MYSQL41",
    "SHA256_MEMORY",
];

/// Returns the finding about a server that processes a login in cleartext. Whether the login succeeds does not matter:
/// the password has crossed the network. `asked` contains the mechanisms, if they are known.
pub(super) fn processed(check: &'static Check, text: &str, asked: &[String]) -> FindingBuilder {
    let proof = |name: &String| name.starts_with("SCRAM-") || CHALLENGED.contains(&name.as_str());
    let names = asked.join(", ");
    match asked {
        [] => FindingBuilder::fail(check, message::LOGIN_PROCESSED.with(&[("text", &text)])),
        all if all.iter().all(proof) => {
            let why = message::LOGIN_PROCESSED_BY_PROOF.with(&[("mechanisms", &names)]);
            FindingBuilder::new(check, CheckOutcome::Warning, why)
        }
        _ => FindingBuilder::fail(check, message::LOGIN_ASKED.with(&[("mechanisms", &names)])),
    }
}

/// Returns the login dialect of a client that has read these messages, and the messages of the last part.
fn read(
    protocol: &'static Protocol,
    said: &[(ReplyTo, &[u8])],
) -> (Option<Box<dyn LoginDialect>>, Vec<Vec<u8>>) {
    let mut dialect: Box<dyn Dialect> = protocol.new_dialect(starttls::proto::Identity::new(""));
    let mut messages = Vec::new();
    for (reply_to, part) in said.iter().copied() {
        messages.clear();
        let mut reader = MessageReader::new(Side::Server);
        reader.push(part);
        while let Ok(Some(message)) = reader.next(&*dialect, reply_to) {
            let _ = dialect.read_server(reply_to, message);
            messages.push(message.to_vec());
        }
    }
    (dialect.into_login(), messages)
}

#[cfg(test)]
mod tests {
    use starttls::proto::postgres::POSTGRES;

    use super::{CheckOutcome, asked, processed};
    use crate::check::id;

    #[test]
    fn a_proof_does_not_contain_the_password() {
        let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        let (md5, bare) = (b"R\0\0\0\x0c\0\0\0\x05salt", b"R\0\0\0\x08\0\0\0\x03");
        for (answer, outcome, name) in [
            (&scram[..], CheckOutcome::Warning, "SCRAM-SHA-256"),
            (md5, CheckOutcome::Fail, "MD5"),
            (bare, CheckOutcome::Fail, "PASSWORD"),
            (b"R\0\0\0\x08\0\0\0\0", CheckOutcome::Fail, "message R"),
        ] {
            let finding = processed(id::SRV_AUTH_BEFORE, "message R", &asked(&POSTGRES, answer));
            assert_eq!(finding.outcome, outcome, "{}", finding.summary());
            assert!(finding.summary().contains(name), "{}", finding.summary());
        }
    }
}
