//! Runs `tables/records.txt`.

use starttls_policy::sts::{StsRecordFault, parse_record};
use starttls_policy::tlsrpt::{TlsRptFault, parse_rua_record};

use crate::support::complain;

#[test]
fn every_row_of_the_table() {
    let rows = include_str!("tables/records.txt").lines().filter(|it| !it.is_empty() && !it.starts_with('#'));
    let (mut problems, mut count) = (Vec::new(), 0);
    for row in rows {
        count += 1;
        let (input, expected) = row.split_once("=> ").unwrap();
        let records: Vec<Vec<u8>> =
            input.split('"').skip(1).step_by(2).map(|it| it.as_bytes().to_vec()).collect();
        let found = if input.starts_with("sts") { sts(&records) } else { rpt(&records) };
        if found != expected {
            problems.push(format!("{row}\n    found {found}"));
        }
    }
    assert!(count > 20);
    complain(&problems);
}

fn sts(records: &[Vec<u8>]) -> String {
    match parse_record(records) {
        Ok(record) if record.space_before_semicolon => format!("{} (space before the semicolon)", record.id),
        Ok(record) => record.id,
        Err(StsRecordFault::Absent) => String::from("absent"),
        Err(StsRecordFault::Multiple(count)) => format!("multiple {count}"),
        Err(StsRecordFault::Invalid(reason)) => format!("invalid {reason}"),
    }
}

fn rpt(records: &[Vec<u8>]) -> String {
    match parse_rua_record(records) {
        Ok(record) if record.unusable.is_empty() => record.rua.join(" "),
        Ok(record) => format!("{} (unusable {})", record.rua.join(" "), record.unusable.join(" ")),
        Err(TlsRptFault::Absent) => String::from("absent"),
        Err(TlsRptFault::Multiple(count)) => format!("multiple {count}"),
        Err(TlsRptFault::Invalid(reason)) => format!("invalid {reason}"),
    }
}
