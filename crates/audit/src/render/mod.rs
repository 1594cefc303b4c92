//! Shows a report: one file for each form. All of them are pure: a report goes in, text comes out.
//!
//! What a peer sent is escaped when it enters a report. The renderers do not rely on it: a report may have been read
//! from a file. Whatever a terminal, a browser or a parser might obey is spelled out here again.

mod common;
pub mod csv;
pub mod html;
pub mod json;
pub mod junit;
pub mod nagios;
pub mod prometheus;
pub mod sarif;
pub mod text;
