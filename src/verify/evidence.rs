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
    let Some(found) = field(object, pointer) else {
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

/// The field at a pointer. Of environment variables a snapshot keeps those that refer to something, with their place.
fn field<'v>(object: &'v Value, pointer: &str) -> Option<&'v Value> {
    let Some((before, after)) = pointer.split_once("/env/") else { return object.pointer(pointer) };
    let (place, rest) = after.split_once('/').unwrap_or((after, ""));
    let place: u64 = place.parse().ok()?;
    let list = object.pointer(before)?.get("env")?.as_array()?;
    let entry = list.iter().find(|e| e.get("index").and_then(Value::as_u64).unwrap_or(0) == place)?;
    if rest.is_empty() { Some(entry) } else { entry.pointer(&format!("/{rest}")) }
}
