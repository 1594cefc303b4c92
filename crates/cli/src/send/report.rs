//! The JSON report of `send`. The schema is in `docs/schema/send.json`.

use serde::Serialize;
use starttls::proto::Escaped;
use starttls::submission::{Delivered, Recipient, Reply};

use crate::session::conversation::{Message, Negotiation};
use crate::session::report::{self, Failure, Presented, Tls};
use crate::target::Target;

/// The result of a delivery.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Increases when a field changes its meaning or is removed.
    pub(crate) schema_version: u32,
    /// The octets of the message as it was to arrive; null where none was needed.
    pub(crate) octets: Option<usize>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The exit code of the program.
    pub(crate) exit_code: u8,
    /// The servers that were tried, the last one last.
    pub(crate) attempts: Vec<Attempt>,
    /// What could not be found out about the policies of the domain, or not be kept in the cache.
    pub(crate) policy_notes: Vec<String>,
    /// The exchangers and addresses that were left out, since only the first five are tried.
    pub(crate) not_tried: Vec<String>,
    /// The recipients, in order.
    pub(crate) recipients: Vec<RecipientResult>,
    /// The error, if there was one.
    pub(crate) error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The server took the message on for all recipients.
    Accepted,
    /// For some of them.
    PartlyAccepted,
    /// For none.
    Refused,
    /// It was not to be sent (`--until`).
    Stopped,
    /// It did not come to that.
    NotSent,
}

/// One server that was tried.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Attempt {
    /// The target in its canonical form.
    pub(crate) target: String,
    /// The policy that governs the delivery to this server; null if policies were not looked up.
    pub(crate) policy: Option<AttemptPolicy>,
    /// The conversation in cleartext.
    pub(crate) negotiation: Option<Negotiation>,
    /// The TLS session, if there is one.
    pub(crate) tls: Option<Tls>,
    /// The server's certificate, if it presented one.
    pub(crate) certificate: Option<Presented>,
    /// The mechanism of the login, if there was one.
    pub(crate) mechanism: Option<String>,
    /// What the server offers inside TLS, escaped.
    pub(crate) extensions: Vec<String>,
    /// The extensions that were made use of.
    pub(crate) used: Vec<&'static str>,
    /// The messages inside TLS in order, without secrets and without the message itself.
    pub(crate) messages: Vec<Message>,
    /// What went wrong here, if anything did.
    pub(crate) error: Option<String>,
}

/// The policy that governs the delivery to one server.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AttemptPolicy {
    /// The kind.
    pub(crate) kind: PolicyKind,
    /// The domain that publishes it: the TLSA base domain, or that of the MTA-STS policy.
    pub(crate) domain: Option<String>,
    /// Where it comes from: `dnssec`, `fetched` or `cache`.
    pub(crate) source: Option<&'static str>,
    /// Whether it is enforced. `--tls-optional` asks servers to deliver in spite of policies.
    pub(crate) is_enforced: bool,
    /// Whether the message requires REQUIRETLS.
    pub(crate) require_tls: bool,
    /// What the certificate must satisfy: `dane`, `pkix`, both or neither. Without a policy, the command itself
    /// requires a trusted certificate.
    pub(crate) authenticated_by: Vec<&'static str>,
    /// The TLSA record that matches the certificate.
    pub(crate) matched: Option<String>,
    /// The age of the MTA-STS policy in seconds.
    pub(crate) age: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PolicyKind {
    /// No policy applies.
    None,
    /// TLSA records, alone.
    Dane,
    /// TLSA records exist, and none can be used: TLS is required.
    DaneUnusable,
    /// An enforced MTA-STS policy.
    Sts,
    /// Both must hold, because the MX records are not signed.
    DaneAndSts,
}

impl AttemptPolicy {
    /// Returns the policy and the domain that publishes it.
    pub(crate) fn title(&self) -> String {
        let domain = self.domain.as_deref().unwrap_or_default();
        match self.kind {
            PolicyKind::None => String::from("none"),
            PolicyKind::Dane | PolicyKind::DaneUnusable => format!("DANE for {domain}"),
            PolicyKind::Sts => format!("the MTA-STS policy of {domain}"),
            PolicyKind::DaneAndSts => format!("DANE for {domain} together with MTA-STS"),
        }
    }

    /// Returns what the policy requires, in one line.
    pub(crate) fn in_words(&self) -> String {
        let rule = match (self.kind, self.require_tls) {
            (PolicyKind::None, false) => "the domain has none for this server",
            (PolicyKind::None, true) => "a trusted certificate for this server is required",
            (PolicyKind::Dane, _) => "a TLSA record must match the certificate",
            (PolicyKind::DaneUnusable, _) => "no TLSA record can be used, TLS is required",
            (PolicyKind::Sts, _) => "a trusted certificate for this server is required",
            (PolicyKind::DaneAndSts, _) => "a TLSA record must match, and the certificate must be trusted",
        };
        let more = if self.require_tls { "; REQUIRETLS" } else { "" };
        let more = if self.is_enforced { more } else { "; not enforced (TLS-Required: No)" };
        format!("{}: {rule}{more}", self.title())
    }
}

/// What became of one recipient.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RecipientResult {
    /// The address.
    pub(crate) address: String,
    /// Whether the server took it on, and the message with it.
    pub(crate) accepted: bool,
    /// The code of its last word about it.
    pub(crate) code: Option<u16>,
    /// The text of that, escaped.
    pub(crate) text: Option<String>,
}

impl Attempt {
    pub(crate) fn new(target: &Target, connection: report::Report) -> Self {
        Self {
            negotiation: connection.negotiation,
            tls: connection.tls,
            certificate: connection.certificate,
            error: connection.error.map(|failure| failure.message),
            ..Self::to(target)
        }
    }

    /// Creates the record of an attempt at this target, without results.
    pub(crate) fn to(target: &Target) -> Self {
        Self {
            target: target.to_string(),
            policy: None,
            negotiation: None,
            tls: None,
            certificate: None,
            mechanism: None,
            extensions: Vec::new(),
            used: Vec::new(),
            messages: Vec::new(),
            error: None,
        }
    }

    pub(crate) fn show(&mut self, delivered: &Delivered) {
        self.extensions = delivered.extensions.iter().map(|it| Escaped(it.as_bytes()).to_string()).collect();
        self.used.clone_from(&delivered.used);
    }
}

impl RecipientResult {
    /// Creates the result of a recipient from its final reply: its own reply, or the reply to the message.
    pub(crate) fn of(recipient: &Recipient, whole: Option<&Reply>) -> Self {
        let reply = if recipient.is_accepted() {
            whole.or(recipient.reply.as_ref())
        } else {
            recipient.reply.as_ref()
        };
        Self {
            address: recipient.address.clone(),
            accepted: recipient.is_accepted() && whole.is_none_or(Reply::is_positive),
            code: reply.map(|reply| reply.code),
            text: reply.map(|reply| {
                let lines: Vec<String> = reply.lines.iter().map(|line| Escaped(line).to_string()).collect();
                lines.join(" ")
            }),
        }
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.code.is_some_and(|code| (400..500).contains(&code))
    }
}
