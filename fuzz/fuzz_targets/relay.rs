//! See `starttls_fuzz::relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::relay(input));
