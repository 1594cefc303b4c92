//! See `starttls_fuzz::dialects`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::dialects(input));
