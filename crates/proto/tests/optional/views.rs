//! A strict server and several naive servers see the same commands in the cleartext that passes, whatever the client
//! sends.

use starttls_proto::Side;

use crate::Session;

/// The way in which a server splits its input into commands.
#[derive(Clone, Copy, Debug)]
struct View {
    name: &'static str,
    /// A bare CR or LF ends a line, and NUL is skipped.
    bare: bool,
    /// The suffixes after the length of a literal that the server supports.
    literals: &'static [&'static str],
    /// The server's buffer for a command, in octets. The rest of a longer command is read as the next line. A line of
    /// text may be twice as long.
    buffer: usize,
}

const STRICT: View = View { name: "strict", bare: false, literals: &[""], buffer: usize::MAX };
const NAIVE: &[View] = &[
    View { name: "line by line", bare: true, literals: &[], ..STRICT },
    View { name: "strict, without literals", literals: &[], ..STRICT },
    View { name: "LITERAL+", literals: &["", "+"], ..STRICT },
    View { name: "any literal", literals: &["", "+", "-"], ..STRICT },
    View { name: "bare ends and any literal", bare: true, literals: &["", "+", "-"], ..STRICT },
    View { name: "a short buffer", buffer: 512, ..STRICT },
    View { name: "a short buffer, line by line", bare: true, literals: &[], buffer: 512 },
];

impl View {
    /// Returns the first line without its end, and the text after it.
    fn line<'a>(&self, heard: &'a [u8], buffer: usize) -> Option<(Vec<u8>, &'a [u8])> {
        let end = heard.iter().enumerate().position(|(at, byte)| match self.bare {
            true => matches!(byte, b'\r' | b'\n'),
            false => *byte == b'\n' && heard[..at].ends_with(b"\r"),
        });
        let (text, rest) = match end {
            Some(end) if end <= buffer => (&heard[..end], &heard[end + 1..]),
            _ if heard.len() > buffer => heard.split_at(buffer),
            _ => return None,
        };
        let text: Vec<u8> = text.iter().copied().filter(|byte| !self.bare || *byte != 0).collect();
        let text = text.strip_suffix(b"\r").unwrap_or(&text).to_vec();
        Some((text, rest.strip_prefix(b"\n").filter(|_| self.bare).unwrap_or(rest)))
    }

    fn literal(&self, line: &[u8]) -> Option<usize> {
        let line = line.strip_suffix(b"}")?;
        let number = std::str::from_utf8(line.rsplit(|byte| *byte == b'{').next()?).ok()?;
        self.literals.iter().find_map(|sign| number.strip_suffix(sign)?.parse().ok())
    }

    /// Returns the commands in the input of a server.
    fn commands(&self, script: &OutputBuffer, mut heard: &[u8]) -> Vec<String> {
        let (mut commands, mut data) = (Vec::new(), false);
        let mut command = Vec::new();
        while let Some((line, rest)) = self.line(heard, self.buffer.saturating_mul(1 + usize::from(data))) {
            heard = rest;
            if data {
                data = line != b".";
                continue;
            }
            command.extend_from_slice(&line);
            if let Some(octets) = self.literal(&line).filter(|octets| *octets <= heard.len()) {
                command.extend_from_slice(&heard[..octets]);
                heard = &heard[octets..];
                continue;
            }
            let text = command.escape_ascii().to_string().to_ascii_uppercase();
            if !text.trim().is_empty() {
                data = text == "DATA" && script.takes(commands.len());
                commands.push(text);
            }
            command.clear();
        }
        commands
    }
}

/// A protocol, the words that a client may send in it, and the answers of a server.
struct OutputBuffer {
    scheme: &'static str,
    seed: u64,
    words: &'static [&'static str],
    /// Verbs that a server must never see.
    secrets: &'static [&'static str],
}

impl OutputBuffer {
    /// Returns whether the server accepts a message if this command is DATA.
    fn takes(&self, command: usize) -> bool {
        !(self.seed + command as u64).is_multiple_of(3)
    }

    /// Returns the answers of a strict server to the commands that it has not answered yet.
    fn answers(&self, heard: &[u8], answered: &mut usize) -> String {
        let commands = STRICT.commands(self, heard);
        let ended = heard.ends_with(b"\r\n.\r\n");
        let mut said = String::new();
        for (at, command) in commands.iter().enumerate().skip(*answered) {
            let tag = command.split(' ').next().unwrap_or_default();
            said += &match (self.scheme, command.as_str()) {
                ("smtp", "DATA") if self.takes(at) => String::from("354 go on\r\n"),
                ("smtp", _) => String::from("250 ok\r\n"),
                ("imap", _) => format!("{} OK done\r\n", tag.to_ascii_lowercase()),
                ("sieve", _) => String::from("OK\r\n"),
                ("pop3", _) => String::from("-ERR no\r\n"),
                _ => String::from("500 no\r\n"),
            };
        }
        if commands.len() == *answered && ended {
            said += "250 delivered\r\n";
        }
        *answered = commands.len();
        said
    }
}

const COMMON: &[&str] = &["\r\n", "\r\n", "\r\n", "\n", "\r", "\0", " ", "\t", ".", "}", "\"", "x"];

const SCRIPTS: &[(&str, &[&str], &[&str])] = &[
    (
        "smtp",
        &[
            "EHLO me\r\n",
            "MAIL FROM:<a>\r\n",
            "RCPT TO:<b>\r\n",
            "DATA\r\n",
            "DATA\r\n",
            "text\r\n",
            ".\r\n",
            "\r\n.\r\n",
            "\n.\n",
            "\r.\r",
            "AUTH PLAIN x\r\n",
            "BDAT 20 LAST\r\n",
            "NOOP ",
            "LONG",
            "FULL.\r\n",
        ],
        &["AUTH", "BDAT"],
    ),
    (
        "imap",
        &[
            "a NOOP\r\n",
            "a CAPABILITY\r\n",
            "a NOOP ",
            "{21+}\r\n",
            "{21-}\r\n",
            "{21}\r\n",
            "~{21+}\r\n",
            "{2+",
            "b LOGIN joe secret\r\n",
            "b AUTHENTICATE PLAIN x\r\n",
            "\r\nb NOOP\r\n",
            "LONG",
        ],
        &["LOGIN", "AUTHENTICATE"],
    ),
    (
        "sieve",
        &[
            "NOOP\r\n",
            "CAPABILITY\r\n",
            "NOOP ",
            "{26+}\r\n",
            "{26-}\r\n",
            "{26}\r\n",
            "AUTHENTICATE \"PLAIN\" \"x\"\r\n",
            "LISTSCRIPTS\r\n",
            "LONG",
        ],
        &["AUTHENTICATE", "LISTSCRIPTS"],
    ),
    (
        "pop3",
        &["CAPA\r\n", "NOOP\r\n", "USER joe\r\n", "PASS secret\r\n", "AUTH PLAIN x\r\n", "LONG"],
        &["USER", "PASS", "AUTH"],
    ),
    (
        "nntp",
        &[
            "GROUP a\r\n",
            "DATE\r\n",
            "HEAD ",
            "POST\r\n",
            "TAKETHIS <a@b>\r\n",
            ".\r\n",
            "AUTHINFO USER joe\r\n",
            "AUTHINFO PASS secret\r\n",
            "LONG",
        ],
        &["AUTHINFO", "POST", "TAKETHIS"],
    ),
    ("ftp", &["FEAT\r\n", "NOOP\r\n", "USER joe\r\n", "PASS secret\r\n", "LONG"], &["USER", "PASS"]),
];

/// A pseudorandom number generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn s4_strict_and_naive_servers_see_the_same_commands() {
    for (scheme, words, secrets) in SCRIPTS {
        let (mut seen, mut messages) = (0, 0);
        for seed in 1..=800 {
            let script = OutputBuffer { scheme, seed, words, secrets };
            let heard = passed(&script);
            let strict = STRICT.commands(&script, &heard);
            seen += strict.len();
            messages += usize::from(heard.ends_with(b"\r\n.\r\n"));
            for view in NAIVE {
                let naive = view.commands(&script, &heard);
                assert_eq!(naive, strict, "{scheme}, seed {seed}, {}: {}", view.name, heard.escape_ascii());
            }
            let verb = |it: &String| it.split(' ').nth(usize::from(*scheme == "imap")).map(str::to_owned);
            let secret = strict.iter().filter_map(verb).find(|verb| script.secrets.contains(&verb.as_str()));
            assert_eq!(secret, None, "{scheme}, seed {seed}: {}", heard.escape_ascii());
        }
        // The test proves nothing if no command passes.
        assert!(
            seen > 200 && (*scheme != "smtp" || messages > 20),
            "{scheme}: {seen} commands, {messages} messages"
        );
    }
}

/// Returns the bytes that pass in a random conversation.
fn passed(script: &OutputBuffer) -> Vec<u8> {
    let mut random = Random(script.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut session, mut heard, mut answered) = (Session::new(script.scheme), Vec::new(), 0);
    for _ in 0..3 + random.below(12) {
        // Listed commands are more frequent, so that sessions reach message data.
        let word = match random.below(4) {
            0 => COMMON[random.below(COMMON.len())],
            _ => script.words[random.below(script.words.len())],
        };
        let said = word.replace("LONG", &"x".repeat(400 + random.below(1200)));
        let said = said.replace("FULL", &"x".repeat(1024));
        let (_, to_server) = session.says_raw(Side::Client, said.as_bytes(), 1 + random.below(40));
        // A gateway ends the session here.
        if session.is_lost() {
            break;
        }
        heard.extend(to_server);
        // After an answer, the relay may pass commands that waited for it.
        for _ in 0..8 {
            let answers = script.answers(&heard, &mut answered);
            let (_, more) = session.says_raw(Side::Server, answers.as_bytes(), 64);
            heard.extend(more);
            assert!(!session.is_lost(), "{}: {answers:?}", script.scheme);
            if answers.is_empty() {
                break;
            }
        }
    }
    heard
}
