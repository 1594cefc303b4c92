//! The XML of a stream: framed incrementally, then parsed with namespaces (RFC 6120 section 11).
//!
//! A stream is one document without a known end. It arrives in pieces: its start tag, each of its children, its end
//! tag, and single octets of white space between them. The XML is restricted (section 11.1): no comments, no
//! processing instructions, no document type, and only the five predefined entities.

use alloc::string::String;

use crate::malformed::malformed;
use crate::{Malformed, Scan};

mod reader;

pub(crate) use reader::{Element, Reader};

/// The deepest nesting of elements within one child of the stream.
const MAX_DEPTH: usize = 64;
/// The state of a scan: the low bits of [`Scan::state`].
mod place {
    pub(super) const START: u8 = 0;
    pub(super) const DECLARATION: u8 = 1;
    pub(super) const DECLARED: u8 = 2;
    pub(super) const OPEN: u8 = 3;
    pub(super) const NAME: u8 = 4;
    pub(super) const TAG: u8 = 5;
    pub(super) const SINGLE: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const SLASH: u8 = 8;
    pub(super) const TEXT: u8 = 9;
    pub(super) const END: u8 = 10;
    pub(super) const CDATA_OPEN: u8 = 11;
    pub(super) const CDATA: u8 = 12;
    pub(super) const DONE: u8 = 13;
    /// In an entity reference, within one of the states above.
    pub(super) const ENTITY: u8 = 0x40;
    /// The start tag opens a stream, and is a message by itself.
    pub(super) const STREAM: u8 = 0x80;
}

/// The start of an XML declaration.
const BEFORE: &[u8] = b"<?xml";

/// Returns the length of the message at the start of `buf`.
pub(crate) fn message(buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
    while let Some(&byte) = buf.get(scan.at) {
        let next = step(buf, scan, byte)?;
        scan.state = next | scan.state & place::STREAM;
        scan.at += 1;
        if next == place::DONE {
            return Ok(Some(scan.at));
        }
    }
    Ok(None)
}

/// Returns the state after the byte at `scan.at`.
fn step(buf: &[u8], scan: &mut Scan, byte: u8) -> Result<u8, Malformed> {
    use place::*;
    let (here, white, within) = (scan.at, is_white(byte), scan.state & !STREAM);
    if byte < b' ' && !white {
        return Err(malformed("XML without control characters"));
    }
    if within & ENTITY != 0 {
        return match byte {
            b';' => entity_bytes(&buf[scan.mark..here]).map(|_| within & !ENTITY),
            b'#' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if here - scan.mark < 8 => Ok(within),
            _ => Err(malformed("a character or one of XML's five entities")),
        };
    }
    Ok(match (within, byte) {
        (START, _) if white => DONE,
        (START, b'<') => OPEN,
        (START, _) => return Err(malformed("an XML element")),

        (DECLARATION, _) if BEFORE.get(here).is_some_and(|expected| *expected != byte) => {
            return Err(malformed("no processing instructions"));
        }
        (DECLARATION, _) if here == BEFORE.len() && !white => {
            return Err(malformed("no processing instructions"));
        }
        (DECLARATION, b'<') => return Err(malformed("an XML declaration")),
        (DECLARATION, b'>') if buf[here - 1] == b'?' => DECLARED,
        (DECLARED, _) if white => DECLARED,
        (DECLARED, b'<') => OPEN,
        (DECLARED, _) => return Err(malformed("a stream behind the XML declaration")),

        (OPEN, b'?') if here == 1 => DECLARATION,
        (OPEN, b'/') if !declared(buf) => END,
        (OPEN, b'!') if scan.depth > 0 => {
            scan.mark = here;
            CDATA_OPEN
        }
        (OPEN, _) if starts_name(byte) => {
            scan.mark = here;
            NAME
        }
        (OPEN, _) => return Err(malformed("no comments, processing instructions or document types")),

        (NAME, _) if continues_name(byte) => NAME,
        (NAME, _) => {
            let stream = scan.depth == 0 && local(&buf[scan.mark..here]) == b"stream";
            if declared(buf) && !stream {
                return Err(malformed("a stream behind the XML declaration"));
            }
            scan.state |= if stream { STREAM } else { 0 };
            in_tag(scan, byte)?
        }
        (TAG, _) => in_tag(scan, byte)?,
        (SINGLE, b'\'') | (DOUBLE, b'"') => TAG,
        (SINGLE | DOUBLE, b'<') => return Err(malformed("an attribute value without <")),
        (SINGLE | DOUBLE | TEXT, b'&') => {
            scan.mark = here + 1;
            within | ENTITY
        }
        (SLASH, b'>') if scan.depth == 0 => DONE,
        (SLASH, b'>') => TEXT,
        (SLASH, _) => return Err(malformed("> behind the / of an empty element")),

        (TEXT, b'<') => OPEN,
        (END, b'<') => return Err(malformed("an end tag")),
        (END, b'>') if scan.depth <= 1 => DONE,
        (END, b'>') => {
            scan.depth -= 1;
            TEXT
        }

        (CDATA_OPEN, _) => match b"![CDATA[".get(here - scan.mark) {
            Some(expected) if *expected == byte => CDATA_OPEN + u8::from(here - scan.mark == 7),
            _ => return Err(malformed("no comments, processing instructions or document types")),
        },
        (CDATA, b'>') if here - scan.mark >= 10 && buf[..here].ends_with(b"]]") => TEXT,
        (same, _) => same,
    })
}

/// Returns the state after a byte in a start tag, outside attribute values.
fn in_tag(scan: &mut Scan, byte: u8) -> Result<u8, Malformed> {
    let stream = scan.state & place::STREAM != 0;
    Ok(match byte {
        b'\'' => place::SINGLE,
        b'"' => place::DOUBLE,
        b'/' if stream => return Err(malformed("a stream that stays open")),
        b'/' => place::SLASH,
        b'>' if stream => place::DONE,
        b'>' if scan.depth == MAX_DEPTH => return Err(malformed("at most 64 elements inside each other")),
        b'>' => {
            scan.depth += 1;
            place::TEXT
        }
        b'<' => return Err(malformed("a start tag")),
        _ => place::TAG,
    })
}

fn declared(buf: &[u8]) -> bool {
    buf.get(1) == Some(&b'?')
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':')
}

fn local(name: &[u8]) -> &[u8] {
    name.iter().position(|&byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

fn entity_bytes(name: &[u8]) -> Result<char, Malformed> {
    str::from_utf8(name).map_err(|_| malformed("UTF-8")).and_then(entity)
}

/// Returns the character for `&name;` (XML 1.0 sections 4.1 and 4.6).
fn entity(name: &str) -> Result<char, Malformed> {
    let character = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => name
            .strip_prefix("#x")
            .map(|hex| u32::from_str_radix(hex, 16))
            .or_else(|| name.strip_prefix('#').map(str::parse))
            .and_then(Result::ok)
            .and_then(char::from_u32)
            .filter(|it| !it.is_control() || matches!(it, '\t' | '\r' | '\n')),
    };
    character.ok_or_else(|| malformed("a character or one of XML's five entities"))
}

/// Appends `text`, escaped for use in element content and in attribute values.
pub(crate) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(character),
        }
    }
}

/// The kind of a message in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// White space: a keep-alive.
    White,
    /// The start tag of the stream.
    Header,
    /// A complete child of the stream.
    Child,
    /// The end tag of the stream.
    End,
}

/// Returns the kind of a message that [`message`] has framed.
pub(crate) fn piece(msg: &[u8]) -> Piece {
    match msg {
        [b'<', b'?', ..] => Piece::Header,
        [b'<', b'/', ..] => Piece::End,
        [b'<', rest @ ..] => {
            let end = rest.iter().position(|&byte| !continues_name(byte)).unwrap_or(rest.len());
            if local(&rest[..end]) == b"stream" { Piece::Header } else { Piece::Child }
        }
        _ => Piece::White,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(xml: &str) -> Result<Option<usize>, Malformed> {
        message(xml.as_bytes(), &mut Scan::default())
    }

    #[test]
    fn a_message_ends_where_its_element_does() {
        for whole in [
            " ",
            "<a/>",
            "<a></a>",
            "<a b='/>' c=\"'>\"><b/>&lt;&#x10FFFF;<b>c</b ></a\n>",
            "<a><![CDATA[<b>]]]]></a>",
            "<s:stream>",
            "<?xml version='1.0'?>\n<stream a='>'>",
            "</s:stream>",
        ] {
            assert_eq!(cut(whole), Ok(Some(whole.len())), "{whole}");
            assert_eq!(cut(&whole[..whole.len() - 1]), Ok(None), "{whole}");
        }
    }

    #[test]
    fn what_is_not_restricted_xml_is_refused_at_its_first_byte() {
        for bad in [
            "a",
            "<!",
            "<a><!-",
            "<a><?",
            "<?xmL",
            "<?xml-",
            "<?xml version='1.0'?><a>",
            "<?xml version='1.0'?><?",
            "<?xml version='1.0'?></",
            "<stream/",
            "<a/ ",
            "< ",
            "<a b='<",
            "<a>&bomb;",
            "<a>&#0;",
            "<a>&#1114112;",
            "<a>\x0b",
        ] {
            assert!(cut(bad).is_err(), "{bad}");
            assert_eq!(cut(&bad[..bad.len() - 1]), Ok(None), "{bad}");
        }
        let deep = "<a>".repeat(MAX_DEPTH);
        assert_eq!(cut(&deep), Ok(None));
        assert!(cut(&format!("{deep}<a>")).is_err());
    }

    #[test]
    fn names_mean_what_their_declarations_say() {
        let header = "<s:stream xmlns='one' xmlns:s='two'>";
        let text = b"<a xml:lang='en' b='&amp;'><s:a xmlns='three'><c/></s:a><c xmlns=''/></a>";
        let mut reader = Reader::new(header, text).expect("UTF-8");
        let mut seen = Vec::new();
        while let Some(element) = reader.next().expect("well-formed") {
            seen.push((element.depth, element.namespace().to_owned(), element.name().to_owned()));
            assert!(element.depth > 0 || element.attribute("b") == Some("&"));
        }
        let expected = [(0, "one", "a"), (1, "two", "a"), (2, "three", "c"), (1, "", "c")];
        assert_eq!(seen, expected.map(|(depth, space, name)| (depth, space.to_owned(), name.to_owned())));
        assert!(!reader.has_text);
    }

    #[test]
    fn namespaces_and_attributes_are_bounded_and_well_formed() {
        let many: String = (0..=64).map(|at| format!(" a{at}=''")).collect();
        let spaces: String = (0..=64).map(|at| format!(" xmlns:a{at}='b'")).collect();
        for bad in [
            "<a b=''c=''/>",
            "<a b/>",
            "<a b=c/>",
            "<a b='' b=''/>",
            "<a 1=''/>",
            "<a:b/>",
            "<a b:c=''/>",
            "<a:b:c xmlns:a='d'/>",
            "<a xmlns:b=''/>",
            "<a xmlns:=''/>",
            "<a xmlns:xml='b'/>",
            "<a></b>",
            &format!("<a{many}/>"),
            &format!("<a{spaces}/>"),
        ] {
            let mut reader = Reader::new("", bad.as_bytes()).expect("UTF-8");
            let read = std::iter::from_fn(|| reader.next().transpose()).collect::<Result<Vec<_>, _>>();
            assert!(read.is_err(), "{bad}");
        }
    }
}
