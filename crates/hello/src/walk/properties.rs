//! The properties that ServerHello and ServerKeyExchange show beside versions and suites.

use super::evidence::{Certainty, Doubt, Reading, Refusal, ServerDecision, distinct};
use super::facts::{DhParameters, Known, Preference, ServerFacts, Support};
use super::lists;
use crate::alert::Alert;
use crate::extension::kind;
use crate::flight::{FlightEnd, ServerFlight};
use crate::key_exchange::{Curve, ServerKeyExchange};
use crate::question::Topic;
use crate::table::{Authentication, CipherSuite, Strength};
use crate::version::Version;

impl<'a> ServerFacts<'a> {
    /// Returns whether the server agrees to TLS compression (CRIME).
    pub fn compression(&self) -> Known<Support> {
        self.property(|reading, flight| reading.question.compression.then_some(flight.hello.compression != 0))
    }

    /// Returns whether the server answers an extension of a hello up to TLS 1.2. The types are in
    /// [`extension_kind`](crate::extension_kind).
    pub fn extension(&self, wanted: u16) -> Known<Support> {
        self.property(|reading, flight| {
            let sent = match wanted {
                kind::HEARTBEAT | kind::SIGNED_CERTIFICATE_TIMESTAMP => reading.question.topic == Topic::Good,
                // Only a CBC suite can use it (RFC 7366 section 3).
                kind::ENCRYPT_THEN_MAC => flight.suite().info().is_some_and(|info| info.mode == "CBC"),
                _ => true,
            };
            let sent = sent && flight.version().is_some_and(|version| version > Version::Ssl3);
            sent.then(|| flight.hello.extension(wanted).is_some())
        })
    }

    /// Returns whether the server asks for a client certificate up to TLS 1.2; later versions encrypt the request.
    pub fn client_certificate(&self) -> Known<Support> {
        self.property(|_, flight| {
            // Only a whole flight shows that nothing was asked for.
            let whole = flight.end == FlightEnd::Done || flight.certificate_request.is_some();
            whole.then(|| flight.certificate_request.is_some())
        })
    }

    /// A property of flights up to TLS 1.2: offered if any flight has it, not offered if all that could have it have not.
    fn property(&self, test: impl Fn(&Reading<'a>, &'a ServerFlight) -> Option<bool>) -> Known<Support> {
        let mut known = Known::Unasked;
        for (reading, version, _, flight) in self.evidence.accepted() {
            match test(reading, flight).filter(|_| version <= Version::Tls12) {
                Some(true) => return Known::witnessed(Support::Offered, reading),
                Some(false) => known = Known::witnessed(Support::NotOffered, reading),
                None => {}
            }
        }
        known
    }

    /// Returns whether the server honors TLS_FALLBACK_SCSV (RFC 7507).
    pub fn fallback_scsv(&self) -> Known<Support> {
        let Some(reading) = self.evidence.of(Topic::Fallback).last() else { return Known::Unasked };
        match reading.verdict {
            ServerDecision::Accepted { .. } => Known::witnessed(Support::NotOffered, reading),
            ServerDecision::Refused(Refusal::Other(alert))
                if alert.description == Alert::INAPPROPRIATE_FALLBACK =>
            {
                Known::witnessed(Support::Offered, reading)
            }
            ServerDecision::Refused(Refusal::Other(alert)) => Known::Inconclusive(Doubt::Unclear(alert)),
            ServerDecision::Unclear(why) => Known::Inconclusive(why),
            ServerDecision::Refused(_) | ServerDecision::Ssl2(_) => Known::Inconclusive(Doubt::Closed),
        }
    }

    /// Returns whether a server with TLS 1.3 marks the random of older versions (RFC 8446 section 4.1.3).
    pub fn downgrade_mark(&self) -> Known<Support> {
        if !self.evidence.offers(Version::Tls13) {
            return Known::Unasked;
        }
        // One answer without the mark is enough for an attacker.
        match self.property(|_, flight| Some(flight.hello.downgrade_mark().is_none())) {
            Known::Is(Support::Offered, witness) => Known::Is(Support::NotOffered, witness),
            Known::Is(Support::NotOffered, witness) => Known::Is(Support::Offered, witness),
            other => other,
        }
    }

    /// The finite-field Diffie-Hellman parameters that were seen.
    pub fn dh_parameters(&self) -> Vec<DhParameters<'a>> {
        let exchanges = self.evidence.accepted().filter_map(|(reading, version, suite, flight)| {
            let exchange = flight.key_exchange.as_ref()?;
            let ServerKeyExchange::Dhe { prime, .. } = exchange else { return None };
            Some(DhParameters { hello: reading.at, version, suite, bits: exchange.bits()?, prime })
        });
        exchanges.collect()
    }

    /// Returns whether the server uses the same Diffie-Hellman value twice (Raccoon).
    pub fn dh_reuse(&self) -> Known<Support> {
        let mut values: Vec<&[u8]> = Vec::new();
        let mut known = Known::Unasked;
        for (reading, _, _, flight) in self.evidence.accepted() {
            let Some(exchange @ ServerKeyExchange::Dhe { .. }) = &flight.key_exchange else { continue };
            let Some(public) = exchange.public() else { continue };
            if values.contains(&public) {
                return Known::witnessed(Support::Offered, reading);
            }
            if !values.is_empty() {
                known = Known::witnessed(Support::NotOffered, reading);
            }
            values.push(public);
        }
        known
    }

    /// Returns whether the server uses a weak, unusual or explicit curve.
    pub fn weak_curve(&self) -> Known<Support> {
        let weak = |curve: &Curve| match curve {
            Curve::Named(group) => group.info().is_none_or(|info| info.class <= Strength::Exotic),
            Curve::ExplicitPrime { .. } | Curve::ExplicitBinary { .. } => true,
        };
        let found = self.evidence.accepted().find(|(.., flight)| {
            matches!(&flight.key_exchange, Some(ServerKeyExchange::Ecdhe { curve, .. }) if weak(curve))
        });
        match found {
            Some((reading, ..)) => Known::witnessed(Support::Offered, reading),
            None => self.only(Topic::WeakCurves, |it| matches!(it, ServerKeyExchange::Ecdhe { .. })),
        }
    }

    /// Returns whether the server signs its key exchange with SHA-1 or MD5 in TLS 1.2 (RFC 9155).
    pub fn legacy_signature(&self) -> Known<Support> {
        let broken = |flight: &ServerFlight| {
            let scheme = flight.key_exchange.as_ref().and_then(ServerKeyExchange::scheme);
            scheme.and_then(|scheme| scheme.info()).is_some_and(|info| info.class == Strength::Broken)
        };
        match self.evidence.accepted().find(|(.., flight)| broken(flight)) {
            Some((reading, ..)) => Known::witnessed(Support::Offered, reading),
            None => self.only(Topic::LegacyHash, |it| it.scheme().is_some()),
        }
    }

    /// The answer to a question that offered only what is asked about. `shows` returns whether a key exchange shows what
    /// the server chose instead.
    fn only(&self, topic: Topic, shows: impl Fn(&ServerKeyExchange) -> bool) -> Known<Support> {
        let Some(reading) = self.evidence.of(topic).last() else { return Known::Unasked };
        match reading.verdict {
            ServerDecision::Refused(_) => {
                self.confirmed(reading.at, reading.certainty().min(Certainty::Implied))
            }
            ServerDecision::Unclear(why) => Known::Inconclusive(why),
            // The server chose something that was not offered, so it did not agree.
            ServerDecision::Accepted { flight, .. } if flight.key_exchange.as_ref().is_some_and(shows) => {
                Known::witnessed(Support::NotOffered, reading)
            }
            // The flight ended before the key exchange, or the key exchange could not be read.
            ServerDecision::Accepted { flight, .. } => Known::Inconclusive(match flight.end {
                FlightEnd::Closed => Doubt::Closed,
                FlightEnd::Silent => Doubt::Silent,
                FlightEnd::Alert(alert) => Doubt::Unclear(alert),
                FlightEnd::Malformed(_) => Doubt::NotTls,
                FlightEnd::Done | FlightEnd::Retry | FlightEnd::Encrypted => Doubt::Inconsistent,
            }),
            ServerDecision::Ssl2(_) => Known::Inconclusive(Doubt::Inconsistent),
        }
    }

    /// Returns whether the server has a key of this type, up to TLS 1.2.
    pub fn key_type(&self, kind: Authentication) -> Known<Support> {
        let of_kind = |suite: &CipherSuite| suite.info().is_some_and(|info| info.authentication == kind);
        if let Some((reading, ..)) = self.evidence.accepted().find(|(_, _, suite, _)| of_kind(suite)) {
            return Known::witnessed(Support::Offered, reading);
        }
        let Some(best) = self.evidence.best_classic() else { return Known::Unasked };
        let suites: Vec<_> = lists::universe(best).into_iter().filter(of_kind).collect();
        self.none_of(best, &suites)
    }

    /// The chains that were presented up to TLS 1.2, each once, its own certificate first.
    pub fn chains(&self) -> Vec<&'a [Vec<u8>]> {
        let chains = self.evidence.accepted().map(|(.., flight)| flight.certificates.as_slice());
        distinct(chains.filter(|chain| !chain.is_empty()))
    }

    /// Returns whether the server's or the client's order of suites decides.
    pub fn preference(&self) -> Known<Preference> {
        let mut followed = Vec::new();
        for (reading, version, suite, _) in self.evidence.accepted() {
            let mut usable =
                reading.question.suites.iter().copied().filter(|it| self.evidence.accepts(version, *it));
            let (first, second) = (usable.next(), usable.next());
            match (first, second) {
                (Some(first), _) if first != suite => return Known::witnessed(Preference::Server, reading),
                (Some(_), Some(other)) => followed.push((reading, suite, other)),
                _ => {}
            }
        }
        // The client decides if the server chose either of two suites, whichever came first.
        let reversed =
            followed.iter().find(|(_, suite, _)| followed.iter().any(|(_, other, _)| other != suite));
        match (reversed, followed.is_empty()) {
            (Some((reading, ..)), _) if self.was_reversed() => Known::witnessed(Preference::Client, reading),
            (_, false) => Known::Inconclusive(Doubt::Partly),
            _ => Known::Unasked,
        }
    }

    /// Returns whether one list was answered in both directions with different suites.
    fn was_reversed(&self) -> bool {
        let answers: Vec<_> =
            self.evidence.accepted().map(|(it, _, suite, _)| (&it.question.suites, suite)).collect();
        answers.iter().any(|(list, suite)| {
            answers.iter().any(|(other, pick)| pick != suite && list.iter().eq(other.iter().rev()))
        })
    }

    /// Returns whether every refusal of this server was a closed connection without an alert.
    pub fn closes_instead_of_answering(&self) -> bool {
        let mut refusals = self.evidence.readings.iter().filter_map(Reading::refusal).peekable();
        refusals.peek().is_some() && refusals.all(|refusal| refusal == Refusal::Closed)
    }
}
