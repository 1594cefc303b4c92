//! See `starttls_fuzz::client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::client(input));
