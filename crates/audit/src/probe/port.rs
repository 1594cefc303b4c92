//! When the upgrade cannot even be tried: what is it that answers there?

use starttls::Error;
use starttls::proto::speaks;

use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::record::Record;
use crate::report::{Kind, Verdict};

/// Tries TLS from the first byte, and listens to what is said without being asked.
pub(crate) async fn probe(plan: &Plan) -> (Seen, Option<(Verdict, String)>) {
    let mut seen = Seen::default();
    let Ok(mut dialogue) = plan.open("what answers on this port").await else { return (seen, None) };
    let said = dialogue.listen(std::time::Duration::from_millis(300)).await;
    if let Some(speaker) = speaks(&said) {
        let all = dialogue.record.all();
        let at = seen.record(dialogue.record);
        let Some(why) = other(plan, speaker) else { return (seen, None) };
        seen.push(Draft::fail("srv-reachable", why.clone()).at(at, all));
        return (seen, Some((Verdict::Violation, why)));
    }
    drop(dialogue);
    let mut record = Record::new("TLS from the first byte");
    let to = starttls::Endpoint::new(plan.server_name.clone(), plan.port())
        .at(plan.address.ip().to_string(), plan.port());
    match plan.connectors.open.connect_implicit(plan.protocol, to).await {
        Ok(session) => {
            let text = format!("handshake done: {}", session.facts().version_name());
            let mark = record.text(Kind::Event, text);
            let at = seen.record(record);
            let scheme = plan.protocol.implicit_tls.map_or("implicit TLS", |tls| tls.name);
            let why = format!(
                "port {} speaks TLS from the first byte: use {scheme}, or set the port to cleartext with the upgrade",
                plan.port()
            );
            seen.push(Draft::fail("srv-plain-tls", why.clone()).at(at, mark));
            (seen, Some((Verdict::Violation, why)))
        }
        // A server of HTTP waits for its client, and answers even a handshake.
        Err(Error::PlaintextNotTls { received, .. }) => {
            let Some(why) = speaks(&received).and_then(|speaker| other(plan, speaker)) else {
                return (seen, None);
            };
            let mark = record.bytes(Kind::Server, &received);
            let at = seen.record(record);
            seen.push(Draft::fail("srv-plain-tls", why.clone()).at(at, mark));
            (seen, Some((Verdict::Violation, why)))
        }
        Err(_) => (seen, None),
    }
}

/// What is wrong when this is what the port speaks, if it is another protocol than the one that is audited.
fn other(plan: &Plan, speaker: &str) -> Option<String> {
    let same = plan.protocol.title.contains(speaker) || speaker.contains(plan.protocol.title);
    if same || (speaker.contains("SMTP") && plan.protocol.spec == "RFC 3207") {
        return None;
    }
    Some(format!("port {} speaks {speaker}, not {}", plan.port(), plan.protocol.title))
}
