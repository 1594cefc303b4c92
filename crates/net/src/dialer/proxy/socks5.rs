//! SOCKS version 5 (RFC 1928), with user name and password (RFC 1929).

use std::fmt;
use std::net::IpAddr;

use super::{Destination, Host, ProxyFault, ProxyHandshake};
use crate::{Endpoint, Error, Step, dialer::Tcp};

/// Connects through a SOCKS5 proxy. The proxy looks up the host.
///
/// `D` is the dialer for the connection to the proxy itself.
#[derive(Clone)]
pub struct Socks5<D = Tcp> {
    pub(crate) proxy: Endpoint,
    login: Option<(String, String)>,
    pub(crate) via: D,
}

impl Socks5 {
    /// Returns a dialer through the proxy at this address.
    pub fn new(proxy: impl Into<Endpoint>) -> Self {
        Self { proxy: proxy.into(), login: None, via: Tcp::new() }
    }
}

impl<D> Socks5<D> {
    /// Logs in to the proxy, if the proxy asks for that. The password is sent in cleartext (RFC 1929).
    #[must_use]
    pub fn login(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { login: Some((user.into(), password.into())), ..self }
    }

    /// Connects to the proxy with this dialer.
    pub fn via<E>(self, dialer: E) -> Socks5<E> {
        Socks5 { proxy: self.proxy, login: self.login, via: dialer }
    }

    /// Returns the conversation with the proxy about this server.
    ///
    /// # Errors
    /// [`Error::Config`] if the protocol cannot contain the server's name or the login.
    pub(crate) fn handshake(&self, to: &Endpoint) -> Result<impl ProxyHandshake + use<D>, Error> {
        let destination = Destination::of(to)?;
        // RFC 1929 section 2: each length is one octet, and at least 1.
        let fits = |text: &str| (1..=255).contains(&text.len());
        if self.login.as_ref().is_some_and(|(user, password)| !fits(user) || !fits(password)) {
            return Err(Error::config(
                "invalid login for the SOCKS5 proxy: expected a user name and a password of 1 to 255 octets",
            ));
        }
        Ok(Handshake { destination, login: self.login.clone(), state: State::Start })
    }
}

impl<D: fmt::Debug> fmt::Debug for Socks5<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socks5").field("proxy", &self.proxy).field("via", &self.via).finish_non_exhaustive()
    }
}

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
/// The version of the login of RFC 1929.
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

struct Handshake {
    destination: Destination,
    login: Option<(String, String)>,
    state: State,
}

/// What the next octets are.
#[derive(Clone, Copy)]
enum State {
    Start,
    Method,
    Login,
    /// Version, reply code, a reserved octet and the type of the bound address.
    Reply,
    /// The length of the bound address, if it is a name.
    Length,
    /// The bound address and port.
    Bound,
}

impl ProxyHandshake for Handshake {
    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, ProxyFault> {
        let unexpected = |expected| ProxyFault::Unexpected { expected, found: input.to_vec() };
        let (state, next) = match (self.state, input) {
            (State::Start, _) => {
                match self.login {
                    Some(_) => out.extend([VERSION, 2, NO_LOGIN, PASSWORD]),
                    None => out.extend([VERSION, 1, NO_LOGIN]),
                }
                (State::Method, 2)
            }
            (State::Method, [VERSION, NO_LOGIN]) => {
                self.request(out);
                (State::Reply, 4)
            }
            (State::Method, [VERSION, NO_METHOD]) => return Err(ProxyFault::LoginRequired),
            (State::Method, [VERSION, PASSWORD]) => {
                let Some((user, password)) = &self.login else { return Err(ProxyFault::LoginRequired) };
                out.push(LOGIN_VERSION);
                put(out, user);
                put(out, password);
                (State::Login, 2)
            }
            (State::Method, _) => {
                return Err(unexpected("version 5 and a method that was offered (RFC 1928 section 3)"));
            }
            (State::Login, [LOGIN_VERSION, 0]) => {
                self.request(out);
                (State::Reply, 4)
            }
            (State::Login, [LOGIN_VERSION, _]) => return Err(ProxyFault::LoginRefused),
            (State::Login, _) => return Err(unexpected("version 1 and a status (RFC 1929 section 2)")),
            (State::Reply, [VERSION, 0, _, IPV4]) => (State::Bound, 4 + 2),
            (State::Reply, [VERSION, 0, _, IPV6]) => (State::Bound, 16 + 2),
            (State::Reply, [VERSION, 0, _, NAME]) => (State::Length, 1),
            (State::Reply, [VERSION, code, ..]) if *code != 0 => {
                return Err(ProxyFault::Refused {
                    server: self.destination.to_string(),
                    reason: format!("{} (reply {code})", meaning(*code)),
                });
            }
            (State::Reply, _) => {
                return Err(unexpected("version 5, a reply and an address type (RFC 1928 section 6)"));
            }
            (State::Length, &[length]) => (State::Bound, usize::from(length) + 2),
            (State::Length, _) => return Err(unexpected("the length of a name")),
            // The address at which the proxy connects from does not matter here.
            (State::Bound, _) => return Ok(None),
        };
        self.state = state;
        Ok(Some(next))
    }

    fn step(&self) -> Step {
        match self.state {
            State::Start | State::Method => Step::ProxyMethod,
            State::Login => Step::ProxyLogin,
            State::Reply | State::Length | State::Bound => Step::ProxyConnect,
        }
    }
}

impl Handshake {
    /// Writes the request to connect (RFC 1928 section 4).
    fn request(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, CONNECT, 0]);
        match &self.destination.host {
            Host::Address(IpAddr::V4(address)) => {
                out.push(IPV4);
                out.extend(address.octets());
            }
            Host::Address(IpAddr::V6(address)) => {
                out.push(IPV6);
                out.extend(address.octets());
            }
            Host::Name(name) => {
                out.push(NAME);
                put(out, name);
            }
        }
        out.extend(self.destination.port.to_be_bytes());
    }
}

/// Writes a text of at most 255 octets with its length.
fn put(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.as_bytes().iter().take(usize::from(u8::MAX)));
}

/// Returns the meaning of a reply code (RFC 1928 section 6).
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by the proxy's rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "the time to live expired",
        7 => "the proxy does not support the command",
        8 => "the proxy does not support the kind of address",
        _ => "unassigned failure",
    }
}
