//! Runs each example against the server of the lab for its protocol.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::time::Duration;

use starttls::{Connector, Endpoint, Error};
use starttls_examples::{Failure, imap, ldap, postgres, smtp, xmpp};
use starttls_lab::{Lab, Options};

/// The time limit of one example.
const DEADLINE: Duration = Duration::from_secs(30);

struct Server {
    lab: Lab,
    connector: Connector,
}

impl Server {
    fn new() -> Self {
        let lab = Lab::start(Options::default()).unwrap();
        let connector = Connector::builder().no_system_roots().roots_pem(lab.ca_pem()).build().unwrap();
        Self { lab, connector }
    }

    fn endpoint(&self, scheme: &str) -> Endpoint {
        let server = self.lab.endpoint(scheme).unwrap();
        Endpoint::new(server.server_name, server.address.port())
    }

    fn user(&self) -> (&str, &str) {
        (self.lab.user(), self.lab.password())
    }
}

async fn ended<T>(example: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(DEADLINE, example).await.expect("the example does not end")
}

#[tokio::test]
async fn async_imap_searches() {
    let server = Server::new();
    let found = ended(imap::search(&server.connector, server.endpoint("imap"), server.user(), "works")).await;
    assert_eq!(found.unwrap(), [1]);
}

#[tokio::test]
async fn async_smtp_sends() {
    let server = Server::new();
    let message = "Subject: sent\r\n\r\nInside TLS.\r\n";
    let people = ("lab@example.test", "test@example.test");
    let sent = smtp::send(&server.connector, server.endpoint("submission"), server.user(), people, message);
    ended(sent).await.unwrap();
    let mail = server.lab.store().mail();
    assert!(
        mail.iter().any(|mail| String::from_utf8_lossy(&mail.text).contains("Subject: sent")),
        "{mail:?}"
    );
}

#[tokio::test]
async fn rasn_ldap_reads_an_entry() {
    let server = Server::new();
    let user = ("uid=test,dc=example,dc=test", server.lab.password());
    let names = ended(ldap::attributes(&server.connector, server.endpoint("ldap"), user)).await.unwrap();
    assert_eq!(names, ["objectClass", "uid", "description"]);
}

#[tokio::test]
async fn tokio_postgres_queries() {
    let server = Server::new();
    let version =
        ended(postgres::version(&server.connector, server.endpoint("postgres"), server.user())).await;
    assert_eq!(version.unwrap().as_deref(), Some("starttls lab"));
}

#[tokio::test]
async fn tokio_xmpp_logs_in() {
    let server = Server::new();
    let user = ("test@localhost", server.lab.password());
    let address = ended(xmpp::log_in(&server.connector, server.endpoint("xmpp"), user)).await.unwrap();
    assert_eq!(address, "test@localhost/lab");
}

/// The library never sees the stream of a server that the connector does not trust.
#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_password() {
    let server = Server::new();
    let stranger = Server::new();
    let refused =
        ended(imap::search(&stranger.connector, server.endpoint("imap"), server.user(), "works")).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(Error::Certificate { .. })), "{refused:?}");
}
