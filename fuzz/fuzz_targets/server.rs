//! See `starttls_fuzz::server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::server(input));
