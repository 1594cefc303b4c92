//! The queue on a NATS server with JetStream, for several machines.
//!
//! A run has two streams. The first one keeps records and loses none:
//!
//! ```text
//! settings                          the settings of the run, and the folder that it belongs to; no run exists before them
//! stage.STAGE                       what was planned for a stage
//! shard.STAGE.LANE.NUMBER           the targets of a shard
//! journal.STAGE.LANE.NUMBER         what workers did with a shard, and the records of its targets
//! result.STAGE.LANE.NUMBER          which messages of the journal are the result
//! holder.LANE                       the worker that has a lane, and the subnets that turned clients away
//! opt-out                           the prefixes, AS and names that are not surveyed
//! end                               the run has all of its results
//! ```
//!
//! The second one has at most one message for each lane. The server gives it to one worker at a time, and again when the worker shows
//! no sign of life for the lease.
//!
//! **One result.** The message `result` is stored only if its subject has no message yet, and it names the messages of the journal. So
//! whichever workers write into a journal, and however often, the result is one and whole.
//!
//! **One holder.** The message of the lane is not enough: a server that is killed may forget to whom it gave a message, and a worker
//! that was stopped does not know that its time is over. So a worker that gets a lane first writes itself into `holder`, and, if the
//! previous holder has not given the lane back, waits for half of the lease. Each holder reads `holder` several times in that time. It
//! stops to dial when another worker is there, or when it got no answer for half of the lease by its own clock.

mod coordinator;
mod lane;
mod opt_out;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    self, DiscardPolicy, RawMessageError, RawMessageErrorKind, RetentionPolicy, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, ServerAddr};
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::SurveyError;
use crate::folder::{ShardId, Stage, StagePlan};
use crate::settings::RunSettings;

pub use coordinator::StageCounts;
pub use lane::NatsLane;

/// The time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for an answer of the server.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait before an operation that failed is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// The consumer of the lanes, which all workers share.
const CONSUMER: &str = "workers";

/// The most lanes that are in work: more than a run can have.
const MAX_LANES: i64 = 65_536;

/// The address of a NATS server.
#[derive(Clone)]
pub struct QueueAddress {
    server: ServerAddr,
    password: Option<String>,
}

impl FromStr for QueueAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || String::from("expected the address of a NATS server, such as nats://queue.example.org:4222");
        if !text.starts_with("nats://") && !text.starts_with("tls://") {
            return Err(expected());
        }
        let address: ServerAddr = text.parse().map_err(|_| expected())?;
        if address.password().is_some() {
            return Err(String::from(
                "every user of this machine can read a password in an argument; put it into a file",
            ));
        }
        if address.host().is_empty() { Err(expected()) } else { Ok(Self { server: address, password: None }) }
    }
}

impl QueueAddress {
    /// Returns the address with this password.
    ///
    /// # Errors
    /// If the address has no user.
    pub fn password(self, password: &str) -> Result<Self, String> {
        if self.server.username().is_none_or(str::is_empty) {
            let example = "expected an address such as nats://user@queue.example.org";
            return Err(format!("a password needs a user: {example}"));
        }
        Ok(Self { password: Some(password.to_owned()), ..self })
    }
}

/// Shows the host and the port, and no password.
impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server.host(), self.server.port())
    }
}

impl fmt::Debug for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a run on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName(String);

impl FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_valid = (1..=64).contains(&text.len())
            && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(String::from("expected up to 64 letters, digits, \"-\" and \"_\""))
        }
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RunName {
    fn records(&self) -> String {
        format!("STARTTLS-RECORDS-{self}")
    }

    fn lanes(&self) -> String {
        format!("STARTTLS-LANES-{self}")
    }

    fn record(&self, what: impl fmt::Display) -> String {
        format!("starttls.{self}.record.{what}")
    }

    fn lane(&self, lane: impl fmt::Display) -> String {
        format!("starttls.{self}.lane.{lane}")
    }

    fn of_shard(&self, kind: &str, stage: Stage, id: ShardId) -> String {
        self.record(format_args!("{kind}.{stage}.{}.{}", id.lane, id.number))
    }
}

/// Parses the shard at the end of a subject.
fn shard_id(subject: &str) -> Option<ShardId> {
    let mut tokens = subject.rsplit('.');
    let number = tokens.next()?.parse().ok()?;
    let lane = tokens.next()?.parse().ok()?;
    Some(ShardId { lane, number })
}

/// The record `settings`.
#[derive(Debug, Serialize, Deserialize)]
struct PlannedRun {
    /// Identifies the folder that the run belongs to.
    plan: String,
    settings: RunSettings,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    /// It was stored, with this sequence number.
    At(u64),
    /// The subject has another last message than expected.
    Refused,
}

/// A run on a NATS server.
#[derive(Clone)]
pub struct NatsRun {
    name: RunName,
    context: Context,
    records: Stream<()>,
    lanes: Stream<()>,
    consumer: Consumer<pull::Config>,
    lease: Duration,
}

impl fmt::Debug for NatsRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsRun").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NatsRun {
    /// Connects to the server, and makes the streams of the run unless they exist. A lane is kept for a worker that shows no sign of
    /// life for `lease`; a run that exists keeps its own.
    ///
    /// # Errors
    /// If the server cannot be used.
    pub async fn create(
        address: &QueueAddress,
        name: &RunName,
        lease: Duration,
    ) -> Result<Self, SurveyError> {
        let context = connect(address).await?;
        let records = stream::Config {
            name: name.records(),
            subjects: vec![name.record(">")],
            deny_delete: true,
            deny_purge: true,
            ..stream::Config::default()
        };
        let lanes = stream::Config {
            name: name.lanes(),
            subjects: vec![name.lane("*")],
            retention: RetentionPolicy::WorkQueue,
            // A second message for a lane would be a second holder.
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            ..stream::Config::default()
        };
        for config in [records, lanes] {
            let stream = config.name.clone();
            let made = context.create_stream(config).await;
            made.map_err(|error| failed(format_args!("cannot make the stream {stream}"), error))?;
        }
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            // A message that was delivered too often would stay in the stream without being seen.
            max_deliver: -1,
            max_ack_pending: MAX_LANES,
            ..pull::Config::default()
        };
        let lanes = context.get_stream_no_info(name.lanes()).await;
        let lanes = lanes.map_err(|error| failed("cannot use the streams of the run", error))?;
        let made = lanes.get_or_create_consumer(CONSUMER, config).await;
        made.map_err(|error| failed("cannot make the consumer of the lanes", error))?;
        Self::on(context, name).await
    }

    /// Connects to the server of a run that exists: one whose settings are recorded.
    ///
    /// # Errors
    /// If the server cannot be used, or has no such run.
    pub async fn open(address: &QueueAddress, name: &RunName) -> Result<Self, SurveyError> {
        let run = Self::on(connect(address).await?, name).await?;
        // The coordinator makes the streams first, and it may end, or still be at work, before it records the settings.
        run.settings().await.map(|_| run)
    }

    async fn on(context: Context, name: &RunName) -> Result<Self, SurveyError> {
        let stream = async |stream| {
            let stream = context.get_stream_no_info(stream).await;
            stream.map_err(|error| failed("cannot use the streams of the run", error))
        };
        let (records, lanes) = (stream(name.records()).await?, stream(name.lanes()).await?);
        // A server that does not answer is not a server without the run.
        let is_missing = |error: &async_nats::Error| {
            error.downcast_ref::<ConsumerInfoError>().is_some_and(|it| {
                matches!(it.kind(), ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound)
            })
        };
        let consumer: Consumer<pull::Config> =
            lanes.get_consumer(CONSUMER).await.map_err(|error| match is_missing(&error) {
                true => SurveyError::NoRun(name.to_string(), error.to_string()),
                false => failed("cannot use the lanes of the run", error),
            })?;
        let lease = consumer.cached_info().config.ack_wait;
        Ok(Self { name: name.clone(), context, records, lanes, consumer, lease })
    }

    /// Returns how long a lane is kept for a worker that shows no sign of life.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the settings of the run.
    ///
    /// # Errors
    /// If the server does not answer, or has none.
    pub async fn settings(&self) -> Result<RunSettings, SurveyError> {
        let planned = self.record::<PlannedRun>("settings").await?;
        let missing = || SurveyError::NoRun(self.name.to_string(), String::from("it has no settings"));
        planned.map(|it| it.settings).ok_or_else(missing)
    }

    /// Returns what was planned for a stage; `None` if it was not planned yet.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn stage(&self, stage: Stage) -> Result<Option<StagePlan>, SurveyError> {
        self.record(&format!("stage.{stage}")).await
    }

    /// Returns whether the run has all of its results.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn has_ended(&self) -> Result<bool, SurveyError> {
        Ok(self.last(&self.name.record("end")).await?.is_some())
    }

    /// Returns the last record with this name.
    async fn record<T: DeserializeOwned>(&self, what: &str) -> Result<Option<T>, SurveyError> {
        let subject = self.name.record(what);
        self.last(&subject).await?.map(|it| parse(&subject, &it.payload)).transpose()
    }

    /// Stores a message. If `expected` is given, the server refuses the message unless the last one with this subject has that
    /// number. 0 means that there is no message with the subject yet.
    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        expected: Option<u64>,
    ) -> Result<Published, SurveyError> {
        self.repeat(|| async {
            let mut message = PublishMessage::build().payload(payload.clone());
            if let Some(sequence) = expected {
                message = message.expected_last_subject_sequence(sequence);
            }
            let published = match self.context.send_publish(subject.to_owned(), message).await {
                Ok(stored) => stored.await,
                Err(error) => Err(error),
            };
            match published {
                Ok(stored) => Ok(Published::At(stored.sequence)),
                Err(error)
                    if error.kind() == PublishErrorKind::WrongLastSequence || is_full_subject(&error) =>
                {
                    Ok(Published::Refused)
                }
                Err(error) => Err(format!("cannot publish to {subject}: {error}")),
            }
        })
        .await
    }

    /// Returns the last message with a subject.
    async fn last(&self, subject: &str) -> Result<Option<StreamMessage>, SurveyError> {
        self.repeat(|| async { found(self.records.get_last_raw_message_by_subject(subject).await) }).await
    }

    /// Returns the first message with a subject from a number on.
    async fn first(&self, subject: &str, from: u64) -> Result<Option<StreamMessage>, SurveyError> {
        self.repeat(|| async { found(self.records.get_first_raw_message_by_subject(subject, from).await) })
            .await
    }

    /// Returns the message with a number.
    async fn message(&self, sequence: u64) -> Result<StreamMessage, SurveyError> {
        let message = self.repeat(|| async { found(self.records.get_raw_message(sequence).await) }).await?;
        message.ok_or_else(|| SurveyError::Queue(format!("the message {sequence} of the queue is missing")))
    }

    /// Returns the subjects of a stream that match a pattern and have messages.
    async fn subjects(&self, stream: &Stream<()>, pattern: &str) -> Result<Vec<String>, SurveyError> {
        self.repeat(|| async {
            let failed = |error: stream::InfoError| format!("cannot list {pattern}: {error}");
            let subjects = stream.info_with_subjects(pattern).await.map_err(failed)?;
            subjects.map_ok(|(subject, _)| subject).try_collect().await.map_err(failed)
        })
        .await
    }

    /// Returns the shards of a stage that have a record of this kind.
    async fn shards(
        &self,
        kind: &str,
        stage: Stage,
        lane: impl fmt::Display,
    ) -> Result<Vec<ShardId>, SurveyError> {
        let pattern = self.name.record(format_args!("{kind}.{stage}.{lane}.*"));
        let mut ids: Vec<_> =
            self.subjects(&self.records, &pattern).await?.iter().filter_map(|it| shard_id(it)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Repeats an operation that fails, for half of the lease: a worker that waited for longer has lost its lane.
    async fn repeat<T, F: Future<Output = Result<T, String>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, SurveyError> {
        let limit = Instant::now() + self.lease / 2;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(why) if Instant::now() >= limit => return Err(SurveyError::Queue(why)),
                Err(_) => tokio::time::sleep(REPEAT_AFTER).await,
            }
        }
    }
}

/// Connects to a server, and returns its JetStream.
async fn connect(address: &QueueAddress) -> Result<Context, SurveyError> {
    // The process may contain another provider of cryptography too; then rustls wants a choice. It fails if there is one already.
    let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut options = ConnectOptions::new()
        .name("starttls survey")
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REPLY_TIMEOUT))
        .reconnect_delay_callback(|attempts| {
            (REPEAT_AFTER * attempts.try_into().unwrap_or(8)).min(8 * REPEAT_AFTER)
        });
    if let Some(user) = address.server.username() {
        options = options.user_and_password(user.to_owned(), address.password.clone().unwrap_or_default());
    }
    let client: Client = options.connect(address.server.clone()).await.map_err(|error| {
        SurveyError::NoQueue(format!("cannot connect to the queue at {address}: {error}"))
    })?;
    let server = client.server_info();
    if !client.is_server_compatible(2, 10, 0) {
        return Err(SurveyError::UnfitQueue(format!(
            "the NATS server at {address} has the version \"{}\": expected 2.10 or newer, because older ones lose messages of a \
             queue when a worker is killed",
            server.version.escape_debug()
        )));
    }
    if !server.jetstream {
        return Err(SurveyError::UnfitQueue(format!("the NATS server at {address} has no JetStream")));
    }
    Ok(async_nats::jetstream::ContextBuilder::new().timeout(REPLY_TIMEOUT).build(client))
}

fn failed(what: impl fmt::Display, error: impl fmt::Display) -> SurveyError {
    SurveyError::Queue(format!("{what}: {error}"))
}

/// Returns whether a message was refused because its subject has as many as it may have.
fn is_full_subject(error: &async_nats::jetstream::context::PublishError) -> bool {
    let source =
        std::error::Error::source(error).and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>());
    source.is_some_and(|it| {
        it.error_code() == ErrorCode::STREAM_STORE_FAILED && it.to_string().contains("per subject")
    })
}

fn found(message: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, String> {
    match message {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(format!("cannot read from the queue: {error}")),
    }
}

fn parse<T: DeserializeOwned>(subject: &str, payload: &[u8]) -> Result<T, SurveyError> {
    serde_json::from_slice(payload)
        .map_err(|error| SurveyError::Queue(format!("the record {subject} has another form: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_checked_and_passwords_are_not_shown() {
        let address: QueueAddress = "nats://user@queue.example.org".parse().unwrap();
        let address = address.password("secret").unwrap();
        assert_eq!([address.to_string(), format!("{address:?}")], ["queue.example.org:4222"; 2]);
        let without_user: QueueAddress = "nats://queue.example.org".parse().unwrap();
        assert!(without_user.password("secret").is_err());
        for text in [
            "nats://user:secret@queue.example.org",
            "queue.example.org",
            "http://queue.example.org",
            "nats://",
            "ws://queue.example.org",
        ] {
            assert!(text.parse::<QueueAddress>().is_err(), "{text}");
        }
        assert_eq!("2027-01_a".parse::<RunName>().unwrap().lane(3), "starttls.2027-01_a.lane.3");
        for text in ["", "a.b", "a b", "*", ">", &"a".repeat(65)] {
            assert!(text.parse::<RunName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_shard_is_read_from_its_subject() {
        let id = ShardId { lane: 300, number: 7 };
        let name: RunName = "a".parse().unwrap();
        assert_eq!(shard_id(&name.of_shard("result", Stage::Probe(2), id)), Some(id));
        assert_eq!(shard_id("starttls.a.record.end"), None);
    }
}
