//! Writes the spans of the gateway and of its library to the log: a line for each that has ended.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry, Scope};

use crate::log::now;
use crate::log_level::LogLevel;
use crate::report::{Milliseconds, Reporter};

/// The target of the library's spans and of the gateway's. Those of other libraries are not logged: they may contain what
/// peers sent.
pub(crate) const TARGET: &str = "starttls";

/// The span that contains all spans of a session, and its field with the id.
const SESSION: &str = "session";

/// The span of something that outlasts a task. Without a log it takes no memory.
#[derive(Default)]
pub(crate) struct HeldSpan(Option<Box<Span>>);

impl HeldSpan {
    pub(crate) fn new(span: Span) -> Self {
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    pub(crate) fn get(&self) -> Span {
        self.0.as_deref().cloned().unwrap_or_else(Span::none)
    }
}

/// Writes the spans of this process to this log from now on. Returns `false` if the process collects spans in another way
/// already.
pub fn install(reporter: Arc<Reporter>) -> bool {
    let subscriber = Registry::default().with(SpanLog { reporter });
    tracing::subscriber::set_global_default(subscriber).is_ok()
}

struct SpanLog {
    reporter: Arc<Reporter>,
}

/// The line of a span or of an event in it.
#[derive(Serialize)]
struct SpanLine<'a> {
    time: String,
    level: LogLevel,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
    #[serde(rename = "duration_ms", skip_serializing_if = "Option::is_none")]
    duration: Option<Milliseconds>,
}

/// What a span has recorded so far.
struct Recorded {
    began: Instant,
    fields: Fields,
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl SpanLog {
    /// Writes a line. `scope` has the span of the session, if there is one.
    fn write<'a, S: LookupSpan<'a>>(
        &self,
        event: &str,
        level: Level,
        fields: &Map<String, Value>,
        scope: Option<Scope<'a, S>>,
        duration: Option<Milliseconds>,
    ) {
        let session = scope.into_iter().flatten().find(|span| span.name() == SESSION).and_then(|span| {
            let extensions = span.extensions();
            Some(extensions.get::<Recorded>()?.fields.0.get(SESSION)?.as_str()?.to_owned())
        });
        let level = log_level(level);
        let line = SpanLine { time: now(), level, event, session, fields, duration };
        self.reporter.log.write(level, &line);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLog {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        if about.target() == TARGET { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        about.target() == TARGET && self.reporter.log.has_level(log_level(*about.level()))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.reporter.log.level() {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Recorded { began: Instant::now(), fields });
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<Recorded>()
        {
            values.record(&mut recorded.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message");
        let name = message.as_ref().and_then(Value::as_str).unwrap_or_default();
        self.write(name, *event.metadata().level(), &fields.0, context.event_scope(event), None);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id).filter(|span| span.name() != SESSION) else { return };
        let Some(Recorded { began, fields }) = span.extensions_mut().remove::<Recorded>() else { return };
        let duration = Some(Milliseconds(began.elapsed()));
        self.write(span.name(), *span.metadata().level(), &fields.0, Some(span.scope()), duration);
    }
}

fn log_level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}
