//! What a packet capture shows of each upgrade to TLS: whether it was offered, requested, granted and used; whether it was
//! stripped or refused; what crossed in cleartext.
//!
//! [`Conversation`] reads one connection without I/O. [`Inspector`] reads whole captures: it follows TCP connections, gives
//! their octets to a conversation each, and returns a [`ConnectionReport`] when a connection ends. [`judge`] derives
//! findings from [`Facts`].
//!
//! The crate opens no socket, contains no TLS library and needs no privilege. A value is `No` only if its proof was seen;
//! everything else is `Unknown`, and `Unknown` is never a finding. Secrets are in no fact.
#![forbid(unsafe_code)]

mod capture;
mod compare;
mod conversation;
mod facts;
mod flow;
mod hops;
mod inspector;
mod kept_octets;
mod moment;
mod peel;
mod privacy;
mod report;
mod tls;
mod verdict;

pub use capture::{CaptureError, CaptureReader, CaptureWriter, CapturedPacket};
pub use compare::{ComparedConnection, ComparedFinding, Comparison, ConnectionDifference, compare};
pub use conversation::{Conversation, ConversationEnd};
pub use facts::{
    BoundaryPoint, CertificateView, CleartextOctets, Clue, ClueKind, Exposure, Facts, FatalAlert, Handshake,
    ObservedLogin, Offered, ProxyHop, ProxyKind, Readable, Recognition, RequestAnswer, Requested, SideName,
    SuiteName, TlsUse, Visibility,
};
pub use inspector::{CaptureSummary, ConnectionReport, InspectLimits, Inspector, SkippedPackets};
pub use moment::Moment;
pub use privacy::ShownUsers;
pub use report::{HtmlReport, Origin, ReportLine, SCHEMA_VERSION, ZEEK_HEADER, eve, zeek};
pub use verdict::{
    Baseline, BaselineError, ClientSummary, Confidence, Observation, ObservationRule, RULES, ServerSummary,
    Servers, Weight, judge, rule,
};
