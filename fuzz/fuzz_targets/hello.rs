//! See `starttls_fuzz::hello`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::hello(input));
