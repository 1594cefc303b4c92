//! `starttls web`: a page that audits servers.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use starttls::proto::PROTOCOLS;
use starttls_audit::{Audit, Limits};
use starttls_dns::DialPolicy;
use starttls_web::{Access, ApiKeys, RunStore, TargetPolicy, TargetResolver, WebSettings, serve};
use tokio::sync::oneshot;

use crate::args::Web;
use crate::confinement::Confinement;
use crate::console;
use crate::error::Failed;
use crate::exit;
use crate::policy::resolver;

/// A domain has many endpoints, and a visitor waits for the last one.
const AUDIT_LIMIT: Duration = Duration::from_secs(120);

/// Serves without end.
pub(crate) async fn run(args: &Web) -> Result<u8, Failed> {
    if let (Some(name), Some(path)) = (&args.new_api_key, &args.api_keys) {
        return add_key(name, path);
    }
    if !args.listen.ip().is_loopback() && args.public.is_empty() {
        let hint = "name the host of the page with --public, or listen on a loopback address behind a proxy that authenticates its clients";
        let what = format!("{} can be reached from other machines", args.listen);
        return Err(Failed::usage(what).hint(Some(hint.to_owned())));
    }
    let stub = resolver::stub(&args.resolver, args.timeout)?;
    let ports = ports(args, stub.resolvers().iter().map(|it| it.port()));
    let settings = settings(args, stub)?;
    let access = Access { hosts: args.public.clone(), proxies: args.trusted_proxy.clone() };
    let listener = std::net::TcpListener::bind(args.listen)
        .map_err(|error| Failed::usage(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr()?;
    // The file of reports is open already, and the roots are read.
    let confinement = Confinement::new(None, ports);
    let (ending, ended) = oneshot::channel();
    // Landlock confines a thread and the threads that it starts, so the service has a runtime of its own.
    std::thread::Builder::new().name(String::from("web")).spawn(move || {
        let service = move || -> Result<u8, Failed> {
            console::note(&confinement.enter());
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                console::note(&format_args!("listening on http://{address}/"));
                // The service also runs without a service manager.
                let _ = sd_notify::notify(&[NotifyState::Ready]);
                match serve(listener, access, settings).await? {}
            })
        };
        // The receiver is gone if a signal has ended the command.
        let _ = ending.send(service());
    })?;
    ended.await.unwrap_or_else(|_| Err(Failed::new(exit::BUG, "the service panicked")))
}

/// Makes a key, adds its digest to the file, and shows the key.
fn add_key(name: &str, path: &Path) -> Result<u8, Failed> {
    let failed = |error: std::io::Error| Failed::usage(format!("cannot use {}: {error}", path.display()));
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        other => other.map_err(failed)?,
    };
    let made = parsed(&text, path)?.create(name).map_err(|error| Failed::usage(error.to_string()))?;
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    // One write, so that two of them do not mix.
    file.write_all(format!("{end}{}", made.line).as_bytes()).map_err(failed)?;
    writeln!(std::io::stdout().lock(), "{}", made.key)?;
    console::note(
        &"the key is not kept and cannot be shown again; a service that is running knows it after a restart",
    );
    Ok(exit::DONE)
}

/// Reads the keys. Without a file, there are none.
fn keys(path: Option<&Path>) -> Result<ApiKeys, Failed> {
    let Some(path) = path else { return Ok(ApiKeys::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = "--new-api-key NAME makes a key and creates the file";
        Failed::usage(format!("cannot read {}: {error}", path.display())).hint(Some(hint.to_owned()))
    })?;
    parsed(&text, path)
}

fn parsed(text: &str, path: &Path) -> Result<ApiKeys, Failed> {
    ApiKeys::parse(text).map_err(|error| Failed::usage(format!("{}: {error}", path.display())))
}

fn settings(args: &Web, stub: starttls_dns::Stub) -> Result<WebSettings, Failed> {
    let builder = resolver::roots(&args.trust)?;
    let limits = Limits { reply_timeout: args.timeout, deadline: AUDIT_LIMIT, ..Limits::default() };
    let audit = Audit::new(|| builder.clone(), limits)?;
    let dial = args.allow_target.iter().fold(DialPolicy::default(), |dial, net| dial.allow(*net));
    let store = match &args.data {
        Some(path) => RunStore::open(path).map_err(|error| {
            let hint = "--data names a file of this command that no other process uses, or a new one in a folder that exists";
            Failed::usage(format!("{}: {error}", path.display())).hint(Some(hint.to_owned()))
        })?,
        None => {
            console::warning(&"without --data, a restart forgets the reports");
            RunStore::in_memory().map_err(|error| Failed::usage(error.to_string()))?
        }
    };
    if !args.public.is_empty() && args.listen.ip().is_loopback() && args.trusted_proxy.is_empty() {
        console::warning(&"without --trusted-proxy, all clients of a proxy share the limits of one");
    }
    Ok(WebSettings {
        audit: audit.client_name(args.client_name.clone().unwrap_or_default()),
        resolver: TargetResolver {
            stub,
            dial,
            targets: TargetPolicy { ports: args.allow_port.clone(), local_names: args.local_names },
        },
        store,
        generator: format!("starttls {}", env!("CARGO_PKG_VERSION")),
        keep: Duration::from_secs(86_400 * u64::from(args.keep_days)),
        keys: keys(args.api_keys.as_deref())?,
        is_public: !args.public.is_empty(),
    })
}

/// Returns the TCP ports that the service connects to: those of the protocols, of the resolvers and of the options.
fn ports(args: &Web, resolvers: impl Iterator<Item = u16>) -> Vec<u16> {
    let protocols = PROTOCOLS.iter().flat_map(|protocol| {
        [Some(protocol.port), protocol.implicit_tls.map(|tls| tls.port)].into_iter().flatten()
    });
    protocols.chain(resolvers).chain(args.allow_port.iter().copied()).collect()
}
