//! The checks that the options select: those of servers, and those of the policies of a domain.

use starttls_audit::check::{CHECKS, id};
use starttls_audit::{InvalidSelection, Selection};
use starttls_report::nearest;

use super::profile;
use crate::args::Check;
use crate::error::Failed;
use crate::policy::check::table::{RULES, family, prevents};

/// The selected checks.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    /// The checks of servers.
    pub(super) servers: Selection,
    /// Whether servers are audited. If the options name checks of policies alone, they are not.
    pub(super) audits_servers: bool,
    pub(super) policies: PolicySelection,
}

/// The selected checks of policies.
#[derive(Clone, Debug)]
pub(super) struct PolicySelection {
    ids: Vec<&'static str>,
    /// Whether the user named them. A check that cannot be made is then inconclusive, even if the reason is this machine.
    pub(super) is_explicit: bool,
}

/// How a result of a check relates to the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relevance {
    /// The check is selected.
    Selected,
    /// It is not, but its result means that a selected check was not made.
    Prevents,
    /// Neither.
    None,
}

impl PolicySelection {
    fn new(args: &Check, only: &[String], skip: &[String]) -> Self {
        let is_left_out = args.no_policy || args.light || (only.is_empty() && !args.only.is_empty());
        let is_named = |id: &str, names: &[String]| names.iter().any(|it| it == id || it == family(id));
        let ids = RULES
            .iter()
            .map(|rule| rule.id)
            .filter(|id| !is_left_out && (only.is_empty() || is_named(id, only)) && !is_named(id, skip));
        Self { ids: ids.collect(), is_explicit: !only.is_empty() }
    }

    /// Returns whether no check is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the ids of the selected checks.
    pub(super) fn ids(&self) -> &[&'static str] {
        &self.ids
    }

    /// Returns how a result of this check relates to the selection.
    pub(super) fn relevance(&self, result: &str) -> Relevance {
        match self.ids.contains(&result) {
            true => Relevance::Selected,
            false if self.ids.iter().any(|check| prevents(result, check)) => Relevance::Prevents,
            false => Relevance::None,
        }
    }
}

impl Selected {
    /// Returns the checks that the options select. Unknown names are reported before anything is dialed.
    pub(super) fn new(args: &Check) -> Result<Self, Failed> {
        let (policy_only, only) = split(&args.only);
        let (policy_skip, skip) = split(&args.skip);
        let audits_servers = args.only.is_empty() || !only.is_empty();
        let policies = PolicySelection::new(args, &policy_only, &policy_skip);
        let servers = match args.light {
            true => Selection::light().without(&skip),
            false => Selection::new(&only, &skip),
        };
        let servers = servers.and_then(|servers| match args.survey() {
            Some(survey) => Ok(servers.with_survey(survey)),
            None => servers.without_survey(),
        });
        let servers = match audits_servers || !policies.is_empty() {
            true => servers,
            false => Err(InvalidSelection::Empty),
        };
        let servers = servers.map_err(|error| invalid(args, &error))?;
        let servers = match &args.profile {
            Some(name) => with_profile(servers, audits_servers, name)?,
            None if only.iter().any(|only| only == id::TLS_PROFILE.id) => {
                let hint = String::from("starttls explain profile lists the built-in profiles");
                return Err(Failed::usage("the check tls-profile needs --profile").hint(Some(hint)));
            }
            None => servers,
        };
        Ok(Self { servers, audits_servers, policies })
    }
}

/// Returns the names of checks and families of policies, and the other names.
fn split(names: &[String]) -> (Vec<String>, Vec<String>) {
    let is_of_policies = |name: &String| RULES.iter().any(|rule| rule.id == name || family(rule.id) == name);
    names.iter().cloned().partition(is_of_policies)
}

fn with_profile(servers: Selection, audits_servers: bool, name: &str) -> Result<Selection, Failed> {
    let servers = servers.with_profile(profile::load(name)?);
    match audits_servers && servers.wants(id::TLS_PROFILE) {
        true => Ok(servers),
        false => {
            Err(Failed::usage("--profile needs the check tls-profile, which the other options leave out")
                .hint(Some(String::from("remove --tls none, or select tls-profile too"))))
        }
    }
}

fn invalid(args: &Check, error: &InvalidSelection) -> Failed {
    let hint = match error {
        InvalidSelection::Unknown(name) => {
            let names = CHECKS.iter().flat_map(|row| [row.family(), row.id]);
            let names = names.chain(RULES.iter().flat_map(|rule| [family(rule.id), rule.id]));
            let meant = nearest(name, names).map(|near| format!("did you mean {near}? "));
            format!("{}starttls check --list shows all checks", meant.unwrap_or_default())
        }
        InvalidSelection::Empty if args.light => {
            String::from("starttls check --list --light shows the checks of --light")
        }
        InvalidSelection::Empty if args.no_policy => {
            String::from("--no-policy leaves out the checks of policies")
        }
        InvalidSelection::Empty if args.survey().is_none() => {
            String::from("--tls none leaves out the checks that need the TLS survey")
        }
        InvalidSelection::Empty => String::from("remove from --skip what --only selects"),
    };
    Failed::usage(error.to_string()).hint(Some(hint))
}
