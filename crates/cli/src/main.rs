//! The `starttls` command.
fn main() {}
