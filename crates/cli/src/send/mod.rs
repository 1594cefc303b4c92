//! `starttls send`: sends a mail message and shows each step.

mod cache;
mod compose;
mod hello;
mod policy;
pub(crate) mod report;
mod route;
mod tlsrpt;

use starttls::Connector;
use starttls::dialer;
use starttls::login::{Account, LoggedIn};
use starttls::proto::ClientName;
use starttls::submission::{Delivered, Delivery, Message, Notify, SubmissionError};
use starttls_policy::decide::PolicyChoice;
use starttls_policy::tlsrpt::ReportedFailure;

use crate::args::{Format, Send, Stop};
use crate::console::{Console, Tone};
use crate::error::{Failed, with_causes};
use crate::exit;
use crate::hint;
use crate::login;
use crate::output::Sink;
use crate::session::report::Failure;
use crate::session::stdio::LineDiscipline;
use crate::session::{Inside, Opened, Opening, Session, Watch, text};
use policy::HostPolicy;
use report::{Attempt, Outcome, RecipientResult, Report};
use route::{Hop, Route};
use tlsrpt::Reporting;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Send) -> Result<u8, Failed> {
    let json = args.format == Format::Json;
    let console = if json { Console::new(&args.output).silent() } else { Console::new(&args.output) };
    let mut sink = Sink::replacing(&args.output)?;
    let mut sender = Sender::new(args, console).await?;
    let Route { hops, left_out, notes, reporting } = route::find(args).await?;
    sender.reporting = reporting;
    for note in &notes {
        console.line(Tone::Boundary, note);
    }
    if args.until == Some(Stop::Ehlo) {
        let code = sender.look(&hops, json, &mut sink).await?;
        return sink.finish().map(|()| code);
    }
    let mut attempts = Vec::new();
    let mut ended = Err(Failed::new(exit::UNREACHABLE, "no server to try was found"));
    for hop in &hops {
        if args.mx {
            console.line(Tone::Heading, format_args!("{}", hop.target));
        }
        let (attempt, end) = sender.attempt(hop).await?;
        attempts.push(attempt);
        let goes_on = matches!(&end, Err(stopped) if stopped.try_next);
        ended = heavier(ended, end.map_err(|stopped| stopped.failed), attempts.len() == 1 || !goes_on);
        if !goes_on {
            break;
        }
    }
    let tried = attempts.len();
    let mut report = sender.report(attempts, ended);
    report.policy_notes = notes;
    if report.exit_code != exit::DONE && tried == hops.len() && !left_out.is_empty() {
        let left = left_out.join(", ");
        console.line(
            Tone::Plain,
            format_args!("not tried, because at most {tried} addresses are tried: {left}"),
        );
        report.not_tried = left_out;
    }
    if json {
        sink.json(&report)?;
        return sink.finish().map(|()| report.exit_code);
    }
    for told in &report.recipients {
        sink.line(&in_words(told, report.outcome))?;
    }
    sink.finish()?;
    match report.error {
        Some(Failure { message, hint }) => Err(Failed::new(report.exit_code, message).hint(hint)),
        None => Ok(report.exit_code),
    }
}

/// Returns the result of several attempts: that of the last one, or the most specific failure if none succeeded.
fn heavier(
    earlier: Result<Option<Delivered>, Failed>,
    last: Result<Option<Delivered>, Failed>,
    is_decisive: bool,
) -> Result<Option<Delivered>, Failed> {
    match (earlier, last) {
        (Err(earlier), Err(last)) if !is_decisive && exit::worse(earlier.code, last.code) != last.code => {
            Err(earlier)
        }
        (_, last) => last,
    }
}

impl Send {
    /// Returns which policies are obeyed. A target is not an exchanger of a domain unless the user asks for its policies.
    fn policy_choice(&self) -> PolicyChoice {
        match self.policy {
            Some(choice) => choice.into(),
            None if self.mx => PolicyChoice::Best,
            None => PolicyChoice::None,
        }
    }

    fn logs_in(&self) -> bool {
        self.credentials.principal.user.is_some() || self.credentials.mechanism.is_some()
    }

    /// Returns the client's own name. With `--mx` this is the name of the host if it is fully qualified, because a mail
    /// exchanger may compare it with the client's address (RFC 5321 section 4.1.4).
    fn client_name(&self) -> ClientName {
        let own = || if self.mx { starttls::host_name() } else { None };
        self.peer.client_name.clone().or_else(own).unwrap_or_default()
    }

    fn connector(&self) -> Result<Connector<dialer::TcpRoute>, Failed> {
        self.peer.connector_as(self.client_name(), &self.trace, 0)
    }
}

fn in_words(told: &RecipientResult, outcome: Outcome) -> String {
    let verdict = match (outcome, told.accepted) {
        (Outcome::Stopped, true) => "would be accepted",
        (_, true) => "accepted",
        (_, false) => "refused",
    };
    let said = told.code.map(|code| format!(": {code} {}", told.text.as_deref().unwrap_or_default()));
    let address = starttls::proto::Escaped(told.address.as_bytes()).to_string();
    format!("{address} {verdict}{}", said.unwrap_or_default())
}

/// A failed attempt.
struct Stopped {
    failed: Failed,
    /// Whether the next server may accept the message.
    try_next: bool,
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Self {
        // A server that refused the message permanently, or the login, speaks for all.
        let try_next = failed.code != exit::FINDINGS && failed.code != exit::REFUSED;
        Self { failed, try_next }
    }
}

/// The state that all attempts share.
struct Sender<'a> {
    args: &'a Send,
    console: Console,
    connector: Connector<dialer::TcpRoute>,
    account: Option<Account>,
    delivery: Delivery,
    octets: Option<usize>,
    reporting: Option<Reporting>,
}

impl<'a> Sender<'a> {
    async fn new(args: &'a Send, console: Console) -> Result<Self, Failed> {
        let credentials = &args.credentials;
        let logs_in = args.logs_in();
        let no_login = matches!(args.until, Some(Stop::Ehlo | Stop::Starttls));
        let account = match logs_in && !no_login {
            true => Some(credentials.account(&args.peer, None).await?),
            false => None,
        };
        // Standard input may contain the password before the message, so the order matters. Without a delivery neither
        // is read.
        let wanted = !matches!(args.until, Some(Stop::Ehlo | Stop::Starttls | Stop::Auth | Stop::Rcpt));
        let message = if wanted { Some(compose::message(args)?) } else { None };
        let octets = message.as_ref().map(|message| message.as_bytes().len());
        let empty = || Message::new(Vec::new()).map_err(|error| Failed::usage(error.to_string()));
        let message = message.map_or_else(empty, Ok)?;
        let delivery = Delivery::new(args.from.as_str(), args.to.iter().map(String::as_str), message);
        let mut delivery = delivery.map_err(|error| Failed::usage(error.to_string()))?;
        if let Some(stop) = args.until {
            delivery = delivery.until(stop.until());
        }
        if args.require_tls {
            delivery = delivery.require_tls();
        }
        if args.no_chunking {
            delivery = delivery.without_chunking();
        }
        delivery = delivery.client_name(args.client_name()).timeout(args.deadline);
        let notify: Vec<Notify> = args.notify.iter().map(|when| (*when).into()).collect();
        let connector = args.connector()?;
        Ok(Self {
            args,
            console,
            connector,
            account,
            delivery: delivery.notify(&notify),
            octets,
            reporting: None,
        })
    }

    /// Shows the cleartext reply to EHLO of the first server that answers.
    async fn look(&self, hops: &[Hop], json: bool, sink: &mut Sink) -> Result<u8, Failed> {
        let mut last = Failed::new(exit::UNREACHABLE, "no server to try was found");
        for hop in hops {
            let watch = self.watch(hop)?;
            let looked = match &hop.dial {
                Ok(dial) => hello::run(self.args, hop, dial, &watch).await,
                Err(failed) => Err(failed.clone()),
            };
            match looked {
                Ok(()) if !json => return Ok(exit::DONE),
                Ok(()) => {
                    let attempt = Attempt { messages: watch.messages(), ..Attempt::to(&hop.target) };
                    sink.json(&self.report(vec![attempt], Ok(None)))?;
                    return Ok(exit::DONE);
                }
                Err(failed) => last = failed,
            }
        }
        Err(last)
    }

    fn watch(&self, hop: &Hop) -> Result<Watch, Failed> {
        Watch::new(&self.args.trace, hop.target.protocol, self.console, Inside::Messages)
    }

    /// Tries one server. Returns the record of the attempt and its result.
    async fn attempt(&self, hop: &Hop) -> Result<(Attempt, Result<Option<Delivered>, Stopped>), Failed> {
        let (args, target) = (self.args, &hop.target);
        let (peer, console) = (&args.peer, self.console);
        let mut policy = hop.policy.clone();
        if let Some(policy) = &policy {
            console.fact("Policy", policy.shown.in_words());
        }
        let shown = |policy: &Option<HostPolicy>| policy.as_ref().map(|it| it.shown.clone());
        let dial = match &hop.dial {
            Ok(dial) => dial.clone(),
            Err(failed) => {
                console.line(Tone::Bad, &failed.message);
                if let (Some(policy), Some(reason)) = (&policy, &hop.skip)
                    && let Some(failure) = tlsrpt::of_skipped(reason, policy)
                {
                    self.report_session(policy, Some(failure));
                }
                let error = Some(failed.message.clone());
                let attempt = Attempt { policy: shown(&policy), error, ..Attempt::to(target) };
                return Ok((attempt, Err(failed.clone().into())));
            }
        };
        let own = policy.as_ref().map(|it| it.connector(args)).transpose()?.flatten();
        let opening = Opening { peer, target, dial, watch: self.watch(hop)? };
        let Opened { mut session, local, watch } =
            match opening.open(own.as_ref().unwrap_or(&self.connector)).await {
                Ok(opened) => opened,
                Err(connection) => {
                    text::show(&console, target, &connection, None);
                    let failed = connection.failure();
                    if let Some(policy) = &policy
                        && let Some(failure) = tlsrpt::of_connection(&connection, policy)
                    {
                        self.report_session(policy, Some(failure));
                    }
                    let failed = policy.as_ref().map(|it| it.explain(failed.clone())).unwrap_or(failed);
                    let mut attempt = Attempt::new(target, *connection);
                    attempt.policy = shown(&policy);
                    attempt.error = Some(failed.message.clone());
                    return Ok((attempt, Err(failed.into())));
                }
            };
        let connection = session.report(target, watch.conversation().finish());
        text::show(&console, target, &connection, local);
        let mut attempt = Attempt::new(target, connection);
        let satisfied = match &mut policy {
            Some(policy) => policy.check(session.chain()).map_err(|failed| policy.explain(failed)),
            None => Ok(()),
        };
        if let Some(policy) = &policy {
            self.report_session(policy, satisfied.is_err().then(|| tlsrpt::of_check(policy)));
        }
        attempt.policy = shown(&policy);
        if let Some(record) = attempt.policy.as_ref().and_then(|it| it.matched.as_ref()) {
            console.fact("Policy", format_args!("satisfied: TLSA {record}"));
        }
        let done = match satisfied {
            Ok(()) => self.inside(hop, &watch, &mut session, &mut attempt).await,
            Err(failed) => Err(failed.into()),
        };
        // After DATA, a QUIT would become part of the message.
        if args.until != Some(Stop::Data) {
            let discipline = LineDiscipline::of(target.protocol, peer.server_name(&target.host.ascii));
            let _ = session.leave(&discipline).await;
        }
        attempt.messages = watch.messages();
        attempt.error = done.as_ref().err().map(|stopped| stopped.failed.message.clone());
        Ok((attempt, done))
    }

    /// Reports a session to the collector, if the user names one and the domain wants reports.
    fn report_session(&self, policy: &HostPolicy, failure: Option<ReportedFailure>) {
        if let (Some(socket), Some(reporting)) = (&self.args.tlsrpt, &self.reporting)
            && let Err(error) = reporting.send(socket, policy, failure)
        {
            let socket = socket.display();
            crate::console::warning(&format!("cannot report to the collector {socket}: {error}"));
        }
    }

    async fn inside(
        &self,
        hop: &Hop,
        watch: &Watch,
        session: &mut Session,
        attempt: &mut Attempt,
    ) -> Result<Option<Delivered>, Stopped> {
        let protocol = hop.target.protocol;
        let mut login: Option<LoggedIn> = None;
        if let Some(account) = &self.account {
            let shown = watch.clone();
            let account = account.clone().on_message(move |said| shown.show_inside_tls(said));
            let done = session.log_in(account, protocol).await;
            let offered = watch.conversation().mechanisms();
            let done =
                done.map_err(|error| login::failed(&hop.target, &self.args.credentials, &offered, &error))?;
            attempt.mechanism = Some(done.mechanism.to_owned());
            login = Some(done);
        }
        if self.args.until == Some(Stop::Auth) && login.is_some() {
            return Ok(None);
        }
        let shown = watch.clone();
        let delivery = self.delivery.clone().on_message(move |said| shown.show_inside_tls(said));
        let delivered =
            session.submit(delivery, protocol, login.as_ref()).await.map_err(|error| Stopped {
                // RFC 8689 section 4.2.1: each exchanger is tried until one supports REQUIRETLS.
                try_next: matches!(error, SubmissionError::Lacks { extension: "REQUIRETLS", .. }),
                ..failed(&error, self.account.is_some()).into()
            })?;
        attempt.show(&delivered);
        Ok(Some(delivered))
    }

    fn report(&self, attempts: Vec<Attempt>, ended: Result<Option<Delivered>, Failed>) -> Report {
        let stopped = self.args.until.is_some();
        let mut report = Report {
            schema_version: 1,
            octets: self.octets,
            outcome: Outcome::NotSent,
            exit_code: exit::DONE,
            attempts,
            policy_notes: Vec::new(),
            not_tried: Vec::new(),
            recipients: Vec::new(),
            error: None,
        };
        let delivered = match ended {
            Ok(delivered) => delivered,
            Err(Failed { code, message, hint }) => {
                report.exit_code = code;
                report.outcome = if code == exit::FINDINGS { Outcome::Refused } else { Outcome::NotSent };
                report.error = Some(Failure { message, hint });
                return report;
            }
        };
        let asked = !matches!(self.args.until, Some(Stop::Ehlo | Stop::Starttls | Stop::Auth));
        if let Some(delivered) = delivered.filter(|_| asked) {
            let whole = delivered.reply.as_ref().filter(|_| !stopped);
            report.recipients =
                delivered.recipients.iter().map(|it| RecipientResult::of(it, whole)).collect();
        }
        let accepted = report.recipients.iter().filter(|told| told.accepted).count();
        report.outcome = match accepted {
            _ if stopped && accepted == report.recipients.len() => Outcome::Stopped,
            0 => Outcome::Refused,
            some if some == report.recipients.len() => Outcome::Accepted,
            _ => Outcome::PartlyAccepted,
        };
        let refused: Vec<&RecipientResult> = report.recipients.iter().filter(|told| !told.accepted).collect();
        if !refused.is_empty() {
            let passing = refused.iter().all(|told| told.is_temporary());
            report.exit_code = if passing { exit::INCONCLUSIVE } else { exit::FINDINGS };
            let (some, all) = (refused.len(), report.recipients.len());
            let login =
                refused.iter().any(|told| told.code.is_some_and(may_require_login)) && self.account.is_none();
            report.error = Some(Failure {
                message: format!("the server refused {some} of {all} recipients"),
                hint: login.then(|| String::from(LOG_IN)),
            });
        }
        report
    }
}

const CLIENT_NAME: &str =
    "the server may not accept the client's name: choose another name with --client-name";

const LOG_IN: &str = "the server may require a login: use --user NAME";

/// Returns whether servers send this code to a client that has not logged in.
fn may_require_login(code: u16) -> bool {
    [530, 550, 554].contains(&code)
}

/// Returns the failure for a delivery, with its hint.
fn failed(error: &SubmissionError, logged_in: bool) -> Failed {
    let failure = |hint| Failed::new(exit::of_delivery(error), with_causes(error)).hint(hint);
    let hint = match error {
        SubmissionError::Tls(error) => return failure(hint::of_library(error)),
        SubmissionError::Rejected { reply, .. } if reply.is_temporary() => {
            Some("the problem may be temporary: try again later")
        }
        // RFC 5321 section 4.1.4: a server may refuse the name.
        SubmissionError::Rejected { command: "EHLO", .. } => Some(CLIENT_NAME),
        SubmissionError::Rejected { reply, .. } => {
            (may_require_login(reply.code) && !logged_in).then_some(LOG_IN)
        }
        SubmissionError::Lacks { extension, .. } => Some(match *extension {
            "SMTPUTF8" => "a message built with --subject and --body needs SMTPUTF8 only for its addresses",
            "REQUIRETLS" => {
                "without --require-tls the server accepts the message, but later servers may deliver it without TLS"
            }
            "DSN" => "leave out --notify",
            _ => "a message built with --subject and --body needs no extension",
        }),
        _ => None,
    };
    failure(hint.map(str::to_owned))
}
