//! The socket through which `policy list`, `show` and `forget` ask a running service: one line of JSON each way.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use starttls_dns::DnsName;
use starttls_policy::drive::PolicyService;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::socket::Listener;
use crate::console;
use crate::policy::stored_report::{Answer, Entry, Report};

/// The longest request.
const MAX_REQUEST: u64 = 4 << 10;
/// The longest response, for the client.
const MAX_RESPONSE: u64 = 1 << 30;
/// The time limit of an exchange.
const LIMIT: Duration = Duration::from_secs(30);

/// What a client wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub(in crate::policy) enum Request {
    List,
    Show { domain: String },
    Forget { domain: String },
}

/// What the service answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::policy) enum Response {
    Policies(Report),
    /// Whether there was something to forget.
    Forgotten(bool),
    Error(String),
}

/// Sends a request to a running service.
pub(in crate::policy) fn ask(path: &Path, request: &Request) -> io::Result<Response> {
    use std::io::{Read, Write};
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())?;
    let mut text = Vec::new();
    stream.take(MAX_RESPONSE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Answers requests of the user of this process and of root, one after the other and without end.
pub(super) async fn serve(listener: Listener, service: PolicyService, user: u32) {
    let Listener::Unix(listener) = listener else { return };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let is_permitted = stream.peer_cred().is_ok_and(|it| it.uid() == user || it.uid() == 0);
                if !is_permitted {
                    console::warning(&"another user connected to the control socket, and was not answered");
                    continue;
                }
                // A client that stalls is left when the time is over.
                let _ = timeout(LIMIT, respond(stream, &service)).await;
            }
            Err(error) => {
                console::warning(&format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Returns the user of this process, who owns what it creates.
pub(super) fn user() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

async fn respond(stream: tokio::net::UnixStream, service: &PolicyService) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader).take(MAX_REQUEST).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => carry_out(&request, service),
        Err(error) => Response::Error(format!("invalid request: {error}")),
    };
    writer.write_all(serde_json::to_string(&response)?.as_bytes()).await?;
    writer.shutdown().await
}

fn carry_out(request: &Request, service: &PolicyService) -> Response {
    let domain: DnsName = match request {
        Request::List => {
            let all = service.policies();
            let policies = all.iter().map(|(domain, policy)| Entry::new(domain, policy, false));
            return Response::Policies(Report::new(policies.collect(), Vec::new()));
        }
        Request::Show { domain } | Request::Forget { domain } => match domain.parse() {
            Ok(domain) => domain,
            Err(error) => return Response::Error(format!("{error}")),
        },
    };
    if matches!(request, Request::Forget { .. }) {
        return match service.forget(&domain) {
            Ok(was_known) => Response::Forgotten(was_known),
            Err(error) => Response::Error(format!("the file of policies was not written: {error}")),
        };
    }
    let policy = service.policy(&domain).map(|it| Entry::new(&domain, &it, true));
    let answers = service.answers(&domain).iter().map(Answer::new).collect();
    Response::Policies(Report::new(policy.into_iter().collect(), answers))
}
