//! Changes to short LDAP responses, whose lengths take one octet.

/// Returns the response with another result code and with more fields at its end.
pub(super) fn ldap_with(message: &[u8], code: Option<u8>, more: &[u8]) -> Vec<u8> {
    let Some((id, operation, body)) = ldap(message) else { return message.to_vec() };
    let mut body = [body, more].concat();
    if let (Some(code), Some(place)) = (code, body.get_mut(2)) {
        *place = code;
    }
    let short = |tag, contents: &[u8]| [&[tag, contents.len() as u8][..], contents].concat();
    short(0x30, &[id, &short(operation, &body)].concat())
}

/// Returns the id with its header, the tag of the operation, and its contents.
pub(super) fn ldap(message: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let contents = message.get(2..)?;
    let (id, operation) = contents.split_at_checked(2 + usize::from(*contents.get(1)?))?;
    Some((id, *operation.first()?, operation.get(2..)?))
}
