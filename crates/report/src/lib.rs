//! What reports and messages share: escaped text, the languages of pages, durations, suggestions for misspelled words, HTML
//! pages, pictures of conversations, JUnit for build servers, SARIF for code scanning.
//!
//! ```
//! use starttls_report::junit::{self, TestCase, TestResult, TestSuite};
//!
//! let case = TestCase { name: String::from("one"), seconds: 0.5, outcome: TestResult::Passed(String::from("<passed>")) };
//! let suite = TestSuite { name: String::from("all"), cases: vec![case], ..TestSuite::default() };
//! let xml = junit::render("an example", &[suite]);
//! assert!(xml.contains("<system-out>&lt;passed&gt;</system-out>"));
//! ```
#![forbid(unsafe_code)]

pub mod diagram;
mod duration;
mod escape;
pub mod html;
pub mod junit;
mod language;
mod nearest;
pub mod sarif;

pub use duration::{InvalidDuration, duration};
pub use escape::{Markup, Plain, json};
pub use language::{Language, Plural, Text};
pub use nearest::{nearest, scheme_hint};
