//! Questions: the selector language, and presets.

pub mod presets;
pub mod selector;
