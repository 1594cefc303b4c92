//! See `starttls_fuzz::login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::login(input));
