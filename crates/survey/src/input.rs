//! Reads the list of domains, line by line, with bounded memory.

use std::io::{self, BufRead, Read};

use starttls_dns::DnsName;

/// The longest line, in octets: a name, and the rank in front of it in some lists.
const MAX_LINE: u64 = 1024;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputLine {
    /// A domain.
    Domain(DnsName),
    /// A line that is not a domain.
    Invalid {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a list of domains: one a line, with `#` for comments. In the form `RANK,DOMAIN` of popularity lists the rank is ignored.
#[derive(Debug)]
pub struct DomainReader<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> DomainReader<R> {
    /// Returns a reader at the start of a list.
    pub const fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// Returns the next line with contents; `None` at the end.
    ///
    /// # Errors
    /// Those of the input.
    pub fn next_line(&mut self) -> io::Result<Option<InputLine>> {
        loop {
            let mut octets = Vec::new();
            if self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut octets)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if octets.last() != Some(&b'\n') && octets.len() as u64 == MAX_LINE {
                self.skip_line()?;
                let why = format!("the line is longer than {MAX_LINE} octets");
                return Ok(Some(InputLine::Invalid { line: self.line, why }));
            }
            let text = String::from_utf8_lossy(&octets);
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let ranked = text.split_once(',').filter(|(rank, _)| rank.bytes().all(|it| it.is_ascii_digit()));
            let name = ranked.map_or(text, |(_, name)| name.trim());
            return Ok(Some(match name.parse::<DnsName>() {
                Ok(name) if name.is_host() => InputLine::Domain(name),
                Ok(_) => {
                    let why = format!("\"{}\" is not the name of a host", name.escape_debug());
                    InputLine::Invalid { line: self.line, why }
                }
                Err(error) => InputLine::Invalid { line: self.line, why: error.to_string() },
            }));
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let mut octets = Vec::new();
            let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut octets)?;
            if read == 0 || octets.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<String, u64>> {
        let mut reader = DomainReader::new(text);
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            found.push(match line {
                InputLine::Domain(name) => Ok(name.to_string()),
                InputLine::Invalid { line, .. } => Err(line),
            });
        }
        found
    }

    #[test]
    fn lists_of_domains_are_read() {
        let text = "# list\n\nExample.COM.\r\n7,example.org\nmüller.example\n-x.example\na b\nlast.example";
        let names = ["example.com", "example.org", "xn--mller-kva.example"];
        let mut expected: Vec<_> = names.map(|it| Ok(it.to_owned())).to_vec();
        expected.extend([Err(6), Err(7), Ok(String::from("last.example"))]);
        assert_eq!(read(text.as_bytes()), expected);
        assert_eq!(read(b""), []);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_hides_no_other() {
        let mut text = vec![b'a'; 100_000];
        text.extend(b"\nexample.org\n\xff\xfe\n");
        assert_eq!(read(&text), [Err(1), Ok(String::from("example.org")), Err(3)]);
    }
}
