//! Spans for the crate `tracing`: names of steps and results, never octets or names that a peer sent, and never an account.
//!
//! Without the feature `tracing`, everything here is empty.

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::{Span, step_changed};
#[cfg(feature = "tracing")]
pub(crate) use enabled::{Span, step_changed};

#[cfg(feature = "tracing")]
mod enabled {
    use std::net::SocketAddr;

    use starttls_proto::Side;
    use tracing::field::{Empty, display};
    use tracing::{debug_span, trace};

    use crate::handshake::Handshake;
    use crate::ready::Negotiated;
    use crate::{Encrypted, Error, Ready, Step};

    const TARGET: &str = "starttls";

    /// A part of a connection, as a span. Its fields say what it is about, and at its end what came of it.
    #[derive(Clone, Debug)]
    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) fn negotiation(protocol: &'static str, side: Side, peer: Option<SocketAddr>) -> Self {
            let peer = peer.map(display);
            let side = side.name();
            Self(
                debug_span!(target: TARGET, "negotiation", protocol, side, peer, step = Empty, outcome = Empty),
            )
        }

        pub(crate) fn handshake(protocol: &'static str, side: Side, peer: Option<SocketAddr>) -> Self {
            let peer = peer.map(display);
            Self(debug_span!(
                target: TARGET,
                "handshake",
                protocol,
                side = side.name(),
                peer,
                step = Empty,
                outcome = Empty,
                tls_version = Empty,
                cipher_suite = Empty,
                kind = Empty
            ))
        }

        #[cfg(feature = "login")]
        pub(crate) fn login(protocol: &'static str, peer: Option<SocketAddr>) -> Self {
            let peer = peer.map(display);
            Self(
                debug_span!(target: TARGET, "login", protocol, peer, step = Empty, outcome = Empty, mechanism = Empty),
            )
        }

        /// Runs the work inside the span, and records its result.
        #[cfg(feature = "tokio")]
        pub(crate) fn run<T: Outcome, E: Outcome>(
            self,
            work: impl Future<Output = Result<T, E>>,
        ) -> impl Future<Output = Result<T, E>> {
            // On the heap, so that the futures of callers do not grow with the feature.
            let work = Box::pin(tracing::Instrument::instrument(work, self.0.clone()));
            async move {
                let result = work.await;
                self.0.in_scope(|| record(&self.0, &result));
                result
            }
        }

        /// Runs the work inside the span, and records its result.
        pub(crate) fn run_blocking<T: Outcome, E: Outcome>(
            self,
            work: impl FnOnce() -> Result<T, E>,
        ) -> Result<T, E> {
            self.0.in_scope(|| {
                let result = work();
                record(&self.0, &result);
                result
            })
        }
    }

    fn record<T: Outcome, E: Outcome>(span: &tracing::Span, result: &Result<T, E>) {
        if span.is_disabled() {
            return;
        }
        match result {
            Ok(done) => done.record(span),
            Err(error) => error.record(span),
        };
    }

    /// Reports that a negotiation waits for something else.
    pub(crate) fn step_changed(before: Step, now: Step) {
        if before != now {
            trace!(target: TARGET, step = now.as_str(), "waiting");
        }
    }

    /// A result that a span records, in words of this library alone.
    pub(crate) trait Outcome {
        fn record(&self, span: &tracing::Span);
    }

    impl<IO> Outcome for Negotiated<IO> {
        fn record(&self, span: &tracing::Span) {
            span.record("outcome", if matches!(self, Self::Ready(_)) { "upgrade" } else { "declined" });
        }
    }

    impl<IO> Outcome for Ready<IO> {
        fn record(&self, span: &tracing::Span) {
            span.record("outcome", "upgrade");
        }
    }

    /// The first half of a handshake has no result of its own.
    impl<IO> Outcome for Handshake<IO> {
        fn record(&self, _: &tracing::Span) {}
    }

    impl<IO> Outcome for Encrypted<IO> {
        fn record(&self, span: &tracing::Span) {
            let facts = self.facts();
            span.record("outcome", "encrypted");
            span.record("tls_version", facts.version_name());
            span.record("cipher_suite", facts.cipher_suite_name());
            span.record("kind", facts.kind_name());
        }
    }

    impl Outcome for Error {
        fn record(&self, span: &tracing::Span) {
            span.record("outcome", self.name());
            if let Some(step) = self.step() {
                span.record("step", step.as_str());
            }
        }
    }

    #[cfg(feature = "login")]
    impl Outcome for crate::login::LoggedIn {
        fn record(&self, span: &tracing::Span) {
            span.record("outcome", "granted");
            span.record("mechanism", self.mechanism);
        }
    }

    #[cfg(feature = "login")]
    impl Outcome for crate::login::LoginError {
        fn record(&self, span: &tracing::Span) {
            span.record("outcome", self.name());
            if let Some(step) = self.step() {
                span.record("step", step.as_str());
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod disabled {
    use std::net::SocketAddr;

    use starttls_proto::Side;

    use crate::Step;

    /// Nothing: the feature `tracing` is off.
    #[derive(Clone, Debug)]
    pub(crate) struct Span;

    impl Span {
        pub(crate) fn negotiation(_: &'static str, _: Side, _: Option<SocketAddr>) -> Self {
            Self
        }

        pub(crate) fn handshake(_: &'static str, _: Side, _: Option<SocketAddr>) -> Self {
            Self
        }

        #[cfg(feature = "login")]
        pub(crate) fn login(_: &'static str, _: Option<SocketAddr>) -> Self {
            Self
        }

        #[cfg(feature = "tokio")]
        pub(crate) fn run<F: Future>(self, work: F) -> F {
            work
        }

        pub(crate) fn run_blocking<T>(self, work: impl FnOnce() -> T) -> T {
            work()
        }
    }

    pub(crate) fn step_changed(_: Step, _: Step) {}
}
