//! The texts of a page, each with the language of the elements around it.

/// Elements without an end tag.
const VOID: &[&str] = &["meta", "link", "input", "img", "br"];

/// A text between two tags.
#[derive(Debug)]
pub(crate) struct TextNode {
    /// The value of the nearest attribute `lang`.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// Returns the texts of a page. Every element must be closed in the right order.
pub(crate) fn texts(page: &str) -> Vec<TextNode> {
    let (mut texts, mut open): (Vec<TextNode>, Vec<(&str, &str)>) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some((text, after)) = rest.split_once('<') {
        let language = open.last().map_or("", |(_, language)| *language);
        if !text.trim().is_empty() {
            texts.push(TextNode { language: language.to_owned(), text: text.trim().to_owned() });
        }
        let (tag, after) = after.split_once('>').unwrap_or_else(|| panic!("a tag is not closed: {after}"));
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().map(|(name, _)| name);
            assert_eq!(last, Some(name), "an end tag without its start: {text}</{name}>");
        } else if !tag.starts_with('!') {
            let name = tag.split([' ', '\n', '/']).next().unwrap();
            let own = tag.split_once(" lang=\"").and_then(|(_, value)| value.split('"').next());
            if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push((name, own.unwrap_or(language)));
            }
            // The style is not text.
            if name == "style" {
                rest = &rest[rest.find("</style").unwrap()..];
            }
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} is not closed: {rest}");
    texts
}
