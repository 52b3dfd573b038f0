//! Whether a peer of a rule means an end.

use super::Direction;
use super::classes::in_block;
use super::compile::{Action, Match, Peer, Place};
use super::decide::Engine;
use super::end::{End, Party};
use super::plugin::{self, Stage};
use crate::model::kind::Obj;

impl Engine<'_> {
    /// How sure a peer of a rule is the other end.
    pub(super) fn matches(&self, number: u32, other: &Party<'_>, direction: Direction) -> Match {
        let Some(peer) = self.policies.peers.get_index(number as usize) else { return Match::No };
        if *peer == Peer::Everyone {
            return Match::Yes;
        }
        if let Some(class) = other.class {
            return match self.classes.members.get(number as usize) {
                Some((sure, _)) if sure.contains(class) => Match::Yes,
                Some((_, maybe)) if maybe.contains(class) => Match::Maybe,
                _ => Match::No,
            };
        }
        match peer {
            Peer::Everyone => Match::Yes,
            Peer::Block(b) | Peer::Networks(b) if other.internet => {
                if b.has_public() {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            Peer::Block(b) | Peer::Networks(b) => match in_block(b, &other.addresses) {
                // Cilium takes nodes for more than their addresses, unless it is told otherwise (`policyCIDRMatchMode`).
                Some(true) if self.settings.plugin == plugin::Plugin::Cilium && !self.is_outside(other) => Match::Maybe,
                // An administrator's rule about one of two addresses is not about the other.
                Some(true) if matches!(peer, Peer::Networks(_)) && !other.addresses.iter().all(|a| b.contains(*a)) => {
                    Match::Maybe
                }
                Some(true) => Match::Yes,
                Some(false) => Match::No,
                None => Match::Maybe,
            },
            // Whether a pod in the network of its node counts by its labels differs between plugins: it does on OpenShift.
            // What a node sends to pods of another node is nobody's by label, and still comes through on most.
            Peer::Pods(..) if other.host.is_some() => match direction {
                Direction::Ingress => Match::Maybe,
                Direction::Egress if self.host_labels(peer, other) => Match::Maybe,
                Direction::Egress => Match::No,
            },
            Peer::Nodes(s) if other.host.is_some() => {
                match other.host_number.and_then(|n| self.cluster.objects.nodes.get(n as usize)) {
                    Some(n) if s.matches(&n.metadata.labels) => Match::Yes,
                    Some(_) => Match::No,
                    None => Match::Maybe,
                }
            }
            Peer::Pods(..) | Peer::Nodes(_) => Match::No,
            Peer::DomainNames if other.host.is_none() => Match::Maybe,
            Peer::DomainNames => Match::No,
            Peer::ApiServer if other.stranger || other.internet => Match::No,
            Peer::ApiServer => match &self.api {
                list if list.is_empty() => Match::Maybe,
                list if other.addresses.iter().any(|a| list.contains(a)) => Match::Yes,
                _ if other.internet || other.host.is_some() || !other.addresses.is_empty() => Match::No,
                _ => Match::Maybe,
            },
            // Nodes have identities of their own; whether CIDRs mean them too is a setting of Cilium.
            Peer::Outside(b) if other.host.is_some() => match in_block(b, &other.addresses) {
                Some(false) => Match::No,
                _ => Match::Maybe,
            },
            Peer::Outside(b) if other.internet => {
                if b.has_public() {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            Peer::Outside(b) => match in_block(b, &other.addresses) {
                Some(true) if other.addresses.is_empty() => Match::Maybe,
                Some(true) => Match::Yes,
                Some(false) => Match::No,
                None => Match::Maybe,
            },
            Peer::World | Peer::Cluster | Peer::SomeNodes if other.addresses.is_empty() && !other.internet => {
                // A node without a known address is one; an end that is not known may be anything.
                match (other.host.is_some(), peer) {
                    (true, Peer::World) => Match::No,
                    (true, Peer::Cluster) => Match::Yes,
                    _ => Match::Maybe,
                }
            }
            Peer::World if other.host.is_none() => Match::Yes,
            Peer::Cluster if other.host.is_some() => Match::Yes,
            Peer::SomeNodes if other.host.is_some() => Match::Maybe,
            Peer::World | Peer::Cluster | Peer::SomeNodes => Match::No,
        }
    }

    /// Whether an end has an address that is known to be no node's.
    pub(super) fn is_outside(&self, other: &Party<'_>) -> bool {
        other.host.is_none() && !other.addresses.is_empty()
    }

    /// Whether a policy denies what the node of its pods sends to them, or may: such a rule goes before the exemption of
    /// the own node in some versions.
    pub(super) fn denied_own_node(&self, subject: &Party<'_>, peer: &Party<'_>) -> Option<(Obj, Place)> {
        let profile = self.profiles.get(subject.class? as usize)?;
        let own = profile.plugin.first().into_iter().flatten().filter_map(|n| self.policies.plugin.get(*n as usize));
        let rules = own.flat_map(|c| c.rules.first().into_iter().flatten().map(move |r| (c, r)));
        let mut denies = rules.filter(|(c, r)| c.stage == Stage::With && r.action == Action::Deny);
        let hit = denies.find(|(_, r)| r.peers.iter().any(|n| self.matches(*n, peer, Direction::Ingress) != Match::No));
        hit.map(|(c, r)| (c.object, r.place))
    }

    /// The policy that may deny what the node of a pod sends to it.
    pub fn may_deny_own_node(&self, pod: u32) -> Option<Obj> {
        let party = |e: End| Party::new(self.cluster, &self.classes.of, &self.directory, e);
        let subject = party(End::Pod(pod));
        let node = self.cluster.find(crate::model::Kind::Node, "", subject.runs_on?);
        let peer = node.map_or(Party { host: subject.runs_on, ..Party::default() }, |n| party(End::Node(n)));
        self.denied_own_node(&subject, &peer).map(|(o, _)| o)
    }

    /// Whether the labels of a pod in the network of its node would match; of an address of a node, those of any such pod.
    fn host_labels(&self, peer: &Peer, other: &Party<'_>) -> bool {
        let of_node = || other.host.and_then(|n| self.hosts.get(n)).map_or(&[][..], Vec::as_slice);
        let pods = match &other.pod {
            Some(p) => std::slice::from_ref(p),
            None => of_node(),
        };
        pods.iter().filter_map(|p| self.cluster.objects.pods.get(*p as usize)).any(|p| match peer {
            Peer::Pods(namespaces, s) => {
                s.matches(&p.metadata.labels)
                    && match namespaces {
                        super::compile::Namespaces::One(n) => *n == p.metadata.namespace,
                        super::compile::Namespaces::Labelled(s) => {
                            let ns = self.classes.namespace(&p.metadata.namespace);
                            ns.and_then(|n| self.classes.namespaces.get(n as usize))
                                .is_none_or(|n| n.matches(s) != Some(false))
                        }
                    }
            }
            _ => false,
        })
    }
}
