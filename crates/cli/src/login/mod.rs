//! `starttls login`: upgrade, log in, and say what came of it.

mod hint;
pub(crate) mod report;
pub(crate) mod secret;

use std::error::Error as _;

use starttls::login::{Account, LoggedIn, LoginError};
use starttls::proto::{Denial, Escaped};

use crate::args::{Credentials, Format, Login, Peer, Principal};
use crate::connect::report::{Failure, Report as Connection};
use crate::connect::stdio::{self, LineDiscipline};
use crate::connect::text;
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::session::{Opened, Opening};
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
    let service = (target.protocol.name == "xmpp").then(|| args.peer.server_name(&target.host.ascii));
    let account = args.credentials.account(&args.peer, service).await?;
    let opening = Opening { peer: &args.peer, trace: &args.trace, target: &target, dial, console };
    let Opened { mut session, watch } = match opening.open(&connector).await? {
        Ok(opened) => opened,
        Err(connection) => {
            text::show(&console, &target, &connection, None);
            return end(Report::new(*connection, Outcome::NotEncrypted), json, sink);
        }
    };
    let connection = Connection::of_session(&target, watch.conversation().finish(), &session);
    text::show(&console, &target, &connection, None);
    let heard = watch.clone();
    let done = account.on_message(move |said| heard.say(said)).log_in(target.protocol, &mut session).await;
    let cleartext = watch.conversation().mechanisms();
    let login = report::Login {
        user: args.credentials.principal.user.clone(),
        offered_in_cleartext: escaped(&cleartext),
        messages: watch.said(),
        ..report::Login::default()
    };
    let mut report = Report::new(connection, Outcome::LoggedIn);
    match done {
        Ok(done) => {
            let discipline = LineDiscipline::of(target.protocol, args.peer.server_name(&target.host.ascii));
            // The login is what counts.
            let _ = stdio::leave(session, &discipline).await;
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
                    let late =
                        "the server only keeps name and password: it checks them when a command needs them";
                    console.line(Tone::Boundary, late);
                }
            }
        }
        Err(error) => {
            report.login = Some(known(login, &error));
            report.exit_code = hint::code(&error);
            let refused = report.exit_code == exit::REFUSED;
            report.outcome = if refused { Outcome::Refused } else { Outcome::Inconclusive };
            let hint = hint::hint(&target, &args.credentials, &cleartext, &error);
            report.error = Some(Failure { message: in_one_line(&error), hint });
        }
    }
    end(report, json, sink)
}

/// "authenticated as test by SCRAM-SHA-256-PLUS, bound to this connection (tls-exporter)".
fn verdict(credentials: &Credentials, done: &LoggedIn) -> String {
    let user = done.user.as_ref().filter(|user| !user.is_empty()).or(credentials.principal.user.as_ref());
    let user = user.map_or(String::new(), |user| format!(" as {}", Escaped(user.as_bytes())));
    let how = match (done.mechanism, done.binding) {
        ("", _) => String::from(" without being asked for a password"),
        (name, None) => format!(" by {name}"),
        (name, Some(binding)) => format!(" by {name}, bound to this connection ({})", binding.name()),
    };
    let so_far = if done.checked { "" } else { ", not checked so far" };
    format!("authenticated{user}{how}{so_far}")
}

/// A login that failed, for a command that wanted more than that.
pub(crate) fn failed(
    target: &Target,
    credentials: &Credentials,
    cleartext: &[String],
    error: &LoginError,
) -> Failed {
    Failed::new(hint::code(error), in_one_line(error)).hint(hint::hint(target, credentials, cleartext, error))
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

fn in_one_line(error: &LoginError) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
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
    /// The account, with its secret. `service` is what behind an `@` of the user's goes without saying.
    pub(crate) async fn account(&self, peer: &Peer, service: Option<&str>) -> Result<Account, Failed> {
        let named = self.mechanism.as_deref().map(str::to_ascii_uppercase);
        if let Some(name) = named.as_deref().filter(|name| !Account::mechanisms().any(|it| it == *name)) {
            let hint = format!("these are known: {}", Account::mechanisms().collect::<Vec<_>>().join(", "));
            let what = format!("there is no mechanism {}", Escaped(name.as_bytes()));
            return Err(Failed::usage(what).hint(Some(hint)));
        }
        let Principal { user, password_file, password_command, authorize_as } = &self.principal;
        let given = password_file.is_some() || password_command.is_some() || user.is_some();
        let external = named.as_deref() == Some("EXTERNAL");
        let mut account = if external || (peer.cert.is_some() && !given && named.is_none()) {
            if peer.cert.is_none() {
                let hint = String::from("--cert PEM and --key PEM give one");
                return Err(Failed::usage("EXTERNAL needs a client certificate").hint(Some(hint)));
            }
            Account::certificate()
        } else {
            let Some(user) = user else {
                let hint =
                    String::from("--user NAME says who; a client certificate needs no name: --cert, --key");
                return Err(Failed::usage("who is to log in?").hint(Some(hint)));
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
