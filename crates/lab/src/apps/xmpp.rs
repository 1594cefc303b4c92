//! XMPP (RFC 6120): SASL PLAIN, resource binding, a session, and answers to pings.

use starttls::proto::SessionCommand;

use super::context::{AppContext, Serving};
use super::sasl;
use crate::session::SessionError;

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// The features that the engine sends when nothing is left to negotiate.
const NO_FEATURES: &str = "<stream:features/>";
/// Resource binding (RFC 6120 section 7.3), and the session of RFC 3921 that old clients request.
const FEATURES: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>";

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, acceptor }: AppContext<'_>) -> Result<(), SessionError> {
    let domain = acceptor.identity().server_name;
    let mut authenticated = false;
    while let Some(command) = session.next().await? {
        let message = match command {
            SessionCommand::Message(message) => String::from_utf8_lossy(&message).into_owned(),
            SessionCommand::Answered(_) => {
                session.amend(NO_FEATURES, FEATURES);
                continue;
            }
            SessionCommand::Quit => break,
        };
        let message = message.trim_start();
        match name(message) {
            "auth" if authenticated => break,
            "auth" => {
                let plain = attribute(message, "mechanism").is_some_and(|mechanism| mechanism == "PLAIN");
                authenticated = plain && sasl::plain(world, text(message).as_bytes());
                if authenticated {
                    session.send(format!("<success xmlns='{SASL}'/>"));
                    // RFC 6120 section 6.3.2: a new stream follows.
                    session.restart(&[]);
                } else {
                    let why = if plain { "not-authorized" } else { "invalid-mechanism" };
                    session.send(format!("<failure xmlns='{SASL}'><{why}/></failure>"));
                }
            }
            "iq" if authenticated => {
                let id = attribute(message, "id").unwrap_or_default();
                let kind = attribute(message, "type").unwrap_or_default();
                let payload = message.find('>').map_or("", |end| &message[end + 1..]);
                session.send(match (kind, name(payload.trim_start())) {
                    ("set", "bind") => format!(
                        "<iq type='result' id='{id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                         <jid>{}@{domain}/lab</jid></bind></iq>",
                        world.user
                    ),
                    ("set", "session") | ("get", "ping") => {
                        format!("<iq type='result' id='{id}' from='{domain}'/>")
                    }
                    ("get", "query") if payload.contains("jabber:iq:roster") => {
                        format!("<iq type='result' id='{id}'><query xmlns='jabber:iq:roster'/></iq>")
                    }
                    ("get" | "set", _) => format!(
                        "<iq type='error' id='{id}' from='{domain}'><error type='cancel'>\
                         <service-unavailable xmlns='{STANZAS}'/></error></iq>"
                    ),
                    _ => String::new(),
                });
            }
            // The server has no other user.
            "presence" | "message" if authenticated => {}
            _ => {
                session.send(
                    "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
                     </stream:stream>",
                );
                break;
            }
        }
    }
    Ok(())
}

/// Returns the local name of the first element. The engine has verified that the message is XML.
fn name(element: &str) -> &str {
    let name = element.strip_prefix('<').unwrap_or_default();
    let end = name.find(|c: char| c.is_whitespace() || "/>".contains(c)).unwrap_or(name.len());
    name[..end].rsplit(':').next().unwrap_or_default()
}

/// Returns an attribute of the first element, with its escapes.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = &element[..element.find('>')?];
    let mut rest = tag;
    loop {
        let (before, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|c| "'\"".contains(*c))?;
        let (value, tail) = behind[1..].split_once(quote)?;
        if before.trim_end().rsplit(char::is_whitespace).next() == Some(name) {
            return Some(value);
        }
        rest = tail;
    }
}

/// Returns the text of the first element.
fn text(element: &str) -> &str {
    let behind = element.find('>').map_or("", |end| &element[end + 1..]);
    behind.split('<').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read() {
        let iq = "<c:iq type=\"set\" id = 'it&apos;s'><bind xmlns='x'/></c:iq>";
        assert_eq!(name(iq), "iq");
        assert_eq!((attribute(iq, "type"), attribute(iq, "id")), (Some("set"), Some("it&apos;s")));
        assert_eq!(attribute(iq, "xmlns"), None);
        assert_eq!(text("<auth a='b'>dGV4dA==</auth>"), "dGV4dA==");
    }
}
