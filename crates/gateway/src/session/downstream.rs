//! Fronts that do not speak for themselves before TLS: a backend does.

use starttls::proto::{CapabilityRewrite, Outgoing, Relay, Side, Speaker, UNEXPECTED_MESSAGE_ALERT};
use tokio::io::AsyncWriteExt;

use super::backend::Reached;
use super::sequence::{self, Sequence};
use super::{COURTESY, Session, Socket, Stream, rules, say};
use crate::config::{ListenerTls, Route};
use crate::failure::SessionFailure;
use crate::splice::{Ended, Filter, Splice};

impl Session<'_> {
    /// A front on which the client may upgrade and need not. Until it does, a backend serves it in cleartext;
    /// after that another connection to a backend does, so that nothing that was said before survives (rule B3).
    pub(super) async fn optional(&mut self, socket: Socket, tls: &ListenerTls) -> Result<(), SessionFailure> {
        let mut front = Stream::Clear(socket);
        let relay = Relay::for_session(self.listener.protocol, self.identity(false), rules::optional());
        let mut out = Outgoing::default();
        let reached = match Box::pin(self.cleartext_backend()).await {
            Ok(reached) => reached,
            Err(failure) => {
                self.reject(&mut front).await;
                return Err(failure);
            }
        };
        if self.listener.protocol.flow.greeting {
            out.to_client = self.first_words(reached.greeting, false, false, &rules::BEFORE_UPGRADE);
        }
        let idle = self.listener.limits.idle;
        let Some((front, back)) = self.granted(front, reached.stream, relay, out, idle, tls).await? else {
            return Ok(());
        };
        // Its session is over: nobody waits for the end of the next one.
        drop(back);
        self.settled(front, true).await
    }

    /// A front whose greeting the session behind it depends on, and which is the backend's for that reason. Before
    /// TLS the client is told nothing but this, and the backend nothing at all.
    pub(super) async fn relayed_greeting(
        &mut self,
        socket: Socket,
        tls: Option<&ListenerTls>,
    ) -> Result<(), SessionFailure> {
        let mut front = Stream::Clear(socket);
        let reaching = Box::pin(self.cleartext_backend());
        let Reached { stream: mut back, greeting, pending, .. } = match reaching.await {
            Ok(reached) => reached,
            Err(failure) => {
                self.reject(&mut front).await;
                return Err(failure);
            }
        };
        let (protocol, limit) = (self.listener.protocol, self.listener.limits.negotiation);
        let dialect = (protocol.dialect)(self.identity(false));
        let how = if tls.is_some() { CapabilityRewrite::AddUpgrade } else { CapabilityRewrite::DropUpgrade };
        let original = greeting.unwrap_or_default();
        let greeting = dialect.rewrite(Side::Server, &original, how);
        if let Some(tls) = tls {
            let relay = Relay::for_session(protocol, self.identity(false), rules::greeting_only());
            let out = Outgoing { to_client: greeting, ..Outgoing::default() };
            let granting = self.granted(front, back, relay, out, limit, tls);
            let granted =
                tokio::time::timeout(limit, granting).await.map_err(|_| SessionFailure::Late(limit))??;
            let Some(granted) = granted else { return Ok(()) };
            (front, back) = granted;
        } else {
            say(&mut front, &greeting).await;
        }
        self.stands(&front);
        self.route(&front)?;
        let mut login = Vec::new();
        if let Some(pending) = pending {
            let reading = sequence::login(&mut front);
            login = tokio::time::timeout(limit, reading).await.map_err(|_| SessionFailure::Late(limit))??;
            back = pending.ask(back, &sequence::request(&login)).await?;
            self.record.upstream = back.facts().cloned();
        }
        let mut out = Outgoing::default();
        // On a socket in the file system a server takes a password as it is, as inside TLS.
        let original = matches!(back.socket(), Socket::Tcp(_)).then_some(original.as_slice());
        let mut sequence = Sequence::between(front.facts().is_some(), back.facts().is_some(), original);
        match &mut sequence {
            Some(sequence) => drop(sequence.receive(Side::Client, &login, &mut out)?),
            None => out.to_server = login,
        }
        self.copy(&mut front, &mut back, sequence, out).await
    }

    /// A backend for a client of whom nothing is known yet.
    async fn cleartext_backend(&mut self) -> Result<Reached, SessionFailure> {
        let nowhere = || SessionFailure::NotAdmitted(crate::config::NotAdmitted::NoRoute(None));
        let listener = self.listener;
        let route: &Route = listener.default_route().ok_or_else(nowhere)?;
        self.reach(route, None).await
    }

    /// Relays until the client's request is granted, and does the handshake. `None` when the session ended without
    /// an upgrade.
    async fn granted(
        &mut self,
        mut front: Stream,
        mut back: Stream,
        relay: Relay,
        first: Outgoing,
        idle: std::time::Duration,
        tls: &ListenerTls,
    ) -> Result<Option<(Stream, Stream)>, SessionFailure> {
        let mut copy = Splice::new(Some(relay), first);
        let ended = copy.run(&mut front, &mut back, idle).await;
        answer_violation(&ended, &mut copy, &mut front).await;
        let ended = ended?;
        let (Ended::Stopped, Some(relay), Stream::Clear(mut socket)) = (ended, copy.into_editor(), front)
        else {
            return Ok(None);
        };
        let mut words = Vec::new();
        let upgrade = relay.upgrade(&mut words);
        say(&mut socket, &words).await;
        let upgrade = upgrade.map_err(|error| SessionFailure::protocol(*error))?;
        let handshake = Box::pin(self.acceptor(tls).from_upgrade(socket, upgrade).handshake());
        let encrypted = handshake.await.map_err(SessionFailure::downstream)?;
        Ok(Some((Stream::Tls(Box::new(encrypted)), back)))
    }
}

/// Closes the connection of a client that broke a rule, after the protocol's message for that, or after an alert if the
/// client sent TLS in cleartext.
pub(super) async fn answer_violation<T>(
    ended: &Result<T, SessionFailure>,
    copy: &mut Splice<impl Filter>,
    front: &mut Stream,
) {
    if let Err(SessionFailure::Protocol { side: Side::Client, received, .. }) = ended {
        match (&*front, Speaker::recognize(received)) {
            (Stream::Clear(_), Some(Speaker::Tls)) => say(front, &UNEXPECTED_MESSAGE_ALERT).await,
            _ => say(front, &copy.last_words()).await,
        }
        if let Ok(Ok(())) = tokio::time::timeout(COURTESY, front.shutdown()).await {
            // A reset could discard the message before the client has read it.
            front.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use starttls::proto::smtp::SMTP;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn the_goodbye_of_a_violation_is_not_followed_by_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut front = Stream::Clear(Socket::Tcp(listener.accept().await.unwrap().0));
        front.begin();
        let first = Outgoing { to_client: b"421 bye\r\n".to_vec(), ..Outgoing::default() };
        let mut copy = Splice::new(Some(Relay::new(&SMTP, Vec::new())), first);
        let violation =
            SessionFailure::Protocol { side: Side::Client, expected: "CRLF", received: b"NOOP\n".to_vec() };
        answer_violation(&Err::<(), _>(violation), &mut copy, &mut front).await;
        let Stream::Clear(Socket::Tcp(tcp)) = &front else { panic!("the front is another one") };
        assert_eq!(SockRef::from(tcp).linger().unwrap(), None);
        drop(front);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("421 bye\r\n"), "{heard:?}");
    }
}
