//! Where pods connect to: the API server, and each other.

use rustc_hash::FxHashMap;

use super::ctx::{Ctx, Emit};
use super::fact::Fact;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;
use crate::netpol::network::{Allowed, CNI_ENFORCES, Judged, Network};
use crate::netpol::ports::Ports;
use crate::netpol::targets::api_server;
use crate::netpol::{Direction, Effect, End};

/// Unknown whether the plugin looks at the address of a Service before it is translated.
const SEES_SERVICE: &str = "cni-sees-service-address";

/// Emits the ways of pods to the API server.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let targets = targets(ctx);
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
            Some(c) => known.entry(c).or_insert_with(|| to_api(ctx, network, &targets, i as u32)).clone(),
            None => to_api(ctx, network, &targets, i as u32),
        };
        if judged.allowed == Allowed::No {
            continue;
        }
        // Either it is not settled that policies forbid it, or they are not enforced.
        let enforced = [CNI_ENFORCES.to_owned()];
        let twice = judged.unenforced && judged.unknowns != enforced;
        let ways = std::iter::once(judged.unknowns.as_slice()).chain(twice.then_some(&enforced[..]));
        for ids in ways {
            for ordinal in &containers {
                let e = Emit::scope(Fact::ApiReach).from(Fact::Exec(i as u32, *ordinal));
                let e = ids.iter().fold(e, |e, id| e.unless_known(id.clone()));
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
        let pointer = x.rule.map_or("/spec/podSelector".to_owned(), |r| format!("/spec/egress/{r}"));
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

/// Where the API server listens: behind the address of the Service `kubernetes`, as policies see it, and that address.
struct Targets {
    endpoints: Vec<(End, Ports)>,
    service: Option<End>,
}

fn targets(ctx: &Ctx<'_>) -> Targets {
    let usual =
        Ports::one(crate::netpol::ports::Protocol::Tcp, 443).or(&Ports::one(crate::netpol::ports::Protocol::Tcp, 6443));
    let mut endpoints: Vec<(End, Ports)> =
        api_server(ctx.cluster).into_iter().map(|(a, (ports, _))| (End::Address(a), ports)).collect();
    if endpoints.is_empty() {
        let pods = ctx.api_servers.iter().flatten().map(|o| (End::Pod(o.index), usual.clone()));
        endpoints.extend(pods);
    }
    if endpoints.is_empty() {
        endpoints.push((End::Somewhere, usual));
    }
    let service = ctx.cluster.find(Kind::Service, "default", "kubernetes");
    let service = service.and_then(|s| ctx.cluster.objects.services.get(s as usize));
    let service = service.and_then(|s| s.spec.cluster_ip.parse().ok()).map(End::Address);
    Targets { endpoints, service }
}

fn to_api(_ctx: &Ctx<'_>, network: &Network<'_>, targets: &Targets, pod: u32) -> Judged {
    let from = End::Pod(pod);
    let all = targets.endpoints.iter().map(|(to, ports)| network.judge(from, *to, ports));
    let best = all.reduce(|a, b| if b.allowed > a.allowed { b } else { a });
    let best = best.unwrap_or_else(|| network.judge(from, End::Somewhere, &Ports::all()));
    if best.allowed == Allowed::No
        && let Some(service) = targets.service
    {
        let https = Ports::one(crate::netpol::ports::Protocol::Tcp, 443);
        let by_service = network.judge(from, service, &https);
        if by_service.allowed != Allowed::No {
            return Judged { allowed: Allowed::Unknown, unknowns: vec![SEES_SERVICE.to_owned()], ..by_service };
        }
    }
    best
}
