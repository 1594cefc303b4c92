//! Reads the vectors. Their format is described in `crates/proto/vectors/README.md`. The tests of other crates include this file.

use std::path::{Path, PathBuf};

use starttls_proto::{Protocol, Side, protocol};

/// A turn: the bytes that a side sends before the other side answers.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) from: Side,
    pub(crate) bytes: Vec<u8>,
    /// Whether an observer does not see the turn, because its packets are lost.
    pub(crate) is_lost: bool,
}

#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) path: PathBuf,
    pub(crate) protocol: &'static Protocol,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) turns: Vec<Turn>,
    /// The side that closes the connection at the end, if any.
    pub(crate) closes: Option<Side>,
}

impl Vector {
    /// Returns every vector, in the order of their paths.
    pub(crate) fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(root)
            .unwrap()
            .map(|folder| folder.unwrap().path())
            .filter(|path| path.is_dir())
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path())
            .collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let protocol = protocol(name).unwrap_or_else(|| panic!("{}: no protocol {name}", path.display()));
        let (head, body) = text.split_once("---\n").unwrap_or_else(|| panic!("{}: no ---", path.display()));
        let headers: Vec<(String, String)> = head
            .lines()
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{}: {line:?}", path.display())))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let known = [
            "spec",
            "result",
            "comment",
            "roles",
            "client",
            "server",
            "relay",
            "tls",
            "eol",
            "handshake",
            "observed",
        ];
        for (key, _) in &headers {
            assert!(known.contains(&key.as_str()), "{}: unknown header {key}", path.display());
        }
        let mut vector = Self { path, protocol, headers, turns: Vec::new(), closes: None };
        let eol = if vector.header("eol") == Some("lf") { "\n" } else { "\r\n" };
        for line in body.lines().filter(|line| !line.is_empty()) {
            vector.line(line, eol);
        }
        for key in ["spec", "result", "comment"] {
            assert!(vector.header(key).is_some(), "{}: no {key}", vector.path.display());
        }
        vector
    }

    fn line(&mut self, line: &str, eol: &str) {
        let from = match line.as_bytes()[0] {
            b'C' => Side::Client,
            b'S' => Side::Server,
            _ => panic!("{}: {line:?}", self.path.display()),
        };
        let text = line.get(3..).unwrap_or_default();
        let bytes = match &line[1..2] {
            ":" | "~" => [unescape(text), eol.as_bytes().to_vec()].concat(),
            "-" => unescape(text),
            "#" => {
                let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
                digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
            }
            "." => {
                self.closes = Some(from);
                return;
            }
            _ => panic!("{}: {line:?}", self.path.display()),
        };
        let is_lost = &line[1..2] == "~";
        match self.turns.last_mut() {
            Some(turn) if turn.from == from => {
                assert!(
                    !is_lost && !turn.is_lost,
                    "{}: {line:?} is not a turn of its own",
                    self.path.display()
                );
                turn.bytes.extend(bytes);
            }
            _ => self.turns.push(Turn { from, bytes, is_lost }),
        }
    }

    pub(crate) fn header(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.to_string().as_bytes());
            continue;
        }
        match chars.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            Some(other) => bytes.extend(other.to_string().as_bytes()),
            None => panic!("a lone backslash: {text:?}"),
        }
    }
    bytes
}
