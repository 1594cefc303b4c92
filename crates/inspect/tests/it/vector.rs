//! The vectors of `starttls-proto`. Their format is described in their folder.

use std::path::{Path, PathBuf};

use starttls_proto::{Protocol, Side, protocol};

/// A conversation: who sends which octets, in order.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) path: PathBuf,
    pub(crate) protocol: &'static Protocol,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) turns: Vec<(Side, Vec<u8>)>,
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
        assert!(!paths.is_empty());
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let (head, body) = text.split_once("---\n").unwrap();
        let header = |line: &str| {
            let (key, value) = line.split_once(": ").unwrap();
            (key.to_owned(), value.trim().to_owned())
        };
        let headers: Vec<_> = head.lines().map(header).collect();
        let protocol = protocol(name).unwrap();
        let mut vector = Self { path, protocol, headers, turns: Vec::new(), closes: None };
        let eol: &[u8] = if vector.header("eol") == Some("lf") { b"\n" } else { b"\r\n" };
        for line in body.lines().filter(|line| !line.is_empty()) {
            let side = if line.starts_with('C') { Side::Client } else { Side::Server };
            let text = line.get(3..).unwrap_or_default();
            let bytes = match &line[1..2] {
                ":" => [&unescape(text), eol].concat(),
                "-" => unescape(text),
                "#" => {
                    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
                    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
                }
                _ => {
                    vector.closes = Some(side);
                    continue;
                }
            };
            match vector.turns.last_mut() {
                Some((last, turn)) if *last == side => turn.extend(bytes),
                _ => vector.turns.push((side, bytes)),
            }
        }
        vector
    }

    pub(crate) fn header(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns what an observer must see.
    pub(crate) fn result(&self) -> &str {
        self.header("relay").or(self.header("result")).unwrap()
    }

    /// Returns whether the result holds for an observer.
    pub(crate) fn is_for_observers(&self) -> bool {
        let roles = self.header("roles").unwrap_or("relay");
        self.header("relay").is_some() || roles.split(' ').any(|role| role == "relay")
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
        match chars.next().unwrap() {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            'x' => {
                let hex: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            other => bytes.extend(other.to_string().as_bytes()),
        }
    }
    bytes
}
