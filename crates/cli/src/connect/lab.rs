//! `connect` without a target: connects to a sound server of each protocol on this machine.

use std::sync::Arc;

use starttls::CertificateVerdict;

use super::html;
use crate::args::{Connect, ConnectFormat};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::session::conversation::Conversation;
use crate::session::report::Report;
use crate::session::stdio::{self, LineDiscipline};
use crate::target::{Host, Mode, Target};

/// Connects to every server of the lab. Returns 0 if all upgrades are verified.
pub(crate) async fn run(args: &Connect, sink: &mut Sink) -> Result<u8, Failed> {
    let lab = crate::lab::start()?;
    let result = visit(args, &lab, sink).await;
    // Dropping the lab joins its threads, which would block this runtime.
    tokio::task::spawn_blocking(move || drop(lab)).await.map_err(Failed::bug)?;
    result
}

async fn visit(args: &Connect, lab: &starttls_lab::Lab, sink: &mut Sink) -> Result<u8, Failed> {
    let is_text = args.format == ConnectFormat::Text;
    let console = if !is_text { Console::new(&args.output).silent() } else { Console::result(&args.output) };
    console.line(Tone::Plain, "No target: connecting to a sound server of each protocol on this machine.\n");
    let connector = starttls::Connector::builder()
        .timeout(args.peer.timeout)
        .no_system_roots()
        .roots_pem(lab.ca_pem())
        .build()?;
    let (mut reports, mut code) = (Vec::new(), exit::DONE);
    for endpoint in lab.endpoints().iter().filter(|endpoint| !endpoint.implicit) {
        let host = Host { ascii: endpoint.server_name.to_owned(), unicode: None };
        let port = endpoint.address.port();
        let target = Target { protocol: endpoint.protocol, mode: Mode::Upgrade, host, port };
        let conversation = Arc::new(Conversation::new(endpoint.protocol, console));
        console.line(Tone::Heading, format_args!("{} ({})", target, endpoint.protocol.spec));
        let to = starttls::Endpoint::new(endpoint.server_name, port).at("127.0.0.1", port);
        let observed = connector.observed_by(conversation.clone());
        let report = match observed.connect(endpoint.protocol, to).await {
            Ok(session) => {
                let report = Report::of_session(&target, conversation.finish(), &session);
                let discipline = LineDiscipline::of(endpoint.protocol, endpoint.server_name);
                match stdio::leave(session, &discipline).await {
                    Ok(()) => report,
                    Err(failed) => report.rejected(failed),
                }
            }
            Err(error) => Report::of_error(&target, conversation.finish(), &error),
        };
        verdict(&console, &report);
        code = code.max(report.exit_code);
        reports.push((target, report));
    }
    match args.format {
        ConnectFormat::Json => reports.iter().try_for_each(|(_, report)| sink.json(report))?,
        ConnectFormat::Html => {
            let reports: Vec<_> = reports.iter().map(|(target, report)| (target, report)).collect();
            sink.show(html::render(&reports).as_bytes())?;
        }
        ConnectFormat::Text => {}
    }
    if !is_text {
        return Ok(code);
    }
    let verified = reports.iter().filter(|(_, report)| report.exit_code == exit::DONE).count();
    let tone = if code == exit::DONE { Tone::Good } else { Tone::Bad };
    console.line(tone, format_args!("{verified} of {} upgrades verified.", reports.len()));
    console.line(Tone::Plain, "\nNext: starttls connect smtp://YOUR.SERVER, or starttls connect --help");
    Ok(code)
}

fn verdict(console: &Console, report: &Report) {
    match (&report.tls, &report.error) {
        (Some(tls), _) => {
            let group = tls.group.as_deref().unwrap_or("no key exchange");
            let verdict = report
                .certificate
                .as_ref()
                .map_or_else(|| CertificateVerdict::NoCertificate.to_string(), |it| it.verdict.clone());
            let line = format!("{}, {}, {group}, certificate {verdict}", tls.version, tls.cipher_suite);
            console.line(Tone::Good, format_args!("{line}\n"));
        }
        (None, Some(error)) => console.line(Tone::Bad, format_args!("{}\n", error.message)),
        (None, None) => {}
    }
}
