//! See `starttls_fuzz::x509`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| starttls_fuzz::x509(input));
