//! JUnit XML for build servers: test suites that contain test cases.

use std::fmt::{self, Display, Write};

use crate::Markup;

/// A test suite.
#[derive(Clone, Debug, Default)]
pub struct TestSuite {
    /// The name.
    pub name: String,
    /// The class name of its test cases. Build servers merge the cases of two suites with the same class.
    pub class: String,
    /// The start of the suite, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Properties of the run, by name: the program, its options.
    pub properties: Vec<(&'static str, String)>,
    /// The duration in seconds.
    pub seconds: f64,
    /// The test cases, in order.
    pub cases: Vec<TestCase>,
}

/// A test case.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// The name.
    pub name: String,
    /// The duration in seconds.
    pub seconds: f64,
    /// The result.
    pub outcome: TestResult,
}

/// The result of a test case.
#[derive(Clone, Debug)]
pub enum TestResult {
    /// The test passed, with this output.
    Passed(String),
    /// The test was not run, for this reason.
    Skipped(String),
    /// An error that is not a failure of the tested program.
    Error {
        /// The kind, in one word.
        kind: String,
        /// A sentence.
        message: String,
    },
    /// The tested program failed.
    Failure {
        /// The kind, in one word.
        kind: String,
        /// A sentence.
        message: String,
        /// The evidence, line by line.
        evidence: Vec<String>,
    },
}

/// Returns the document.
pub fn render(generator: &str, suites: &[TestSuite]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = Counts(suites.iter().flat_map(|suite| &suite.cases).collect());
    let seconds: f64 = suites.iter().map(|suite| suite.seconds).sum();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "<testsuites name=\"{}\" {all} time=\"{seconds:.3}\">", Markup(generator));
    for TestSuite { name, class, started_at, properties, seconds, cases } in suites {
        let counts = Counts(cases.iter().collect());
        let _ = write!(out, "  <testsuite name=\"{}\" {counts} time=\"{seconds:.3}\"", Markup(name));
        // The schema of JUnit has no zone in this attribute; the time is UTC.
        if let Some(time) = started_at.as_deref().map(|time| time.trim_end_matches('Z')) {
            let _ = write!(out, " timestamp=\"{}\"", Markup(time));
        }
        out.push_str(">\n");
        if !properties.is_empty() {
            out.push_str("    <properties>\n");
            for (name, value) in properties {
                let (name, value) = (Markup(name), Markup(value));
                let _ = writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>");
            }
            out.push_str("    </properties>\n");
        }
        for TestCase { name, seconds, outcome } in cases {
            let (class, name) = (Markup(class), Markup(name));
            let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">");
            let _ = writeln!(out, "{outcome}</testcase>");
        }
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}

/// The numbers of test cases by result.
struct Counts<'a>(Vec<&'a TestCase>);

impl Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&TestResult) -> bool| self.0.iter().filter(|case| is(&case.outcome)).count();
        write!(
            f,
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
            self.0.len(),
            count(|it| matches!(it, TestResult::Failure { .. })),
            count(|it| matches!(it, TestResult::Error { .. })),
            count(|it| matches!(it, TestResult::Skipped(_))),
        )
    }
}

impl Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(text) => write!(f, "<system-out>{}</system-out>", Markup(text)),
            Self::Skipped(message) => write!(f, "<skipped message=\"{}\"/>", Markup(message)),
            Self::Error { kind, message } => {
                write!(f, "<error type=\"{}\" message=\"{}\"/>", Markup(kind), Markup(message))
            }
            Self::Failure { kind, message, evidence } => {
                write!(f, "<failure type=\"{}\" message=\"{}\">", Markup(kind), Markup(message))?;
                evidence.iter().try_for_each(|line| writeln!(f, "{}", Markup(line)))?;
                f.write_str("</failure>")
            }
        }
    }
}
