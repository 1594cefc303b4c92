//! `starttls connect`: upgrades a connection and hands the session to the user.

mod dane;
mod html;
#[cfg(feature = "lab")]
mod lab;
mod manual;
mod tap;

use std::io::IsTerminal;

use crate::args::{Connect, ConnectFormat};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::output::Sink;
use crate::session::report::Report;
use crate::session::stdio::LineDiscipline;
use crate::session::{Inside, Opened, Opening, Watch, text};
use crate::target::Target;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Connect) -> Result<u8, Failed> {
    let console = Console::new(&args.output);
    let only_report = args.format != ConnectFormat::Text;
    if only_report && (args.cleartext || args.upgrade_on.is_some()) {
        let format = if args.format == ConnectFormat::Json { "json" } else { "html" };
        let hint = format!("leave out --format {format}: the session itself is the output");
        let error = format!("--format {format} cannot be used with --cleartext or --upgrade-on");
        return Err(Failed::usage(error).hint(Some(hint)));
    }
    if !only_report && args.target.is_none() && args.output.output.is_some() {
        let hint = String::from("specify a target, or use --format json or html");
        return Err(Failed::usage("--output needs a target: without one there is no session to write")
            .hint(Some(hint)));
    }
    // Text output is the session, which is written while it runs.
    let mut sink = if only_report { Sink::replacing(&args.output)? } else { Sink::open(&args.output)? };
    if args.cleartext || args.upgrade_on.is_some() {
        return manual::run(args, &console, &mut sink).await;
    }
    let code = match args.target()? {
        Some(target) => connect(args, &target, console, &mut sink).await?,
        #[cfg(feature = "lab")]
        None => lab::run(args, &mut sink).await?,
        #[cfg(not(feature = "lab"))]
        None => return Err(no_target()),
    };
    sink.finish()?;
    Ok(code)
}

/// Returns the failure of a command without a target, in a program without the lab.
#[cfg(not(feature = "lab"))]
fn no_target() -> Failed {
    let hint = String::from("specify one, for example: starttls connect smtp://mail.example.com");
    Failed::usage("no target is specified").hint(Some(hint))
}

async fn connect(args: &Connect, target: &Target, console: Console, sink: &mut Sink) -> Result<u8, Failed> {
    let connector = match dane::verifier(args, target).await? {
        None => args.peer.connector(&args.trace, args.retry)?,
        // The records replace the roots.
        Some(verifier) => {
            let name = args.peer.client_name();
            let builder = args.peer.session_builder(name, &args.trace, args.retry, true)?;
            builder.verifier(verifier).build()?.with_dialer(args.peer.route()?)
        }
    };
    let dial = args.peer.dial_target(target)?;
    let only_report = args.format != ConnectFormat::Text;
    let console = if only_report { console.silent() } else { console };
    let watch = Watch::new(&args.trace, target.protocol, console, Inside::Bytes)?;
    let opening = Opening { peer: &args.peer, target, dial, watch };
    let Opened { mut session, local, watch } = match opening.open(&connector).await {
        Ok(opened) => opened,
        Err(report) => return failed(args, target, &report, &console, sink),
    };
    let received = session.listen().await;
    let report = session.report(target, watch.conversation().finish());
    let discipline = LineDiscipline::of(target.protocol, args.peer.server_name(&target.host.ascii));
    if only_report {
        let ended = match received {
            Ok(_) => session.leave(&discipline).await,
            Err(failed) => Err(failed),
        };
        return match ended {
            Ok(()) => print(args, target, &report, sink),
            Err(failed) => print(args, target, &report.rejected(failed), sink),
        };
    }
    text::show(&console, target, &report, local);
    if std::io::stdin().is_terminal() {
        console.line(
            Tone::Boundary,
            "--- inside TLS: your input is sent to the server, Ctrl-D ends the session ---",
        );
        if discipline.is_binary {
            let title = target.protocol.title;
            console.line(
                Tone::Boundary,
                format_args!("note: {title} is a binary protocol: typed text is not a valid message"),
            );
        }
    }
    let ended = session.run(tokio::io::stdin(), &discipline, &received?, sink).await?;
    ended.note(&console);
    Ok(report.exit_code)
}

fn failed(
    args: &Connect,
    target: &Target,
    report: &Report,
    console: &Console,
    sink: &mut Sink,
) -> Result<u8, Failed> {
    if args.format != ConnectFormat::Text {
        return print(args, target, report, sink);
    }
    text::show(console, target, report, None);
    Err(report.failure())
}

fn print(args: &Connect, target: &Target, report: &Report, sink: &mut Sink) -> Result<u8, Failed> {
    match args.format {
        ConnectFormat::Html => sink.show(html::render(&[(target, report)]).as_bytes())?,
        ConnectFormat::Text | ConnectFormat::Json => sink.json(report)?,
    }
    Ok(report.exit_code)
}
