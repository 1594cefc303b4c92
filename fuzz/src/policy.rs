//! Texts and messages of DANE, MTA-STS, TLSRPT and Postfix's socketmap protocol. The first octet chooses which.

use starttls_policy::socketmap::{MapFault, MapReader, MapReply, MapRequest, next_hop};
use starttls_policy::sts::{parse_policy, parse_record};
use starttls_policy::tlsrpt::{ReportSummary, parse_report, parse_rua_record, reports_in};

/// Reads any octets as what other machines send. Nothing panics, what was read survives being written again, and a reader of
/// a stream does not depend on how the stream is cut.
pub fn policy(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    match choice % 5 {
        0 => policy_text(rest),
        1 => records(rest),
        2 => requests(usize::from(*choice) / 5 + 1, rest),
        3 => reports(rest),
        _ => {
            if let Ok(text) = std::str::from_utf8(rest) {
                let _ = starttls_policy::tlsa::parse(text);
            }
        }
    }
}

fn policy_text(text: &[u8]) {
    let Ok(policy) = parse_policy(text).policy else { return };
    // The store keeps the lines, and parses them after a restart.
    let again = parse_policy(policy.lines.join("\n").as_bytes()).policy;
    assert_eq!(again.as_ref(), Ok(&policy), "a stored policy is another one");
}

/// Reads records, one in each line.
fn records(text: &[u8]) {
    let records: Vec<Vec<u8>> = text.split(|it| *it == b'\n').map(<[u8]>::to_vec).collect();
    if let Ok(record) = parse_record(&records) {
        assert!((1..=32).contains(&record.id.len()), "an id of {} octets", record.id.len());
    }
    let _ = parse_rua_record(&records);
}

fn requests(cut: usize, input: &[u8]) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| -> (Vec<MapRequest>, Option<MapFault>) {
        let (mut reader, mut found) = (MapReader::default(), Vec::new());
        for piece in pieces {
            reader.receive(piece);
            loop {
                match reader.next_request() {
                    Ok(Some(request)) => found.push(request),
                    Ok(None) => break,
                    Err(fault) => return (found, Some(fault)),
                }
            }
        }
        (found, None)
    };
    let whole = read(&mut std::iter::once(input));
    assert_eq!(read(&mut input.chunks(cut)), whole, "the requests depend on the cuts");
    for request in &whole.0 {
        if let Some((hop, port)) = next_hop(&request.key) {
            assert!(hop.name().is_host() && port != 0, "{request:?}");
        }
        let mut reply = Vec::new();
        MapReply::Temporary(request.key.clone()).write(&mut reply);
        let digits = reply.iter().take_while(|it| it.is_ascii_digit()).count();
        let length = String::from_utf8_lossy(&reply[..digits]).parse::<usize>();
        assert_eq!(length, Ok(reply.len() - digits - 2), "the reply is not a netstring");
    }
}

fn reports(file: &[u8]) {
    let mut summary = ReportSummary::default();
    for json in reports_in(file).into_iter().flatten() {
        if let Ok(report) = parse_report(&json) {
            summary.add(&report);
        }
    }
}
