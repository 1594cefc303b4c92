//! Which policy governs the delivery to a host, and whether a session satisfies it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use starttls::Connector;
use starttls::dane::{DaneVerifier, TlsaRecord};
use starttls::dialer::TcpRoute;
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::{CertificateDer, UnixTime};
use starttls_dns::{DnsName, Stub, TlsaData};
use starttls_policy::dane::{DaneRecords, DomainFacts, HostDane, HostFacts, NextHop};
use starttls_policy::decide::{HostRule, PolicyChoice, SkipReason, host_rule, require_tls_rule};
use starttls_policy::drive::{PolicyFetcher, StsLookup, domain_facts, look_up_sts, texts};
use starttls_policy::sts::StsMode;
use starttls_policy::tlsrpt;
use starttls_x509::Certificate;

use super::cache::PolicyCache;
use super::report::{AttemptPolicy, PolicyKind};
use crate::args::{Send, Trace};
use crate::error::Failed;
use crate::exit;
use crate::peer::Dial;

/// The policies of the domain that the message is for.
pub(super) struct Policies {
    pub(super) facts: DomainFacts,
    /// What could not be found out.
    pub(super) notes: Vec<String>,
    pub(super) domain: DnsName,
    pub(super) sts: StsLookup,
    now: u64,
    choice: PolicyChoice,
    require_tls: bool,
    is_enforced: bool,
    /// With `--tlsrpt`, the TLSRPT record, if the domain wants reports.
    pub(super) report_record: Option<String>,
}

impl Policies {
    /// Looks up what governs the delivery to this next hop, and keeps the MTA-STS policy in the cache.
    pub(super) async fn look_up(
        args: &Send,
        cache: Option<&PolicyCache>,
        stub: &Stub,
        next_hop: NextHop,
        port: u16,
    ) -> Result<Self, Failed> {
        let (choice, domain) = (args.policy_choice(), next_hop.name().clone());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut notes = Vec::new();
        let dnssec = async {
            let wanted = choice != PolicyChoice::None;
            if wanted { stub.self_test().await } else { Ok(()) }
        };
        let sts = async {
            match choice {
                PolicyChoice::None | PolicyChoice::Dane => Ok((StsLookup::default(), None)),
                PolicyChoice::Best | PolicyChoice::Sts => {
                    let roots = args.peer.builder(true)?.build()?;
                    let fetcher = PolicyFetcher::new(roots, args.sts_port);
                    let cached = cache.and_then(|it| it.policy(&domain));
                    let found = look_up_sts(stub, &fetcher, &domain, cached, now).await;
                    let kept = match cache {
                        Some(cache) => cache.keep(&domain, found.applies.as_ref(), now).await,
                        None => Ok(()),
                    };
                    let note = kept
                        .err()
                        .map(|error| format!("the MTA-STS policy of {domain} is not kept: {error}"));
                    Ok::<_, Failed>((found, note))
                }
            }
        };
        let reports = async {
            match (&args.tlsrpt, tlsrpt::record_name(&domain)) {
                (Some(_), Ok(name)) => texts(stub, &name).await.map(|(found, _)| found).unwrap_or_default(),
                _ => Vec::new(),
            }
        };
        let (dnssec, facts, sts, reports) =
            tokio::join!(dnssec, domain_facts(stub, &next_hop, port), sts, reports);
        let (sts, unkept) = sts?;
        let report_record = tlsrpt::parse_rua_record(&reports).is_ok().then(|| {
            let mut texts = reports.iter().map(|it| String::from_utf8_lossy(it).into_owned());
            texts.find(|it| it.starts_with("v=TLSRPTv1")).unwrap_or_default()
        });
        if let Err(error) = dnssec {
            if choice == PolicyChoice::Dane {
                let hint = "use a resolver on this machine that validates DNSSEC, or declare one trusted: --trust-ad";
                return Err(Failed::new(exit::INCONCLUSIVE, error.to_string()).hint(Some(hint.into())));
            }
            notes.push(format!("DANE is not available: {error}"));
        }
        if let Some(fault) = &sts.fault {
            notes.push(match &sts.applies {
                Some(_) => format!("the MTA-STS policy of {domain} comes from the cache: {fault}"),
                None => format!("the MTA-STS policy of {domain} is unknown: {fault}"),
            });
        }
        notes.extend(unkept);
        // A login must not depend on a certificate that is not verified.
        let is_enforced = !(args.mx && args.tls_optional) || args.logs_in();
        let require_tls = args.require_tls;
        Ok(Self { facts, notes, domain, sts, now, choice, require_tls, is_enforced, report_record })
    }

    /// Returns what governs the delivery to this host, and why the message must not be delivered there, if it must not.
    pub(super) fn of(&self, host: &HostFacts) -> (HostPolicy, Option<SkipReason>) {
        let sts = self.sts.applies.as_ref();
        let rule = if self.require_tls { require_tls_rule } else { host_rule };
        let (dane, pkix, skip) = match rule(&self.facts, host, sts.map(|it| &*it.policy), self.choice) {
            HostRule::Skip(reason) => (None, false, Some(reason)),
            HostRule::Opportunistic => (None, false, None),
            HostRule::Require { dane, pkix } => (dane.cloned(), pkix, None),
        };
        let published = match &host.dane {
            HostDane::Records(records) if self.choice != PolicyChoice::None => Some(records),
            _ => None,
        };
        let has_policy = sts.is_some_and(|it| it.policy.mode != StsMode::None);
        let by_sts = has_policy && (pkix || skip == Some(SkipReason::NotCovered));
        let kind = match (&dane, published, by_sts, &skip) {
            (_, _, _, Some(SkipReason::LookupFailed { .. })) => PolicyKind::Dane,
            (_, _, _, Some(SkipReason::NotProven)) => PolicyKind::None,
            (Some(_), _, true, _) => PolicyKind::DaneAndSts,
            (Some(_), _, false, _) => PolicyKind::Dane,
            (None, _, true, _) => PolicyKind::Sts,
            (None, Some(_), false, _) => PolicyKind::DaneUnusable,
            (None, None, false, _) => PolicyKind::None,
        };
        let uses_sts = matches!(kind, PolicyKind::Sts | PolicyKind::DaneAndSts);
        let sts = sts.filter(|_| uses_sts);
        let host_name = host.name().map(ToString::to_string).unwrap_or_default();
        let domain = match kind {
            PolicyKind::None => None,
            PolicyKind::Sts => Some(self.domain.to_string()),
            _ => Some(published.map_or_else(|| host_name.clone(), |it| it.base.to_string())),
        };
        let shown = AttemptPolicy {
            kind,
            domain,
            source: match kind {
                PolicyKind::None => None,
                PolicyKind::Dane | PolicyKind::DaneUnusable => Some("dnssec"),
                _ if self.sts.is_new => Some("fetched"),
                _ => Some("cache"),
            },
            is_enforced: self.is_enforced,
            require_tls: self.require_tls,
            authenticated_by: [dane.is_some().then_some("dane"), pkix.then_some("pkix")]
                .into_iter()
                .flatten()
                .collect(),
            matched: None,
            age: sts.map(|it| it.age(self.now)),
        };
        // RFC 8689 section 4.2: the header field overrides the policies of the recipient.
        let skip = skip.filter(|reason| self.is_enforced || *reason == SkipReason::NoAddress);
        let tlsa = published.map_or(&[][..], |it| &it.published).iter().map(ToString::to_string).collect();
        let sts = sts.map_or_else(Default::default, |it| {
            (it.policy.lines.clone(), it.policy.mx.iter().map(ToString::to_string).collect())
        });
        (HostPolicy { host: host_name, dane, pkix, next_hop: self.domain.clone(), tlsa, sts, shown }, skip)
    }
}

/// What governs the delivery to one host.
#[derive(Clone)]
pub(super) struct HostPolicy {
    pub(super) host: String,
    next_hop: DnsName,
    /// The TLSA records as published.
    pub(super) tlsa: Vec<String>,
    /// The lines and the patterns of the MTA-STS policy.
    pub(super) sts: (Vec<String>, Vec<String>),
    dane: Option<DaneRecords>,
    pkix: bool,
    pub(super) shown: AttemptPolicy,
}

impl HostPolicy {
    /// Returns whether TLSA records alone authenticate the server.
    pub(super) fn is_dane_alone(&self) -> bool {
        self.dane.is_some() && !self.pkix
    }

    /// Returns the address to dial with the name that the policy requires in SNI: the host's own for MTA-STS (RFC 8461 section
    /// 7.1), the TLSA base domain for DANE (RFC 7672 section 8.1). Without a policy the user's choice stays.
    pub(super) fn named(&self, dial: Dial) -> Dial {
        let name = match (&self.dane, self.pkix) {
            _ if !self.shown.is_enforced => return dial,
            (_, true) => &self.host,
            (Some(records), false) => records.base.as_str(),
            (None, false) => return dial,
        };
        match dial {
            Dial::Tcp(endpoint) => Dial::Tcp(endpoint.with_server_name(name)),
            Dial::Unix(path) => Dial::Unix(path),
        }
    }

    /// Returns a connector that verifies as the policy requires; `None` if no policy requires more than the command itself.
    pub(super) fn connector(&self, args: &Send) -> Result<Option<Connector<TcpRoute>>, Failed> {
        // `--insecure` does not turn off a policy: `--policy none` does.
        let strict = Trace { insecure: false, ..args.trace.clone() };
        let name = args.client_name();
        let builder = match (&self.dane, self.pkix) {
            _ if !self.shown.is_enforced => {
                // The message asks for its delivery in any case, so the certificate is shown and not enforced.
                args.peer.session_builder(name, &args.trace, 0, true)?.insecure()
            }
            (None, false) => return Ok(None),
            (_, true) => args.peer.session_builder(name, &strict, 0, false)?,
            (Some(records), false) => {
                args.peer.verified_builder(name, &strict, Arc::new(verifier(records)))?
            }
        };
        Ok(Some(builder.build()?.with_dialer(args.peer.route()?)))
    }

    /// Checks that the chain of an open session satisfies the policy, before anything is sent inside TLS. The TLS library has
    /// verified a part of it during the handshake; where both DANE and MTA-STS govern, this is the only check of DANE.
    pub(super) fn check(&mut self, chain: &[CertificateDer<'_>]) -> Result<(), Failed> {
        let dane = self.dane.as_ref().map(|records| verifier(records).authenticate(chain, UnixTime::now()));
        if let Some(Ok(matched)) = &dane {
            self.shown.matched = Some(matched.record.to_string());
        }
        if !self.shown.is_enforced {
            return Ok(());
        }
        if let Some(Err(fault)) = dane {
            return Err(Failed::new(exit::TLS, fault.to_string()));
        }
        let own = chain.first().and_then(|it| Certificate::from_der(it).ok());
        if self.pkix && !own.is_some_and(|it| it.is_for(&self.host)) {
            return Err(Failed::new(exit::TLS, format!("the certificate is not for {}", self.host)));
        }
        Ok(())
    }

    /// Returns why the message is not delivered to the host.
    pub(super) fn skipped(&self, reason: &SkipReason) -> Failed {
        let code = match reason {
            SkipReason::LookupFailed { .. } => exit::INCONCLUSIVE,
            SkipReason::NoAddress | SkipReason::NotAHost => exit::UNREACHABLE,
            SkipReason::NotCovered | SkipReason::NotProven => exit::TLS,
        };
        let hint = match reason {
            SkipReason::LookupFailed { .. } => {
                "TLSA records may exist, so DANE forbids the delivery: try again later, or ask another resolver with --resolver"
                    .to_owned()
            }
            SkipReason::NotProven => {
                "without --require-tls the message is delivered to a server that an attacker may have named"
                    .to_owned()
            }
            _ => self.hint(),
        };
        Failed::new(code, format!("no delivery to {}: {reason}", self.host)).hint(Some(hint))
    }

    /// Adds the policy to the failure of an attempt that did not satisfy it.
    pub(super) fn explain(&self, failed: Failed) -> Failed {
        let is_about_tls = matches!(failed.code, exit::DECLINED | exit::TLS | exit::VIOLATION);
        if !is_about_tls || !self.shown.is_enforced || self.shown.kind == PolicyKind::None {
            return failed;
        }
        let Failed { code, message, hint } = failed;
        let message = format!("{} forbids the delivery: {message}", self.shown.title());
        let hint = if code == exit::DECLINED { None } else { hint };
        Failed::new(code, message).hint(Some(hint.unwrap_or_else(|| self.hint())))
    }

    fn hint(&self) -> String {
        format!(
            "the server breaks the policy of its domain, or an attacker is in the path: starttls policy check {} shows which",
            self.next_hop
        )
    }
}

fn verifier(records: &DaneRecords) -> DaneVerifier {
    let names = records.names.iter().map(ToString::to_string).collect();
    let usable = records.usable.iter().cloned().map(|it| {
        let TlsaData { usage, selector, matching, data } = it;
        TlsaRecord { usage, selector, matching, data }
    });
    DaneVerifier::new(usable.collect(), names, Arc::new(aws_lc_rs::default_provider()))
}
