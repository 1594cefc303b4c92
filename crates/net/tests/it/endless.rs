//! Rule B6 inside TLS: the deadline and the budget stop a server that keeps sending messages that are not the answer.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use starttls::Step;
use starttls::login::{self, Account};
use starttls::proto::{ErrorKind, imap::IMAP, smtp::SMTP};
use starttls::submission::{self, Delivery, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::authority::{Authority, DEADLINE, NAME};
use crate::login::inside;

const LIMIT: Duration = Duration::from_millis(300);
/// The pause between two messages that are not the answer: far less than the limit.
const PAUSE: Duration = Duration::from_millis(20);

fn john() -> Account {
    Account::password("john", "sesame").timeout(LIMIT)
}

fn delivery() -> Delivery {
    let message = Message::new("Subject: x\r\n\r\nx\r\n").unwrap();
    Delivery::new("a@example.com", ["b@example.org"], message).unwrap().timeout(LIMIT)
}

/// Logs in and delivers to a server that repeats this message.
async fn both(imap: &str, smtp: &str, pause: Duration) -> (login::LoginError, submission::SubmissionError) {
    let (mut client, mut server) = inside(&IMAP).await;
    let noise = async {
        while server.write_all(imap.as_bytes()).await.is_ok() && server.flush().await.is_ok() {
            sleep(pause).await;
        }
    };
    let account = if pause.is_zero() { john().timeout(DEADLINE) } else { john() };
    let login = async {
        let done = account.log_in(&IMAP, &mut client).await.unwrap_err();
        drop(client);
        done
    };
    let (login, ()) = timeout(DEADLINE, async { tokio::join!(login, noise) }).await.expect("it ends");
    let (mut client, mut server) = inside(&SMTP).await;
    let noise = async {
        while server.write_all(smtp.as_bytes()).await.is_ok() && server.flush().await.is_ok() {
            sleep(pause).await;
        }
    };
    let delivery = if pause.is_zero() { delivery().timeout(DEADLINE) } else { delivery() };
    let sending = async {
        let done = delivery.send(&SMTP, &mut client, None).await.unwrap_err();
        drop(client);
        done
    };
    let (sent, ()) = timeout(DEADLINE, async { tokio::join!(sending, noise) }).await.expect("it ends");
    (login, sent)
}

#[tokio::test]
async fn b6_a_trickle_does_not_restart_the_clock() {
    let (login, sent) = both("* OK Still here\r\n", "250-still here\r\n", PAUSE).await;
    assert!(matches!(login, login::LoginError::Timeout { limit: LIMIT, .. }), "{login:?}");
    assert!(matches!(sent, submission::SubmissionError::Timeout { step: Step::Extensions, .. }), "{sent:?}");
}

#[tokio::test]
async fn b6_a_flood_is_cut() {
    // Long lines, so that the flood is cut long before the deadline on a slow machine too.
    let imap = format!("* OK {}\r\n", "x".repeat(60_000));
    let smtp = format!("250-{}\r\n", "x".repeat(500));
    let (login, sent) = both(&imap, &smtp, Duration::ZERO).await;
    let too_long = |error: &starttls::proto::Error| error.kind == ErrorKind::TooLong;
    assert!(matches!(&login, login::LoginError::Protocol(error) if too_long(error)), "{login:?}");
    assert!(login.to_string().contains("within 1 MiB"), "{login}");
    assert!(matches!(&sent, submission::SubmissionError::Protocol(error) if too_long(error)), "{sent:?}");
}

#[tokio::test]
async fn b6_the_whole_delivery_has_an_end() {
    // Each answer comes in time, but the delivery as a whole takes too long.
    let (mut client, mut server) = inside(&SMTP).await;
    let recipients: Vec<String> = (0..1000).map(|number| format!("r{number}@example.org")).collect();
    let message = Message::new("Subject: x\r\n\r\nx\r\n").unwrap();
    let delivery = Delivery::new("a@example.com", recipients, message).unwrap().timeout(LIMIT);
    let serve = async {
        let mut heard = [0; 4096];
        while matches!(server.read(&mut heard).await, Ok(1..)) {
            sleep(PAUSE).await;
            if server.write_all(b"250 ok\r\n").await.is_err() || server.flush().await.is_err() {
                break;
            }
        }
    };
    let sending = async {
        let done = delivery.send(&SMTP, &mut client, None).await.unwrap_err();
        drop(client);
        done
    };
    let (sent, ()) = timeout(DEADLINE, async { tokio::join!(sending, serve) }).await.expect("it ends");
    assert!(matches!(sent, submission::SubmissionError::Timeout { .. }), "{sent:?}");
}

#[test]
fn b6_the_blocking_driver_has_the_same_deadline() {
    let authority = Authority::new();
    for (imap, noise) in [(true, "* OK Still here\r\n"), (false, "250-still here\r\n")] {
        let protocol = if imap { &IMAP } else { &SMTP };
        let (near, far) = UnixStream::pair().unwrap();
        let acceptor = authority.acceptor_for(protocol).build().unwrap();
        let server = std::thread::spawn(move || {
            use std::io::Write;
            let mut server = acceptor.blocking().accept(far).unwrap();
            while server.write_all(noise.as_bytes()).and_then(|()| server.flush()).is_ok() {
                std::thread::sleep(PAUSE);
            }
        });
        let connector = authority.connector().build().unwrap();
        let mut client = connector.blocking().upgrade(protocol, NAME, near).unwrap();
        if imap {
            let error = john().log_in_blocking(protocol, &mut client).unwrap_err();
            assert!(matches!(error, login::LoginError::Timeout { .. }), "{error:?}");
        } else {
            let error = delivery().send_blocking(protocol, &mut client, None).unwrap_err();
            assert!(matches!(error, submission::SubmissionError::Timeout { .. }), "{error:?}");
        }
        drop(client);
        server.join().unwrap();
    }
}
