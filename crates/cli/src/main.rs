//! The `starttls` command.
#![forbid(unsafe_code)]

fn main() {}
