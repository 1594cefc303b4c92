//! The conversation as a sequence diagram in SVG.
//!
//! Geometry is in attributes and colors are in classes: a page whose Content-Security-Policy forbids styles inside of elements
//! shows it too.

use std::fmt::Display;

use starttls_proto::Side;

use super::{Crossing, Diagram, DiagramRow, HandshakeResult, Mark, RowContent, When, line_end, parts, words};
use crate::html::{DARK, Html, LIGHT};
use crate::{Language, Plain};

/// The colors of an image file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Those that the reader prefers.
    #[default]
    Auto,
    /// For a light background.
    Light,
    /// For a dark background.
    Dark,
}

// All lengths are in units of the image, of which a page shows one as at most one pixel.
const WIDTH: u32 = 960;
const CLIENT: u32 = 250;
const SERVER: u32 = 710;
const MIDDLE: u32 = (CLIENT + SERVER) / 2;
const HEAD: u32 = 64;
const LINE: u32 = 17;
/// The width of a character of the monospaced font. It is a little more than that of the usual ones.
const CHARACTER: u32 = 8;
const MAX_COLUMNS: usize = 52;
const MAX_LINES: usize = 8;
const MAX_MARK: usize = 26;
/// Where marks start, and the space for the line of a crossing before it.
const MARKS: u32 = 744;
/// The shortest time without a message that is shown, in milliseconds.
const LONG_WAIT: f64 = 1000.0;
const WAIT_HEIGHT: u32 = 36;

const RULES: &str = include_str!("diagram.css");

/// Returns the image as an element of an HTML page.
pub(super) fn inline(diagram: &Diagram, anchor: &str) -> Html {
    let drawing = Drawing::new(diagram);
    let (title, description) = (format!("{anchor}-title"), format!("{anchor}-description"));
    let mut out = Html::default();
    out.open(
        "svg",
        &[
            ("class", &"sequence"),
            ("viewBox", &format_args!("0 0 {WIDTH} {}", drawing.height)),
            ("role", &"img"),
            ("aria-labelledby", &format_args!("{title} {description}")),
        ],
    );
    out.element("title", &[("id", &title)], &diagram.title);
    out.element("desc", &[("id", &description)], diagram.description());
    drawing.draw(&mut out);
    out.close("svg");
    out
}

/// Returns the image as a file.
pub(super) fn file(diagram: &Diagram, theme: Theme) -> String {
    let drawing = Drawing::new(diagram);
    let mut out = Html::default();
    let height = drawing.height;
    out.open(
        "svg",
        &[
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("class", &"sequence"),
            ("viewBox", &format_args!("0 0 {WIDTH} {height}")),
            ("width", &WIDTH),
            ("height", &height),
            ("role", &"img"),
        ],
    );
    out.element("title", &[], &diagram.title);
    out.element("desc", &[], diagram.description());
    out.markup("<style>\n");
    match theme {
        Theme::Light => out.markup(LIGHT),
        Theme::Dark => out.markup(DARK),
        Theme::Auto => {
            out.markup(LIGHT);
            out.markup("@media (prefers-color-scheme: dark) {\n");
            out.markup(DARK);
            out.markup("}\n");
        }
    }
    out.markup(RULES);
    out.markup("</style>\n");
    out.empty("rect", &[("class", &"ground"), ("width", &WIDTH), ("height", &height)]);
    drawing.draw(&mut out);
    out.close("svg");
    out.markup("\n");
    out.into_string()
}

/// A diagram with the places of its rows.
struct Drawing<'a> {
    diagram: &'a Diagram,
    blocks: Vec<Block<'a>>,
    height: u32,
}

/// A row and its place.
struct Block<'a> {
    row: &'a DiagramRow,
    lines: Vec<Line>,
    /// Whether it is inside TLS.
    inside: bool,
    /// The time since the row before, if it is long.
    waited: Option<f64>,
    top: u32,
    bottom: u32,
}

/// A line of text, and the mark at its end.
struct Line {
    text: String,
    end: &'static str,
}

impl<'a> Drawing<'a> {
    fn new(diagram: &'a Diagram) -> Self {
        let (mut top, mut last, mut blocks) = (HEAD, None, Vec::new());
        for (row, inside) in diagram.rows.iter().zip(parts(&diagram.rows)) {
            let at = match row.when {
                When::Milliseconds(at) => Some(at),
                When::Unknown | When::Named(_) => None,
            };
            let waited = at.zip(last).map(|(at, last): (f64, f64)| at - last);
            let waited = waited.filter(|waited| *waited >= LONG_WAIT);
            last = at.or(last);
            top += if waited.is_some() { WAIT_HEIGHT } else { 0 };
            let lines = lines(diagram.language, &row.content);
            let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
            let content = match row.content {
                RowContent::Message { .. } => 31 + LINE * count,
                RowContent::Boundary { .. } => 38 + LINE * count,
                RowContent::Event(_) => 21 + LINE * count,
            };
            let marks = 24 + LINE * u32::try_from(row.marks.len()).unwrap_or(u32::MAX);
            let bottom = top + content.max(marks);
            blocks.push(Block { row, lines, inside, waited, top, bottom });
            top = bottom;
        }
        Self { diagram, blocks, height: top + 16 }
    }

    fn draw(&self, out: &mut Html) {
        self.bands(out);
        let language = self.diagram.language;
        for (x, name) in [CLIENT, SERVER].into_iter().zip(&self.diagram.names) {
            in_other_language(out, language, "", |out| {
                label(out, "name", (x, 40), Anchor::Middle, shortened(name, 40));
            });
            line(out, "lifeline", (x, 52), (x, self.height - 8));
        }
        self.blocks.iter().for_each(|block| block.draw(out, language));
        self.diagram.crossings.iter().for_each(|crossing| self.crossing(out, crossing));
    }

    /// Draws the background of the cleartext part and of the part inside TLS.
    fn bands(&self, out: &mut Html) {
        for part in self.blocks.chunk_by(|one, next| one.inside == next.inside) {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let (class, text) =
                if first.inside { ("inside", words::INSIDE) } else { ("clear", words::CLEARTEXT) };
            let top = first.top - if first.waited.is_some() { WAIT_HEIGHT } else { 0 };
            let height = last.bottom - top;
            let class = format!("band {class}");
            out.empty("rect", &[("class", &class), ("y", &top), ("width", &WIDTH), ("height", &height)]);
            label(out, class, (12, top + 20), Anchor::Start, text.of(self.diagram.language));
        }
    }

    /// Draws a line around the boundary, on the side of the peer that received the octets.
    fn crossing(&self, out: &mut Html, crossing: &Crossing) {
        let (Some(from), Some(to)) = (self.blocks.get(crossing.from), self.blocks.get(crossing.to)) else {
            return;
        };
        let received_by_server = matches!(from.row.content, RowContent::Message { from: Side::Client, .. });
        let (start, end) = (from.arrow(), to.arrow());
        let (x, turn, anchor, text) = match received_by_server {
            true => (SERVER + 4, SERVER + 20, Anchor::Start, MARKS),
            false => (CLIENT - 4, CLIENT - 20, Anchor::End, CLIENT - 28),
        };
        let head = if received_by_server { x + 8 } else { x - 8 };
        let path = format!("M{x} {start}H{turn}V{end}H{x}M{head} {}L{x} {end}L{head} {}", end - 5, end + 5);
        out.empty("path", &[("class", &"crossing"), ("d", &path)]);
        let between = start.midpoint(end) + 4;
        label(
            out,
            "mark",
            (text, between),
            anchor,
            format_args!("▲ {}", shortened(&crossing.text, MAX_MARK)),
        );
    }
}

impl Block<'_> {
    fn draw(&self, out: &mut Html, language: Language) {
        if let Some(waited) = self.waited {
            wait(out, language, self.top - WAIT_HEIGHT, waited);
        }
        if self.row.when != When::Unknown {
            label(out, "time", (CLIENT - 28, self.top + 20), Anchor::End, &self.row.when);
        }
        match &self.row.content {
            RowContent::Message { from, .. } => {
                in_other_language(out, language, "", |out| self.message(out, *from));
            }
            RowContent::Boundary { handshake, .. } => self.boundary(out, language, *handshake),
            RowContent::Event(_) => in_other_language(out, language, ENGLISH, |out| self.event(out)),
        }
        for (Mark { text, .. }, y) in self.row.marks.iter().zip((self.top + 20..).step_by(LINE as usize)) {
            label(out, "mark", (MARKS, y), Anchor::Start, format_args!("▲ {}", shortened(text, MAX_MARK)));
        }
    }

    /// Returns the place of the arrow of a message, and the middle of other rows.
    fn arrow(&self) -> u32 {
        match self.row.content {
            RowContent::Message { .. } => self.bottom.min(self.top + 13 + LINE * self.count()),
            _ => self.top.midpoint(self.bottom),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    fn message(&self, out: &mut Html, from: Side) {
        let widest = self.lines.iter().map(|line| columns(&line.text) + columns(line.end)).max().unwrap_or(0);
        let width = CHARACTER * u32::try_from(widest).unwrap_or(0);
        let x = match from {
            Side::Client => CLIENT + 14,
            Side::Server => (SERVER - 14).saturating_sub(width),
        };
        if self.row.is_evidence {
            let (left, top) = (x - 6, self.top + 5);
            let (width, height) = (width + 12, LINE * self.count() + 4);
            out.empty(
                "rect",
                &[("class", &"outline"), ("x", &left), ("y", &top), ("width", &width), ("height", &height)],
            );
        }
        for (Line { text, end }, y) in self.lines.iter().zip((self.top + 20..).step_by(LINE as usize)) {
            out.open("text", &[("class", &"said"), ("x", &x), ("y", &y), ("xml:space", &"preserve")]);
            out.text(text);
            if !end.is_empty() {
                out.element("tspan", &[("class", &"end")], format_args!(" {end}"));
            }
            out.close("text");
        }
        let y = self.arrow();
        let (start, tip, head) = match from {
            Side::Client => (CLIENT, SERVER, SERVER - 10),
            Side::Server => (SERVER, CLIENT, CLIENT + 10),
        };
        let class = if self.inside { "arrow inside" } else { "arrow clear" };
        line(out, class, (start, y), (tip, y));
        let path = format!("M{head} {}L{tip} {y}L{head} {}z", y - 5, y + 5);
        out.empty("path", &[("class", &format_args!("{class} head")), ("d", &path)]);
    }

    fn boundary(&self, out: &mut Html, language: Language, handshake: HandshakeResult) {
        let y = self.top;
        let (class, sign) = if handshake.starts_tls() { ("seam", "") } else { ("seam failed", "✕ ") };
        line(out, class, (0, y), (WIDTH, y));
        let text = format!("{sign}{}", handshake.label().of(language));
        label(out, class, (MIDDLE, y + 20), Anchor::Middle, text);
        in_other_language(out, language, ENGLISH, |out| {
            for (Line { text, .. }, y) in self.lines.iter().zip((y + 38..).step_by(LINE as usize)) {
                label(out, "fact", (MIDDLE, y), Anchor::Middle, text);
            }
        });
    }

    fn event(&self, out: &mut Html) {
        for (Line { text, .. }, y) in self.lines.iter().zip((self.top + 20..).step_by(LINE as usize)) {
            label(out, "event", (MIDDLE, y), Anchor::Middle, text);
        }
    }
}

const ENGLISH: &str = Language::English.tag();

/// Draws a part with texts that are not in the language of the picture. An English picture needs no such mark: its texts are those
/// of the program, and what peers sent.
fn in_other_language(out: &mut Html, picture: Language, tag: &'static str, draw: impl FnOnce(&mut Html)) {
    if picture == Language::English {
        return draw(out);
    }
    out.open("g", &[("lang", &tag)]);
    draw(out);
    out.close("g");
}

/// Draws a long time without a message.
fn wait(out: &mut Html, language: Language, top: u32, milliseconds: f64) {
    for x in [CLIENT, SERVER] {
        let path = format!("M{x} {}l-7 4l14 6l-14 6l14 6l-7 4", top + 5);
        out.empty("path", &[("class", &"wait"), ("d", &path)]);
    }
    let seconds = format!("{:.1}", milliseconds / 1000.0);
    let text = words::WAITING.filled(language, &[("seconds", &seconds)]);
    label(out, "event", (MIDDLE, top + 22), Anchor::Middle, text);
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

fn label(out: &mut Html, class: impl Display, (x, y): (u32, u32), anchor: Anchor, text: impl Display) {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    out.element("text", &[("class", &class), ("x", &x), ("y", &y), ("text-anchor", &anchor)], text);
}

fn line(out: &mut Html, class: &'static str, (x1, y1): (u32, u32), (x2, y2): (u32, u32)) {
    out.empty("line", &[("class", &class), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
}

/// Returns the lines that are shown. The list has the whole text.
fn lines(language: Language, content: &RowContent) -> Vec<Line> {
    let mut shown = Vec::new();
    match content {
        RowContent::Message { lines, .. } => {
            for line in lines {
                let (text, end) = line_end(line);
                let end = if end == r"\r\n" { "⏎" } else { end };
                let mut parts = wrapped(text, MAX_COLUMNS);
                let last = parts.pop().unwrap_or_default();
                shown.extend(parts.into_iter().map(|text| Line { text, end: "" }));
                shown.push(Line { text: last, end });
            }
        }
        RowContent::Boundary { facts: texts, .. } => {
            shown.extend(
                texts.iter().flat_map(|text| wrapped(text, MAX_COLUMNS)).map(|text| Line { text, end: "" }),
            );
        }
        RowContent::Event(text) => {
            shown.extend(wrapped(text, MAX_COLUMNS).into_iter().map(|text| Line { text, end: "" }));
        }
    }
    if shown.len() > MAX_LINES {
        let more = shown.len() - (MAX_LINES - 1);
        shown.truncate(MAX_LINES - 1);
        shown.push(Line { text: words::MORE_LINES.filled(language, &[("count", &more)]), end: "" });
    }
    shown
}

/// Splits escaped text into pieces of at most this many columns. Text without characters is one empty piece.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let (mut pieces, mut used) = (vec![String::new()], 0);
    for c in Plain(text).to_string().chars() {
        let width = column(c);
        if used + width > most {
            pieces.push(String::new());
            used = 0;
        }
        used += width;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

fn shortened(text: &str, most: usize) -> String {
    let mut pieces = wrapped(text, most).into_iter();
    let first = pieces.next().unwrap_or_default();
    if pieces.next().is_some() { first + "…" } else { first }
}

fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

/// Returns the most columns that a character takes: characters of other scripts may be twice as wide.
fn column(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}
