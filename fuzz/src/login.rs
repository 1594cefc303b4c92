//! Logins.

use starttls_proto::{Denial, LoginClient, LoginStep, OutputBuffer, Protocol, UserName};

use crate::{choose, identity};

/// Runs a login against an arbitrary server: it must not panic, and smaller pieces must not change the outcome.
pub fn login(input: &[u8]) {
    let Some((protocol, size, octets)) = choose(input) else { return };
    let runs = [usize::MAX, size + 2, 1].map(|size| drive(protocol, &mut octets.chunks(size)));
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "the outcome depends on the pieces: {runs:?}");
}

#[derive(Debug, PartialEq)]
enum End {
    /// The protocol has no login.
    None,
    Open,
    /// The user of the session, and the bytes after the answer.
    Granted(Option<String>, Vec<u8>),
    Refused(Denial, Vec<u8>),
    /// The server's mechanism or challenge cannot be written into a line.
    Unwritable,
    /// Any error: the kind may depend on the pieces, because more invalid bytes may have arrived.
    Error,
}

/// Begins the first mechanism on offer, and repeats every challenge as the response.
fn drive(protocol: &Protocol, pieces: &mut dyn Iterator<Item = &[u8]>) -> End {
    let mut script = OutputBuffer::default();
    let user: Option<UserName> = "user".parse().ok();
    let login = user.and_then(|user| LoginClient::new(protocol, identity(), &user, true, &mut script));
    let Some(mut login) = login else {
        return End::None;
    };
    while let Some(piece) = pieces.next() {
        let mut input = piece;
        login = loop {
            login = match login.receive(std::mem::take(&mut input), &mut script) {
                Ok(LoginStep::Continue(login)) => break login,
                Ok(LoginStep::Choose(choice)) => {
                    let name = choice.offered.first().map_or(String::from("PLAIN"), |it| it.name.clone());
                    match choice.begin(&name, Some(b"\0user\0password"), &mut script) {
                        Ok(login) => login,
                        Err(_) => return End::Unwritable,
                    }
                }
                Ok(LoginStep::Challenge(challenge)) => {
                    let data = challenge.data.clone();
                    match challenge.respond(&data, &mut script) {
                        Ok(login) => login,
                        Err(_) => return End::Unwritable,
                    }
                }
                Ok(LoginStep::Granted(mut granted)) => {
                    pieces.for_each(|piece| granted.unread.extend_from_slice(piece));
                    return End::Granted(granted.user, granted.unread);
                }
                Ok(LoginStep::Refused(refused)) => return End::Refused(refused.denial, refused.answer),
                Err(_) => return End::Error,
            };
        };
    }
    End::Open
}
