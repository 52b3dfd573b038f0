//! Any text as a preset file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(e) = kpath::query::presets::parse(text) {
        assert!(!e.is_empty());
    }
});
