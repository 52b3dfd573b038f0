//! Evidence against objects: the field that is cited is there, and says what is cited.

use serde_json::Value;

/// Fields that have a value when nobody sets them; the evidence then says what holds.
const DEFAULTED: [&str; 2] = ["/spec/serviceAccountName", "/metadata/labels/pod-security.kubernetes.io~1enforce"];

/// Whether an object bears out a cited field. `pointer` is a JSON pointer; a value may be the end of a longer path
/// (`NAMESPACE/NAME` for a name), and a structure is not compared.
///
/// # Errors
/// What is different.
pub fn agrees(object: &Value, pointer: &str, value: &str) -> Result<(), String> {
    let Some(found) = object.pointer(pointer) else {
        return if DEFAULTED.contains(&pointer) { Ok(()) } else { Err(format!("no such field {pointer}")) };
    };
    let same = match found {
        Value::String(s) => value == s || value.ends_with(&format!("/{s}")) || value.is_empty(),
        Value::Bool(b) => value == b.to_string(),
        Value::Number(x) => value == x.to_string(),
        _ => true,
    };
    if same { Ok(()) } else { Err(format!("{pointer} is {found}, not {value:?}")) }
}
