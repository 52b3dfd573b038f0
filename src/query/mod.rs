//! Questions: the selector language, and presets.

pub mod selector;
pub mod presets;
