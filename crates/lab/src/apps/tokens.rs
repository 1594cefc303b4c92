//! Commands of IMAP (RFC 9051 section 4) and ManageSieve (RFC 5804 section 4): atoms, strings, lists.

use starttls::proto::SessionCommand;

use crate::session::{LIMIT, Session, SessionError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    Open,
    Close,
}

impl Token {
    /// Returns the text of a token of any form.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Atom(atom) => atom.as_bytes(),
            Self::Text(text) => text,
            Self::Open => b"(",
            Self::Close => b")",
        }
    }

    /// Returns the text of a name or a keyword.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Returns the next command with all its literals, or `None` at the end of the session.
pub(super) async fn command(session: &mut Session) -> Result<Option<Vec<Token>>, SessionError> {
    let Some(mut bytes) = session.next_command().await? else { return Ok(None) };
    loop {
        let lacking = match parse(&bytes) {
            Parsed::Whole(tokens) => return Ok(Some(tokens)),
            Parsed::Lacks(octets) if bytes.len() + octets > LIMIT => {
                return Err(SessionError::Bad("a command of at most 1 MiB"));
            }
            Parsed::Lacks(octets) => octets,
        };
        session.send("+ Go ahead\r\n");
        let literal = bytes.len() + lacking;
        // The literal arrives in parts, followed by the rest of the line.
        loop {
            let last = bytes.len() >= literal;
            match session.next().await? {
                Some(SessionCommand::Message(piece) | SessionCommand::Answered(piece)) => {
                    bytes.extend_from_slice(&piece)
                }
                Some(SessionCommand::Quit) | None => return Ok(None),
            }
            if last {
                break;
            }
        }
    }
}

enum Parsed {
    Whole(Vec<Token>),
    /// A literal of this many octets follows.
    Lacks(usize),
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut tokens = Vec::new();
    let mut rest = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
    while let Some((&first, tail)) = rest.split_first() {
        rest = match first {
            b' ' => tail,
            b'(' => {
                tokens.push(Token::Open);
                tail
            }
            b')' => {
                tokens.push(Token::Close);
                tail
            }
            b'"' => {
                let mut text = Vec::new();
                let mut bytes = tail.iter();
                while let Some(&byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => text.extend(bytes.next()),
                        _ => text.push(byte),
                    }
                }
                tokens.push(Token::Text(text));
                bytes.as_slice()
            }
            b'{' => match literal(tail) {
                Some((octets, behind)) => {
                    let Some((text, behind)) = behind.split_at_checked(octets) else {
                        return Parsed::Lacks(octets);
                    };
                    tokens.push(Token::Text(text.to_vec()));
                    behind
                }
                None => tail,
            },
            _ => {
                // Brackets hold spaces and parentheses: BODY[HEADER.FIELDS (SUBJECT)].
                let mut depth = 0_usize;
                let end = rest.iter().position(|byte| match byte {
                    b'[' => {
                        depth += 1;
                        false
                    }
                    b']' => {
                        depth = depth.saturating_sub(1);
                        false
                    }
                    b' ' | b'(' | b')' => depth == 0,
                    _ => false,
                });
                let (atom, tail) = rest.split_at(end.unwrap_or(rest.len()));
                tokens.push(Token::Atom(String::from_utf8_lossy(atom).into_owned()));
                tail
            }
        };
    }
    Parsed::Whole(tokens)
}

/// Parses the length after the opening brace, and returns the bytes after the end of the line.
fn literal(tail: &[u8]) -> Option<(usize, &[u8])> {
    let end = tail.iter().position(|&byte| byte == b'}')?;
    let digits = tail[..end].strip_suffix(b"+").unwrap_or(&tail[..end]);
    let octets = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let behind = &tail[end + 1..];
    match behind.strip_prefix(b"\r\n") {
        Some(behind) => Some((octets, behind)),
        None => behind.is_empty().then_some((octets, behind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_into_its_parts() {
        let Parsed::Whole(tokens) =
            parse(b"a FETCH 1:* (BODY.PEEK[HEADER.FIELDS (TO)] \"q \\\"\") {3+}\r\na)b {0}\r\n x\r\n")
        else {
            panic!("it is whole")
        };
        let texts: Vec<_> = tokens.iter().map(Token::text).collect();
        let expected =
            ["a", "FETCH", "1:*", "(", "BODY.PEEK[HEADER.FIELDS (TO)]", "q \"", ")", "a)b", "", "x"];
        assert_eq!(texts, expected);
        assert!(matches!(parse(b"a LOGIN {4}\r\n"), Parsed::Lacks(4)));
        assert!(matches!(parse(b"a LOGIN {4}\r\nuser {5}\r\n"), Parsed::Lacks(5)));
    }
}
