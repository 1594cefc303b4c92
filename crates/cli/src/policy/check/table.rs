//! The checks of `policy check`, for `explain` and the documentation.

/// A check: one row of the table.
pub(crate) struct PolicyRule {
    pub(crate) id: &'static str,
    /// The severity, or several if it depends on the domain.
    pub(crate) severity: &'static str,
    /// The fact that the check reports.
    pub(crate) title: &'static str,
    /// The instruction that removes the fault.
    pub(crate) fix: &'static str,
    pub(crate) spec: &'static str,
}

const fn rule(
    id: &'static str,
    severity: &'static str,
    title: &'static str,
    fix: &'static str,
    spec: &'static str,
) -> PolicyRule {
    PolicyRule { id, severity, title, fix, spec }
}

/// Returns the check with this id.
pub(crate) fn policy_rule(id: &str) -> Option<&'static PolicyRule> {
    RULES.iter().find(|it| it.id == id)
}

/// Returns the family of a check: the first word of its id.
pub(crate) fn family(id: &str) -> &str {
    id.split_once('-').map_or(id, |(family, _)| family)
}

/// Returns whether this result means that another check was not made, so that its silence is no success.
pub(crate) fn prevents(result: &str, check: &str) -> bool {
    let needs_server = family(check) == "req"
        || check == "sts-mx-certificate"
        || ["dane-mismatch", "dane-anchor", "dane-anchor-name", "dane-no-starttls", "dane-stale"]
            .contains(&check);
    let needs_policy =
        family(check) == "sts" && !["sts-absent", "sts-record", "sts-multiple"].contains(&check);
    match result {
        "mx-lookup" => family(check) != "rpt",
        "mx-address" => needs_server,
        "dane-no-starttls" => needs_server && family(check) == "dane",
        "dane-lookup" => family(check) == "dane",
        "sts-record"
        | "sts-multiple"
        | "sts-fetch"
        | "sts-host-certificate"
        | "sts-redirect"
        | "sts-type"
        | "sts-size"
        | "sts-syntax" => needs_policy,
        "rpt-record" => check == "rpt-uri",
        "caa-lookup" => family(check) == "caa",
        _ => false,
    }
}

/// All checks, in the order of the families.
pub(crate) const RULES: &[PolicyRule] = &[
    rule(
        "mx-lookup",
        "inconclusive",
        "the MX lookup failed",
        "Repair the name servers of the domain, or ask again later: senders defer the mail meanwhile.",
        "RFC 5321 section 5.1; RFC 7672 section 2.1.2",
    ),
    rule(
        "mx-address",
        "warning",
        "an exchanger has no address, or an address was not connected to",
        "Publish an address for the exchanger, or remove its MX record. Let the server listen on every address.",
        "RFC 5321 section 5.1",
    ),
    rule(
        "mx-alias",
        "warning",
        "an exchanger is an alias",
        "Replace the alias in the MX record with the name that it points to.",
        "RFC 5321 section 5.1; RFC 2181 section 10.3",
    ),
    rule(
        "mx-literal",
        "warning",
        "an MX record names an address or no host name",
        "Give the server a host name, and name it in the MX record.",
        "RFC 5321 section 5.1",
    ),
    rule(
        "mx-unsigned",
        "info, warning with TLSA records",
        "the MX records are not signed with DNSSEC, so an attacker can redirect mail",
        "Sign the zone of the domain with DNSSEC.",
        "RFC 7672 section 2.2.1",
    ),
    rule(
        "dane-absent",
        "info",
        "no exchanger has secure TLSA records",
        "Publish TLSA records in a signed zone: starttls policy tlsa writes them.",
        "RFC 7672 section 2.2",
    ),
    rule(
        "dane-partial",
        "warning",
        "some exchangers have no secure TLSA records, and an attacker can direct mail to them",
        "Publish TLSA records for every exchanger.",
        "RFC 7672 section 2.2",
    ),
    rule(
        "dane-lookup",
        "critical",
        "a lookup of TLSA or address records failed: senders that use DANE defer all mail",
        "Repair the signatures and proofs of the zone. starttls policy check names the question that fails.",
        "RFC 7672 section 2.1.2",
    ),
    rule(
        "dane-denial",
        "error",
        "the lookup of another type at the name of the TLSA records failed",
        "Update the name server: its proof that a record does not exist is wrong.",
        "RFC 7672 section 2.1.1; RFC 4035 section 3.1.3",
    ),
    rule(
        "dane-unusable",
        "error",
        "no TLSA record can be used, so senders do not authenticate the server",
        "Publish a record with usage 3 or 2, such as 3 1 1.",
        "RFC 7672 section 2.2",
    ),
    rule(
        "dane-usage",
        "warning",
        "TLSA records have usage 0 or 1, which senders of mail ignore",
        "Replace the records by ones with usage 3 or 2.",
        "RFC 7672 section 3.1.3",
    ),
    rule(
        "dane-mismatch",
        "critical",
        "no TLSA record matches the certificate of an address: senders that use DANE defer mail",
        "Publish the record of the key in use, or install the key of the record: starttls policy tlsa --live.",
        "RFC 7672 section 3.1; RFC 7671 section 8",
    ),
    rule(
        "dane-anchor",
        "error",
        "a certificate does not lead to the CA of a TLSA record",
        "Let the server send the certificate of that CA, or publish a record of the CA in use.",
        "RFC 7672 section 3.1.2",
    ),
    rule(
        "dane-anchor-name",
        "error",
        "a TLSA record matches the CA, and the certificate is for another name",
        "Use a certificate with the name of the exchanger.",
        "RFC 7672 section 3.2.2",
    ),
    rule(
        "dane-no-starttls",
        "critical",
        "TLSA records exist, and a server does not offer STARTTLS",
        "Enable STARTTLS on every address of the exchanger, for every client.",
        "RFC 7672 section 2.2",
    ),
    rule(
        "dane-parameters",
        "warning",
        "a TLSA record is invalid, large, or invalid after each renewal",
        "Publish 3 1 1 records of the server's key.",
        "RFC 7671 sections 5 and 10",
    ),
    rule(
        "dane-spare",
        "info",
        "no TLSA record is for a next key",
        "Create the next key now and publish its record beside the current one.",
        "RFC 7671 section 8.1",
    ),
    rule(
        "dane-stale",
        "info",
        "a TLSA record matches no certificate in use",
        "Remove it unless it is the record of the next key.",
        "RFC 7671 section 8.1",
    ),
    rule(
        "dane-ttl",
        "warning",
        "the time to live of the TLSA records is longer than a day",
        "Use an hour or less: after a lost key, mail fails for this time.",
        "RFC 7671 section 8",
    ),
    rule(
        "dane-signature",
        "warning",
        "a DNSSEC signature ends within two days",
        "Let the zone be signed again automatically, well before signatures end.",
        "RFC 6781 section 4.4.2; RFC 7671 section 13",
    ),
    rule(
        "sts-absent",
        "info",
        "the domain has no MTA-STS policy",
        "Publish one: starttls policy sts writes the policy and its record.",
        "RFC 8461 section 3",
    ),
    rule(
        "sts-record",
        "error",
        "the TXT record is invalid, so senders find no policy",
        "Publish one record of the form v=STSv1; id=20261129150000Z;",
        "RFC 8461 section 3.1",
    ),
    rule(
        "sts-multiple",
        "error",
        "several TXT records exist, so senders find no policy",
        "Remove all records but one.",
        "RFC 8461 section 3.1",
    ),
    rule(
        "sts-fetch",
        "error",
        "senders cannot fetch the policy",
        "Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt with status 200.",
        "RFC 8461 section 3.3",
    ),
    rule(
        "sts-host-certificate",
        "error",
        "the certificate of the policy host is not valid for it",
        "Use a certificate of a public CA for mta-sts.DOMAIN.",
        "RFC 8461 section 3.3",
    ),
    rule(
        "sts-redirect",
        "error",
        "the policy host redirects, which senders do not follow",
        "Serve the policy on the policy host itself.",
        "RFC 8461 section 3.3",
    ),
    rule(
        "sts-type",
        "error",
        "the media type of the policy is not text/plain",
        "Serve the policy with Content-Type: text/plain.",
        "RFC 8461 section 3.2",
    ),
    rule(
        "sts-size",
        "error",
        "the policy is larger than senders read",
        "Shorten the policy: 64 KiB is a usual limit.",
        "RFC 8461 section 3.3",
    ),
    rule(
        "sts-syntax",
        "error, warning",
        "the text of the policy is invalid, or senders differ in how they read it",
        "Correct the line: starttls policy sts --lint checks a text.",
        "RFC 8461 section 3.2",
    ),
    rule(
        "sts-mx-form",
        "error",
        "an mx pattern is not a host name or *. and a domain",
        "Write the name as in the MX record, in A-labels, without a final dot or a port.",
        "RFC 8461 sections 3.2 and 4.1",
    ),
    rule(
        "sts-mode",
        "warning",
        "the policy is in mode testing or none and protects no mail",
        "Use mode enforce when the reports show no failures.",
        "RFC 8461 section 5",
    ),
    rule(
        "sts-max-age",
        "warning, error",
        "senders keep the policy for a very short time, or longer than allowed",
        "Use a max_age of some weeks.",
        "RFC 8461 sections 3.2 and 10.2",
    ),
    rule(
        "sts-mx-uncovered",
        "critical in mode enforce, warning otherwise",
        "no pattern matches an exchanger, so senders do not deliver to it",
        "Add the exchanger to the policy, then change the id of the record.",
        "RFC 8461 section 4.1",
    ),
    rule(
        "sts-mx-certificate",
        "critical in mode enforce, warning otherwise",
        "the certificate of an exchanger does not satisfy the policy",
        "Use a certificate of a public CA with the name in the MX record, on every address.",
        "RFC 8461 section 4.2",
    ),
    rule(
        "sts-mx-idle",
        "info",
        "a pattern matches no exchanger",
        "Remove the pattern unless an exchanger is planned.",
        "RFC 8461 section 4.1",
    ),
    rule(
        "sts-mx-wide",
        "info",
        "a pattern allows every host of a domain",
        "Name the exchangers, unless hosts of this domain change often.",
        "RFC 8461 section 10.4",
    ),
    rule(
        "sts-differs",
        "warning",
        "the addresses of the policy host serve different texts",
        "Serve the same text on every address.",
        "RFC 8461 section 3.3",
    ),
    rule(
        "rpt-absent",
        "info, warning with a policy",
        "the domain has no TLSRPT record, so failures are not reported to it",
        "Publish v=TLSRPTv1; rua=mailto:ADDRESS at _smtp._tls.DOMAIN.",
        "RFC 8460 section 3",
    ),
    rule(
        "rpt-record",
        "error",
        "the TLSRPT record is invalid",
        "Publish one record with a rua= of mailto: or https: URIs.",
        "RFC 8460 section 3",
    ),
    rule(
        "rpt-uri",
        "error",
        "a destination of reports is not a mailto: or https: URI",
        "Correct or remove the URI.",
        "RFC 8460 section 3",
    ),
    rule(
        "req-offered",
        "info",
        "the server offers REQUIRETLS inside TLS",
        "Nothing is wrong.",
        "RFC 8689 section 2",
    ),
    rule(
        "req-in-clear",
        "warning",
        "the server offers REQUIRETLS before TLS, where it has no meaning",
        "Offer it inside TLS only.",
        "RFC 8689 section 2",
    ),
    rule(
        "caa-absent",
        "info",
        "no CAA record restricts which CA may issue certificates for a host",
        "Publish a CAA record with the CA that you use.",
        "RFC 8659 section 3",
    ),
    rule(
        "caa-forbids",
        "warning",
        "the CAA records allow no CA, so the certificate cannot be renewed",
        "Name the CA that you use in an issue record.",
        "RFC 8659 section 4.2",
    ),
    rule(
        "caa-lookup",
        "warning",
        "the CAA lookup failed, so CAs do not issue certificates",
        "Repair the name servers of the zone.",
        "RFC 8659 section 5.2",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources that contain the ids of rows.
    const SOURCES: &[&str] = &[
        include_str!("rows.rs"),
        include_str!("zone.rs"),
        include_str!("../../../../policy/src/sts/text.rs"),
    ];
    const FAMILIES: &[&str] = &["mx-", "dane-", "sts-", "rpt-", "req-", "caa-"];

    #[test]
    fn the_table_has_every_id_once_and_the_documentation_too() {
        let mut ids: Vec<&str> = SOURCES.iter().flat_map(|it| it.split('"').skip(1).step_by(2)).collect();
        ids.retain(|id| FAMILIES.iter().any(|it| id.starts_with(it)) && !id.contains([' ', '.', ',']));
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() > 40, "{ids:?}");
        let documented = include_str!("../../../../../docs/policy.md");
        for id in &ids {
            assert_eq!(RULES.iter().filter(|it| it.id == *id).count(), 1, "{id}");
            assert!(documented.contains(&format!("`{id}`")), "docs/policy.md does not contain {id}");
        }
        for rule in RULES {
            assert!(ids.contains(&rule.id), "no row has the id {}", rule.id);
        }
    }
}
