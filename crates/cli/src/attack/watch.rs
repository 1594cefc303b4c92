//! `attack --serve` and `attack --upstream`: attacks the connections of a client that the user runs.

use std::net::SocketAddr;
use std::sync::Arc;

use starttls::proto::Protocol;
use starttls::{Connector, Endpoint};
use starttls_attack::{AttackServer, Canary, Environment, Scenario, Upstream, UpstreamLease, render};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::present::{banner, code, style};
use super::stage::LabStage;
use crate::args::{Attack, AttackFormat, Way};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;
use crate::target::{Mode, Target};

/// Serves until Ctrl-C. Returns the exit code for the verdicts so far.
pub(super) async fn run(
    args: &Attack,
    protocol: &'static Protocol,
    scenarios: Vec<Scenario>,
    address: SocketAddr,
    mut interruption: Interruption,
) -> Result<u8, Failed> {
    if !address.ip().is_loopback() && !args.i_am_authorised_to_test {
        let hint = String::from(
            "if you are allowed to attack every client that connects, use --i-am-authorised-to-test",
        );
        return Err(Failed::usage(format!("other machines can reach {address}")).hint(Some(hint)));
    }
    let mut sink = Sink::open(&args.output)?;
    let stage = Arc::new(LabStage::new()?);
    let (backing, real) = match &args.upstream {
        Some(target) => (real(args, protocol, target).await?, true),
        None => {
            let backing = stage.upstream(protocol);
            (backing.map_err(|error| Failed::new(exit::UNREACHABLE, error.to_string()))?, false)
        }
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failed::usage(format!("cannot listen on {address}: {error}")))?;
    let bound = listener.local_addr()?;
    let console = Console::new(&args.output);
    banner(&console, protocol, &format!("listening on {bound}"));
    console.fact("ca file", stage.ca_file().display());
    if !real {
        console.fact("user", &backing.user);
        console.fact("password", &backing.password);
    }
    let names: Vec<_> = scenarios.iter().map(|it| it.id.as_str()).collect();
    console.fact("scenarios", names.join(" "));
    console.line(Tone::Plain, "The first connection is not attacked, for comparison. Ctrl-C stops.\n");
    let watch = AttackServer {
        protocol,
        scenarios,
        environment: stage.clone(),
        upstream: backing.upstream.clone(),
        real,
        canary: Canary::new(&backing.user, &backing.password),
        timeout: args.timeout,
    };
    let (sender, mut verdicts) = mpsc::channel(64);
    let mut serving = std::pin::pin!(watch.run(listener, sender));
    let mut seen = Vec::new();
    let result = loop {
        tokio::select! {
            _ = interruption.code() => break Ok(()),
            ended = &mut serving => break ended,
            Some(tested) = verdicts.recv() => {
                let shown = match args.format {
                    AttackFormat::Text => render::text::row(&tested, style(args)),
                    AttackFormat::Json | AttackFormat::Junit | AttackFormat::Sarif => render::json::line(&tested),
                };
                seen.push(tested.outcome);
                sink.line(shown.trim_end())?;
            }
        }
    };
    let _ = tokio::task::spawn_blocking(move || drop((backing.keep, stage))).await;
    result.map_err(|error| Failed::new(exit::UNREACHABLE, error.to_string()))?;
    Ok(code(seen, args.fail_on))
}

/// Connects to a real server. Its passwords are not known here.
async fn real(args: &Attack, protocol: &'static Protocol, target: &str) -> Result<UpstreamLease, Failed> {
    let target: Target = target.parse()?;
    if target.mode != Mode::Upgrade || target.protocol != protocol {
        return Err(Failed::usage(format!(
            "invalid upstream {target}: expected a server of {} with the upgrade",
            protocol.title
        )));
    }
    let mut builder = Connector::builder();
    if let Some(path) = &args.ca_file {
        builder = builder.roots_pem(crate::peer::roots(path)?);
    }
    let way = Way { proxy: args.proxy.clone(), ..Way::default() };
    let route = way.route().map_err(|invalid| Failed::usage(format!("invalid --proxy: {invalid}")))?;
    let (name, port) = (target.host.ascii.as_str(), target.port);
    let mut endpoint = Endpoint::new(name, port);
    if !route.has_proxy() {
        let unreachable = |error: std::io::Error| Failed::new(exit::UNREACHABLE, format!("{name}: {error}"));
        let mut found = tokio::net::lookup_host((name, port)).await.map_err(unreachable)?;
        let address =
            found.next().ok_or_else(|| Failed::new(exit::UNREACHABLE, format!("{name} has no address")))?;
        endpoint = endpoint.at(address.ip().to_string(), port);
    }
    let upstream = Upstream { endpoint, connector: builder.build()?.with_dialer(route) };
    Ok(UpstreamLease { upstream, user: String::new(), password: String::new(), keep: Box::new(()) })
}
