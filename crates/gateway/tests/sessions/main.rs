//! Whole sessions: a real client, the gateway, a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod backends;
mod broken;
mod check;
mod client_name;
mod conversions;
mod doors;
mod endless;
mod environment;
mod external;
mod ftp;
mod host_header;
mod inside;
mod line_ends;
mod mysql;
mod optional;
mod required;
mod scripted;
mod ways;
