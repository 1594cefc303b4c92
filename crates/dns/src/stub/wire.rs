//! Messages on the wire.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as WireQuery, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as WireType};

use super::{MAX_ALIASES, is_alias_type};
use crate::{DnsName, FailureKind, LookupFailure, Mx, MxTarget, RecordData, RecordType, Srv, TlsaData};

/// The largest datagram that is asked for: larger ones are fragmented on common paths.
const MAX_DATAGRAM: u16 = 1232;
/// The longest time to live that is reported: a week (RFC 8767 section 4).
const MAX_TTL: u32 = 604_800;
/// The time to live of a negative answer without an SOA record.
const DEFAULT_TTL: u32 = 60;
/// The EDNS option with the reason of a failure (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// A question to a resolver.
#[derive(Clone, Debug)]
pub(super) struct Query {
    name: Name,
    record: WireType,
    checking_disabled: bool,
    with_signatures: bool,
}

impl Query {
    pub(super) fn new(name: Name, record: WireType) -> Self {
        Self { name, record, checking_disabled: false, with_signatures: false }
    }

    /// Returns the same question with DO: the answer contains the signatures.
    pub(super) fn with_signatures(self) -> Self {
        Self { with_signatures: true, ..self }
    }

    /// Returns the same question with CD: the resolver answers even if validation fails.
    pub(super) fn without_validation(&self) -> Self {
        Self { checking_disabled: true, ..self.clone() }
    }

    /// Returns a new random id and the message.
    pub(super) fn encode(&self) -> Result<(u16, Vec<u8>), LookupFailure> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.metadata.authentic_data = true;
        message.metadata.checking_disabled = self.checking_disabled;
        message.add_query(WireQuery::query(self.name.clone(), self.record));
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_DATAGRAM);
        edns.set_dnssec_ok(self.with_signatures);
        message.set_edns(edns);
        let octets = message.to_vec().map_err(malformed)?;
        Ok((message.metadata.id, octets))
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Received(Message);

/// What a response says about a name.
pub(super) struct Part {
    pub(super) aliases: Vec<DnsName>,
    pub(super) ttl: u32,
    pub(super) end: End,
}

/// What is at the end of the aliases in a response.
pub(super) enum End {
    Records(Vec<RecordData>),
    NoData,
    NoName,
    /// The response ends at an alias; this is its target.
    AtAlias(Name),
}

impl Received {
    pub(super) fn parse(octets: &[u8]) -> Result<Self, LookupFailure> {
        Message::from_vec(octets).map(Self).map_err(malformed)
    }

    /// Returns whether this is a response to the query.
    pub(super) fn answers(&self, query: &Query, id: u16) -> bool {
        let header = &self.0.metadata;
        let asked = matches!(self.0.queries.as_slice(), [one] if one.name == query.name
            && one.query_type == query.record && one.query_class == DNSClass::IN);
        header.id == id
            && header.message_type == MessageType::Response
            && header.op_code == OpCode::Query
            && asked
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.0.metadata.truncation
    }

    pub(super) fn is_authentic(&self) -> bool {
        self.0.metadata.authentic_data
    }

    /// Returns why the response is not an answer.
    pub(super) fn failure(&self) -> Option<LookupFailure> {
        let kind = match self.0.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => return None,
            ResponseCode::ServFail if self.extended_error().is_some_and(is_validation_error) => {
                FailureKind::Bogus
            }
            ResponseCode::ServFail => FailureKind::ServFail,
            _ => FailureKind::Refused,
        };
        let detail = match (kind, self.extended_error()) {
            (_, Some(code)) => format!("extended error {code}"),
            (FailureKind::Refused, None) => self.0.metadata.response_code.to_string(),
            _ => String::new(),
        };
        Some(LookupFailure { kind, detail })
    }

    fn extended_error(&self) -> Option<u16> {
        let option = self.0.edns.as_ref()?.option(EdnsCode::Unknown(EXTENDED_ERROR))?;
        match option {
            EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes(*data.first_chunk()?)),
            _ => None,
        }
    }

    /// Returns the first end of a signature over the records of this type, as a serial number of seconds (RFC 4034 section
    /// 3.1.5).
    pub(super) fn signature_end(&self, name: &Name, record: WireType) -> Option<u32> {
        let signatures =
            self.0.answers.iter().filter(|it| it.name == *name).filter_map(|it| match &it.data {
                RData::Unknown { code: WireType::RRSIG, rdata } => Some(&rdata.anything),
                _ => None,
            });
        let covered = |octets: &&Vec<u8>| octets.starts_with(&u16::from(record).to_be_bytes());
        // The type, the algorithm, the number of labels and the original TTL precede the end.
        signatures
            .filter(covered)
            .filter_map(|octets| Some(u32::from_be_bytes(*octets.get(8..)?.first_chunk()?)))
            .min()
    }

    /// Follows the aliases from this name through the response.
    pub(super) fn read(&self, from: &Name, record: RecordType) -> Result<Part, LookupFailure> {
        let (mut name, mut aliases, mut ttl) = (from.clone(), Vec::new(), MAX_TTL);
        let wanted = to_wire(record);
        loop {
            let here = || self.0.answers.iter().filter(|it| it.name == name && it.dns_class == DNSClass::IN);
            let found: Vec<&Record> = here().filter(|it| it.record_type() == wanted).collect();
            if !found.is_empty() {
                let records: Vec<_> = found.iter().filter_map(|it| data(&it.data)).collect();
                if records.is_empty() {
                    return Err(with_detail("the records contain no valid names"));
                }
                ttl = found.iter().fold(ttl, |ttl, it| ttl.min(it.ttl));
                return Ok(Part { aliases, ttl, end: End::Records(records) });
            }
            let alias = here().find_map(|it| match &it.data {
                RData::CNAME(target) if !is_alias_type(record) => Some((target.0.clone(), it.ttl)),
                _ => None,
            });
            let Some((target, of_alias)) = alias else { break };
            ttl = ttl.min(of_alias);
            aliases.push(dns_name(&target).ok_or_else(|| with_detail("an alias has an invalid target"))?);
            if aliases.len() > MAX_ALIASES {
                return Err(FailureKind::AliasLoop.into());
            }
            name = target;
        }
        let soa = self.0.authorities.iter().find_map(|it| match &it.data {
            RData::SOA(soa) => Some(it.ttl.min(soa.minimum)),
            _ => None,
        });
        let end = match self.0.metadata.response_code {
            ResponseCode::NXDomain => End::NoName,
            _ if soa.is_none() && !aliases.is_empty() => {
                return Ok(Part { aliases, ttl, end: End::AtAlias(name) });
            }
            _ => End::NoData,
        };
        Ok(Part { aliases, ttl: ttl.min(soa.unwrap_or(DEFAULT_TTL)), end })
    }
}

/// Returns whether an extended error is one of validation (RFC 8914 section 4).
fn is_validation_error(code: u16) -> bool {
    matches!(code, 1 | 2 | 5..=12 | 25 | 27)
}

pub(super) fn to_wire(record: RecordType) -> WireType {
    match record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Caa => WireType::CAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Mx => WireType::MX,
        RecordType::Ns => WireType::NS,
        RecordType::Ptr => WireType::PTR,
        RecordType::Srv => WireType::SRV,
        RecordType::Tlsa => WireType::TLSA,
        RecordType::Txt => WireType::TXT,
    }
}

/// Returns the data, or `None` for a name that this library does not handle.
fn data(data: &RData) -> Option<RecordData> {
    Some(match data {
        RData::A(address) => RecordData::Address(address.0.into()),
        RData::AAAA(address) => RecordData::Address(address.0.into()),
        RData::CAA(caa) => RecordData::Caa { tag: caa.tag.clone(), value: caa.value.clone() },
        RData::CNAME(name) => RecordData::Name(dns_name(&name.0)?),
        RData::NS(name) => RecordData::Name(dns_name(&name.0)?),
        RData::PTR(name) => RecordData::Name(dns_name(&name.0)?),
        RData::MX(mx) => {
            RecordData::Mx(Mx { preference: mx.preference, target: MxTarget::new(&mx.exchange.to_ascii()) })
        }
        RData::SRV(srv) => RecordData::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: MxTarget::new(&srv.target.to_ascii()),
        }),
        RData::TLSA(tlsa) => RecordData::Tlsa(TlsaData {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        RData::TXT(txt) => RecordData::Txt(txt.txt_data.concat()),
        _ => return None,
    })
}

fn dns_name(name: &Name) -> Option<DnsName> {
    name.to_ascii().parse().ok()
}

fn malformed(error: impl std::fmt::Display) -> LookupFailure {
    with_detail(&error.to_string())
}

fn with_detail(detail: &str) -> LookupFailure {
    let detail = detail.chars().take(120).flat_map(char::escape_debug).collect();
    LookupFailure { kind: FailureKind::Malformed, detail }
}
