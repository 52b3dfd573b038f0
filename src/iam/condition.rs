//! Conditions (IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys").

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::context::{Context, Value as Key};
use super::pattern::{self, Missing, Part};
use super::truth::Truth;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equals,
    EqualsIgnoreCase,
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
}

/// How numbers and dates are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is said of the values of a key with several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    One,
    All,
    Any,
}

/// What an operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// Whether the key is there.
    Null,
    /// A comparison, and whether it is turned round.
    Compare(Compare, bool),
    /// One that is not known.
    Other,
}

/// One condition: an operator, a key and values, any of which will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    operator: Operator,
    set: Set,
    if_exists: bool,
    /// Key of the request.
    pub key: String,
    /// Values.
    pub values: Vec<String>,
}

/// Reads a block of conditions.
///
/// # Errors
/// Where it has another shape.
pub fn parse(block: &Map<String, Value>) -> Result<Vec<Condition>, String> {
    let mut out = Vec::new();
    for (name, keys) in block {
        let keys = keys.as_object().ok_or_else(|| format!("Condition {name} is no object"))?;
        let (operator, set, if_exists) = operator(name);
        for (key, values) in keys {
            let values = super::policy::texts(values).ok_or_else(|| format!("Condition {name} {key} has no texts"))?;
            out.push(Condition { operator, set, if_exists, key: key.clone(), values });
        }
    }
    Ok(out)
}

fn operator(name: &str) -> (Operator, Set, bool) {
    let lower = name.to_lowercase();
    let (set, rest) = match lower.split_once(':') {
        Some(("forallvalues", r)) => (Set::All, r),
        Some(("foranyvalue", r)) => (Set::Any, r),
        Some(_) => return (Operator::Other, Set::One, false),
        None => (Set::One, lower.as_str()),
    };
    let (if_exists, rest) = match rest.strip_suffix("ifexists") {
        Some(r) => (true, r),
        None => (false, rest),
    };
    let order = |rest: &str| match rest {
        "equals" => Some((Order::Equal, false)),
        "notequals" => Some((Order::Equal, true)),
        "lessthan" => Some((Order::Less, false)),
        "lessthanequals" => Some((Order::LessOrEqual, false)),
        "greaterthan" => Some((Order::Greater, false)),
        "greaterthanequals" => Some((Order::GreaterOrEqual, false)),
        _ => None,
    };
    let compare = match rest {
        "null" => return (Operator::Null, set, if_exists),
        "stringequals" => Some((Compare::Equals, false)),
        "stringnotequals" => Some((Compare::Equals, true)),
        "stringequalsignorecase" => Some((Compare::EqualsIgnoreCase, false)),
        "stringnotequalsignorecase" => Some((Compare::EqualsIgnoreCase, true)),
        "stringlike" => Some((Compare::Like, false)),
        "stringnotlike" => Some((Compare::Like, true)),
        "bool" => Some((Compare::Bool, false)),
        "binaryequals" => Some((Compare::Binary, false)),
        "ipaddress" => Some((Compare::Ip, false)),
        "notipaddress" => Some((Compare::Ip, true)),
        "arnequals" | "arnlike" => Some((Compare::Arn, false)),
        "arnnotequals" | "arnnotlike" => Some((Compare::Arn, true)),
        other => other
            .strip_prefix("numeric")
            .and_then(order)
            .map(|(o, not)| (Compare::Number(o), not))
            .or_else(|| other.strip_prefix("date").and_then(order).map(|(o, not)| (Compare::Date(o), not))),
    };
    (compare.map_or(Operator::Other, |(c, not)| Operator::Compare(c, not)), set, if_exists)
}

impl Condition {
    /// Whether it asks for one of its values as they stand, by an operator that an absent key fails.
    pub fn is_exact(&self) -> bool {
        self.operator == Operator::Compare(Compare::Equals, false) && !self.if_exists && self.set != Set::All
    }

    /// Whether the condition holds for a request. Keys that leave it open are added to `open`.
    pub fn holds(&self, context: &Context, variables: bool, open: &mut Vec<String>) -> Truth {
        let key = context.get(&self.key);
        let (compare, not) = match self.operator {
            Operator::Other => {
                open.push(self.key.clone());
                return Truth::Unknown;
            }
            _ if key == Key::Unknown => {
                open.push(self.key.clone());
                return Truth::Unknown;
            }
            Operator::Null => {
                let absent = key == Key::Absent;
                return Truth::of(
                    self.values.iter().any(|v| v.eq_ignore_ascii_case(if absent { "true" } else { "false" })),
                );
            }
            Operator::Compare(c, not) => (c, not),
        };
        let Key::Known(have) = key else {
            return Truth::of(self.if_exists || self.set == Set::All || (not && self.set == Set::One));
        };
        let wanted: Vec<Result<Vec<Part>, Missing>> =
            self.values.iter().map(|v| pattern::expand(v, variables, context)).collect();
        let one = |value: &String| {
            let hit = Truth::any(wanted.iter().map(|w| match w {
                Ok(parts) => Truth::of(compares(compare, parts, value)),
                // A text without a value matches nothing.
                Err(Missing::Null) => Truth::No,
                Err(Missing::Unknown(_)) => Truth::Unknown,
            }));
            if not { !hit } else { hit }
        };
        let all = have.iter().map(one);
        let truth = match (self.set, not) {
            (Set::All, _) | (Set::One, true) => Truth::all(all),
            (Set::Any, _) | (Set::One, false) => Truth::any(all),
        };
        if truth == Truth::Unknown {
            open.extend(wanted.into_iter().filter_map(|w| match w {
                Err(Missing::Unknown(k)) => Some(k),
                _ => None,
            }));
        }
        truth
    }
}

fn compares(compare: Compare, parts: &[Part], value: &str) -> bool {
    match compare {
        Compare::Like => pattern::matches(parts, value),
        Compare::Arn => pattern::matches_arn(parts, value),
        Compare::Equals | Compare::Binary => pattern::plain(parts) == value,
        Compare::EqualsIgnoreCase => pattern::plain(parts).to_lowercase() == value.to_lowercase(),
        Compare::Bool => {
            let wanted = pattern::plain(parts);
            (wanted.eq_ignore_ascii_case("true") && value.eq_ignore_ascii_case("true"))
                || (wanted.eq_ignore_ascii_case("false") && value.eq_ignore_ascii_case("false"))
        }
        Compare::Number(o) => {
            let number = |t: &str| t.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            number(value).zip(number(&pattern::plain(parts))).is_some_and(|(a, b)| ordered(o, a.partial_cmp(&b)))
        }
        Compare::Date(o) => {
            date(value).zip(date(&pattern::plain(parts))).is_some_and(|(a, b)| ordered(o, Some(a.cmp(&b))))
        }
        Compare::Ip => {
            let plain = pattern::plain(parts);
            let net: Option<IpNet> = plain.parse().ok().or_else(|| plain.parse::<IpAddr>().ok().map(IpNet::from));
            net.zip(value.parse::<IpAddr>().ok()).is_some_and(|(n, a)| n.contains(&a))
        }
    }
}

fn ordered(order: Order, found: Option<std::cmp::Ordering>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match order {
        Order::Equal => found == Some(Equal),
        Order::Less => found == Some(Less),
        Order::LessOrEqual => matches!(found, Some(Less | Equal)),
        Order::Greater => found == Some(Greater),
        Order::GreaterOrEqual => matches!(found, Some(Greater | Equal)),
    }
}

/// A moment in nanoseconds: ISO 8601, a day, or seconds since 1970.
fn date(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(t) = text.parse::<jiff::Timestamp>() {
        return Some(t.as_nanosecond());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * 1e9;
        return nanos.is_finite().then_some(nanos as i128);
    }
    // Without an offset, and days alone, are in UTC.
    let local: jiff::civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond())
}
