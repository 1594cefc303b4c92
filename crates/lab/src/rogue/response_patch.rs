//! Changes to the responses of a server in cleartext, as data.

use starttls::proto::{ClientMessage, Identity, Protocol, ReplyTo, ServerMessage};

/// A change to one response.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponsePatch {
    /// The protocols that it applies to; all if empty.
    pub(super) protocols: &'static [&'static str],
    /// The message that the response answers.
    pub(super) at: ReplyTo,
    pub(super) how: PatchKind,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum PatchKind {
    /// Sends this text instead.
    Whole(&'static str),
    /// Sends this text first.
    Before(&'static str),
    /// Replaces the first text with the second.
    Replace(&'static str, &'static str),
    By(fn(&Protocol, &[u8]) -> Vec<u8>),
}

impl ResponsePatch {
    pub(super) fn is_for(&self, protocol: &Protocol) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&protocol.name)
    }

    fn patch(&self, protocol: &Protocol, message: &[u8]) -> Vec<u8> {
        match self.how {
            PatchKind::Whole(text) => text.as_bytes().to_vec(),
            PatchKind::Before(text) => [text.as_bytes(), message].concat(),
            PatchKind::Replace(old, new) => replace(message, old.as_bytes(), new.as_bytes()),
            PatchKind::By(change) => change(protocol, message),
        }
    }
}

/// Returns a response with all changes that apply to it.
pub(super) fn patched(
    patches: &[ResponsePatch],
    protocol: &Protocol,
    at: ReplyTo,
    message: Vec<u8>,
) -> Vec<u8> {
    let these = patches.iter().filter(|patch| patch.at == at && patch.is_for(protocol));
    these.fold(message, |message, patch| patch.patch(protocol, &message))
}

fn replace(message: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match message.windows(old.len().max(1)).position(|window| window == old) {
        Some(at) => [&message[..at], new, &message[at + old.len()..]].concat(),
        None => message.to_vec(),
    }
}

/// Returns the response with an offer that a middlebox has overwritten: `XXXXXXXA`.
pub(super) fn mangled(protocol: &Protocol, message: &[u8]) -> Vec<u8> {
    let word = offer(protocol).unwrap_or_default();
    let mask = [&vec![b'X'; word.len().saturating_sub(1)][..], b"A"].concat();
    replace(message, &word, &mask)
}

/// Returns the response with the offer in lower case.
pub(super) fn in_lower_case(protocol: &Protocol, message: &[u8]) -> Vec<u8> {
    let word = offer(protocol).unwrap_or_default();
    replace(message, &word, &word.to_ascii_lowercase())
}

/// The word that is the offer, in protocols of lines with a list: the last one of the request.
pub(super) fn offer(protocol: &Protocol) -> Option<Vec<u8>> {
    let request = request_line(protocol)?;
    let word = request.trim_ascii_end().rsplit(|byte| *byte == b' ').next()?.to_vec();
    let mut dialect = protocol.new_dialect(Identity::new("localhost"));
    let mut list = Vec::new();
    dialect.write_server(ServerMessage::Offer { starttls: true }, &mut list);
    list.windows(word.len()).any(|window| window == word).then_some(word)
}

/// The request, if it is one line of text.
pub(super) fn request_line(protocol: &Protocol) -> Option<Vec<u8>> {
    let request = words(protocol, ClientMessage::Request);
    let lines = request.iter().filter(|byte| **byte == b'\n').count();
    (lines == 1 && request.ends_with(b"\n") && request.is_ascii()).then_some(request)
}

/// A client's message, as its dialect writes it first.
pub(super) fn words(protocol: &Protocol, message: ClientMessage) -> Vec<u8> {
    let mut out = Vec::new();
    protocol.new_dialect(Identity::new("localhost")).write_client(message, &mut out);
    out
}
