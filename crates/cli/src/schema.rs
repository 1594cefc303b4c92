//! Checks that the schemas in `docs/schema` match the code. Set `UPDATE_SCHEMA` to write them.

use schemars::{Schema, schema_for};

fn same(name: &str, schema: &Schema) {
    let path = format!("{}/../../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == schema, "docs/schema/{name}.json is out of date: run this test with UPDATE_SCHEMA=1");
}

#[test]
fn connect() {
    same("connect", &schema_for!(crate::session::report::Report));
}

#[test]
fn hello() {
    same("hello", &schema_for!(crate::hello::report::Report));
}

#[test]
fn login() {
    same("login", &schema_for!(crate::login::report::Report));
}

#[test]
fn plan() {
    same("plan", &schema_for!(crate::gateway::report::Report));
}

#[test]
fn send() {
    same("send", &schema_for!(crate::send::report::Report));
}

#[test]
fn policy_report() {
    same("policy-report", &schema_for!(crate::policy::report::Report));
}

#[test]
fn policy_stored() {
    same("policy-stored", &schema_for!(crate::policy::stored_report::Report));
}

#[test]
fn policy_check() {
    same("policy-check", &schema_for!(crate::policy::check::report::Report));
}

#[test]
fn survey() {
    use starttls_survey::row;
    same("survey-domain", &schema_for!(row::DomainRow));
    same("survey-address", &schema_for!(row::AddressRow));
    same("survey-endpoint", &schema_for!(row::EndpointRow));
    same("survey-evidence", &schema_for!(row::EvidenceRow));
    same("survey-certificate", &schema_for!(row::CertificateRow));
    same("survey-joined", &schema_for!(row::JoinedRow));
    same("survey-status", &schema_for!(crate::survey::status::Report));
}
