//! A MySQL server that requires the password itself (`caching_sha2_password`): no other party may read the password.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use starttls_testkit::process::program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::environment::{Environment, within};

const METHOD: &[u8] = b"caching_sha2_password\0";
const PASSWORD: &str = "as long as it has to be, and longer than the challenge";

/// A MySQL server and what it receives.
struct Server {
    key: PrivateDecryptingKey,
    /// Whether the server switches the authentication method, with a new challenge.
    switches: bool,
    heard: Mutex<Vec<u8>>,
}

/// Reads the payload of one packet, whose number has to be `number`.
async fn packet(tcp: &mut TcpStream, number: u8, heard: &Mutex<Vec<u8>>) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    tcp.read_exact(&mut header).await.ok()?;
    assert_eq!(header[3], number);
    let mut payload = vec![0; usize::from(header[0]) | usize::from(header[1]) << 8];
    tcp.read_exact(&mut payload).await.ok()?;
    heard.lock().unwrap().extend_from_slice(&payload);
    Some(payload)
}

async fn say(tcp: &mut TcpStream, number: u8, payload: &[u8]) {
    let length = payload.len() as u16;
    let [low, high] = length.to_le_bytes();
    tcp.write_all(&[&[low, high, 0, number], payload].concat()).await.unwrap();
}

impl Server {
    /// Serves a login without TLS, and commands without results.
    async fn serve(&self, mut tcp: TcpStream) -> Option<()> {
        let mut challenge = *b"abcdefghijklmnopqrst";
        let flags = 0x0008_8200_u32.to_le_bytes();
        let greeting: [&[u8]; 12] = [
            b"\x0a8.0.99\0",
            &[1, 0, 0, 0],
            &challenge[..8],
            &[0],
            &flags[..2],
            &[45, 2, 0],
            &flags[2..],
            &[21],
            &[0; 10],
            &challenge[8..],
            &[0],
            METHOD,
        ];
        say(&mut tcp, 0, &greeting.concat()).await;
        let login = packet(&mut tcp, 1, &self.heard).await?;
        let mut number = 2;
        if self.switches || !login.windows(METHOD.len()).any(|part| part == METHOD) {
            challenge = *b"tsrqponmlkjihgfedcba";
            say(&mut tcp, number, &[b"\xfe", METHOD, &challenge, &[0]].concat()).await;
            packet(&mut tcp, number + 1, &self.heard).await?;
            number += 2;
        }
        say(&mut tcp, number, &[1, 4]).await;
        assert_eq!(packet(&mut tcp, number + 1, &self.heard).await?, [2], "the key has to be asked for");
        say(&mut tcp, number + 2, &[b"\x01", self.public_pem().as_bytes()].concat()).await;
        let encrypted = packet(&mut tcp, number + 3, &self.heard).await?;
        let key = OaepPrivateDecryptingKey::new(self.key.clone()).unwrap();
        let mut room = vec![0; key.min_output_size()];
        let mixed = key.decrypt(&OAEP_SHA1_MGF1SHA1, &encrypted, &mut room, None).unwrap();
        let said: Vec<u8> = mixed.iter().zip(challenge.iter().cycle()).map(|(a, b)| a ^ b).collect();
        if said != [PASSWORD.as_bytes(), &[0]].concat() {
            say(&mut tcp, number + 4, b"\xff\x15\x04#28000Access denied").await;
            return None;
        }
        say(&mut tcp, number + 4, &[0, 0, 0, 2, 0, 0, 0]).await;
        while packet(&mut tcp, 0, &self.heard).await? != [1] {
            say(&mut tcp, 1, &[0, 0, 0, 2, 0, 0, 0]).await;
        }
        Some(())
    }

    fn public_pem(&self) -> String {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&self.key.public_key()).unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(der.as_ref()))
    }

    async fn start(switches: bool) -> (SocketAddr, Arc<Self>) {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let server = Arc::new(Self { key, switches, heard: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, serving) = (listener.local_addr().unwrap(), server.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                serving.serve(tcp).await;
            }
        });
        (address, server)
    }
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |chunk: &[u8]| {
        let octet = |at| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        let digit = |at: usize| {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char;
            if at <= chunk.len() { digit } else { '=' }
        };
        [0, 1, 2, 3].map(digit)
    };
    octets.chunks(3).flat_map(three).collect()
}

/// Logs in with this password and returns whether the login succeeded, and the error.
async fn log_in(env: &Environment, port: u16, password: &str) -> (bool, String) {
    let mut command = Command::new(program("mariadb", "mariadb-client").unwrap());
    command.args([
        "--no-defaults",
        "--protocol=tcp",
        "--host=localhost",
        "--ssl-verify-server-cert",
        "--batch",
    ]);
    command.args([format!("--port={port}"), format!("--ssl-ca={}", env.root.display())]);
    command.args([&format!("--password={password}"), "--user=test", "--execute=do 1"]);
    let output = within(command.kill_on_drop(true).output()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_wanted_itself_is_encrypted_for_a_server_without_tls() {
    let env = Environment::new();
    for switches in [false, true] {
        let (address, server) = Server::start(switches).await;
        let running = env.gateway("mysql+starttls://{}", &[format!("mysql://{address}")], None);
        let said = log_in(&env, running.address.port(), PASSWORD).await;
        assert!(said.0, "{switches}: {}", said.1);
        let (welcome, why) = log_in(&env, running.address.port(), "another").await;
        assert!(!welcome && why.contains("ERROR 1045"), "{why}");
        let heard = server.heard.lock().unwrap().clone();
        let sees = |words: &[u8]| heard.windows(words.len()).any(|part| part == words);
        assert!(sees(b"test\0") && sees(b"do 1"), "{}", heard.escape_ascii());
        assert!(!sees(PASSWORD.as_bytes()) && !sees(b"another"), "{}", heard.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_the_time_before_tls_is_one() {
    let env = Environment::new();
    let (backend, _server) = Server::start(false).await;
    let (certificate, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"mysql+starttls://127.0.0.1:0\"\ncert = {certificate:?}\nkey = {key:?}\n\
         forward = \"mysql://{backend}\"\nlimits = {{ negotiation = \"1s\" }}\n"
    );
    let running = env.start(starttls_gateway::Config::parse(&text, "test").unwrap());
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    let dribbling = async {
        // A login of 200 octets, each of which arrives before the idle limit.
        for octet in [200, 0, 0, 1].into_iter().chain([0; 100]) {
            if tcp.write_all(&[octet]).await.is_err() {
                // The gateway has closed the connection; the log contains the reason.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let began = std::time::Instant::now();
    let ended = async { running.ended(1).await };
    tokio::select! {
        () = dribbling => panic!("it was listened to for {:?}", began.elapsed()),
        ended = ended => assert!(ended[0].contains("did not complete the negotiation within"), "{ended:?}"),
    }
}
