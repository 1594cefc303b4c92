//! Samples of reports: a sound server, a server with problems, a server that limits connections.

use starttls_audit::check::check;
use starttls_audit::report::{
    AuditReport, Capabilities, CertificateReport, CheckOutcome, EndpointReport, EndpointVerdict, Entry,
    EntryKind, Evidence, Expiry, Finding, Presented, Reach, Severity, StepTime, SurveyedClass, SurveyedDh,
    SurveyedProperties, SurveyedSuite, SurveyedVersion, TlsSummary, TlsSurvey, Transcript, Unaudited,
};
use starttls_x509::validity;

/// The start of every audit.
const TIME: &str = "2031-04-05T12:00:00Z";

/// Returns a report with all three servers.
pub(crate) fn all() -> AuditReport {
    let mut report = report(vec![sound(), wrong(), throttled()]);
    report.lookups = vec!["MX example.com: 10 mail.example.com".to_owned()];
    report
}

pub(crate) fn report(endpoints: Vec<EndpointReport>) -> AuditReport {
    let generator = "starttls 0.1.0".to_owned();
    let options = words(&["--server-name", "mail.example.com"]);
    AuditReport { started_at: TIME.to_owned(), endpoints, ..AuditReport::new(generator, options) }
}

pub(crate) fn sound() -> EndpointReport {
    EndpointReport {
        target: "imap://mail.example.com".to_owned(),
        address: Some("192.0.2.1:143".to_owned()),
        protocol: "imap".to_owned(),
        server_name: "mail.example.com".to_owned(),
        port: 143,
        target_line: None,
        started_at: TIME.to_owned(),
        source: Some("192.0.2.200".to_owned()),
        outcome: EndpointVerdict::Sound,
        summary: "5 checks passed, no problems found".to_owned(),
        tls: Some(TlsSummary { survey: Some(survey()), ..tls() }),
        certificate: Some(Presented {
            verified: true,
            verdict: "verified".to_owned(),
            chain: vec![certificate("CN=mail.example.com", 62), certificate("CN=Example Intermediate", 900)],
            path: vec![0, 1],
            expires: Some(ends("CN=mail.example.com", 62)),
        }),
        capabilities: Some(Capabilities {
            before: words(&["IMAP4rev1", "STARTTLS", "LOGINDISABLED"]),
            inside: words(&["IMAP4rev1", "AUTH=PLAIN"]),
        }),
        steps: steps(),
        connections: 9,
        elapsed_ms: 312.4,
        not_selected: 0,
        findings: vec![
            finding(
                "srv-inject-eager",
                CheckOutcome::Pass,
                "commands sent before the handshake are dropped",
                &[],
            ),
            finding(
                "srv-inject-lazy",
                CheckOutcome::Pass,
                "no earlier command runs with the first command inside TLS",
                &[],
            ),
            finding("srv-not-enforced", CheckOutcome::Pass, "the server accepts no commands before TLS", &[]),
            finding(
                "srv-xproto",
                CheckOutcome::NotApplicable,
                "no implicit TLS port has this certificate",
                &[],
            ),
            finding("cert-chain", CheckOutcome::Pass, "the certificate leads to a trusted root", &[]),
            finding("cert-name", CheckOutcome::Pass, "the certificate is for mail.example.com", &[]),
            finding("time-steps", CheckOutcome::Info, "connect 0.4 ms, greeting 11.6 ms", &[]),
            finding(
                "tls-group",
                CheckOutcome::Info,
                "the key exchange resists quantum computers: X25519MLKEM768",
                &[],
            ),
        ],
        reach: Reach::Answered,
        transcripts: vec![Transcript {
            purpose: "the upgrade as a client does it".to_owned(),
            entries: vec![
                entry(0.4, EntryKind::Event, "connected to 192.0.2.1:143"),
                entry(
                    3.9,
                    EntryKind::Server,
                    r"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n",
                ),
                entry(4.0, EntryKind::Client, r"a1 STARTTLS\r\n"),
                entry(5.2, EntryKind::Server, r"a1 OK begin\r\n"),
                entry(9.8, EntryKind::Boundary, "TLS 1.3"),
                entry(9.9, EntryKind::ClientInside, r"a2 CAPABILITY\r\n"),
                entry(10.6, EntryKind::ServerInside, r"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na2 OK done\r\n"),
            ],
        }],
    }
}

/// Returns a target whose name does not exist.
pub(crate) fn unaudited() -> Unaudited {
    Unaudited {
        asked: "gone.example.com".to_owned(),
        target_line: Some(4),
        outcome: EndpointVerdict::Unreachable,
        reason: "the domain gone.example.com does not exist".to_owned(),
    }
}

/// Returns a server with command injection and with a certificate that expires soon and has another name.
pub(crate) fn wrong() -> EndpointReport {
    let at = |transcript, first, last| Evidence { transcript, first, last };
    let mut expiry = finding("cert-expiry", CheckOutcome::Warning, "the certificate expires in 5 days", &[]);
    expiry.details = words(&["valid until 2031-04-05T12:00:00Z"]);
    let mut name = finding(
        "cert-name",
        CheckOutcome::Fail,
        "the certificate is not for mail.example.com",
        &[at(0, 5, 5)],
    );
    name.details = words(&["it is for: www.example.com, example.com"]);
    EndpointReport {
        target: "submission://mail.example.com".to_owned(),
        address: Some("[2001:db8::1]:587".to_owned()),
        protocol: "submission".to_owned(),
        server_name: "mail.example.com".to_owned(),
        port: 587,
        target_line: None,
        started_at: TIME.to_owned(),
        source: Some("192.0.2.200".to_owned()),
        outcome: EndpointVerdict::Findings,
        summary: "3 findings, the worst critical; 2 checks passed, 1 inconclusive".to_owned(),
        tls: Some(TlsSummary {
            version: Some("TLS 1.2".to_owned()),
            versions: words(&["TLS 1.2"]),
            cipher_suite: Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned()),
            group: Some("X25519".to_owned()),
            post_quantum: false,
            ..tls()
        }),
        certificate: Some(Presented {
            verified: false,
            verdict: "not verified: not for this name".to_owned(),
            chain: vec![certificate("CN=www.example.com", 5)],
            path: vec![0],
            expires: Some(ends("CN=www.example.com", 5)),
        }),
        capabilities: Some(Capabilities {
            before: words(&["PIPELINING", "STARTTLS", "SIZE 10240000"]),
            inside: words(&["PIPELINING", "AUTH PLAIN LOGIN", "SIZE 10240000"]),
        }),
        steps: steps(),
        connections: 17,
        elapsed_ms: 448.0,
        not_selected: 0,
        findings: vec![
            finding("srv-offered", CheckOutcome::Pass, "STARTTLS is offered", &[at(0, 3, 3)]),
            finding(
                "srv-inject-eager",
                CheckOutcome::Fail,
                "the server answered a cleartext command inside TLS",
                &[at(1, 2, 5)],
            ),
            finding("srv-hs-fallback", CheckOutcome::Pass, "a failed handshake ends the connection", &[]),
            finding("srv-stall", CheckOutcome::NotRun, "needs --slow", &[]),
            finding(
                "srv-inject-split",
                CheckOutcome::Inconclusive,
                "the connection ended before the handshake in 2 of 3 attempts",
                &[],
            ),
            name,
            expiry,
            finding(
                "tls-old",
                CheckOutcome::Info,
                "the server supports TLS 1.2, but not TLS 1.3",
                &[at(0, 5, 5)],
            ),
        ],
        reach: Reach::Answered,
        transcripts: vec![baseline(), injection()],
    }
}

fn baseline() -> Transcript {
    Transcript {
        purpose: "the upgrade as a client does it".to_owned(),
        entries: vec![
            entry(0.5, EntryKind::Event, "connected to [2001:db8::1]:587"),
            entry(12.1, EntryKind::Server, r"220 mail.example.com ESMTP\r\n"),
            entry(12.2, EntryKind::Client, r"EHLO audit.invalid\r\n"),
            entry(
                13.0,
                EntryKind::Server,
                r"250-mail.example.com\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 10240000\r\n",
            ),
            entry(13.1, EntryKind::Client, r"STARTTLS\r\n"),
            entry(18.0, EntryKind::Boundary, "TLS 1.2, the certificate is for www.example.com"),
            entry(18.2, EntryKind::ClientInside, r"EHLO audit.invalid\r\n"),
            entry(
                18.9,
                EntryKind::ServerInside,
                r"250-mail.example.com\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 10240000\r\n",
            ),
        ],
    }
}

fn injection() -> Transcript {
    Transcript {
        purpose: "a command after the request, in one segment".to_owned(),
        entries: vec![
            entry(0.4, EntryKind::Event, "connected to [2001:db8::1]:587"),
            entry(11.8, EntryKind::Server, r"220 mail.example.com ESMTP\r\n"),
            entry(12.0, EntryKind::Client, r"STARTTLS\r\nNOOP probe-7f3a\r\n"),
            entry(12.9, EntryKind::Server, r"220 2.0.0 ready to start TLS\r\n"),
            entry(17.7, EntryKind::Boundary, "TLS starts here"),
            entry(18.3, EntryKind::ServerInside, r"250 2.0.0 OK\r\n"),
            entry(19.3, EntryKind::Event, "closed by us"),
        ],
    }
}

pub(crate) fn throttled() -> EndpointReport {
    EndpointReport {
        target: "smtp://mx.example.com".to_owned(),
        address: Some("192.0.2.7:25".to_owned()),
        protocol: "smtp".to_owned(),
        server_name: "mx.example.com".to_owned(),
        port: 25,
        target_line: None,
        started_at: TIME.to_owned(),
        source: Some("192.0.2.200".to_owned()),
        outcome: EndpointVerdict::Inconclusive,
        summary: "the server rejected connections of the audit for now".to_owned(),
        tls: None,
        certificate: None,
        capabilities: None,
        steps: Vec::new(),
        connections: 2,
        elapsed_ms: 31.0,
        not_selected: 0,
        findings: vec![finding(
            "srv-throttled",
            CheckOutcome::Inconclusive,
            "421 at the greeting, twice",
            &[Evidence { transcript: 0, first: 1, last: 1 }],
        )],
        reach: Reach::Answered,
        transcripts: vec![Transcript {
            purpose: "the upgrade as a client does it".to_owned(),
            entries: vec![
                entry(0.4, EntryKind::Event, "connected to 192.0.2.7:25"),
                entry(15.0, EntryKind::Server, r"421 4.7.0 too many connections\r\n"),
                entry(15.1, EntryKind::Event, "closed by the server"),
            ],
        }],
    }
}

pub(crate) fn finding(id: &str, outcome: CheckOutcome, summary: &str, evidence: &[Evidence]) -> Finding {
    let row = check(id).unwrap();
    let wrong = matches!(outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    Finding {
        id: id.to_owned(),
        outcome,
        severity: if wrong { row.severity } else { Severity::Info },
        known: false,
        summary: summary.to_owned(),
        requirement: None,
        message: None,
        details: Vec::new(),
        evidence: evidence.to_vec(),
        fix: wrong.then(|| row.fix.to_owned()),
    }
}

fn entry(at_ms: f64, kind: EntryKind, text: &str) -> Entry {
    Entry { at_ms, kind, text: text.to_owned(), decoded: None }
}

fn tls() -> TlsSummary {
    TlsSummary {
        version: Some("TLS 1.3".to_owned()),
        versions: words(&["TLS 1.3", "TLS 1.2"]),
        cipher_suite: Some("TLS_AES_256_GCM_SHA384".to_owned()),
        group: Some("X25519MLKEM768".to_owned()),
        post_quantum: true,
        alpn: None,
        resumption: true,
        early_data_limit: Some(0),
        ocsp_stapled: false,
        survey: None,
    }
}

fn survey() -> TlsSurvey {
    let class = |(name, offered): (&str, _)| SurveyedClass { name: name.to_owned(), offered };
    let version = |name: &str, offered| SurveyedVersion {
        name: name.to_owned(),
        offered,
        ..SurveyedVersion::default()
    };
    let suite = SurveyedSuite {
        code: "0xc013".to_owned(),
        name: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA".to_owned(),
        openssl_name: Some("ECDHE-RSA-AES128-SHA".to_owned()),
        class: "cbc".to_owned(),
    };
    let tls12 = SurveyedVersion {
        suites: vec![suite],
        classes: [("anon", Some(false)), ("cbc", Some(true)), ("aead", None)].map(class).to_vec(),
        ..version("TLS 1.2", Some(true))
    };
    let dh = SurveyedDh {
        version: "TLS 1.2".to_owned(),
        suite: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA".to_owned(),
        bits: 2048,
        prime_sha256: "ef".repeat(32),
        prime_name: Some("group 14 of RFC 3526".to_owned()),
    };
    TlsSurvey {
        size: "survey".to_owned(),
        hellos: 12,
        end: "budget".to_owned(),
        complete: false,
        versions: vec![version("TLS 1.3", Some(true)), tls12, version("SSL 2.0", None)],
        preference: Some("server".to_owned()),
        groups: words(&["x25519"]),
        post_quantum: Some(false),
        signature_schemes: words(&["rsa_pss_rsae_sha256"]),
        dh: vec![dh],
        certificates: vec![certificate("CN=mail.example.com", 62)],
        properties: SurveyedProperties {
            compression: Some(false),
            extended_master_secret: Some(true),
            ..SurveyedProperties::default()
        },
        unasked: words(&["TLS 1.2: aead", "SSL 2.0"]),
    }
}

fn certificate(subject: &str, days_left: i64) -> CertificateReport {
    let name = subject.trim_start_matches("CN=");
    CertificateReport {
        subject: subject.to_owned(),
        issuer: "CN=Example CA".to_owned(),
        names: words(&[name]),
        serial: "0a:1b:2c".to_owned(),
        not_before: "2031-01-01T12:00:00Z".to_owned(),
        not_after: validity::rfc3339(1_933_156_800 + days_left * 86_400),
        not_after_unix: 1_933_156_800 + days_left * 86_400,
        days_left,
        key: "EC P-256".to_owned(),
        signature: "ecdsa-with-SHA256".to_owned(),
        sha256: "ab".repeat(32),
        spki_sha256: "cd".repeat(32),
        unreadable: None,
        der: Vec::new(),
    }
}

fn ends(subject: &str, days_left: i64) -> Expiry {
    let CertificateReport { subject, not_after, not_after_unix, .. } = certificate(subject, days_left);
    Expiry { subject, not_after, not_after_unix, days_left }
}

fn steps() -> Vec<StepTime> {
    [
        ("connect", 0.4),
        ("greeting", 11.6),
        ("hello", 0.9),
        ("request", 1.2),
        ("handshake", 4.6),
        ("hello inside", 0.7),
    ]
    .map(|(name, ms)| StepTime { name: name.to_owned(), ms })
    .to_vec()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
