//! Collects the results of a run: written as lines of JSON at once, or as a whole report at the end.

use starttls_audit::render::json::{self, Remark};
use starttls_audit::report::{AuditReport, EndpointReport, EndpointVerdict, SCHEMA_VERSION, Unaudited};

use super::partial::Unfinished;
use super::targets::WrittenTarget;
use super::{formats, options};
use crate::args::Check;
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// The destination of the report.
pub(crate) enum Output {
    /// Each endpoint is written as a line of JSON as soon as it is finished.
    Lines(Sink),
    /// The report is written when all endpoints are finished.
    Whole(formats::Destinations),
}

/// The results of the run so far.
pub(crate) struct Outcome {
    output: Output,
    report: AuditReport,
    code: u8,
}

impl Outcome {
    /// Starts a report. `code` is the exit code of an earlier run that this one continues.
    pub(crate) fn new(args: &Check, output: Output, code: u8) -> Self {
        let generator = format!("starttls {}", env!("CARGO_PKG_VERSION"));
        let report = AuditReport {
            target_list: args.file.as_deref().and_then(formats::shown),
            baseline: args.baseline.as_deref().and_then(formats::shown),
            ..AuditReport::new(generator, options::of_process("check", &args.targets))
        };
        Self { output, report, code }
    }

    /// Adds the lookups of a target, for every place where it is written.
    pub(crate) fn looked_up(&mut self, same: &[WrittenTarget], lookups: &[String]) -> Result<(), Failed> {
        match &mut self.output {
            Output::Lines(_) => same.iter().try_for_each(|asked| self.remark(asked, lookups, None)),
            Output::Whole(_) => {
                self.report.lookups.extend_from_slice(lookups);
                Ok(())
            }
        }
    }

    /// Adds an endpoint and its exit code, for every place where its target is written.
    pub(crate) fn audited(
        &mut self,
        same: &[WrittenTarget],
        judged: (EndpointReport, u8),
    ) -> Result<(), Failed> {
        let (endpoint, code) = judged;
        self.code = exit::worse(self.code, code);
        let Some((last, others)) = same.split_last() else { return Ok(()) };
        for asked in others {
            self.add(asked, endpoint.clone())?;
        }
        // Not cloned: transcripts are large, and most targets are written once.
        self.add(last, endpoint)
    }

    fn add(&mut self, asked: &WrittenTarget, endpoint: EndpointReport) -> Result<(), Failed> {
        let endpoint = EndpointReport { target_line: asked.line, ..endpoint };
        match &mut self.output {
            Output::Lines(sink) => {
                let run = (&self.report).into();
                sink.line(json::line(&run, &asked.text, &endpoint).trim_end())
            }
            Output::Whole(_) => {
                self.report.endpoints.push(endpoint);
                Ok(())
            }
        }
    }

    /// Adds a target without an endpoint.
    pub(crate) fn failed(&mut self, same: &[WrittenTarget], failed: &Failed) -> Result<(), Failed> {
        self.code = exit::worse(self.code, failed.code);
        for asked in same {
            let text = asked.text.escape_debug();
            crate::console::error(&format!("\"{text}\": {failed}"), failed.hint.as_deref());
            match &mut self.output {
                Output::Lines(_) => self.remark(asked, &[], Some(failed))?,
                Output::Whole(_) => self.report.unaudited.push(Unaudited {
                    asked: asked.text.clone(),
                    target_line: asked.line,
                    outcome: match failed.code {
                        exit::UNREACHABLE => EndpointVerdict::Unreachable,
                        _ => EndpointVerdict::Inconclusive,
                    },
                    reason: failed.message.clone(),
                }),
            }
        }
        Ok(())
    }

    fn remark(
        &mut self,
        asked: &WrittenTarget,
        lookups: &[String],
        failed: Option<&Failed>,
    ) -> Result<(), Failed> {
        let Output::Lines(sink) = &mut self.output else { return Ok(()) };
        let remark = Remark {
            schema_version: SCHEMA_VERSION,
            run: (&self.report).into(),
            asked: asked.text.clone(),
            target_line: asked.line,
            lookups: lookups.to_vec(),
            error: failed.map(|failed| failed.message.clone()),
            exit_code: failed.map(|failed| failed.code),
        };
        sink.line(json::remark(&remark).trim_end())
    }

    /// Writes the partial report, and returns the exit code for the signal. As lines of JSON, the missing targets have no
    /// line, so that `--resume` audits them.
    pub(crate) fn interrupted(
        mut self,
        args: &Check,
        unfinished: &Unfinished,
        code: u8,
    ) -> Result<u8, Failed> {
        crate::console::warning(&unfinished.summary());
        if matches!(self.output, Output::Whole(_)) {
            unfinished.add_to(&mut self.report);
        }
        self.end(args).map(|_| code)
    }

    /// Writes the report if it is not written line by line, and returns the exit code of the run.
    pub(crate) fn end(self, args: &Check) -> Result<u8, Failed> {
        if let Output::Whole(destinations) = self.output {
            destinations.write(args, &self.report)?;
        }
        Ok(match formats::is_plugin(args) {
            true => formats::plugin_code(args, &self.report),
            false => self.code,
        })
    }
}
