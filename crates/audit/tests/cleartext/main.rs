//! What a server does for a client that never asks for TLS, and how its answers are told apart.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod interim;
mod login;
mod refusals;
mod support;
