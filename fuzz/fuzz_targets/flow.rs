//! See `starttls_fuzz::flow`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::flow(input));
