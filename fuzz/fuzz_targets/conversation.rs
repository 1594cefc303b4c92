//! See `starttls_fuzz::conversation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::conversation(input));
