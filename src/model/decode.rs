//! Decoding with messages that name the field and never repeat what is in it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a JSON value.
///
/// # Errors
/// The path of the field and what was expected there: `spec.containers: invalid type: string, expected a sequence`.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|plain| {
        // A second run, for the path.
        let e = serde_path_to_error::deserialize::<_, T>(value).err();
        match e {
            Some(e) => format!("{}: {}", e.path(), redact(&e.inner().to_string())),
            None => redact(&plain.to_string()),
        }
    })
}

/// Takes the offending value out of a message of serde: it may be a credential that stands in the wrong place.
pub fn redact(message: &str) -> String {
    match (message.find(['"', '`']), message.rfind(", expected ")) {
        (Some(value), Some(rest)) if value < rest => {
            let (before, after) = (message.get(..value), message.get(rest..));
            format!("{}{}", before.unwrap_or_default().trim_end(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

/// Decodes `%XX`; `None` where that is not what it is, or the result is no text.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = more.get(2..)?;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_out_of_messages() {
        let e = decode::<Vec<String>>(&Value::from("hunter2\", expected x")).unwrap_err();
        assert_eq!(e, ".: invalid type: string, expected a sequence");
        let e = decode::<Vec<u8>>(&serde_json::json!([1, "hunter2"])).unwrap_err();
        assert_eq!(e, "[1]: invalid type: string, expected u8");
        assert_eq!(redact("missing field `name`"), "missing field `name`");
    }
}
