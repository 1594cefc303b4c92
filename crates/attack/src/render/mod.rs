//! The report, for people and for machines.

pub mod text;
