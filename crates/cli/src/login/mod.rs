//! `starttls login`: upgrades a connection, logs in and reports the result.

mod hint;
pub(crate) mod report;
pub(crate) mod secret;

use starttls::login::{Account, LoggedIn, LoginError};
use starttls::proto::{Denial, Escaped, ProtocolFamily};

use crate::args::{Credentials, Format, Login, Peer, Principal};
use crate::console::{Console, Tone};
use crate::error::{Failed, with_causes};
use crate::exit;
use crate::output::Sink;
use crate::session::report::Failure;
use crate::session::stdio::LineDiscipline;
use crate::session::{Inside, Opened, Opening, Watch, text};
use crate::target::Target;
use report::{Outcome, Report, escaped};

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Login) -> Result<u8, Failed> {
    let target: Target = args.target.parse()?;
    if !Account::supports(target.protocol) {
        let error = LoginError::NoLogin { protocol: target.protocol.title };
        let hint = hint::hint(&target, &args.credentials, &[], &error);
        return Err(Failed::usage(error.to_string()).hint(hint));
    }
    let json = args.format == Format::Json;
    let console = if json { Console::new(&args.output).silent() } else { Console::new(&args.output) };
    let mut sink = Sink::replacing(&args.output)?;
    let connector = args.peer.connector(&args.trace, 0)?;
    let dial = args.peer.dial_target(&target)?;
    // RFC 6120 section 6.3.8: an address names the user of a service, and the login is at that service.
    let service =
        (target.protocol.family == ProtocolFamily::Xmpp).then(|| args.peer.server_name(&target.host.ascii));
    let account = args.credentials.account(&args.peer, service).await?;
    let watch = Watch::new(&args.trace, target.protocol, console, Inside::Messages)?;
    let opening = Opening { peer: &args.peer, target: &target, dial, watch };
    let Opened { mut session, local, watch } = match opening.open(&connector).await {
        Ok(opened) => opened,
        Err(connection) => {
            text::show(&console, &target, &connection, None);
            return end(Report::new(*connection, Outcome::NotEncrypted), json, sink);
        }
    };
    let connection = session.report(&target, watch.conversation().finish());
    text::show(&console, &target, &connection, local);
    let shown = watch.clone();
    let account = account.on_message(move |said| shown.show_inside_tls(said));
    let done = session.log_in(account, target.protocol).await;
    let cleartext = watch.conversation().mechanisms();
    let login = report::Login {
        user: args.credentials.principal.user.clone(),
        offered_in_cleartext: escaped(&cleartext),
        messages: watch.messages(),
        ..report::Login::default()
    };
    let mut report = Report::new(connection, Outcome::LoggedIn);
    match done {
        Ok(done) => {
            let discipline = LineDiscipline::of(target.protocol, args.peer.server_name(&target.host.ascii));
            // The login is the result. An error after it does not change that.
            let _ = session.leave(&discipline).await;
            report.login = Some(login.done(&done));
            if !json {
                for attempt in &done.refused {
                    console.line(Tone::Bad, format_args!("{attempt}"));
                    if attempt.denial == Denial::ChannelBinding {
                        console.line(Tone::Bad, format_args!("{}", hint::BINDING));
                    }
                }
                sink.line(&verdict(&args.credentials, &done))?;
                if !done.checked {
                    let late = "note: the server has not checked the name and the password: it does so when a command needs them";
                    console.line(Tone::Boundary, late);
                }
            }
        }
        Err(error) => {
            report.login = Some(known(login, &error));
            report.exit_code = exit::of_login(&error);
            let refused = report.exit_code == exit::REFUSED;
            report.outcome = if refused { Outcome::Refused } else { Outcome::Inconclusive };
            let hint = hint::hint(&target, &args.credentials, &cleartext, &error);
            report.error = Some(Failure { message: with_causes(&error), hint });
        }
    }
    end(report, json, sink)
}

/// Returns the result, such as "authenticated as test with SCRAM-SHA-256-PLUS, bound to this connection
/// (tls-exporter)".
fn verdict(credentials: &Credentials, done: &LoggedIn) -> String {
    let user = done.user.as_ref().filter(|user| !user.is_empty()).or(credentials.principal.user.as_ref());
    let user = user.map_or(String::new(), |user| format!(" as {}", Escaped(user.as_bytes())));
    let how = match (done.mechanism, done.binding) {
        ("", _) => String::from(" without a password: the server did not ask for one"),
        (name, None) => format!(" with {name}"),
        (name, Some(binding)) => format!(" with {name}, bound to this connection ({})", binding.name()),
    };
    let so_far = if done.checked { "" } else { ", not checked yet" };
    format!("authenticated{user}{how}{so_far}")
}

/// Returns the failure of a login, for a command that logs in as its first step.
pub(crate) fn failed(
    target: &Target,
    credentials: &Credentials,
    cleartext: &[String],
    error: &LoginError,
) -> Failed {
    Failed::new(exit::of_login(error), with_causes(error)).hint(hint::hint(
        target,
        credentials,
        cleartext,
        error,
    ))
}

fn known(login: report::Login, error: &LoginError) -> report::Login {
    match error {
        LoginError::NotOffered { offered, .. } => report::Login { offered: escaped(offered), ..login },
        LoginError::Refused { mechanism, before, .. } => {
            let refused = before.iter().map(ToString::to_string).collect();
            let mechanism = Some(mechanism.clone()).filter(|it| !it.is_empty());
            report::Login { mechanism, refused, ..login }
        }
        LoginError::Mechanism { mechanism, .. } | LoginError::Unproven { mechanism } => {
            report::Login { mechanism: Some(mechanism.clone()).filter(|it| !it.is_empty()), ..login }
        }
        _ => login,
    }
}

fn end(report: Report, json: bool, mut sink: Sink) -> Result<u8, Failed> {
    if json {
        sink.json(&report)?;
        sink.finish()?;
        return Ok(report.exit_code);
    }
    match report.error {
        Some(Failure { message, hint }) => Err(Failed::new(report.exit_code, message).hint(hint)),
        None => sink.finish().map(|()| report.exit_code),
    }
}

impl Credentials {
    /// Returns the account with its secret. A user name that ends in `@` and `service` is sent without this part.
    pub(crate) async fn account(&self, peer: &Peer, service: Option<&str>) -> Result<Account, Failed> {
        let named = self.mechanism.as_deref().map(str::to_ascii_uppercase);
        if let Some(name) = named.as_deref().filter(|name| !Account::mechanisms().any(|it| it == *name)) {
            let hint = format!("known mechanisms: {}", Account::mechanisms().collect::<Vec<_>>().join(", "));
            let what = format!("unknown mechanism \"{}\"", Escaped(name.as_bytes()));
            return Err(Failed::usage(what).hint(Some(hint)));
        }
        let Principal { user, password_file, password_command, authorize_as } = &self.principal;
        let given = password_file.is_some() || password_command.is_some() || user.is_some();
        let external = named.as_deref() == Some("EXTERNAL");
        let mut account = if external || (peer.cert.is_some() && !given && named.is_none()) {
            if peer.cert.is_none() {
                let hint = String::from("specify the certificate with --cert PEM --key PEM");
                return Err(
                    Failed::usage("the mechanism EXTERNAL needs a client certificate").hint(Some(hint))
                );
            }
            Account::certificate()
        } else {
            // A token of NATS belongs to no user.
            let nameless = (named.as_deref() == Some("TOKEN")).then_some("");
            let Some(user) = user.as_deref().or(nameless) else {
                let hint = String::from(
                    "specify the user with --user NAME, or a client certificate with --cert PEM --key PEM",
                );
                return Err(Failed::usage("no user is specified").hint(Some(hint)));
            };
            let local = service.and_then(|service| user.strip_suffix(service)?.strip_suffix('@'));
            let user = local.unwrap_or(user);
            let what = if self.token { "token" } else { "password" };
            let secret = secret::read(&self.principal, what).await?;
            if self.token { Account::token(user, secret) } else { Account::password(user, secret) }
        };
        if let Some(name) = named {
            account = account.mechanism(&name);
        }
        if let Some(name) = authorize_as {
            account = account.acting_as(name);
        }
        Ok(account.client_name(peer.client_name()).timeout(peer.timeout))
    }
}
