//! Texts of policies: wildcards and variables (IAM User Guide, "IAM policy elements: Variables and tags").

use super::context::{Context, Value};

/// A part of an expanded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `*`: any run of characters.
    Any,
    /// `?`: any character.
    One,
    /// A character.
    Char(char),
}

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A variable has no value and no default: the text matches nothing.
    Null,
    /// A variable is not known: its key.
    Unknown(String),
}

/// Expands variables; `*` and `?` are wildcards, but not those of a variable's value nor `${*}`, `${?}` and `${$}`.
///
/// # Errors
/// [`Missing`] where a variable has no value that is known.
pub fn expand(text: &str, variables: bool, context: &Context) -> Result<Vec<Part>, Missing> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let variable = variables.then(|| rest.strip_prefix("${")).flatten().and_then(|r| r.split_once('}'));
        if let Some((body, after)) = variable {
            rest = after;
            variable_value(body, context, &mut out)?;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        out.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            c => Part::Char(c),
        });
    }
    Ok(out)
}

fn variable_value(body: &str, context: &Context, out: &mut Vec<Part>) -> Result<(), Missing> {
    let mut put = |text: &str| out.extend(text.chars().map(Part::Char));
    if matches!(body, "*" | "?" | "$") {
        put(body);
        return Ok(());
    }
    let (key, default) = match body.split_once(',') {
        Some((k, d)) => (k.trim(), d.trim().strip_prefix('\'').and_then(|d| d.strip_suffix('\''))),
        None => (body.trim(), None),
    };
    match (context.get(key), default) {
        (Value::Known([one]), _) => put(one),
        // A key with several values cannot be a variable.
        (Value::Known(_) | Value::Unknown, _) => return Err(Missing::Unknown(key.to_owned())),
        (Value::Absent, Some(d)) => put(d),
        (Value::Absent, None) => return Err(Missing::Null),
    }
    Ok(())
}

/// The plain text of expanded parts: `*` and `?` stand for themselves.
pub fn plain(parts: &[Part]) -> String {
    let plain = parts.iter().map(|p| match p {
        Part::Any => '*',
        Part::One => '?',
        Part::Char(c) => *c,
    });
    plain.collect()
}

/// Whether parts match a whole text. `*` matches every character, slashes and colons too.
pub fn matches(parts: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0usize, 0usize);
    // Where to go on after the last `*`, should what follows not fit.
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (parts.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(Part::Any), _) => {
                back = Some((p.saturating_add(1), t));
                p = p.saturating_add(1);
            }
            (Some(Part::One), Some(_)) => (p, t) = (p.saturating_add(1), t.saturating_add(1)),
            (Some(Part::Char(a)), Some(b)) if a == b => (p, t) = (p.saturating_add(1), t.saturating_add(1)),
            _ => match back {
                Some((after, from)) if from < text.len() => {
                    back = Some((after, from.saturating_add(1)));
                    (p, t) = (after, from.saturating_add(1));
                }
                _ => return false,
            },
        }
    }
}

/// Whether a text with wildcards and without variables matches, whatever the case.
pub fn matches_action(pattern: &str, action: &str) -> bool {
    let parts = expand(&pattern.to_lowercase(), false, &Context::new()).unwrap_or_default();
    matches(&parts, &action.to_lowercase())
}

/// Whether parts match an ARN segment by segment: a `*` does not reach over a colon, but for the last segment, which has
/// whatever follows the fifth.
pub fn matches_arn(parts: &[Part], arn: &str) -> bool {
    let mut patterns: Vec<&[Part]> = Vec::new();
    let mut rest = parts;
    while patterns.len() < 5
        && let Some(at) = rest.iter().position(|p| *p == Part::Char(':'))
    {
        let (one, more) = rest.split_at(at);
        patterns.push(one);
        rest = more.get(1..).unwrap_or_default();
    }
    patterns.push(rest);
    let segments: Vec<&str> = arn.splitn(6, ':').collect();
    patterns.len() == segments.len() && segments.len() == 6 && patterns.iter().zip(segments).all(|(p, s)| matches(p, s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, text: &str) -> bool {
        matches(&expand(pattern, true, &Context::new()).unwrap(), text)
    }

    #[test]
    fn wildcards() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*/test/*", "1/2/test/3/o", true),
            ("", "", true),
            ("", "x", false),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(hit(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn variables() {
        let mut c = Context::new().with("aws:username", "b*b");
        c.set_unknown("aws:principaltag/*");
        let text = |t: &str| expand(t, true, &c).map(|p| plain(&p));
        assert_eq!(text("home/${aws:UserName}/*"), Ok("home/b*b/*".into()));
        assert_eq!(text("${aws:x, 'a b'}"), Ok("a b".into()));
        assert_eq!(text("${aws:x}"), Err(Missing::Null));
        assert_eq!(text("${aws:PrincipalTag/team}"), Err(Missing::Unknown("aws:PrincipalTag/team".into())));
        assert_eq!(text("${open"), Ok("${open".into()));
        // A wildcard that came with a value is none.
        assert!(!matches(&expand("${aws:username}", true, &c).unwrap(), "bxb"));
        assert_eq!(expand("${aws:username}", false, &c).map(|p| plain(&p)), Ok("${aws:username}".into()));
    }
}
