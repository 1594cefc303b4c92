//! SASL: RFC 6120 section 6.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{SASL, STREAMS, Xmpp};
use crate::malformed::malformed;
use crate::text::challenge;
use crate::xml::{self, Piece, Reader};
use crate::{
    ChannelBinding, ClientMessage, Denial, Dialect, LoginDialect, LoginMessage, LoginReply, Malformed,
    OfferedMechanism, OutputBuffer, ReplyTo, base64,
};

impl LoginDialect for Xmpp {
    fn binding(&self) -> ChannelBinding {
        self.binding
    }

    fn mechanisms(&self, features: &[u8]) -> Vec<OfferedMechanism> {
        let mut found = Vec::new();
        let Ok(mut reader) = Reader::new(&self.server_header, features) else { return found };
        while let Ok(Some(element)) = reader.next() {
            if element.is(SASL, "mechanism") {
                let Ok(end) = reader.end_of(&element) else { break };
                found.push(OfferedMechanism::named(text(
                    features.get(element.start..end).unwrap_or_default(),
                )));
            }
        }
        found
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        match msg {
            LoginMessage::Hello { .. } => {
                let mut hello = Vec::new();
                self.write_client(ClientMessage::Hello, &mut hello);
                out.push_public(hello);
            }
            LoginMessage::Begin { mechanism, initial } => {
                let mut name = String::new();
                xml::escape(mechanism, &mut name);
                out.push_public(format!("<auth xmlns='{SASL}' mechanism='{name}'>"));
                match initial {
                    // RFC 6120 section 6.4.2: an empty response differs from a missing response.
                    Some([]) => out.push_public("="),
                    Some(initial) => out.push_redacted(base64::encode(initial)),
                    None => {}
                }
                out.push_public("</auth>");
            }
            LoginMessage::Response(response) => {
                out.push_public(format!("<response xmlns='{SASL}'>"));
                out.push_redacted(base64::encode(response));
                out.push_public("</response>");
            }
            LoginMessage::Abort => out.push_public(format!("<abort xmlns='{SASL}'/>")),
            LoginMessage::WhoAmI => return false,
        }
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        match xml::piece(msg) {
            Piece::White => return Ok(LoginReply::Interim),
            Piece::Header => return self.server_header(msg).map(|_| LoginReply::Interim),
            _ if self.server_header.is_empty() => return Err(malformed("a stream header first")),
            Piece::End => return Ok(LoginReply::Bye),
            Piece::Child => {}
        }
        let mut reader = Reader::new(&self.server_header, msg)?;
        let root = reader.next()?.ok_or_else(|| malformed("an element"))?;
        let data = || match text(msg) {
            b"=" => Ok(Vec::new()),
            text => challenge(text),
        };
        Ok(match (root.namespace(), root.name()) {
            (STREAMS, "features") => {
                self.binding = binding(&self.server_header, msg)?;
                LoginReply::Offer(self.mechanisms(msg))
            }
            (SASL, "challenge") => LoginReply::Challenge(data()?),
            (SASL, "success") => {
                LoginReply::Granted { data: Some(data()?).filter(|it| !it.is_empty()), user: None }
            }
            (SASL, "failure") => {
                let condition = reader.next()?;
                LoginReply::Refused(match condition.as_ref().map(|it| it.name()) {
                    Some("temporary-auth-failure") => Denial::Temporary,
                    Some(
                        "invalid-mechanism"
                        | "mechanism-too-weak"
                        | "encryption-required"
                        | "malformed-request",
                    ) => Denial::Mechanism,
                    _ => Denial::Credentials,
                })
            }
            (STREAMS, "error") => LoginReply::Bye,
            _ => return Err(malformed("an answer to the login")),
        })
    }
}

/// Returns the channel binding for the login. XEP-0440 lists the supported bindings. Without a list the newest is
/// used.
fn binding(header: &str, features: &[u8]) -> Result<ChannelBinding, Malformed> {
    let mut reader = Reader::new(header, features)?;
    let (mut listed, mut exporter) = (false, false);
    while let Some(element) = reader.next()? {
        if element.is("urn:xmpp:sasl-cb:0", "channel-binding") {
            listed |= element.attribute("type") == Some(ChannelBinding::ServerEndPoint.name());
            exporter |= element.attribute("type") == Some(ChannelBinding::Exporter.name());
        }
    }
    Ok(if listed && !exporter { ChannelBinding::ServerEndPoint } else { ChannelBinding::Exporter })
}

/// Returns the text of an element that contains only text.
pub(super) fn text(element: &[u8]) -> &[u8] {
    let start = element.iter().position(|&byte| byte == b'>').map_or(element.len(), |at| at + 1);
    let end = element.iter().rposition(|&byte| byte == b'<').unwrap_or(start);
    element.get(start..end).unwrap_or_default()
}
