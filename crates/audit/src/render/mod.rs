//! Renders a report, with one module for each format. A renderer is a function from a report to text.
//!
//! Text from a peer is escaped when it enters a report. The renderers escape it again, because a report may come from a
//! file: control characters must not reach a terminal, a browser or a parser.

mod common;
pub mod csv;
pub mod html;
pub mod json;
pub mod junit;
pub mod nagios;
pub mod prometheus;
pub mod sarif;
mod survey;
pub mod testssl;
pub mod text;
