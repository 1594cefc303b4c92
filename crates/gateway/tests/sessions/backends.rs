//! Selection of backends: connections that end, backends that are skipped, and health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use starttls::Acceptor;
use starttls::proto::smtp::{SMTP, SUBMISSION};
use starttls_gateway::Config;
use starttls_gateway::config::UpgradePolicy;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::environment::{Environment, cleartext, tell, within};
use crate::scripted::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn b3_the_session_before_an_optional_upgrade_ends_with_it() {
    let env = Environment::new();
    let backend = Scripted::smtp().await;
    let forward = [format!("smtp://{}", backend.address)];
    let running = env.gateway("smtp+starttls://{}", &forward, Some(UpgradePolicy::Optional));
    let mut stream = within(env.connect(&SMTP, running.address, false)).await;
    stream.write_all(b"EHLO inside\r\n").await.unwrap();
    assert!(within(stream.read(&mut [0; 512])).await.unwrap() > 0);
    assert_eq!(backend.heard().len(), 2);
    within(async {
        while backend.open() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_turns_one_client_away_is_there_for_the_next() {
    let env = Environment::new();
    let choosy = Scripted::start(b"554 not you\r\n".to_vec(), |_| Some("")).await;
    let other = Scripted::smtp().await;
    let (certificate, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = {certificate:?}\nkey = {key:?}\n\
         forward = [{{ url = \"smtp://{}\", send-proxy = \"v1\" }}, \"smtp://{}\"]\n",
        choosy.address, other.address
    );
    let running = env.start(Config::parse(&text, "test").unwrap());
    for session in 1..=3 {
        let mut stream = within(env.connect(&SMTP, running.address, false)).await;
        stream.write_all(b"EHLO me\r\nQUIT\r\n").await.unwrap();
        let mut heard = String::new();
        within(stream.read_to_string(&mut heard)).await.unwrap();
        assert!(heard.starts_with("250-scripted"), "{heard}");
        assert_eq!((choosy.heard().len(), other.heard().len()), (session, session));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_refused_is_not_tried_again_by_itself() {
    let env = Environment::new();
    let [chain, key] = [&env.certificate.0, &env.certificate.1].map(|path| std::fs::read(path).unwrap());
    let acceptor = Acceptor::builder(&SUBMISSION, "localhost").certificate_pem(chain, key).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = counts.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept_implicit(tcp).await else { continue };
            counted[0].fetch_add(1, Ordering::Relaxed);
            let mut stream = BufReader::new(stream);
            let mut line = String::from("greeting");
            while !line.is_empty() {
                let answer = match line.split_whitespace().next().unwrap_or_default() {
                    "greeting" => "220 backend ESMTP\r\n",
                    "EHLO" => "250-backend\r\n250 AUTH PLAIN\r\n",
                    "AUTH" => {
                        counted[1].fetch_add(1, Ordering::Relaxed);
                        "535 5.7.8 no\r\n"
                    }
                    _ => "250 ok\r\n",
                };
                let said = async {
                    stream.write_all(answer.as_bytes()).await?;
                    stream.flush().await
                };
                line.clear();
                if said.await.is_err() || stream.read_line(&mut line).await.is_err() {
                    break;
                }
            }
        }
    });
    let password = env.folder.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let text = format!(
        "[[listener]]\nlisten = \"submission://127.0.0.1:0\"\nforward = {{ url = \"smtps://localhost:{}\", \
         ca-file = {:?}, login = {{ user = \"me\", password-file = {password:?} }} }}\n",
        place.port(),
        env.root,
    );
    let running = env.start(Config::parse(&text, "test").unwrap());
    let heard = tell(cleartext(&SUBMISSION, running.address).await, b"").await;
    assert_eq!(heard, b"", "the greeting says it all");
    let count = |which: usize| counts[which].load(Ordering::Relaxed);
    assert_eq!(count(1), 1);
    // The health check connects to the backend too.
    within(async {
        while count(0) < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // The backend serves one connection after the other, so the check is over when the next client is served.
    tell(cleartext(&SUBMISSION, running.address).await, b"").await;
    assert_eq!(count(1), 2);
    drop(TcpStream::connect(running.address).await);
}

/// `insecure` promises a session with any certificate, also with one that TLS libraries cannot parse.
#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_backend_may_have_a_certificate_that_cannot_be_verified() {
    let env = Environment::new();
    let authority = Authority::new().unwrap();
    for weakness in [Weakness::VersionOne, Weakness::UnknownExtension, Weakness::WeakKey] {
        let rogue = Rogue::start(&SMTP, weakness, &authority).unwrap();
        for insecure in [true, false] {
            let text = format!(
                "[[listener]]\nlisten = \"smtp://127.0.0.1:0\"\nforward = {{ url = \"smtp+starttls://{}\", \
                 server-name = \"localhost\", insecure = {insecure} }}\n",
                rogue.address()
            );
            let running = env.start(Config::parse(&text, "test").unwrap());
            let heard = tell(cleartext(&SMTP, running.address).await, b"EHLO me\r\nQUIT\r\n").await;
            let heard = String::from_utf8_lossy(&heard).into_owned();
            assert_eq!(heard.contains("250"), insecure, "{weakness:?}: {heard}");
        }
    }
}
