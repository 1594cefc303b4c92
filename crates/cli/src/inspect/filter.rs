//! `--filter`: which connections are shown and judged.

use std::net::{IpAddr, SocketAddr};

use starttls::proto::protocol;
use starttls_inspect::ConnectionReport;

use crate::error::Failed;

/// Connections that match any of the terms; all connections, if no terms were given.
pub(super) struct Filter(Vec<Term>);

enum Term {
    Protocol(&'static str),
    Address(IpAddr),
    Port(u16),
}

impl Filter {
    pub(super) fn parse(terms: &[String]) -> Result<Self, Failed> {
        let term = |text: &String| {
            if let Ok(port) = text.parse() {
                return Ok(Term::Port(port));
            }
            if let Ok(address) = text.parse() {
                return Ok(Term::Address(address));
            }
            let found = protocol(text).map(|protocol| Term::Protocol(protocol.name));
            found.ok_or_else(|| {
                let text = text.escape_debug();
                Failed::usage(format!("invalid filter \"{text}\": expected a protocol, an address or a port"))
            })
        };
        terms.iter().map(term).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn selects(&self, report: &ConnectionReport) -> bool {
        let address = |text: &String| text.parse::<SocketAddr>().ok();
        let (client, server) = (address(&report.client), address(&report.server));
        let matches = |term: &Term| match term {
            Term::Protocol(name) => report.facts.protocol.is_some_and(|it| it.name == *name),
            Term::Address(ip) => [client, server].into_iter().flatten().any(|it| it.ip() == *ip),
            Term::Port(port) => server.is_some_and(|it| it.port() == *port),
        };
        self.0.is_empty() || self.0.iter().any(matches)
    }
}
