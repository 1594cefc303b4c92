//! The stub resolver against servers that answer well, badly, or not at all.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod answers;
mod hostile;
mod server;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use starttls_dns::{AdTrust, DnsAnswer, DnsQuestion, FailureKind, RecordType, Stub};

/// The time limit of a question in tests that expect an answer. It only ends a test that hangs.
const LONG: Duration = Duration::from_secs(20);
/// The time limit of a question in tests that expect none.
const SHORT: Duration = Duration::from_millis(300);

fn stub(server: SocketAddr, timeout: Duration) -> Stub {
    Stub::new(vec![server], AdTrust::Loopback).unwrap().timeout(timeout)
}

fn question(name: &str, record: RecordType) -> DnsQuestion {
    DnsQuestion { name: name.parse().unwrap(), record }
}

fn failure(answer: &DnsAnswer) -> FailureKind {
    answer.failure().unwrap_or_else(|| panic!("{answer:?}")).kind
}

/// Runs a test with a deadline.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.unwrap() });
}
