//! Server versions, compared by minor release and patch.

use std::fmt;

/// A Kubernetes version such as 1.36.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major, always 1 today.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch; 0 when not given.
    pub patch: u32,
}

impl Version {
    /// Assumed when nothing says which version the server has.
    pub const DEFAULT: Version = Version::minor(36);

    /// `1.MINOR.0`.
    pub const fn minor(minor: u32) -> Version {
        Version { major: 1, minor, patch: 0 }
    }

    /// Reads `1.36`, `v1.36.2` or `v1.36.2-suffix`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let core = text.split(['-', '+']).next()?;
        let mut parts = core.split('.');
        let mut number = |required: bool| match parts.next() {
            Some(p) if !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) => p.parse::<u32>().ok(),
            None if !required => Some(0),
            _ => None,
        };
        let version = Version { major: number(true)?, minor: number(true)?, patch: number(false)? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
