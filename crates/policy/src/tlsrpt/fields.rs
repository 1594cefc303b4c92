//! The fields of the TXT records of MTA-STS and TLSRPT, which have the same form (RFC 8461 section 3.1, RFC 8460 section 3).

/// Returns what follows the version, if the record has this version. White space may precede the semicolon.
pub(crate) fn after_version<'a>(record: &'a [u8], version: &[u8]) -> Option<&'a [u8]> {
    let rest = record.strip_prefix(version)?;
    rest.trim_ascii_start().starts_with(b";").then_some(rest)
}

/// Parses `; name=value` repeatedly, with white space around the semicolons.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "the record is not ASCII")?;
    let mut fields = Vec::new();
    // The first part is the space before the first semicolon.
    let mut parts = text.split(';').skip(1).map(|it| it.trim_matches([' ', '\t'])).peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // One semicolon may end the record.
            if parts.peek().is_none() && !fields.is_empty() {
                break;
            }
            return Err("a field is empty");
        }
        let (name, value) = part.split_once('=').ok_or("a field has no =")?;
        let mut octets = name.bytes();
        let named = octets.next().is_some_and(|it| it.is_ascii_alphanumeric())
            && name.len() <= 32
            && octets.all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it));
        if !named {
            return Err("the name of a field is invalid");
        }
        if value.is_empty() || !value.bytes().all(|it| matches!(it, b' ' | b'\t' | 0x21..=0x7e)) {
            return Err("the value of a field is empty or not printable ASCII");
        }
        fields.push((name.to_owned(), value.to_owned()));
    }
    Ok(fields)
}
