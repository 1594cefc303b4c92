//! A stub resolver: it asks a validating resolver and reads the AD bit of its answer (RFC 6840 section 5.7).
//!
//! A query sets AD and not DO: the resolver then reports in the header whether it validated the answer, without the
//! signatures. The bit means something only if no attacker can change it on the way, so it counts from a resolver on this
//! machine, or one whose network the user has declared trusted (RFC 7672 section 2.1.1).

mod system;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use hickory_proto::rr::{Name, RecordType as WireType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::{Answers, DnsAnswer, DnsQuestion, FailureKind, LookupFailure, RecordType};
use wire::{Query, Received};

pub use system::{SystemResolvers, system_resolvers};

/// The most aliases that are followed.
const MAX_ALIASES: usize = 16;
/// The most questions that wait for an answer at the same time.
const MAX_PENDING: usize = 64;
/// The default time limit for a question, including repetitions.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of times that each resolver is asked.
const ROUNDS: u32 = 3;

/// Whose AD bit is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdTrust {
    /// That of a resolver on a loopback address.
    #[default]
    Loopback,
    /// That of every configured resolver: the user has declared that the network to it is trusted.
    Declared,
    /// None: every answer counts as insecure.
    Never,
}

impl AdTrust {
    fn covers(self, resolver: SocketAddr) -> bool {
        match self {
            Self::Loopback => resolver.ip().to_canonical().is_loopback(),
            Self::Declared => true,
            Self::Never => false,
        }
    }
}

/// A client of one or more resolvers. It is cheap to clone; all clones share the limit of pending questions.
#[derive(Clone, Debug)]
pub struct Stub {
    resolvers: Arc<[SocketAddr]>,
    trust: AdTrust,
    timeout: Duration,
    pending: Arc<Semaphore>,
}

/// Why DNSSEC is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StubError {
    /// The system's configuration names no resolver, or cannot be read.
    NoResolver(String),
    /// The root zone, which is signed, was answered without AD.
    NotValidating(SocketAddr),
    /// The AD bit of this resolver is not believed.
    NotTrusted(SocketAddr),
    /// No resolver answered the question for the root zone.
    NoAnswer(LookupFailure),
}

impl fmt::Display for StubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResolver(reason) => write!(f, "no DNS resolver is configured: {reason}"),
            Self::NotValidating(resolver) => {
                write!(
                    f,
                    "the resolver {resolver} does not validate DNSSEC: its answer for the root zone has no AD bit"
                )
            }
            Self::NotTrusted(resolver) => {
                write!(
                    f,
                    "the resolver {resolver} is not on this machine, so its AD bit can be forged on the way"
                )
            }
            Self::NoAnswer(failure) => write!(f, "the question for the root zone failed: {failure}"),
        }
    }
}

impl std::error::Error for StubError {}

impl Stub {
    /// Returns a client of these resolvers, which are asked in order until one answers.
    ///
    /// # Errors
    /// [`StubError::NoResolver`] if the list is empty.
    pub fn new(resolvers: Vec<SocketAddr>, trust: AdTrust) -> Result<Self, StubError> {
        if resolvers.is_empty() {
            return Err(StubError::NoResolver(String::from("the list is empty")));
        }
        let pending = Arc::new(Semaphore::new(MAX_PENDING));
        Ok(Self { resolvers: resolvers.into(), trust, timeout: TIMEOUT, pending })
    }

    /// Sets the time limit for a question, including repetitions and aliases.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the most questions that wait for an answer at the same time. The default is 64. Clones made before keep theirs.
    #[must_use]
    pub fn max_pending(self, questions: usize) -> Self {
        Self { pending: Arc::new(Semaphore::new(questions.clamp(1, Semaphore::MAX_PERMITS))), ..self }
    }

    /// Returns the resolvers.
    pub fn resolvers(&self) -> &[SocketAddr] {
        &self.resolvers
    }

    /// Returns whether the AD bit of every resolver is believed.
    pub fn is_trusted(&self) -> bool {
        self.resolvers.iter().all(|it| self.trust.covers(*it))
    }

    /// Asks a question and follows aliases.
    pub async fn ask(&self, question: &DnsQuestion) -> DnsAnswer {
        let deadline = Instant::now() + self.timeout;
        let asking = async {
            // The semaphore is never closed.
            let _permit = self.pending.acquire().await;
            self.follow(question, deadline).await
        };
        match timeout_at(deadline.into(), asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => DnsAnswer::Failed(failure),
            Err(_) => DnsAnswer::Failed(FailureKind::Timeout.into()),
        }
    }

    /// Asks the questions at the same time and adds the answers.
    pub async fn ask_all(&self, questions: Vec<DnsQuestion>, answers: &mut Answers) {
        let mut asking = tokio::task::JoinSet::new();
        for question in questions {
            let stub = self.clone();
            asking.spawn(async move {
                let answer = stub.ask(&question).await;
                (question, answer)
            });
        }
        while let Some(done) = asking.join_next().await {
            // Only a panic or the end of the runtime prevents an answer.
            if let Ok((question, answer)) = done {
                answers.insert(question, answer);
            }
        }
    }

    /// Returns the first end of a DNSSEC signature over the records, as a serial number of seconds (RFC 4034 section 3.1.5).
    /// `None` without a signature or an answer. Aliases are not followed.
    pub async fn signature_end(&self, question: &DnsQuestion) -> Option<u32> {
        let deadline = Instant::now() + self.timeout;
        let name = Name::from_ascii(format!("{}.", question.name)).ok()?;
        let record = wire::to_wire(question.record);
        let query = Query::new(name.clone(), record).with_signatures();
        let answer = timeout_at(deadline.into(), self.ask_in_turn(&query, deadline)).await;
        let (received, _) = answer.ok()?.ok()?;
        received.signature_end(&name, record)
    }

    /// Checks that every resolver validates DNSSEC and is believed: the answer for the root zone, which is signed, has AD.
    ///
    /// # Errors
    /// [`StubError`] if it does not.
    pub async fn self_test(&self) -> Result<(), StubError> {
        for &resolver in self.resolvers.iter() {
            if !self.trust.covers(resolver) {
                return Err(StubError::NotTrusted(resolver));
            }
            let query = Query::new(Name::root(), WireType::NS);
            let answer = timeout_at((Instant::now() + self.timeout).into(), exchange(resolver, &query)).await;
            let received = match answer {
                Ok(received) => received.map_err(StubError::NoAnswer)?,
                Err(_) => return Err(StubError::NoAnswer(FailureKind::Timeout.into())),
            };
            if let Some(failure) = received.failure() {
                return Err(StubError::NoAnswer(failure));
            }
            if !received.is_authentic() {
                return Err(StubError::NotValidating(resolver));
            }
        }
        Ok(())
    }

    /// Resolvers follow aliases themselves. Some stop at an alias into another zone, so the target is asked for.
    async fn follow(&self, question: &DnsQuestion, deadline: Instant) -> Result<DnsAnswer, LookupFailure> {
        let malformed =
            |detail: &str| LookupFailure { kind: FailureKind::Malformed, detail: detail.to_owned() };
        let mut name =
            Name::from_ascii(format!("{}.", question.name)).map_err(|_| malformed("invalid name"))?;
        let (mut secure, mut aliases, mut ttl) = (true, Vec::new(), u32::MAX);
        loop {
            let query = Query::new(name.clone(), wire::to_wire(question.record));
            let (received, authentic) = self.ask_in_turn(&query, deadline).await?;
            secure &= authentic;
            let part = received.read(&name, question.record)?;
            ttl = ttl.min(part.ttl);
            aliases.extend(part.aliases);
            if aliases.len() > MAX_ALIASES {
                return Err(FailureKind::AliasLoop.into());
            }
            match part.end {
                wire::End::Records(records) => return Ok(DnsAnswer::Found { records, secure, aliases, ttl }),
                wire::End::NoData => return Ok(DnsAnswer::NoData { secure, ttl }),
                wire::End::NoName => return Ok(DnsAnswer::NoName { secure, ttl }),
                wire::End::AtAlias(target) => name = target,
            }
        }
    }

    /// Asks the resolvers in turn until one gives an answer. The second value is whether its AD bit is set and believed.
    async fn ask_in_turn(&self, query: &Query, deadline: Instant) -> Result<(Received, bool), LookupFailure> {
        let mut failure = LookupFailure::from(FailureKind::Timeout);
        let tries = ROUNDS * u32::try_from(self.resolvers.len()).unwrap_or(ROUNDS);
        for (round, &resolver) in self.resolvers.iter().cycle().enumerate().take(tries as usize) {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / tries.saturating_sub(u32::try_from(round).unwrap_or_default()).max(1);
            let received = match timeout_at((Instant::now() + share).into(), exchange(resolver, query)).await
            {
                Ok(Ok(received)) => received,
                Ok(Err(error)) => {
                    failure = error;
                    continue;
                }
                Err(_) => continue,
            };
            match received.failure() {
                None => {
                    let authentic = received.is_authentic() && self.trust.covers(resolver);
                    return Ok((received, authentic));
                }
                Some(error) => failure = self.explained(resolver, query, error, deadline).await,
            }
            // Another answer from the same resolver would be the same.
            if self.resolvers.len() == 1 {
                break;
            }
        }
        Err(failure)
    }

    /// Returns the reason of SERVFAIL: the answer exists if validation is disabled, so validation failed.
    async fn explained(
        &self,
        resolver: SocketAddr,
        query: &Query,
        failure: LookupFailure,
        deadline: Instant,
    ) -> LookupFailure {
        if failure.kind != FailureKind::ServFail {
            return failure;
        }
        // The result does not change a decision, so it must not use up the time for other resolvers.
        let limit = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 3;
        match timeout_at(limit.into(), exchange(resolver, &query.without_validation())).await {
            Ok(Ok(received)) if received.failure().is_none() => {
                LookupFailure { kind: FailureKind::Bogus, ..failure }
            }
            _ => failure,
        }
    }
}

/// Sends a query to one resolver, and returns its answer. An answer that is truncated or malformed over UDP is asked for
/// over TCP. The caller sets the time limit.
async fn exchange(resolver: SocketAddr, query: &Query) -> Result<Received, LookupFailure> {
    let unreachable = |error: io::Error| LookupFailure {
        kind: FailureKind::Unreachable,
        detail: format!("{resolver}: {error}"),
    };
    let (id, octets) = query.encode()?;
    if let Some(received) = over_udp(resolver, query, id, &octets).await.map_err(unreachable)? {
        return Ok(received);
    }
    let answer = over_tcp(resolver, &octets).await.map_err(unreachable)?;
    let received = Received::parse(&answer)?;
    if !received.answers(query, id) {
        return Err(LookupFailure {
            kind: FailureKind::Malformed,
            detail: String::from("the answer is for another question"),
        });
    }
    if received.is_truncated() {
        return Err(LookupFailure {
            kind: FailureKind::Malformed,
            detail: String::from("the answer is truncated over TCP"),
        });
    }
    Ok(received)
}

/// Asks over UDP, from a port of its own. Returns `None` if the answer needs TCP.
async fn over_udp(
    resolver: SocketAddr,
    query: &Query,
    id: u16,
    octets: &[u8],
) -> io::Result<Option<Received>> {
    let any = if resolver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(octets).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let datagram = buffer.get(..length).unwrap_or_default();
        // Datagrams with another id are answers to other queries, or forged.
        if datagram.get(..2) != Some(&id.to_be_bytes()) {
            continue;
        }
        match Received::parse(datagram) {
            Ok(received) if received.answers(query, id) => {
                return Ok((!received.is_truncated()).then_some(received));
            }
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
}

async fn over_tcp(resolver: SocketAddr, octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], octets].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Returns whether aliases of this type are records of their own.
fn is_alias_type(record: RecordType) -> bool {
    record == RecordType::Cname
}
