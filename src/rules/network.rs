//! Where pods connect to: the API server, and each other.

use rustc_hash::FxHashMap;

use super::ctx::{Ctx, Emit};
use super::fact::Fact;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;
use crate::netpol::network::{Allowed, Judged, Network};
use crate::netpol::{Direction, Effect, End};

/// Emits the ways of pods to the API server.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let mut known: FxHashMap<u32, Judged> = FxHashMap::default();
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let containers: Vec<u16> = p.running_containers().map(|c| c.ordinal).collect();
        if containers.is_empty() {
            continue;
        }
        let class = network.engine.classes().of.get(i).copied().flatten();
        let judged = match class {
            // The pods of a class are alike to every policy.
            Some(c) => known.entry(c).or_insert_with(|| network.to_api_server(End::Pod(i as u32))).clone(),
            None => network.to_api_server(End::Pod(i as u32)),
        };
        for id in judged.ways() {
            for ordinal in &containers {
                let e = Emit::scope(Fact::ApiReach).from(Fact::Exec(i as u32, *ordinal)).maybe(id.clone());
                ctx.emit(evidence(e, &judged, o, p));
            }
        }
    }
}

/// The policies that decide, or that none does.
fn evidence<'a>(mut e: Emit<'a>, judged: &Judged, o: Obj, p: &'a Pod) -> Emit<'a> {
    let mut cited = false;
    for x in judged.events.iter().filter(|x| x.direction == Direction::Egress) {
        let unknown = judged.allowed == Allowed::Unknown;
        let Some(policy) = x.policy.filter(|_| unknown || x.effect != Effect::Denied) else { continue };
        cited = true;
        let pointer = x.rule.map_or("/spec".to_owned(), |r| r.pointer());
        e = e.because(policy, pointer, x.ports.to_string(), x.why);
        // One rule that allows is enough; what is unknown may take several.
        if judged.allowed == Allowed::Yes {
            break;
        }
    }
    if cited {
        return e;
    }
    let why = if p.spec.host_network {
        "policies do not limit the network of the node"
    } else {
        "no policy limits what the pod may connect to"
    };
    e.because(o, "/metadata/namespace", p.metadata.namespace.clone(), why)
}
