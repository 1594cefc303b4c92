//! A log in the format of Zeek: tab-separated values with a header. `community_id` joins it with Zeek's own logs.

use super::{ends, word};
use crate::inspector::ConnectionReport;

/// The header of the log.
pub const ZEEK_HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tstarttls\n\
    #fields\tts\tcommunity_id\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tprotocol\tseen\toffered\trequested\tanswer\t\
    tls\treadable\tversion\tcipher\tserver_name\tja4\tfindings\n\
    #types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tstring\tstring\tstring\tstring\tstring\tstring\tstring\t\
    string\tstring\tset[string]";

/// Returns the line of a connection.
pub fn zeek(report: &ConnectionReport) -> String {
    let facts = &report.facts;
    let ((source, source_port), (target, target_port)) = ends(report);
    let handshake = facts.handshake.as_ref();
    let findings: Vec<&str> = report.findings.iter().map(|it| it.id).collect();
    let fields = [
        format!("{}.{:06}", report.started.time / 1_000_000_000, report.started.time / 1000 % 1_000_000),
        report.community_id.clone(),
        source,
        source_port.to_string(),
        target,
        target_port.to_string(),
        facts.protocol.map_or_else(unset, |it| it.name.to_owned()),
        word(&facts.seen),
        word(&facts.offered),
        word(&facts.requested),
        word(&facts.answer),
        word(&facts.tls),
        word(&facts.readable),
        handshake.and_then(|it| it.version.clone()).unwrap_or_else(unset),
        handshake.and_then(|it| it.suite.as_ref()).map_or_else(unset, |it| it.name.clone()),
        // The name is escaped, so it contains no tab.
        handshake.and_then(|it| it.sni.clone()).filter(|it| !it.is_empty()).unwrap_or_else(unset),
        handshake.and_then(|it| it.ja4.clone()).unwrap_or_else(unset),
        if findings.is_empty() { String::from("(empty)") } else { findings.join(",") },
    ];
    fields.join("\t")
}

fn unset() -> String {
    String::from("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_and_types_every_field() {
        let count = |start: &str| {
            let line = ZEEK_HEADER.lines().find(|line| line.starts_with(start)).unwrap();
            line.split('\t').count() - 1
        };
        assert_eq!(count("#fields"), 18);
        assert_eq!(count("#types"), 18);
    }
}
