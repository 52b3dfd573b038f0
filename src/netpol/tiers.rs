//! The tiers of one side in their order: administrators' policies, tiers of the plugin, NetworkPolicies with what the plugin
//! puts beside them.

use super::Direction;
use super::compile::{Action, Match, OrderedRule, Place, Tiered};
use super::decide::{Effect, Engine, State};
use super::end::Party;
use super::plugin::{Compiled, Stage};
use super::ports::{Ports, Protocol};
use crate::model::kind::Obj;

/// Named ports of a destination.
pub(super) type NamedPorts = [(String, Protocol, u16)];

impl Engine<'_> {
    /// NetworkPolicies: what any rule of any policy allows is allowed, the rest is not.
    pub(super) fn standard(
        &self,
        s: &mut State<'_>,
        isolating: &[u32],
        own: &[&Compiled],
        peer: &Party<'_>,
        named: &NamedPorts,
    ) {
        let d = s.direction as usize;
        let own: Vec<&Compiled> = own.iter().copied().filter(|c| !matches!(c.stage, Stage::Tier(..))).collect();
        let of = |stage: Stage| own.iter().copied().filter(move |c| c.stage == stage);
        let isolates = !isolating.is_empty() || own.iter().any(|c| c.isolates.get(d).is_some_and(|i| *i));
        if s.live.is_empty() || own.is_empty() && isolating.is_empty() {
            return;
        }
        // A deny rule of Cilium comes before whatever allows.
        for c in of(Stage::With) {
            for r in c.rules.get(d).into_iter().flatten().filter(|r| r.action == Action::Deny) {
                self.ordered(s, c.object, r, true, peer, named);
            }
        }
        let (sure_passed, maybe_passed) = self.in_order(s, of(Stage::Before), peer, named);
        let mut passed = sure_passed.or(&maybe_passed);
        let live = if isolates { std::mem::take(&mut s.live) } else { s.live.clone() };
        let (mut sure, mut maybe) = (Ports::none(), Ports::none());
        let policies = || isolating.iter().filter_map(|n| self.policies.standard.get(*n as usize));
        for p in policies() {
            let rules = p.rules.get(s.direction as usize).and_then(Option::as_ref);
            for (n, r) in rules.into_iter().flatten().enumerate() {
                let hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
                let ports = r.ports.at(named).and(&live);
                let at = Some((p.object, Some(Place::new(s.direction, n))));
                match hit {
                    Match::Yes => {
                        s.record(Effect::Allowed, &ports, at, "the rule allows it");
                        sure = sure.or(&ports);
                    }
                    Match::Maybe => {
                        s.record(Effect::Unknown, &ports, at, "whether the rule means the other end is not known");
                        maybe = maybe.or(&ports);
                    }
                    Match::No => {}
                }
            }
        }
        for (c, r) in of(Stage::With).flat_map(|c| c.rules.get(d).into_iter().flatten().map(move |r| (c, r))) {
            let hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
            let ports = r.ports.at(named).and(&live);
            let at = Some((c.object, Some(r.place)));
            match hit.min(if r.sure { Match::Yes } else { Match::Maybe }) {
                Match::Yes if r.action == Action::Allow => {
                    s.record(Effect::Allowed, &ports, at, "the rule allows it");
                    sure = sure.or(&ports);
                }
                Match::Maybe if r.action == Action::Allow => {
                    s.record(Effect::Unknown, &ports, at, "whether the rule means the other end is not known");
                    maybe = maybe.or(&ports);
                }
                _ => {}
            }
        }
        if !isolates {
            return;
        }
        if of(Stage::After).next().is_some() {
            s.live = live.without(&sure);
            let (more, perhaps) = self.in_order(s, of(Stage::After), peer, named);
            passed = passed.or(&more).or(&perhaps);
            s.allowed = s.allowed.or(&maybe);
            maybe = maybe.and(&s.live);
        }
        let live = if of(Stage::After).next().is_some() { std::mem::take(&mut s.live).or(&sure) } else { live };
        // What other nodes send is exempt on some plugins and not on others.
        if s.direction == Direction::Ingress && peer.host.is_some() && self.settings.remote_nodes == Some(true) {
            s.record(Effect::Allowed, &live, None, "what nodes send passes");
            sure = live.clone();
        }
        if s.direction == Direction::Ingress && peer.host.is_some() && self.settings.remote_nodes.is_none() {
            let rest = live.without(&sure);
            for object in policies().map(|p| p.object).chain(own.iter().map(|c| c.object)) {
                let at = Some((object, None));
                s.record(Effect::Unknown, &rest, at, "plugins differ on traffic from another node");
            }
            maybe = live.clone();
        }
        let maybe = maybe.without(&sure);
        let rest = live.without(&sure).without(&maybe);
        let by_own = own.iter().filter(|c| c.isolates.get(d).is_some_and(|i| *i)).map(|c| c.object);
        for object in policies().map(|p| p.object).chain(by_own) {
            s.record(Effect::Denied, &rest, Some((object, None)), "it selects the pod, and no rule allows it");
        }
        // What a rule of Calico passes on from the last tier is allowed (the profile of every namespace).
        s.allowed = s.allowed.or(&sure).or(&maybe).or(&passed);
        s.denied = s.denied.or(&rest).or(&maybe);
    }

    /// Policies of Calico of one stage: the first rule that matches decides. Returns what is passed on, and what perhaps
    /// is: that stays undecided too.
    pub(super) fn in_order<'p>(
        &self,
        s: &mut State<'_>,
        policies: impl Iterator<Item = &'p Compiled>,
        peer: &Party<'_>,
        named: &NamedPorts,
    ) -> (Ports, Ports) {
        let policies: Vec<&Compiled> = policies.collect();
        let (mut sure, mut maybe) = (Ports::none(), Ports::none());
        for group in policies.chunk_by(|a, b| a.order == b.order) {
            let before = s.live.clone();
            let mut left = before.clone();
            for c in group {
                // Of several of one order each is asked.
                s.live = before.clone();
                for r in c.rules.get(s.direction as usize).into_iter().flatten() {
                    let passed = self.ordered(s, c.object, r, true, peer, named);
                    // What a rule takes for sure is no longer undecided.
                    maybe = maybe.or(&passed.and(&s.live));
                    sure = sure.or(&passed.without(&s.live));
                }
                left = left.and(&s.live);
            }
            s.live = left;
        }
        (sure, maybe)
    }

    /// Tiers of Calico before that of NetworkPolicies: what no rule of a tier decides is denied at its end, unless the
    /// tier passes it on.
    pub(super) fn tiers_of_plugin(&self, s: &mut State<'_>, own: &[&Compiled], peer: &Party<'_>, named: &NamedPorts) {
        for tier in own.chunk_by(|a, b| a.stage == b.stage) {
            let Some(Stage::Tier(_, goes_on)) = tier.first().map(|c| c.stage) else { continue };
            let (sure, maybe) = self.in_order(s, tier.iter().copied(), peer, named);
            if !goes_on {
                let rest = std::mem::take(&mut s.live);
                for c in tier {
                    let at = Some((c.object, None));
                    s.record(Effect::Denied, &rest, at, "it selects the pod, and no rule of its tier allows it");
                }
                s.denied = s.denied.or(&rest);
            }
            s.live = s.live.or(&sure).or(&maybe);
        }
    }

    /// Administrators' policies of one tier: the first rule that matches decides.
    pub(super) fn tier(&self, s: &mut State<'_>, policies: &[(&Tiered, bool)], peer: &Party<'_>, named: &NamedPorts) {
        let mut passed = Ports::none();
        for group in policies.chunk_by(|a, b| a.0.priority == b.0.priority) {
            let before = s.live.clone();
            let mut left = before.clone();
            for (t, sure) in group {
                // Which of several policies of one priority goes first is not defined: each is asked.
                s.live = before.clone();
                let rules = t.rules.get(s.direction as usize).map_or(&[][..], Vec::as_slice);
                for r in rules {
                    passed = passed.or(&self.ordered(s, t.object, r, *sure, peer, named));
                }
                left = left.and(&s.live);
            }
            s.live = left;
        }
        s.live = s.live.or(&passed);
    }

    #[allow(clippy::too_many_arguments, reason = "one rule, one side")]
    pub(super) fn ordered(
        &self,
        s: &mut State<'_>,
        policy: Obj,
        r: &OrderedRule,
        sure: bool,
        peer: &Party<'_>,
        named: &NamedPorts,
    ) -> Ports {
        let mut hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
        if !sure || !r.sure {
            hit = hit.min(Match::Maybe);
        }
        let ports = r.ports.at(named).and(&s.live);
        if hit == Match::No || ports.is_empty() {
            return Ports::none();
        }
        let (effect, why) = match (hit, r.action) {
            (Match::Maybe, _) => (Effect::Unknown, "whether the rule means the other end is not known"),
            (_, Action::Allow) => (Effect::Allowed, "the rule allows it"),
            (_, Action::Deny) => (Effect::Denied, "the rule denies it"),
            (_, Action::Pass) => (Effect::Passed, "the rule leaves it to the next tier"),
        };
        s.record(effect, &ports, Some((policy, Some(r.place))), why);
        if hit == Match::Yes {
            s.live = s.live.without(&ports);
        }
        match r.action {
            Action::Allow => s.allowed = s.allowed.or(&ports),
            Action::Deny => s.denied = s.denied.or(&ports),
            Action::Pass => return ports,
        }
        Ports::none()
    }
}
