//! Addresses: CIDRs of policies, and what counts as the internet.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::policy::IpBlock;

/// An address as a number, with its family: IPv4 never meets IPv6.
pub type Number = (bool, u128);

/// The number of an address. IPv4 mapped into IPv6 is IPv4.
pub fn number(address: IpAddr) -> Number {
    match address.to_canonical() {
        IpAddr::V4(a) => (false, u128::from(u32::from(a))),
        IpAddr::V6(a) => (true, u128::from(a)),
    }
}

/// First and last address of a CIDR; `None` when it is none. Bits of the host part are ignored, as the API allows.
fn span(cidr: &str) -> Option<(Number, Number)> {
    let net: IpNet = cidr.parse().ok()?;
    Some((number(net.network()), number(net.broadcast())))
}

/// Ranges that are routed nowhere on the internet (IANA special-purpose registries). Those for documentation count as
/// public: there they stand for public addresses.
const PRIVATE: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/8",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// The address of a number, if it is one.
pub fn address((v6, n): Number) -> Option<IpAddr> {
    if v6 { Some(IpAddr::from(n.to_be_bytes())) } else { u32::try_from(n).ok().map(|n| IpAddr::from(n.to_be_bytes())) }
}

/// Whether an address is routed on the internet.
pub fn is_public(address: IpAddr) -> bool {
    let n = number(address);
    !PRIVATE.iter().filter_map(|c| span(c)).any(|(a, b)| (a..=b).contains(&n))
}

/// Addresses of a block: spans of its CIDR without those left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    spans: Vec<(Number, Number)>,
}

impl Block {
    /// Reads a block. `None` when its CIDR cannot be read: it then matches nothing. A part left out that cannot be read
    /// is not left out: the API server refuses either.
    pub fn new(block: &IpBlock) -> Option<Self> {
        Self::less(span(&block.cidr)?, block.except.iter().filter_map(|e| span(e)))
    }

    /// The addresses of several blocks.
    pub fn union(blocks: impl IntoIterator<Item = Block>) -> Self {
        let mut spans: Vec<(Number, Number)> = blocks.into_iter().flat_map(|b| b.spans).collect();
        spans.sort_unstable();
        let mut out: Vec<(Number, Number)> = Vec::with_capacity(spans.len());
        for (a, b) in spans {
            match out.last_mut() {
                Some((_, end)) if a <= *end => *end = (*end).max(b),
                _ => out.push((a, b)),
            }
        }
        Block { spans: out }
    }

    fn less(whole: (Number, Number), except: impl Iterator<Item = (Number, Number)>) -> Option<Self> {
        let mut spans = vec![whole];
        for (from, to) in except {
            spans = spans
                .into_iter()
                .flat_map(|(a, b)| {
                    if to < a || from > b {
                        return [Some((a, b)), None];
                    }
                    let before = from.1.checked_sub(1).map(|n| (from.0, n)).filter(|n| from > a && *n >= a);
                    let after = to.1.checked_add(1).map(|n| (to.0, n)).filter(|n| to < b && *n <= b);
                    [before.map(|n| (a, n)), after.map(|n| (n, b))]
                })
                .flatten()
                .collect();
        }
        Some(Block { spans })
    }

    /// Whether it has an address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let n = number(address);
        // Spans are sorted and apart.
        let after = self.spans.partition_point(|(a, _)| *a <= n);
        after.checked_sub(1).and_then(|i| self.spans.get(i)).is_some_and(|(_, b)| n <= *b)
    }

    /// Whether it has every IPv4 address, which is what a pod without an address will get in most clusters.
    pub fn is_everything(&self) -> bool {
        self.spans == [((false, 0), (false, u128::from(u32::MAX)))]
    }

    /// Whether it has an address that is routed on the internet.
    pub fn has_public(&self) -> bool {
        let private = || PRIVATE.iter().filter_map(|c| span(c));
        self.spans.iter().any(|s| Self::less(*s, private()).is_some_and(|rest| !rest.spans.is_empty()))
    }

    /// Where its spans begin and end: addresses between two neighbours are alike.
    pub fn bounds(&self) -> impl Iterator<Item = Number> {
        self.spans.iter().flat_map(|(a, b)| [Some(*a), b.1.checked_add(1).map(|n| (b.0, n))]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> Block {
        let except = except.iter().map(|e| (*e).to_owned()).collect();
        Block::new(&IpBlock { cidr: cidr.into(), except }).unwrap()
    }

    #[test]
    fn blocks_leave_out_what_they_say() {
        let b = block("10.0.0.0/8", &["10.1.0.0/16", "10.255.255.255/32", "10.0.0.0/32"]);
        for (address, inside) in [
            ("10.0.0.0", false),
            ("10.0.0.1", true),
            ("10.0.255.255", true),
            ("10.1.0.0", false),
            ("10.1.255.255", false),
            ("10.2.0.0", true),
            ("10.255.255.254", true),
            ("10.255.255.255", false),
            ("11.0.0.0", false),
            ("::ffff:10.2.0.0", true),
            ("::a02:0", false),
        ] {
            assert_eq!(b.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(block("0.0.0.0/0", &[]).is_everything() && !block("::/0", &[]).is_everything());
        assert!(!block("0.0.0.0/0", &["169.254.169.254/32"]).is_everything());
        assert!(!block("10.0.0.0/8", &["0.0.0.0/0"]).contains("10.0.0.1".parse().unwrap()));
        assert!(Block::new(&IpBlock { cidr: "10.0.0.0".into(), except: vec![] }).is_none());
    }

    #[test]
    fn the_internet() {
        for (cidr, except, public) in [
            ("10.0.0.0/8", vec![], false),
            ("0.0.0.0/0", vec!["0.0.0.0/1", "128.0.0.0/1"], false),
            ("0.0.0.0/0", vec!["10.0.0.0/8"], true),
            ("172.0.0.0/8", vec![], true),
            ("172.16.0.0/12", vec![], false),
            ("::/0", vec![], true),
            ("fd00::/8", vec![], false),
            ("2001:db8::/32", vec![], true),
        ] {
            assert_eq!(block(cidr, &except).has_public(), public, "{cidr} {except:?}");
        }
        assert!(is_public("203.0.113.7".parse().unwrap()) && !is_public("100.64.0.1".parse().unwrap()));
        assert!(!is_public("::1".parse().unwrap()) && is_public("2600::1".parse().unwrap()));
    }
}
