//! What reports of every kind share: text made harmless for where it goes, JUnit for build servers, SARIF for code
//! scanning. What the reports are about is nothing to it.
//!
//! ```
//! use starttls_report::junit::{self, TestCase, TestResult, TestSuite};
//!
//! let case = TestCase { name: String::from("one"), seconds: 0.5, outcome: TestResult::Passed(String::from("<fine>")) };
//! let suite = TestSuite { name: String::from("all"), cases: vec![case], ..TestSuite::default() };
//! let xml = junit::render("an example", &[suite]);
//! assert!(xml.contains("<system-out>&lt;fine&gt;</system-out>"));
//! ```
#![forbid(unsafe_code)]

mod escape;
pub mod junit;
pub mod sarif;

pub use escape::{Markup, Plain, json};
