//! Writes a report in its formats.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use starttls_audit::render;
use starttls_audit::report::AuditReport;
use starttls_report::Language;

use crate::args::{Check, ReportFormat};
use crate::console::Console;
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// The destination of each format. Files are opened before anything is dialed.
pub(crate) struct Destinations(Vec<(ReportFormat, Sink)>);

impl Destinations {
    pub(crate) fn open(args: &Check) -> Result<Self, Failed> {
        let Some(folder) = &args.output_dir else {
            return match args.format.as_slice() {
                [format] => Ok(Self(vec![(*format, Sink::replacing(&args.output)?)])),
                formats => {
                    let found = formats.len();
                    let hint = String::from("specify a folder for the files with --output-dir DIR");
                    Err(Failed::usage(format!(
                        "--format without --output-dir: expected one format, found {found}"
                    ))
                    .hint(Some(hint)))
                }
            };
        };
        std::fs::create_dir_all(folder)
            .map_err(|error| Failed::usage(format!("cannot create {}: {error}", folder.display())))?;
        let mut files = Self(Vec::new());
        for format in &args.format {
            // A format that is specified twice is written once.
            if files.0.iter().all(|(other, _)| other != format) {
                files.0.push((*format, Sink::whole(&folder.join(file_name(*format)))?));
            }
        }
        Ok(files)
    }

    /// Writes the report in every format.
    pub(crate) fn write(self, args: &Check, report: &AuditReport) -> Result<(), Failed> {
        for (format, mut sink) in self.0 {
            let text = rendered(args, format, report);
            sink.line(text.strip_suffix('\n').unwrap_or(&text))?;
            sink.finish()?;
        }
        Ok(())
    }
}

/// The name of the file of a format in `--output-dir`.
fn file_name(format: ReportFormat) -> &'static str {
    match format {
        ReportFormat::Text => "report.txt",
        ReportFormat::Json => "report.json",
        ReportFormat::Csv => "report.csv",
        ReportFormat::Junit => "report.junit.xml",
        ReportFormat::Sarif => "report.sarif",
        ReportFormat::Html => "report.html",
        ReportFormat::Nagios => "report.nagios",
        ReportFormat::Prometheus => "report.prom",
        ReportFormat::TestsslJson => "report.testssl.json",
    }
}

fn rendered(args: &Check, format: ReportFormat, report: &AuditReport) -> String {
    match format {
        ReportFormat::Text => render::text::render(report, style(args)),
        ReportFormat::Json => render::json::render(report),
        ReportFormat::Csv => render::csv::render(report),
        ReportFormat::Junit => render::junit::render(report, args.fail_on.into()),
        ReportFormat::Sarif => render::sarif::render(report, args.sarif_location.as_deref()),
        ReportFormat::Html => render::html::render(report, Language::English),
        ReportFormat::Nagios => render::nagios::render(report, thresholds(args)),
        ReportFormat::Prometheus => render::prometheus::render(report),
        ReportFormat::TestsslJson => render::testssl::render(report),
    }
}

fn style(args: &Check) -> render::text::Style {
    let verbose = args.output.verbose;
    if args.output.output.is_some() || args.output_dir.is_some() {
        return render::text::Style { verbose, ..render::text::Style::default() };
    }
    let palette = match Console::result(&args.output).is_colored() {
        true => render::text::Palette::TERMINAL,
        false => render::text::Palette::PLAIN,
    };
    let stdout = std::io::stdout();
    let width = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
    render::text::Style { palette, verbose, width: width.map(|(columns, _)| columns.0.into()) }
}

fn thresholds(args: &Check) -> render::nagios::Thresholds {
    render::nagios::Thresholds { warning_days: args.expiry_warning, critical_days: args.critical_days }
}

/// Returns whether the command runs as a monitoring plugin, which has its own exit codes.
pub(crate) fn is_plugin(args: &Check) -> bool {
    args.format == [ReportFormat::Nagios] && args.output_dir.is_none()
}

/// Returns the exit code of a monitoring plugin.
pub(crate) fn plugin_code(args: &Check, report: &AuditReport) -> u8 {
    render::nagios::state(report, thresholds(args)).code()
}

/// Returns whether each endpoint is written as a line of JSON as soon as it is finished.
pub(crate) fn is_lines(args: &Check, targets: usize) -> bool {
    let several = targets > 1 || args.file.is_some() || args.resume.is_some();
    args.format == [ReportFormat::Json] && args.output_dir.is_none() && several
}

/// Returns a path as it is shown in a report: relative to the working directory if possible.
pub(crate) fn shown(path: &Path) -> Option<String> {
    if path.as_os_str() == "-" {
        return None;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let relative = path.strip_prefix(&here).map(PathBuf::from);
    Some(relative.unwrap_or_else(|_| path.to_owned()).display().to_string())
}

/// Prints the failure as a monitoring plugin does, and returns its exit code.
pub(crate) fn failed_plugin(failed: &Failed) -> Result<u8, Failed> {
    use std::io::Write;
    if failed.message.is_empty() {
        return Ok(exit::DONE);
    }
    writeln!(std::io::stdout().lock(), "STARTTLS UNKNOWN: {failed}")?;
    Ok(exit::PLUGIN_UNKNOWN)
}
