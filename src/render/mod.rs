//! Output formats, one file each. How answers are found is not known here.

pub mod dot;
pub mod json;
#[cfg(feature = "pictures")]
pub mod layout;
pub mod net;
pub mod picture;
#[cfg(feature = "pictures")]
pub mod svg;
pub mod table;
