//! The words of a command line.

/// Splits a command line into words. A word with spaces is in double quotes.
pub(crate) fn words(line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(line);
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        words.push(word);
        rest = tail.trim_start();
    }
    words
}

/// Returns the content of a quoted string after its opening quote, and the text after its closing quote.
pub(crate) fn unquote(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (word, &text[at + 1..]),
            _ => {
                word.push(c);
                escaped = false;
            }
        }
    }
    (word, "")
}
