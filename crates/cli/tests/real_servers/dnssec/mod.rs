//! A laboratory with DNSSEC: unbound validates signed, unsigned, invalid and expired zones, and mail exchangers and policy
//! hosts listen on the real ports, in a network of its own. posttls-finger and Postfix are the oracles.

mod network;
mod servers;
mod zones;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use starttls_lab::ca::Authority;
use tempfile::TempDir;

use super::process::{DEADLINE, Live, Run, starttls};
use servers::Certificates;

/// A domain, and what every program must make of it.
struct Row {
    domain: &'static str,
    /// What posttls-finger reports with DANE; `None` where MTA-STS decides, which it does not know.
    finger: Option<Seen>,
    /// The answer of `policy serve`; `TEMP` stands for each reason.
    answer: &'static str,
    delivers: bool,
    /// The finding of `policy check` that names the cause.
    cause: &'static str,
}

/// What DANE makes of the exchanger that is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A record authenticates it.
    Verified,
    /// A record authenticates it, but the MX records are not signed.
    Trusted,
    /// No record matches.
    Mismatch,
    /// TLS is required, and not authenticated.
    Encrypted,
    /// DANE does not govern.
    Opportunistic,
    /// A lookup failed, and it is not connected to.
    LookupFailed,
    /// It does not offer STARTTLS.
    NoStarttls,
}

const fn row(
    domain: &'static str,
    finger: Option<Seen>,
    answer: &'static str,
    delivers: bool,
    cause: &'static str,
) -> Row {
    Row { domain, finger, answer, delivers, cause }
}

use Seen::{Encrypted, LookupFailed, Mismatch, NoStarttls, Opportunistic, Trusted, Verified};

const STS: &str = "OK secure match=mx.i.test servername=hostname";

/// The records of these domains are in `zones.rs`.
const ROWS: &[Row] = &[
    row("ok.s.test", Some(Verified), "OK dane-only", true, ""),
    row("sha512.s.test", Some(Verified), "OK dane-only", true, ""),
    row("certificate.s.test", Some(Verified), "OK dane-only", true, "dane-parameters"),
    row("full.s.test", Some(Verified), "OK dane-only", true, "dane-parameters"),
    row("wrong.s.test", Some(Mismatch), "OK dane-only", false, "dane-mismatch"),
    row("spare.s.test", Some(Verified), "OK dane-only", true, "dane-stale"),
    // The strongest digest alone counts (RFC 7671 section 9).
    row("agility.s.test", Some(Mismatch), "OK dane-only", false, "dane-mismatch"),
    // Usage 3 ignores the dates and the names.
    row("expired.s.test", Some(Verified), "OK dane-only", true, ""),
    row("othername.s.test", Some(Verified), "OK dane-only", true, ""),
    row("anchor.s.test", Some(Verified), "OK dane-only", true, ""),
    row("anchorkey.s.test", Some(Verified), "OK dane-only", true, ""),
    row("anchorname.s.test", Some(Mismatch), "OK dane-only", false, "dane-anchor-name"),
    row("anchorwrong.s.test", Some(Mismatch), "OK dane-only", false, "dane-anchor"),
    row("unusable.s.test", Some(Encrypted), "OK dane", true, "dane-unusable"),
    row("alias.s.test", Some(Verified), "OK dane-only", true, "mx-alias"),
    row("aliasinsecure.s.test", Some(Verified), "OK dane-only", true, "mx-alias"),
    row("tlsaalias.s.test", Some(Verified), "OK dane-only", true, ""),
    row("tlsabogus.s.test", Some(LookupFailed), "TEMP", false, "dane-lookup"),
    row("addressbogus.s.test", Some(LookupFailed), "TEMP", false, "dane-lookup"),
    row("bogus.b.test", Some(LookupFailed), "TEMP", false, "mx-lookup"),
    row("old.e.test", Some(LookupFailed), "TEMP", false, "mx-lookup"),
    row("nostarttls.s.test", Some(NoStarttls), "OK dane-only", false, "dane-no-starttls"),
    row("implicit.s.test", Some(Verified), "OK dane-only", true, ""),
    row("mixed.s.test", Some(Verified), "OK dane", true, "dane-partial"),
    row("half.i.test", Some(Trusted), "OK dane", true, "mx-unsigned"),
    row("insecure.i.test", Some(Opportunistic), "NOTFOUND", true, "dane-absent"),
    row("none.s.test", Some(Opportunistic), "NOTFOUND", true, "dane-absent"),
    row("sts.i.test", None, STS, true, ""),
    row("ststesting.i.test", None, "NOTFOUND", true, "sts-mode"),
    row(
        "stsname.i.test",
        None,
        "OK secure match=mx-other.i.test servername=hostname",
        false,
        "sts-mx-certificate",
    ),
    row("stspattern.i.test", None, STS, false, "sts-mx-uncovered"),
    row("stsdane.s.test", Some(Verified), "OK dane-only", true, ""),
    row("stsbadcert.i.test", None, "NOTFOUND", true, "sts-host-certificate"),
    row("stsmissing.i.test", None, "NOTFOUND", true, "sts-fetch"),
    row("stsredirect.i.test", None, "NOTFOUND", true, "sts-redirect"),
    row("ststype.i.test", None, "NOTFOUND", true, "sts-type"),
    row("stslarge.i.test", None, "NOTFOUND", true, "sts-size"),
    row("stssyntax.i.test", None, "NOTFOUND", true, "sts-syntax"),
    row("ststwo.i.test", None, "NOTFOUND", true, "sts-multiple"),
];

/// Runs itself in a network of its own.
#[test]
fn every_domain_is_decided_as_postfix_does() {
    network::inside("dnssec::every_domain_is_decided_as_postfix_does", laboratory);
}

fn laboratory() {
    let folder = TempDir::new().unwrap();
    network::set_up(folder.path());
    let authority = Authority::new().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.root_pem()).unwrap();
    let certificates = Certificates::new(&authority, folder.path());
    servers::exchangers(&certificates);
    servers::policy_hosts(&authority);
    zones::write(folder.path(), &certificates);
    let _unbound = zones::serve(folder.path());
    servers::configure_postfix(folder.path());
    let mut service =
        Live::start(starttls(["policy", "serve", "--listen", "127.0.0.1:8642", "--ca-file"]).arg(&ca));
    service.is_told("listening on ");
    let mut problems = Vec::new();
    std::thread::scope(|scope| {
        let examined: Vec<_> =
            ROWS.iter().map(|row| scope.spawn(|| examine(row, &ca, folder.path()))).collect();
        problems.extend(examined.into_iter().flat_map(|it| it.join().unwrap()));
    });
    problems.extend(servers::deliver(folder.path(), ROWS.iter().map(|it| (it.domain, it.delivers))));
    assert!(problems.is_empty(), "\n{}\nunbound:\n{}", problems.join("\n"), zones::log(folder.path()));
}

/// Postfix with `policy serve` is the sender under attack, and a Postfix that uses TLS if it is offered.
#[test]
fn postfix_is_as_sound_as_the_policies_that_it_asks_for() {
    network::inside("dnssec::postfix_is_as_sound_as_the_policies_that_it_asks_for", attacked);
}

/// Delivers one mail, with what was stored by an earlier delivery, and ends when Postfix has tried.
const DELIVER: &str = r#"
exec 2>&1
cd "$1"
if [ "$2" = obedient ]; then
    test -e "$STARTTLS_STATE/policies" || reset=--reset
    "$3" policy serve --listen 127.0.0.1:8642 --state "$STARTTLS_STATE/policies" $reset \
        --ca-file "$STARTTLS_CA" --timeout 20s &
    service=$!
    until postmap -c . -q localhost socketmap:inet:127.0.0.1:8642:other 2>&1 | grep -q 'unknown map'; do sleep 0.05; done
    postconf -c . smtp_tls_security_level=dane
else
    postconf -c . smtp_tls_security_level=may smtp_tls_policy_maps=
fi
postconf -c . smtp_tls_CAfile="$STARTTLS_CA"
rm -rf log queue data; mkdir queue data; chown postfix data
setsid postfix -c "$1" start
echo text | sendmail -C "$1" -f sender@sender.test "user@$STARTTLS_DOMAIN"
until grep -q 'status=' log; do sleep 0.05; done
grep -E 'status=|TLS connection' log
postfix -c "$1" stop
test -z "$service" || { kill $service; wait $service; true; }
"#;

fn attacked() {
    let folder = TempDir::new().unwrap();
    network::set_up(folder.path());
    servers::configure_postfix(folder.path());
    let (script, home) = (folder.path().join("deliver.sh"), folder.path().join("postfix"));
    std::fs::write(&script, DELIVER).unwrap();
    let program = env!("CARGO_BIN_EXE_starttls");
    for (kind, scenarios, expected) in [
        ("obedient", "snd-sts-record-removed,snd-sts-host-certificate,snd-dane-certificate", "sound"),
        ("opportunistic", "snd-sts-record-removed,snd-dane-strip", "fooled"),
    ] {
        let command = format!("sh {} {} {kind} {program}", script.display(), home.display());
        let mut attack = Command::new("timeout");
        attack.args(["300", program, "attack", "smtp", "--domain", "--real-ports", "--format", "json"]);
        attack.args(["--timeout", "50s", "--only", scenarios, "--run", &command]);
        let output = attack.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        let judged = report["scenarios"].as_array().unwrap();
        assert_eq!(judged.len(), scenarios.split(',').count(), "{}", report["control"]);
        for scenario in judged {
            assert_eq!(scenario["outcome"], expected, "{kind}: {scenario}");
        }
    }
}

/// Asks each program, and returns where one disagrees with the table or with another.
fn examine(row: &Row, ca: &Path, folder: &Path) -> Vec<String> {
    let Row { domain, finger, answer, cause, .. } = *row;
    let mut problems = Vec::new();
    let mut check = starttls(["policy", "check", domain, "--format", "json", "--ca-file"]);
    let report = Run::of(check.arg(ca)).json();
    let findings: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    if !cause.is_empty() && !findings.contains(&cause) {
        problems.push(format!("{domain}: policy check reports {findings:?}, expected {cause}"));
    }
    let served = served(domain, folder);
    if !served.starts_with(answer) || (answer != "TEMP" && served != answer) {
        problems.push(format!("{domain}: policy serve answers {served:?}, expected {answer:?}"));
    }
    let announced = report["decision"]["postfix"].as_str().unwrap();
    if served != announced {
        problems
            .push(format!("{domain}: policy check announces {announced:?}, policy serve answers {served:?}"));
    }
    if let Some(expected) = finger {
        let (ours, (theirs, text)) = (decided(&report), fingered(domain));
        if ours != Some(expected) {
            problems.push(format!(
                "{domain}: policy check decides {ours:?}, expected {expected:?}: {}",
                report["decision"]
            ));
        }
        if theirs != Some(expected) {
            problems
                .push(format!("{domain}: posttls-finger decides {theirs:?}, expected {expected:?}: {text}"));
        }
    }
    problems
}

/// Returns what `policy check` reports about the first exchanger.
fn decided(report: &Value) -> Option<Seen> {
    let findings = report["findings"].as_array()?;
    let has = |id: &str| findings.iter().any(|it| it["id"] == id);
    if report["decision"]["postfix"].as_str()?.starts_with("TEMP") {
        return Some(LookupFailed);
    }
    let first = &report["decision"]["send"][0];
    let by_dane = first["authenticated_by"][0] == "dane";
    match first["tls"].as_str()? {
        "skip" => Some(LookupFailed),
        "require" if by_dane && has("dane-no-starttls") => Some(NoStarttls),
        "require" if by_dane && ["dane-mismatch", "dane-anchor", "dane-anchor-name"].into_iter().any(has) => {
            Some(Mismatch)
        }
        "require" if by_dane && report["mx"][0]["secure"] == true => Some(Verified),
        "require" if by_dane => Some(Trusted),
        "require" => Some(Encrypted),
        _ => Some(Opportunistic),
    }
}

/// Returns what posttls-finger reports, and its output. It does not get the lab's root, so that only a TLSA record verifies.
fn fingered(domain: &str) -> (Option<Seen>, String) {
    let mut finger = Command::new("timeout");
    finger.args(["150", "/usr/sbin/posttls-finger", "-c", "-l", "dane", "-L", "summary,certmatch", domain]);
    let run = Run::of(&mut finger);
    let text = run.stdout + &run.stderr;
    let has = |part: &str| text.contains(part);
    let seen = match () {
        // It ends without a word if the server does not offer STARTTLS.
        () if text.is_empty() => NoStarttls,
        () if has("unsupported TLSA certificate usage") => Encrypted,
        () if has("Verified TLS connection") => Verified,
        () if has("Trusted TLS connection") => Trusted,
        // Without records it verifies with its roots, which do not include the lab's.
        () if has("certificate verification failed") && !has("untrusted issuer") => Mismatch,
        () if has("Untrusted TLS connection") => Opportunistic,
        () if has("lookup error") || has("not found") => LookupFailed,
        () => return (None, text),
    };
    (Some(seen), text)
}

/// Returns the answer of `policy serve`, which Postfix's own client asks.
fn served(domain: &str, folder: &Path) -> String {
    let mut postmap = Command::new("timeout");
    postmap.args(["150", "/usr/sbin/postmap", "-c"]).arg(folder.join("postfix"));
    let run = Run::of(postmap.args(["-q", domain, "socketmap:inet:127.0.0.1:8642:QUERY"]));
    match (run.code, run.stderr.split_once("temporary error: ")) {
        (0, _) => format!("OK {}", run.stdout.trim_end()),
        (_, Some((_, reason))) => format!("TEMP {}", reason.lines().next().unwrap_or_default()),
        (1, None) if run.stderr.is_empty() => String::from("NOTFOUND"),
        _ => run.stderr,
    }
}
