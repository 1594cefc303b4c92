//! Conversations as captures: the vectors of `starttls-proto`, built into packets, cut and damaged in many ways.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod losses;
mod packets;
mod secrets;
mod stripped;
mod transforms;
mod traps;
mod vector;
mod vectors;
