//! What is remembered of a message that is not complete yet.

/// What a dialect has learned of a message that is not complete yet, so that no byte is examined twice.
///
/// The fields are the dialect's own; all are zero at the start of each message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Bytes examined so far.
    pub at: usize,
    /// Start of the current line or element.
    pub mark: usize,
    /// Nesting, or octets still to come.
    pub depth: usize,
    /// Where a small state machine stands.
    pub state: u8,
    /// What the message lacks at least; set it with `Ok(None)`, so that single bytes which cannot complete
    /// the message are not shown to the dialect: [`at`](Self::at) moves on by itself behind those that are
    /// ordinary in a line or in XML.
    pub lacks: Lacks,
}

/// What an incomplete message lacks at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lacks {
    /// Not known: every byte is to be examined as it comes.
    #[default]
    Unknown,
    /// It is a line: only CR, LF or NUL can end it, or spoil it.
    LineEnd,
    /// It is in text of XML: only `<`, `&` or a control character can change that.
    Markup,
    /// It is in an attribute value: only a quote, `<`, `&` or a control character can change that.
    Quote,
    /// It is in a tag or in CDATA: only a quote, `<`, `>`, `&`, `/` or a control character can change that.
    TagEnd,
    /// It is in a name of XML: only what is neither letter nor digit nor `-`, `.`, `:`, `_` can change that.
    NameEnd,
    /// It is white space of XML: only something else can change that.
    NonSpace,
    /// It is text that only NUL ends.
    Nul,
    /// It cannot end before it is this long.
    Length(usize),
}

impl Lacks {
    /// The bit of this in [`STOPS`]; none for a length, which every byte brings nearer.
    #[inline]
    pub(crate) const fn stops(self) -> u8 {
        match self {
            Self::Unknown | Self::Length(_) => 0,
            Self::LineEnd => LINE,
            Self::Markup => MARKUP,
            Self::Quote => QUOTE,
            Self::TagEnd => TAG,
            Self::NameEnd => NAME,
            Self::NonSpace => SPACE,
            Self::Nul => NUL,
        }
    }
}

const LINE: u8 = 1;
const MARKUP: u8 = 2;
const QUOTE: u8 = 4;
const TAG: u8 = 8;
const NAME: u8 = 16;
const SPACE: u8 = 32;
const NUL: u8 = 64;

/// For each byte a bit for each of the places where it is not ordinary.
pub(crate) const STOPS: [u8; 256] = {
    let mut stops = [0; 256];
    let mut index = 0;
    while index < stops.len() {
        stops[index] = match index as u8 {
            0 => LINE | MARKUP | QUOTE | TAG | NAME | SPACE | NUL,
            b'\n' | b'\r' => LINE | NAME,
            b'\t' | b' ' => NAME,
            0x01..0x20 | b'<' | b'&' => MARKUP | QUOTE | TAG | NAME | SPACE,
            b'\'' | b'"' => QUOTE | TAG | NAME | SPACE,
            b'>' | b'/' => TAG | NAME | SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'_' | 0x80.. => SPACE,
            _ => NAME | SPACE,
        };
        index += 1;
    }
    stops
};
