//! The conversation on one connection, as a picture and as a list.

mod list;
mod svg;
mod words;

use std::fmt;

use starttls_proto::Side;

use crate::html::Html;
use crate::{Language, Text};

pub use svg::Theme;
pub use words::{CLIENT_CLEARTEXT, CLIENT_INSIDE, SERVER_CLEARTEXT, SERVER_INSIDE};

/// The messages and events of one connection, in the order of time. The picture shows them as a sequence diagram; the list is
/// its text alternative.
#[derive(Clone, Debug, Default)]
pub struct Diagram {
    /// The language of the labels.
    pub language: Language,
    /// What it shows: "Conversation with mail.example.com, SMTP".
    pub title: String,
    /// The names of the client and of the server.
    pub names: [String; 2],
    /// The rows from top to bottom.
    pub rows: Vec<DiagramRow>,
    /// What was sent before the boundary and had an effect after it.
    pub crossings: Vec<Crossing>,
}

/// A row of a diagram.
#[derive(Clone, Debug, Default)]
pub struct DiagramRow {
    /// When it happened.
    pub when: When,
    /// What it shows.
    pub content: RowContent,
    /// Whether it is evidence of a problem.
    pub is_evidence: bool,
    /// The problems that it is the first evidence of.
    pub marks: Vec<Mark>,
}

/// When a row happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum When {
    /// It is not known.
    #[default]
    Unknown,
    /// Milliseconds since the start of the connection.
    Milliseconds(f64),
    /// In other words, such as the number of a packet.
    Named(String),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::Milliseconds(at) => write!(f, "{at:.1} ms"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// What a row shows.
#[derive(Clone, Debug)]
pub enum RowContent {
    /// A message or a segment.
    Message {
        /// The sender.
        from: Side,
        /// Whether it was sent inside TLS.
        inside_tls: bool,
        /// Its lines. The sender's escaped line ends (`\r\n`) are at their ends.
        lines: Vec<String>,
        /// Its octets, if the lines describe a binary message.
        octets: Option<String>,
    },
    /// The boundary, with what is known of the TLS session.
    Boundary {
        /// Whether a handshake succeeded.
        handshake: HandshakeResult,
        /// Facts, one a line.
        facts: Vec<String>,
    },
    /// An event: connected, closed.
    Event(String),
}

impl Default for RowContent {
    fn default() -> Self {
        Self::Event(String::new())
    }
}

/// The result of the handshake at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It began, and its end was not observed.
    Unknown,
    /// TLS was agreed, and no handshake was observed.
    Missing,
}

impl HandshakeResult {
    fn starts_tls(self) -> bool {
        matches!(self, Self::Done | Self::Unknown)
    }

    /// Returns the label of the boundary.
    fn label(self) -> Text {
        match self {
            Self::Done | Self::Unknown => words::STARTS,
            Self::Failed => words::FAILED,
            Self::Missing => words::MISSING,
        }
    }
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What is wrong, in few words: the id of a check, or "leaked: user name".
    pub text: String,
    /// The id of the element that describes the problem.
    pub target: Option<String>,
}

/// Octets that were sent before the boundary and had an effect after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The row that contains them.
    pub from: usize,
    /// The row that shows their effect.
    pub to: usize,
    /// What crossed, in few words.
    pub text: String,
}

impl Diagram {
    /// Returns the picture for an HTML page, with its title as its caption, and a link to the element `text` that contains the
    /// same as text. The ids in it begin with `anchor`, which must be an identifier. It uses the style of
    /// [`html::STYLE`](crate::html::STYLE), which hides the picture on narrow screens.
    pub fn figure(&self, anchor: &str, text: &str) -> Html {
        let mut out = Html::default();
        out.open("figure", &[("class", &"diagram")]);
        out.append(&svg::inline(self, anchor));
        out.open("figcaption", &[]);
        out.text(format_args!("{} ", self.title));
        out.element("a", &[("href", &format_args!("#{text}"))], words::AS_TEXT.of(self.language));
        out.close("figcaption");
        out.close("figure");
        out.markup("\n");
        out
    }

    /// Returns the picture as a file.
    pub fn to_svg(&self, theme: Theme) -> String {
        svg::file(self, theme)
    }

    /// Returns the list for an HTML page. Its entries have the ids `ANCHOR-0`, `ANCHOR-1` and so on, if there is an anchor.
    pub fn list(&self, anchor: Option<&str>) -> Html {
        list::list(self, anchor)
    }

    /// Describes the diagram in one sentence.
    pub fn description(&self) -> String {
        let language = self.language;
        let messages = |inside: bool| {
            let is = |row: &&DiagramRow| matches!(row.content, RowContent::Message { inside_tls, .. } if inside_tls == inside);
            words::MESSAGES.filled(language, self.rows.iter().filter(is).count())
        };
        let boundary = self.rows.iter().find_map(|row| match row.content {
            RowContent::Boundary { handshake, .. } => Some(handshake),
            _ => None,
        });
        let rest = match boundary {
            None => words::NO_TLS.of(language).to_owned(),
            Some(HandshakeResult::Failed) => words::THEN_FAILED.of(language).to_owned(),
            Some(HandshakeResult::Missing) => words::THEN_MISSING.of(language).to_owned(),
            Some(_) => words::THEN_INSIDE.filled(language, &[("messages", &messages(true))]),
        };
        let mut marks: Vec<_> =
            self.rows.iter().flat_map(|row| &row.marks).map(|mark| mark.text.as_str()).collect();
        marks.extend(self.crossings.iter().map(|crossing| crossing.text.as_str()));
        marks.sort_unstable();
        marks.dedup();
        let values: [(&str, &dyn fmt::Display); 2] = [("messages", &messages(false)), ("rest", &rest)];
        let description = words::DESCRIPTION.filled(language, &values);
        if marks.is_empty() {
            return description;
        }
        words::MARKED.filled(language, &[("description", &description), ("marks", &marks.join(", "))])
    }
}

/// Returns whether the rows are inside TLS, one value for each. An event belongs to the part that it is in.
fn parts(rows: &[DiagramRow]) -> Vec<bool> {
    let mut inside = false;
    let part = |row: &DiagramRow| {
        match &row.content {
            RowContent::Message { inside_tls, .. } => inside = *inside_tls,
            RowContent::Boundary { handshake, .. } => inside = handshake.starts_tls(),
            RowContent::Event(_) => {}
        }
        inside
    };
    rows.iter().map(part).collect()
}

/// Splits an escaped line end from a line.
fn line_end(line: &str) -> (&str, &'static str) {
    let end = [r"\r\n", r"\n"].into_iter().find(|end| line.ends_with(end)).unwrap_or("");
    (line.strip_suffix(end).unwrap_or(line), end)
}
