//! Clients with one flaw each, for every protocol, and a sound client to compare with.
//!
//! ```
//! use starttls_testkit::vulnerable_clients::{VulnerableClient, Flaw};
//!
//! let weak = VulnerableClient::new(&starttls::proto::imap::IMAP, Some(Flaw::FallsBack), "");
//! assert_eq!(weak.flaw(), Some(Flaw::FallsBack));
//! ```
//!
//! After the upgrade, or without one if it is fooled, each client asks for the capabilities, tries to log in with invalid
//! credentials, sends a command, and says goodbye.

mod conversation;
mod flaw;
mod old_tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use starttls::proto::{AfterUpgrade, ClientMessage, Identity, OfferPlace, Protocol, ReplyTo, ServerMessage};
use starttls::{Connector, TlsVersion};
use tokio::net::TcpStream;

use conversation::Conversation;
pub use flaw::Flaw;

use old_tls::Takes;

/// A client with a flaw, or a sound client.
#[derive(Clone, Debug)]
pub struct VulnerableClient {
    protocol: &'static Protocol,
    flaw: Option<Flaw>,
    roots: String,
    versions: (TlsVersion, TlsVersion),
    patience: Duration,
}

/// The result of a client.
#[derive(Clone, Debug)]
pub struct ClientResult {
    /// Whether the client succeeded.
    pub well: bool,
    /// The output of the client.
    pub printed: Vec<u8>,
}

/// The result of the negotiation before TLS.
enum Step {
    /// Continues with TLS.
    Upgrade,
    /// Continues in cleartext.
    Cleartext,
    /// Continues at this port.
    Elsewhere(u16),
    /// Ends without an error.
    Nothing,
}

impl VulnerableClient {
    /// Returns a client that trusts these roots, in PEM.
    pub fn new(protocol: &'static Protocol, flaw: Option<Flaw>, roots: &str) -> Self {
        let versions = (TlsVersion::Tls12, TlsVersion::Tls13);
        Self { protocol, flaw, roots: roots.to_owned(), versions, patience: Duration::from_secs(5) }
    }

    /// Returns the flaw of the client.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Limits the client to this TLS version.
    #[must_use]
    pub fn tls(self, version: TlsVersion) -> Self {
        Self { versions: (version, version), ..self }
    }

    /// Sets how long the client waits for each answer.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns how long the client waits for an answer; `None` for ever.
    fn answer_timeout(&self) -> Option<Duration> {
        Some(self.patience).filter(|_| !self.is(Flaw::NeverTimesOut))
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Connects, upgrades, sends the commands of a session, and ends.
    pub async fn run(&self, server_name: &str, address: SocketAddr) -> ClientResult {
        let mut printed = Vec::new();
        let well = self.session(server_name, address, &mut printed).await;
        if let Err(error) = &well {
            printed.extend(format!("error: {error}\n").into_bytes());
        }
        ClientResult { well: well.is_ok(), printed }
    }

    async fn session(&self, server_name: &str, address: SocketAddr, printed: &mut Vec<u8>) -> io::Result<()> {
        let attempt = self.attempt(server_name, address, printed, None).await;
        match attempt {
            Err(_) if self.is(Flaw::OldTls) => {
                self.attempt(server_name, address, printed, Some(Takes::Tls10)).await
            }
            Err(_) if self.is(Flaw::TakesAnyAlpn) => {
                self.attempt(server_name, address, printed, Some(Takes::AnyAlpn)).await
            }
            attempt => attempt,
        }
    }

    /// Runs one connection, with a careless handshake if `careless` is set.
    async fn attempt(
        &self,
        server_name: &str,
        address: SocketAddr,
        printed: &mut Vec<u8>,
        careless: Option<Takes>,
    ) -> io::Result<()> {
        let builder = Connector::builder()
            .no_system_roots()
            .roots_pem(self.roots.as_bytes())
            .tls_versions(self.versions.0, self.versions.1)
            .timeout(if self.is(Flaw::NeverTimesOut) { Duration::from_secs(3600) } else { self.patience });
        let builder = if self.is(Flaw::IgnoresNames) { builder.insecure() } else { builder };
        let connector = builder.build().map_err(io::Error::other)?;
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        if self.flaw.is_none() {
            let tls = connector.upgrade(self.protocol, server_name, tcp).await.map_err(io::Error::other)?;
            let inside = Conversation::inside(self.protocol, self.answer_timeout(), Box::new(tls), b"", 0);
            return self.act(inside, printed).await;
        }
        let mut clear = Conversation::clear(self.protocol, self.answer_timeout(), Box::new(tcp));
        let step = self.negotiate(&mut clear).await;
        if self.is(Flaw::ShowsAnything) {
            printed.extend(&clear.heard);
        }
        match step? {
            Step::Nothing => return Ok(()),
            Step::Cleartext => return self.act(clear, printed).await,
            Step::Elsewhere(port) => {
                let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                return old_tls::sign_of_life(&mut tcp).await;
            }
            Step::Upgrade => {}
        }
        if let Some(takes) = careless {
            return old_tls::handshake(clear.stream, takes, self.patience).await;
        }
        if self.is(Flaw::KeepsCapabilities) {
            let words = clear.heard.split(|byte| !byte.is_ascii_alphanumeric());
            words.for_each(|word| printed.extend([b"the server can ", word, b"\n"].concat()));
        }
        let kept = if self.is(Flaw::KeepsBuffer) { clear.reader.take_unread() } else { Vec::new() };
        let (said, logs_in) = (clear.said, self.finds_a_login(&clear.list));
        let tls =
            connector.handshake(self.protocol, server_name, clear.stream).await.map_err(io::Error::other)?;
        let mut inside =
            Conversation::inside(self.protocol, self.answer_timeout(), Box::new(tls), &kept, said);
        inside.logs_in = logs_in;
        self.act(inside, printed).await
    }

    /// Returns whether the list from before TLS contains a mechanism, for a client that trusts that list.
    fn finds_a_login(&self, list: &[u8]) -> bool {
        let login = self.protocol.new_dialect(Identity::new("")).into_login();
        let mut login = login.filter(|_| self.is(Flaw::KeepsCapabilities) && !list.is_empty());
        let mechanisms = login.as_mut().map(|login| {
            // Some dialects find mechanisms only in a list that they have read.
            let _ = login.read_server(ReplyTo::Hello, list);
            login.mechanisms(list)
        });
        mechanisms.is_none_or(|mechanisms| !mechanisms.is_empty())
    }

    /// Negotiates in cleartext.
    async fn negotiate(&self, clear: &mut Conversation) -> io::Result<Step> {
        let flow = self.protocol.flow;
        let mut offered = None;
        if flow.greeting {
            let greeting = clear.hear(ReplyTo::Connect).await?;
            match greeting {
                Some(ServerMessage::Greeting) => {}
                Some(ServerMessage::Offer { starttls }) => offered = Some(starttls),
                _ if self.is(Flaw::BelievesPreauth) => return Ok(Step::Cleartext),
                _ => return self.no_upgrade(clear, "invalid greeting"),
            }
            if let Some(port) = self.referral(clear) {
                return Ok(Step::Elsewhere(port));
            }
        }
        // A client that trusts data from before TLS asks for more of it than the upgrade needs.
        let curious = flow.offer == OfferPlace::Unannounced
            && [Flaw::KeepsCapabilities, Flaw::BelievesPresent].map(Some).contains(&self.flaw);
        let asks = flow.offer == OfferPlace::AfterHello || curious;
        if asks
            && clear.say(ClientMessage::Hello).await? > 0
            && let Some(ServerMessage::Offer { starttls }) = clear.hear(ReplyTo::Hello).await?
        {
            offered = Some(starttls);
        }
        for _ in 1..flow.hello_rounds {
            if offered == Some(true)
                && clear.say(ClientMessage::Hello).await? > 0
                && let Some(ServerMessage::Offer { starttls }) = clear.hear(ReplyTo::Hello).await?
            {
                offered = Some(starttls);
            }
        }
        if let Some(port) = self.referral(clear) {
            return Ok(Step::Elsewhere(port));
        }
        let must_be_offered = !flow.request_is_answered || flow.hello_rounds > 1;
        if offered == Some(false) && (self.is(Flaw::FallsBack) || must_be_offered) {
            return self.no_upgrade(clear, "the upgrade is not offered");
        }
        // Where the request has no answer, the bytes after the greeting are those after the last cleartext.
        let keeps =
            self.is(Flaw::BelievesPresent) || (self.is(Flaw::KeepsBuffer) && !flow.request_is_answered);
        if !clear.reader.unread().is_empty() && !keeps {
            return Err(io::Error::other("unexpected bytes before the request"));
        }
        clear.say(ClientMessage::Request).await?;
        if !flow.request_is_answered {
            return Ok(Step::Upgrade);
        }
        let answer = if self.is(Flaw::BelievesPresent) && !clear.reader.unread().is_empty() {
            Some(ServerMessage::Accept)
        } else {
            clear.hear(ReplyTo::Request).await?
        };
        if let Some(port) = self.referral(clear) {
            return Ok(Step::Elsewhere(port));
        }
        match answer {
            Some(ServerMessage::Accept) => {}
            _ => return self.no_upgrade(clear, "the upgrade was refused"),
        }
        let careless = [Flaw::KeepsBuffer, Flaw::BelievesPresent].map(Some).contains(&self.flaw);
        if !clear.reader.unread().is_empty() && !careless {
            return Err(io::Error::other("unexpected bytes after the acceptance"));
        }
        Ok(Step::Upgrade)
    }

    fn no_upgrade(&self, clear: &mut Conversation, why: &'static str) -> io::Result<Step> {
        match self.flaw {
            Some(Flaw::FallsBack) => {
                clear.reader.take_unread();
                Ok(Step::Cleartext)
            }
            Some(Flaw::SwallowsRefusal) => Ok(Step::Nothing),
            _ => Err(io::Error::other(why)),
        }
    }

    /// Returns the port of a redirect, if the client follows redirects.
    fn referral(&self, clear: &Conversation) -> Option<u16> {
        if !self.is(Flaw::FollowsReferrals) {
            return None;
        }
        let text = String::from_utf8_lossy(&clear.heard).into_owned();
        let (_, rest) = text.split_once("127.0.0.1:").or_else(|| text.split_once(",port="))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// Runs the session that follows the negotiation.
    async fn act(&self, mut talk: Conversation, printed: &mut Vec<u8>) -> io::Result<()> {
        let done = self.exchange(&mut talk).await;
        printed.extend(&talk.heard);
        done
    }

    async fn exchange(&self, talk: &mut Conversation) -> io::Result<()> {
        let flow = self.protocol.flow;
        if talk.inside {
            match flow.after {
                AfterUpgrade::ServerSpeaks => drop(talk.hear(ReplyTo::Connect).await?),
                AfterUpgrade::AnswerPending => drop(talk.hear(ReplyTo::Other).await?),
                AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => {}
            }
            let knows = self.is(Flaw::KeepsCapabilities) && flow.after != AfterUpgrade::StreamRestart;
            // A hello of several messages is not repeated inside TLS.
            if flow.offer == OfferPlace::AfterHello && !knows && talk.say(ClientMessage::Hello).await? > 0 {
                talk.hear(ReplyTo::Hello).await?;
            }
        }
        let mut said = 0;
        for message in [ClientMessage::Credentials, ClientMessage::Other] {
            if message == ClientMessage::Credentials && !talk.logs_in {
                continue;
            }
            // A protocol without this message writes nothing.
            match talk.say(message).await {
                Ok(0) => continue,
                Ok(_) => said += 1,
                Err(_) if said > 0 => break,
                Err(error) => return Err(error),
            }
            if !answers_login(self.protocol) {
                continue;
            }
            match talk.hear(ReplyTo::Other).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.takes_for_end(talk) => {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if self.is(Flaw::LeavesDataClear)
            && let Some(transfer) = transfer(self.protocol)
        {
            talk.say_as_is(transfer).await?;
        }
        let _ = talk.say(ClientMessage::Quit).await;
        if !answers_login(self.protocol) {
            // Without answers, the end of the session shows that the server has read everything.
            let _ = talk.hear(ReplyTo::Other).await;
        }
        Ok(())
    }

    /// Returns whether the client treats the end of the connection as the end of an answer.
    fn takes_for_end(&self, talk: &Conversation) -> bool {
        talk.reader.unread().is_empty() || self.is(Flaw::IgnoresTruncation)
    }
}

/// Returns whether a successful login has an answer (RFC 2812 section 3.1 has none).
fn answers_login(protocol: &Protocol) -> bool {
    protocol.name != "irc"
}

/// Returns the command that transfers data on a connection of its own.
fn transfer(protocol: &Protocol) -> Option<&'static [u8]> {
    (protocol.name == "ftp").then_some(b"LIST\r\n")
}
