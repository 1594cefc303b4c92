//! A reader of the elements of one complete message, with their namespaces.

use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use super::{continues_name, entity, is_white, local, starts_name};
use crate::Malformed;
use crate::malformed::malformed;

/// The fixed namespace of the prefix `xml`.
const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The most attributes of an element, and the most namespaces in scope.
const MAX_ATTRIBUTES: usize = 64;

/// An element's start tag.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    namespace: Cow<'a, str>,
    name: &'a str,
    attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// The number of elements of the same message that contain it.
    pub(crate) depth: usize,
    /// Its offset in the message.
    pub(crate) start: usize,
}

impl Element<'_> {
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the value of the attribute with this name and no prefix.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_ref())
    }

    pub(crate) fn has_attributes(&self) -> bool {
        !self.attributes.is_empty()
    }
}

/// Reads the elements of one complete message, in the order of their start tags.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The names of the open elements, each with the number of namespaces that were in scope around it.
    open: Vec<(&'a str, usize)>,
    namespaces: Vec<(&'a str, Cow<'a, str>)>,
    /// The name of the stream element, if its header is known.
    stream: &'a str,
    /// The message contains something other than elements, such as white space.
    pub(crate) has_text: bool,
}

impl<'a> Reader<'a> {
    /// Returns a reader of `msg` as a child of the stream that `header` opened. If `header` is empty, there is no
    /// stream.
    pub(crate) fn new(header: &'a str, msg: &'a [u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(msg).map_err(|_| malformed("UTF-8"))?;
        let (open, namespaces) = (Vec::new(), Vec::new());
        let mut reader = Self { text: header, at: 0, open, namespaces, stream: "", has_text: false };
        if !header.is_empty() {
            reader.next()?;
        }
        (reader.text, reader.at, reader.has_text) = (text, 0, false);
        reader.stream = reader.open.pop().unwrap_or_default().0;
        Ok(reader)
    }

    /// Returns whether this is the end tag of the stream.
    pub(crate) fn ends_stream(&mut self) -> bool {
        self.at = 2;
        let name = self.name();
        self.white();
        let same =
            if self.stream.is_empty() { local(name.as_bytes()) == b"stream" } else { name == self.stream };
        same && self.rest() == ">"
    }

    /// Returns the namespace of names without a prefix.
    pub(crate) fn default_namespace(&self) -> &str {
        self.namespaces.iter().rev().find(|(prefix, _)| prefix.is_empty()).map_or("", |(_, it)| it)
    }

    /// Returns the next start tag, or `None` after the last end tag.
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        while !self.rest().is_empty() {
            if let Some(element) = self.step()? {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Reads one tag or one run of text. Returns the element if it was a start tag.
    fn step(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        let rest = self.rest();
        if let Some(declaration) = rest.strip_prefix("<?xml").filter(|_| self.at == 0) {
            self.declaration(declaration)?;
        } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
            let end = data.find("]]>").ok_or_else(|| malformed("the end of CDATA"))?;
            self.at += rest.len() - data.len() + end + 3;
            self.has_text = true;
        } else if rest.starts_with("</") {
            self.end_tag()?;
        } else if rest.starts_with('<') {
            return self.start_tag().map(Some);
        } else {
            self.has_text = true;
            self.at += rest.find('<').unwrap_or(rest.len());
        }
        Ok(None)
    }

    /// Reads to the end of the element that [`next`](Self::next) returned last, and returns the offset of that end.
    pub(crate) fn end_of(&mut self, element: &Element<'_>) -> Result<usize, Malformed> {
        while self.open.len() > element.depth && !self.rest().is_empty() {
            self.step()?;
        }
        Ok(self.at)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Checks a declaration: `version` is required, and the encoding must be UTF-8 if it is present (RFC 6120 section
    /// 11.6).
    fn declaration(&mut self, inside: &'a str) -> Result<(), Malformed> {
        let (inside, _) = inside.split_once("?>").ok_or_else(|| malformed("?> behind a declaration"))?;
        self.at += 5;
        let end = self.at + inside.len();
        let attributes = self.attributes(end)?;
        let sound = attributes.iter().all(|(name, value)| match *name {
            "version" => value.starts_with("1."),
            "encoding" => value.eq_ignore_ascii_case("utf-8"),
            "standalone" => true,
            _ => false,
        });
        if !sound || self.at != end || attributes.first().is_none_or(|(name, _)| *name != "version") {
            return Err(malformed("an XML 1.0 declaration in UTF-8"));
        }
        self.at += 2;
        Ok(())
    }

    fn start_tag(&mut self) -> Result<Element<'a>, Malformed> {
        let (start, depth, around) = (self.at, self.open.len(), self.namespaces.len());
        self.at += 1;
        let name = self.name();
        let mut attributes = self.attributes(self.text.len())?;
        for (name, value) in
            attributes.extract_if(.., |(name, _)| *name == "xmlns" || name.starts_with("xmlns:"))
        {
            self.declare(name, value)?;
        }
        for (name, _) in &attributes {
            self.resolve(name).filter(|_| !name.is_empty()).ok_or_else(|| malformed("an attribute name"))?;
        }
        let (namespace, name_only) =
            self.resolve(name).ok_or_else(|| malformed("an element name whose prefix is declared"))?;
        let element = Element { namespace, name: name_only, attributes, depth, start };
        let rest = self.rest();
        if rest.starts_with("/>") {
            self.at += 2;
            self.namespaces.truncate(around);
        } else if rest.starts_with('>') {
            self.at += 1;
            self.open.push((name, around));
        } else {
            return Err(malformed("the end of a start tag"));
        }
        Ok(element)
    }

    fn end_tag(&mut self) -> Result<(), Malformed> {
        self.at += 2;
        let name = self.name();
        self.white();
        let open = self.open.pop().filter(|(open, _)| *open == name && self.rest().starts_with('>'));
        let (_, around) = open.ok_or_else(|| malformed("an end tag that matches its start tag"))?;
        self.namespaces.truncate(around);
        self.at += 1;
        Ok(())
    }

    /// Reads attributes, each after white space, until something else follows.
    fn attributes(&mut self, end: usize) -> Result<Vec<(&'a str, Cow<'a, str>)>, Malformed> {
        let bad = || malformed("an attribute");
        let mut attributes: Vec<(&str, Cow<'_, str>)> = Vec::new();
        loop {
            let spaced = self.white();
            if self.at >= end || !self.rest().bytes().next().is_some_and(starts_name) {
                return Ok(attributes);
            }
            let name = self.name();
            self.white();
            let rest = self.rest().strip_prefix('=').ok_or_else(bad)?;
            self.at += 1 + (rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len());
            let quote = self.rest().chars().next().filter(|it| matches!(it, '\'' | '"')).ok_or_else(bad)?;
            let (value, _) = self.rest().get(1..).and_then(|it| it.split_once(quote)).ok_or_else(bad)?;
            self.at += value.len() + 2;
            if !spaced || attributes.len() == MAX_ATTRIBUTES || attributes.iter().any(|it| it.0 == name) {
                return Err(malformed("at most 64 attributes, each once"));
            }
            attributes.push((name, decoded(value)?));
        }
    }

    fn white(&mut self) -> bool {
        let before = self.at;
        self.at += self.rest().bytes().take_while(|&byte| is_white(byte)).count();
        self.at > before
    }

    /// Reads a name with its prefix. Returns an empty name if none is present.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let starts = rest.bytes().next().is_some_and(starts_name);
        let len = if starts { rest.bytes().take_while(|&byte| continues_name(byte)).count() } else { 0 };
        self.at += len;
        &rest[..len]
    }

    /// Declares a namespace. A prefix cannot be undeclared, and `xml` and `xmlns` are reserved (Namespaces in XML 1.0
    /// section 3).
    fn declare(&mut self, attribute: &'a str, namespace: Cow<'a, str>) -> Result<(), Malformed> {
        let prefix = attribute.strip_prefix("xmlns:");
        let sound = match prefix {
            None => true,
            Some("xml") => namespace == XML,
            Some(prefix) => {
                prefix.bytes().next().is_some_and(starts_name)
                    && !prefix.contains(':')
                    && prefix != "xmlns"
                    && !namespace.is_empty()
            }
        };
        if !sound {
            return Err(malformed("a namespace declaration"));
        }
        if self.namespaces.len() == MAX_ATTRIBUTES {
            return Err(malformed("at most 64 namespaces"));
        }
        self.namespaces.push((prefix.unwrap_or_default(), namespace));
        Ok(())
    }

    /// Returns the namespace of a name, and the name without its prefix.
    fn resolve(&self, name: &'a str) -> Option<(Cow<'a, str>, &'a str)> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if !local.bytes().next().is_some_and(starts_name) || local.contains(':') {
            return None;
        }
        if prefix == "xml" {
            return Some((Cow::Borrowed(XML), local));
        }
        let bound = self.namespaces.iter().rev().find(|(it, _)| *it == prefix);
        match bound {
            Some((_, namespace)) => Some((namespace.clone(), local)),
            None => prefix.is_empty().then_some((Cow::Borrowed(""), local)),
        }
    }
}

/// Returns text with its entities replaced.
fn decoded(text: &str) -> Result<Cow<'_, str>, Malformed> {
    let mut pieces = text.split('&');
    let first = pieces.next().unwrap_or_default();
    if first.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    let mut all = first.to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').ok_or_else(|| malformed("; behind an entity"))?;
        all.push(entity(name)?);
        all.push_str(rest);
    }
    Ok(Cow::Owned(all))
}
