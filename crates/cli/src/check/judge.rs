//! Applies the selection, the baseline and the threshold to the report of an endpoint.

use std::path::Path;

use starttls_audit::render::json;
use starttls_audit::report::{AuditReport, EndpointReport, Severity};
use starttls_audit::{Selection, filter};

use crate::args::Check;
use crate::error::Failed;
use crate::exit;

/// Applies the options to the report of each endpoint.
pub(crate) struct Judge {
    selection: Selection,
    baseline: Option<AuditReport>,
    fail_on: Severity,
    transcripts: bool,
}

impl Judge {
    pub(crate) fn new(args: &Check, selection: Selection) -> Result<Self, Failed> {
        let baseline = args.baseline.as_deref().map(baseline).transpose()?;
        let (fail_on, transcripts) = (args.fail_on.into(), !args.no_transcripts);
        Ok(Self { selection, baseline, fail_on, transcripts })
    }

    /// Returns the endpoint with the selected checks, and its exit code.
    pub(crate) fn judged(&self, endpoint: EndpointReport) -> (EndpointReport, u8) {
        let mut part =
            AuditReport { endpoints: vec![endpoint], ..AuditReport::new(String::new(), Vec::new()) };
        self.selection.apply(&mut part);
        if let Some(baseline) = &self.baseline {
            filter::mark_known(&mut part, baseline);
        }
        part.endpoints.iter_mut().for_each(|endpoint| filter::settle(endpoint, self.fail_on));
        let mut endpoint = part.endpoints.remove(0);
        let code = exit::of_verdict(endpoint.outcome);
        if !self.transcripts {
            endpoint.transcripts.clear();
            endpoint.findings.iter_mut().for_each(|finding| finding.evidence.clear());
        }
        (endpoint, code)
    }
}

fn baseline(path: &Path) -> Result<AuditReport, Failed> {
    let text = crate::input::read(path, crate::input::REPORT)?;
    json::read(&String::from_utf8_lossy(&text)).map_err(|error| {
        let hint = String::from("create a baseline with starttls check TARGET --format json --output FILE");
        Failed::usage(format!("cannot read the baseline {}: {error}", path.display())).hint(Some(hint))
    })
}
