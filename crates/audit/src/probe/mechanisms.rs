//! The logins that a server lists in cleartext, or asks for: which of them would send a password as it is.

use starttls::proto::{Dialect, LoginDialect, Offered, Protocol, ReplyTo, Scan, Side};

use crate::dialogue::Opening;
use crate::plan::Plan;

/// Mechanisms whose messages have a password in them, or a token that is as good as one.
const BARE: &[&str] =
    &["PLAIN", "LOGIN", "USER", "SIMPLE", "PASSWORD", "MYSQL_CLEAR_PASSWORD", "OAUTHBEARER", "XOAUTH2"];

/// What the server lists before TLS that would send a password as it is, for people.
pub(super) fn listed(plan: &Plan, opening: &Opening) -> Vec<String> {
    let name = |offered: Offered| match offered.name.as_str() {
        "USER" => plan.words.user.to_owned(),
        _ => offered.name,
    };
    let list = match opening.hello.as_slice() {
        [] => (ReplyTo::Connect, opening.greeting.as_slice()),
        hello => (ReplyTo::Hello, hello),
    };
    let said = [(ReplyTo::Connect, opening.greeting.as_slice()), list];
    let (Some(login), messages) = read(plan.protocol, &said) else { return Vec::new() };
    // What is there without being listed says nothing.
    let always = login.mechanisms(b"");
    let mut found: Vec<Offered> = Vec::new();
    for offered in messages.iter().flat_map(|message| login.mechanisms(message)) {
        if BARE.contains(&offered.name.as_str()) && !always.contains(&offered) && !found.contains(&offered) {
            found.push(offered);
        }
    }
    found.into_iter().map(name).collect()
}

/// What the server asks for by this answer to a login, where an answer tells.
pub(super) fn asked(protocol: &'static Protocol, answer: &[u8]) -> Vec<String> {
    let login = (protocol.dialect)(starttls::proto::Identity::new("")).into_login();
    let Some(login) = login else { return Vec::new() };
    let always = login.mechanisms(b"");
    let asked = login.mechanisms(answer).into_iter().filter(|it| !always.contains(it));
    asked.map(|it| it.name).collect()
}

/// The dialect of a client that was told this, and the messages of the last part.
fn read(
    protocol: &'static Protocol,
    said: &[(ReplyTo, &[u8])],
) -> (Option<Box<dyn LoginDialect>>, Vec<Vec<u8>>) {
    let mut dialect: Box<dyn Dialect> = (protocol.dialect)(starttls::proto::Identity::new(""));
    let mut messages = Vec::new();
    for (reply_to, mut rest) in said.iter().copied() {
        messages.clear();
        while let Ok(Some(end)) = dialect.frame(Side::Server, reply_to, rest, &mut Scan::default())
            && let Some((message, behind)) = rest.split_at_checked(end).filter(|_| end > 0)
        {
            let _ = dialect.read_server(reply_to, message);
            messages.push(message.to_vec());
            rest = behind;
        }
    }
    (dialect.into_login(), messages)
}
