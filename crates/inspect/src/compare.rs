//! Two captures of the same connections, from both sides of a device: what the device changed.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;
use starttls_proto::Side;

use crate::conversation::index;
use crate::facts::{
    CertificateView, Clue, ClueKind, Facts, Offered, RequestAnswer, Requested, TlsUse, Visibility,
};
use crate::inspector::ConnectionReport;
use crate::kept_octets::KeptOctets;
use crate::moment::Moment;
use crate::verdict::{Confidence, Observation, Weight};

/// How many of the first octets of a direction identify a connection whose addresses were translated.
const IDENTIFYING: usize = 64;
/// How far apart the starts of such a connection may be, in nanoseconds.
const APART: u64 = 10_000_000_000;

/// What two captures of the same connections show together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// Connections that are in both captures.
    pub matched: u64,
    /// Connections that are only in the capture of the client's side.
    pub only_near: u64,
    /// Connections that are only in the capture of the server's side.
    pub only_far: u64,
    /// Connections that differ.
    #[serde(skip)]
    pub differences: Vec<ConnectionDifference>,
}

/// A connection that is not the same on both sides of the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionDifference {
    /// The connection in the capture of the client's side.
    pub near: ComparedConnection,
    /// The same connection in the capture of the server's side.
    pub far: ComparedConnection,
    /// What differs. The evidence names the capture from which it is.
    pub findings: Vec<ComparedFinding>,
}

/// A connection in one of the captures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComparedConnection {
    /// The number of the connection in this capture.
    pub id: u64,
    /// The client's address and port.
    pub client: String,
    /// The server's address and port.
    pub server: String,
}

/// A finding of a comparison, with the evidence of each capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComparedFinding {
    /// The finding. Its evidence is from the client's side.
    #[serde(flatten)]
    pub finding: Observation,
    /// The evidence from the server's side.
    pub far_evidence: Vec<Clue>,
}

/// Compares the connections of two captures. `near` is from the client's side of the device, `far` from the server's. The
/// inspectors must have kept octets ([`crate::Inspector::keeping`]).
pub fn compare(near: &[ConnectionReport], far: &[ConnectionReport]) -> Comparison {
    let pairs = pairs(near, far);
    let matched = pairs.len() as u64;
    let differences = pairs.into_iter().filter_map(|(one, other)| {
        let (near, far) = (near.get(one)?, far.get(other)?);
        let findings = differences(near, far);
        let end = |it: &ConnectionReport| ComparedConnection {
            id: it.id,
            client: it.client.clone(),
            server: it.server.clone(),
        };
        (!findings.is_empty()).then(|| ConnectionDifference { near: end(near), far: end(far), findings })
    });
    Comparison {
        matched,
        only_near: near.len() as u64 - matched,
        only_far: far.len() as u64 - matched,
        differences: differences.collect(),
    }
}

/// Returns which connections of the captures are the same: those with the same addresses and sequence numbers; then those
/// that start with the same octets at about the same time, because a device may translate both.
fn pairs(near: &[ConnectionReport], far: &[ConnectionReport]) -> Vec<(usize, usize)> {
    let identity = |it: &ConnectionReport| {
        let start = it.kept.as_ref()?.start;
        (start != [None; 2]).then(|| (it.client.clone(), it.server.clone(), start))
    };
    let known: HashMap<_, _> =
        far.iter().enumerate().filter_map(|(at, it)| Some((identity(it)?, at))).collect();
    let mut pairs: Vec<(usize, usize)> =
        near.iter().enumerate().filter_map(|(at, it)| Some((at, *known.get(&identity(it)?)?))).collect();
    let [mut near_left, mut far_left] = [near.len(), far.len()].map(|len| vec![true; len]);
    for (one, other) in &pairs {
        (near_left[*one], far_left[*other]) = (false, false);
    }
    let first = |it: &ConnectionReport, side: Side| {
        let octets = it.kept.as_ref().map_or(&[][..], |kept| &kept.octets[index(side)]);
        octets.get(..octets.len().min(IDENTIFYING)).unwrap_or_default().to_vec()
    };
    let is_close = |one: &ConnectionReport, other: &ConnectionReport| {
        one.started.time.abs_diff(other.started.time) <= APART
    };
    // What identifies a connection, the surest first. A pair counts if no other connection could be meant.
    let sides: [&[Side]; 3] = [&[Side::Client, Side::Server], &[Side::Client], &[Side::Server]];
    for sides in sides {
        let key =
            |it: &ConnectionReport| -> Vec<Vec<u8>> { sides.iter().map(|side| first(it, *side)).collect() };
        let mut index: HashMap<Vec<Vec<u8>>, [Vec<usize>; 2]> = HashMap::new();
        for (place, all, left) in [(0, near, &near_left), (1, far, &far_left)] {
            for (at, it) in all.iter().enumerate().filter(|(at, _)| left[*at]) {
                let key = key(it);
                if key.iter().any(|octets| !octets.is_empty()) {
                    index.entry(key).or_default()[place].push(at);
                }
            }
        }
        for [ones, others] in index.into_values() {
            for one in &ones {
                let mut close = others.iter().filter(|other| is_close(&near[*one], &far[**other]));
                let (Some(other), None) = (close.next(), close.next()) else { continue };
                let rivals = ones.iter().filter(|one| is_close(&near[**one], &far[*other])).count();
                if rivals == 1 {
                    pairs.push((*one, *other));
                    (near_left[*one], far_left[*other]) = (false, false);
                }
            }
        }
    }
    if let ([_], [_], []) = (near, far, &pairs[..]) {
        pairs.push((0, 0));
    }
    pairs.sort_unstable();
    pairs
}

fn differences(near: &ConnectionReport, far: &ConnectionReport) -> Vec<ComparedFinding> {
    let mut found = negotiation(&near.facts, &far.facts);
    for side in [Side::Server, Side::Client] {
        found.extend(cleartext(near, far, side));
    }
    found.extend(session(&near.facts, &far.facts));
    found
}

fn finding(
    id: &'static str,
    severity: Weight,
    summary: &str,
    near: Vec<Clue>,
    far: Vec<Clue>,
) -> ComparedFinding {
    let finding = Observation {
        id,
        severity,
        certainty: Confidence::Proven,
        summary: summary.to_owned(),
        evidence: near,
    };
    ComparedFinding { finding, far_evidence: far }
}

fn negotiation(near: &Facts, far: &Facts) -> Vec<ComparedFinding> {
    let clues = |facts: &Facts, kinds: &[ClueKind]| -> Vec<Clue> {
        facts.clues.iter().filter(|clue| kinds.contains(&clue.kind)).take(2).cloned().collect()
    };
    let stripped = |summary: &str, near_kinds: &[ClueKind], far_kinds: &[ClueKind]| {
        finding("obs-stripped", Weight::High, summary, clues(near, near_kinds), clues(far, far_kinds))
    };
    let mut found = Vec::new();
    // The lists themselves, not the conclusions: a connection may end before anything can be concluded from its absence.
    let has = |facts: &Facts, kind| facts.clue(kind).is_some();
    let lacks = (has(near, ClueKind::NoOffer) || has(near, ClueKind::Mask)) && !has(near, ClueKind::Offer);
    if has(far, ClueKind::Offer) && lacks && near.offered != Offered::Yes {
        let summary = "the server offered the upgrade, and the offer did not reach the client";
        found.push(stripped(summary, &[ClueKind::NoOffer, ClueKind::Mask], &[ClueKind::Offer]));
    }
    if near.requested == Requested::Yes && far.requested == Requested::No {
        let summary = "the client requested the upgrade, and the request did not reach the server";
        found.push(stripped(summary, &[ClueKind::Request], &[]));
    }
    let refused =
        |answer| matches!(answer, RequestAnswer::RefusedPermanent | RequestAnswer::RefusedTemporary);
    if refused(near.answer) && far.answer == RequestAnswer::Accepted {
        let summary = "the server accepted the upgrade, and the client got a refusal";
        found.push(stripped(summary, &[ClueKind::Refuse], &[ClueKind::Accept]));
    } else if refused(near.answer) && far.answer == RequestAnswer::NotRequested {
        let summary = "the client got a refusal that the server did not send";
        found.push(stripped(summary, &[ClueKind::Refuse], &[]));
    }
    for (kind, summary) in [
        (ClueKind::ServerBeyond, "the client got cleartext after the go-ahead that the server did not send"),
        (
            ClueKind::ClientBeyond,
            "the client sent cleartext after its request, and the server did not get it",
        ),
    ] {
        // The other capture must show that TLS followed there.
        if has(near, kind) && !has(far, kind) && far.boundary.is_some() {
            found.push(finding("obs-injected", Weight::High, summary, clues(near, &[kind]), Vec::new()));
        }
    }
    if has(far, ClueKind::ClientBeyond) && !has(near, ClueKind::ClientBeyond) && near.boundary.is_some() {
        let summary = "the server got cleartext after the request that the client did not send";
        let evidence = clues(far, &[ClueKind::ClientBeyond]);
        found.push(finding("obs-injected", Weight::High, summary, Vec::new(), evidence));
    }
    found
}

/// Compares the cleartext of one side, octet by octet.
fn cleartext(near: &ConnectionReport, far: &ConnectionReport, side: Side) -> Option<ComparedFinding> {
    let (one, other) = (near.kept.as_ref()?, far.kept.as_ref()?);
    let part = |report: &ConnectionReport, octets: &[u8]| {
        let cleartext = report.facts.cleartext;
        let end = if side == Side::Client { cleartext.client } else { cleartext.server };
        octets.len().min(usize::try_from(end).unwrap_or(usize::MAX))
    };
    let at = index(side);
    let ends = [part(near, &one.octets[at]), part(far, &other.octets[at])];
    let (one_part, other_part) = (&one.octets[at][..ends[0]], &other.octets[at][..ends[1]]);
    let same = one_part.iter().zip(other_part).take_while(|(one, other)| one == other).count();
    if same == ends[0].min(ends[1]) {
        // One side ends here: that counts if nothing can follow in this capture.
        let (shorter, kept) = if ends[0] <= ends[1] { (near, one) } else { (far, other) };
        let is_over = shorter.facts.seen == Visibility::Whole && !kept.is_cut[at];
        if ends[0] == ends[1] || !is_over {
            return None;
        }
    }
    // A message from the server is quoted if neither conversation contains a login.
    let is_public = side == Side::Server
        && [near, far].iter().all(|it| it.facts.credentials.is_empty() && it.facts.protocol.is_some());
    let clue = |kept: &KeptOctets, part: &[u8]| {
        let line = part[..same].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        let end = part.len().min(same + 120);
        let range: Range<u64> = line as u64..end as u64;
        let reached = kept.moments[at].iter().find(|(end, _)| *end > same as u64).or(kept.moments[at].last());
        let moment = reached.map_or_else(Moment::default, |(_, moment)| *moment);
        let clue = Clue::new(ClueKind::Conflict, side, range, moment);
        if is_public { clue.showing(&part[line..end]) } else { clue }
    };
    let summary = format!("octets of the {} differ from octet {same} on", side.name());
    let (near, far) = (clue(one, one_part), clue(other, other_part));
    Some(finding("obs-conflict", Weight::High, &summary, vec![near], vec![far]))
}

/// Compares the TLS sessions: a device that ends TLS has sessions of its own.
fn session(near: &Facts, far: &Facts) -> Option<ComparedFinding> {
    let encrypted = |facts: &Facts| matches!(facts.tls, TlsUse::Upgrade | TlsUse::FirstOctet);
    let summary = match (&near.handshake, &far.handshake) {
        (Some(one), Some(other)) => {
            let fingerprint = |it: &crate::facts::Handshake| match &it.certificate {
                Some(CertificateView::Visible { sha256, .. }) => Some(sha256.clone()),
                _ => None,
            };
            let hello = |it: &crate::facts::Handshake| (it.ja3.clone(), it.sni.clone());
            let answer = |it: &crate::facts::Handshake| (it.version_code, it.suite.clone(), fingerprint(it));
            let both = |differs: bool, known: bool| differs && known;
            let known = one.ja3.is_some() && other.ja3.is_some();
            let answered = one.version_code.is_some() && other.version_code.is_some();
            if !both(hello(one) != hello(other), known) && !both(answer(one) != answer(other), answered) {
                return None;
            }
            "the TLS sessions differ: a device between the captures ends TLS"
        }
        _ if encrypted(near) && far.tls == TlsUse::Never => {
            "a device between the captures ends TLS, and the server gets cleartext"
        }
        _ if near.tls == TlsUse::Never && encrypted(far) => {
            "a device between the captures starts TLS, and the client sends cleartext"
        }
        _ => return None,
    };
    Some(finding("obs-conflict", Weight::Medium, summary, Vec::new(), Vec::new()))
}
