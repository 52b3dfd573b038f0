//! The server's own record of what kpath sent: get and list, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

/// Reads the audit log and judges every event whose user agent is kpath's.
pub fn only_reads(path: &str) -> Result<String, String> {
    let log = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut impersonated = false;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let text = |p: &str| event.pointer(p).and_then(Value::as_str).unwrap_or_default();
        if !text("/userAgent").starts_with("kpath/") {
            continue;
        }
        let verb = text("/verb");
        if verb != "get" && verb != "list" {
            return Err(format!("kpath sent {verb}: {line}"));
        }
        if text("/objectRef/resource") == "secrets" && verb != "list" {
            return Err(format!("kpath read a Secret: {line}"));
        }
        if event.get("impersonatedUser").is_some() {
            impersonated |= text("/impersonatedUser/username") == "carol"
                && text("/impersonatedUser/uid") == "1234"
                && event["impersonatedUser"]["groups"]
                    .as_array()
                    .is_some_and(|g| ["auditors", "extra"].iter().all(|want| g.iter().any(|have| have == want)));
        }
        let target = if event.get("objectRef").is_some() { text("/objectRef/resource") } else { text("/requestURI") };
        *seen.entry(format!("{verb} {target}")).or_default() += 1;
    }
    let total: usize = seen.values().sum();
    if total < 100 {
        return Err(format!("only {total} requests of kpath are in the audit log: {seen:?}"));
    }
    if !impersonated {
        return Err("no request as carol, with both groups and uid, is in the audit log".into());
    }
    let gets: Vec<&String> = seen.keys().filter(|k| k.starts_with("get ")).collect();
    Ok(format!("{total} requests of kpath in the audit log, verbs get and list only; gets: {gets:?}"))
}
