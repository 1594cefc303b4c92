//! See `starttls_fuzz::peel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::peel(input));
