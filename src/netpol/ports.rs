//! Sets of ports: intervals of (protocol, port).

use std::fmt;

use smallvec::SmallVec;

/// A protocol that network policies name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Every protocol.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

impl Protocol {
    /// Reads a name as Kubernetes writes it, in any case; empty is TCP. `None` for any other.
    pub fn parse(name: &str) -> Option<Protocol> {
        match name.to_ascii_uppercase().as_str() {
            "" | "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }

    /// The name as Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }

    fn base(self) -> u32 {
        (self as u32) << 16
    }
}

/// Ports 1 to 65535 of every protocol, as sorted intervals that do not touch. A number holds the protocol in its upper half.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports(SmallVec<[(u32, u32); 3]>);

impl Ports {
    /// No port.
    pub fn none() -> Self {
        Ports::default()
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Ports(PROTOCOLS.into_iter().map(|p| (p.base() + 1, p.base() + 0xffff)).collect())
    }

    /// The ports of one protocol from `first` to `last`, both included; none when `last` is lower. Port 0 is no port.
    pub fn range(protocol: Protocol, first: u16, last: u16) -> Self {
        let first = first.max(1);
        if last < first {
            return Ports::none();
        }
        Ports(SmallVec::from_slice(&[(protocol.base() + u32::from(first), protocol.base() + u32::from(last))]))
    }

    /// One port.
    pub fn one(protocol: Protocol, port: u16) -> Self {
        Ports::range(protocol, port, port)
    }

    /// Whether no port is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every port is in the set.
    pub fn is_all(&self) -> bool {
        *self == Ports::all()
    }

    /// Whether a port is in the set.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let n = protocol.base() + u32::from(port);
        self.0.iter().any(|(a, b)| (*a..=*b).contains(&n))
    }

    /// What is in either set.
    pub fn or(&self, other: &Ports) -> Ports {
        let mut all: SmallVec<[(u32, u32); 8]> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut out: SmallVec<[(u32, u32); 3]> = SmallVec::new();
        for (a, b) in all {
            match out.last_mut() {
                Some(last) if a <= last.1.saturating_add(1) => last.1 = last.1.max(b),
                _ => out.push((a, b)),
            }
        }
        Ports(out)
    }

    /// What is in both sets.
    pub fn and(&self, other: &Ports) -> Ports {
        let (mut i, mut j) = (0, 0);
        let mut out = SmallVec::new();
        while let (Some((a, b)), Some((c, d))) = (self.0.get(i), other.0.get(j)) {
            let (low, high) = (*a.max(c), *b.min(d));
            if low <= high {
                out.push((low, high));
            }
            if b < d { i += 1 } else { j += 1 }
        }
        Ports(out)
    }

    /// What is in this set and not in the other.
    pub fn without(&self, other: &Ports) -> Ports {
        let mut out = SmallVec::new();
        for (a, b) in &self.0 {
            let mut from = Some(*a);
            for (c, d) in other.0.iter().filter(|(c, d)| c <= b && d >= a) {
                if let Some(f) = from
                    && f < *c
                {
                    out.push((f, c - 1));
                }
                from = d.checked_add(1).filter(|n| n <= b);
            }
            if let Some(f) = from {
                out.push((f, *b));
            }
        }
        Ports(out)
    }

    /// The intervals of one protocol.
    pub fn of(&self, protocol: Protocol) -> impl Iterator<Item = (u16, u16)> {
        let (low, high) = (protocol.base(), protocol.base() + 0xffff);
        let parts = self.0.iter().filter(move |(a, b)| *a <= high && *b >= low);
        parts.map(move |(a, b)| ((a.max(&low) - low) as u16, (b.min(&high) - low) as u16))
    }
}

/// `all ports`, `no port`, `TCP 80,443,8000-8080; UDP 53`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all ports");
        }
        if self.is_empty() {
            return f.write_str("no port");
        }
        let mut first = true;
        for p in PROTOCOLS {
            let parts: Vec<String> = self
                .of(p)
                .map(|(a, b)| match (a, b) {
                    (1, u16::MAX) => "all".to_owned(),
                    (a, b) if a == b => a.to_string(),
                    (a, b) => format!("{a}-{b}"),
                })
                .collect();
            if !parts.is_empty() {
                write!(f, "{}{} {}", if first { "" } else { "; " }, p.name(), parts.join(","))?;
                first = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation against sets of single numbers, on random intervals near the ends of protocols.
    #[test]
    fn operations_are_those_of_sets() {
        use std::collections::BTreeSet;
        let mut random = fastrand::Rng::with_seed(7);
        let points = [0u16, 1, 2, 79, 80, 81, 65534, 65535];
        let draw = |random: &mut fastrand::Rng| {
            let mut ports = Ports::none();
            for _ in 0..random.usize(0..4) {
                let protocol = PROTOCOLS[random.usize(0..3)];
                let (a, b) = (points[random.usize(0..8)], points[random.usize(0..8)]);
                ports = ports.or(&Ports::range(protocol, a, b));
            }
            ports
        };
        let members = |p: &Ports| -> BTreeSet<(Protocol, u16)> {
            let all = PROTOCOLS.iter().flat_map(|x| points.iter().map(move |n| (*x, *n)));
            all.filter(|(x, n)| p.contains(*x, *n)).collect()
        };
        for _ in 0..5000 {
            let (a, b) = (draw(&mut random), draw(&mut random));
            let (x, y) = (members(&a), members(&b));
            assert_eq!(members(&a.or(&b)), &x | &y);
            assert_eq!(members(&a.and(&b)), &x & &y);
            assert_eq!(members(&a.without(&b)), &x - &y);
            assert_eq!(a.without(&b).or(&a.and(&b)), a, "{a} and {b}");
            assert!(a.without(&Ports::all()).is_empty() && Ports::all().and(&a) == a);
        }
        let all = Ports::all();
        assert!(
            all.contains(Protocol::Sctp, 65535) && all.contains(Protocol::Tcp, 1) && !all.contains(Protocol::Udp, 0)
        );
    }

    #[test]
    fn words() {
        let p = Ports::one(Protocol::Tcp, 80).or(&Ports::range(Protocol::Tcp, 8000, 8080));
        assert_eq!(p.or(&Ports::one(Protocol::Udp, 53)).to_string(), "TCP 80,8000-8080; UDP 53");
        assert_eq!(Ports::range(Protocol::Udp, 0, 65535).to_string(), "UDP all");
        assert_eq!((Ports::all().to_string(), Ports::none().to_string()), ("all ports".into(), "no port".into()));
        assert_eq!(Ports::range(Protocol::Tcp, 5, 4), Ports::none());
    }
}
