//! See `starttls_fuzz::front`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::front(input));
