//! The method CONNECT of HTTP (RFC 9110 section 9.3.6).

use std::fmt;

use starttls_proto::base64;

use super::{Destination, ProxyFault, ProxyHandshake};
use crate::{Endpoint, Error, Step, dialer::Tcp};

/// Connects through an HTTP proxy, by CONNECT. The proxy looks up the host.
///
/// `D` is the dialer for the connection to the proxy itself, which is not encrypted.
#[derive(Clone)]
pub struct HttpConnect<D = Tcp> {
    pub(crate) proxy: Endpoint,
    login: Option<(String, String)>,
    pub(crate) via: D,
}

impl HttpConnect {
    /// Returns a dialer through the proxy at this address.
    pub fn new(proxy: impl Into<Endpoint>) -> Self {
        Self { proxy: proxy.into(), login: None, via: Tcp::new() }
    }
}

impl<D> HttpConnect<D> {
    /// Logs in to the proxy by the scheme Basic (RFC 7617). The password is sent in cleartext.
    #[must_use]
    pub fn login(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { login: Some((user.into(), password.into())), ..self }
    }

    /// Connects to the proxy with this dialer.
    pub fn via<E>(self, dialer: E) -> HttpConnect<E> {
        HttpConnect { proxy: self.proxy, login: self.login, via: dialer }
    }

    /// Returns the conversation with the proxy about this server.
    ///
    /// # Errors
    /// [`Error::Config`] if the protocol cannot contain the server's name or the login.
    pub(crate) fn handshake(&self, to: &Endpoint) -> Result<impl ProxyHandshake + use<D>, Error> {
        let destination = Destination::of(to)?;
        // RFC 7617 section 2: a colon ends the user name, and neither contains control characters.
        let is_valid = |user: &str, password: &str| {
            !user.contains(':') && !user.contains(char::is_control) && !password.contains(char::is_control)
        };
        if self.login.as_ref().is_some_and(|(user, password)| !is_valid(user, password)) {
            return Err(Error::config(
                "invalid login for the HTTP proxy: expected a user name without a colon, and no control characters",
            ));
        }
        Ok(Handshake { destination, login: self.login.clone(), head: Vec::new(), received: None })
    }
}

impl<D: fmt::Debug> fmt::Debug for HttpConnect<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnect")
            .field("proxy", &self.proxy)
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}

/// The limit of all heads together, as most servers have it for one.
const MAX_OCTETS: usize = 16 * 1024;

const PREFIX: &[u8] = b"HTTP/1.";

const EXPECTED: &str = "the status line of an HTTP/1 response (RFC 9112 section 4)";

struct Handshake {
    destination: Destination,
    login: Option<(String, String)>,
    head: Vec<u8>,
    /// The number of octets so far; `None` before the request is sent.
    received: Option<usize>,
}

impl ProxyHandshake for Handshake {
    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, ProxyFault> {
        let Some(received) = &mut self.received else {
            self.request(out);
            self.received = Some(0);
            return Ok(Some(PREFIX.len()));
        };
        *received += input.len();
        self.head.extend_from_slice(input);
        if *received > MAX_OCTETS {
            self.head.truncate(EXCERPT);
            return Err(self.unexpected("an HTTP response of at most 16 KiB before its body"));
        }
        if !self.head.starts_with(PREFIX) {
            return Err(self.unexpected(EXPECTED));
        }
        if !self.head.ends_with(b"\n\n") && !self.head.ends_with(b"\n\r\n") {
            return Ok(Some(missing(&self.head)));
        }
        match self.status()? {
            // RFC 9110 section 15.2: the final response follows.
            100..=199 => {
                self.head.clear();
                Ok(Some(PREFIX.len()))
            }
            // RFC 9110 section 9.3.6: the tunnel begins after the head, whatever lengths the head contains.
            200..=299 => Ok(None),
            407 if self.login.is_none() => Err(ProxyFault::LoginRequired),
            407 => Err(ProxyFault::LoginRefused),
            _ => {
                Err(ProxyFault::Refused { server: self.destination.to_string(), reason: self.status_line() })
            }
        }
    }

    fn step(&self) -> Step {
        Step::ProxyConnect
    }
}

/// The octets that an error keeps of a response.
const EXCERPT: usize = 200;

impl Handshake {
    fn request(&self, out: &mut Vec<u8>) {
        let server = &self.destination;
        out.extend(format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").into_bytes());
        if let Some((user, password)) = &self.login {
            let basic = base64::encode(format!("{user}:{password}").as_bytes());
            out.extend(format!("Proxy-Authorization: Basic {basic}\r\n").into_bytes());
        }
        out.extend(b"\r\n");
    }

    /// Parses the status code.
    fn status(&self) -> Result<u16, ProxyFault> {
        let line = self.head.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let code = match line.get(PREFIX.len()..) {
            Some([b'0'..=b'9', b' ', code @ ..]) => {
                code.get(..3).filter(|_| matches!(code.get(3), None | Some(b' ' | b'\r')))
            }
            _ => None,
        };
        let code = code.filter(|code| code.iter().all(u8::is_ascii_digit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        code.filter(|code| (100..600).contains(code)).ok_or_else(|| self.unexpected(EXPECTED))
    }

    fn status_line(&self) -> String {
        let line = self.head.split(|octet| *octet == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line.get(..EXCERPT).unwrap_or(line)).trim_end().to_owned()
    }

    fn unexpected(&self, expected: &'static str) -> ProxyFault {
        ProxyFault::Unexpected { expected, found: self.head.get(..EXCERPT).unwrap_or(&self.head).to_vec() }
    }
}

/// Returns the least number of octets that a head still lacks. To ask for more would take octets of the server. A line may end
/// with LF alone (RFC 9112 section 2.2).
fn missing(head: &[u8]) -> usize {
    if head.ends_with(b"\n") || head.ends_with(b"\n\r") { 1 } else { 2 }
}
