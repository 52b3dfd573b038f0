//! Ways in from the internet: what is published, and rights of anonymous callers.

use super::ctx::{Ctx, Emit};
use super::fact::{Fact, Subject};
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;
use crate::netpol::exposure::{Publicity, Way, exposures};
use crate::netpol::network::Network;

/// Assumption under which what the internet reaches can be compromised.
pub const EXPOSED: &str = "exposed-workloads-exploitable";

/// Emits the ways in.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    for e in exposures(ctx.cluster, network).into_iter().filter(|e| e.publicity != Publicity::Internal) {
        let emit = Emit::new(technique(e.way), Fact::Reach(e.pod)).from(Fact::Internet);
        let emit = e.unknowns.into_iter().fold(emit, |x, id| x.unless_known(id));
        ctx.emit(e.hops.into_iter().fold(emit, |x, h| x.because(h.object, h.pointer, h.value, h.why)));
    }
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..) {
        let reach = Fact::Reach(i);
        if ctx.facts.find(&reach).is_some() {
            exploit(ctx, i, p, reach, EXPOSED);
        }
    }
    anonymous(ctx);
}

/// Code in the containers that serve, for one who connects to the pod.
pub(super) fn exploit(ctx: &mut Ctx<'_>, index: u32, p: &Pod, reach: Fact, assumption: &'static str) {
    // Containers that declare ports serve; without any declaration every container may.
    let declared = p.running_containers().any(|x| !x.container.ports.is_empty());
    for c in p.running_containers().filter(|c| !declared || !c.container.ports.is_empty()) {
        let e = Emit::new("entry-app-exploit", Fact::Exec(index, c.ordinal)).from(reach).assuming(assumption);
        let why = match assumption {
            EXPOSED => "the application is reachable from the internet",
            _ => "the application is reachable from another pod",
        };
        let o = Obj { kind: Kind::Pod, index };
        ctx.emit(e.because(o, format!("{}/image", c.pointer()), c.container.image.clone(), why));
    }
}

/// The technique of a way in.
fn technique(way: Way) -> &'static str {
    match way {
        Way::LoadBalancer => "entry-loadbalancer",
        Way::NodePort => "entry-nodeport",
        Way::ExternalIp => "entry-externalip",
        Way::HostPort => "entry-hostport",
        Way::HostNetwork => "entry-hostnetwork-listen",
        Way::Ingress => "entry-ingress",
        Way::Gateway => "entry-gateway-route",
    }
}

/// Anonymous callers are a user of their own; bindings beyond the defaults give it rights.
fn anonymous(ctx: &mut Ctx<'_>) {
    let binding = ctx
        .authz
        .user_grants("system:anonymous")
        .iter()
        .chain(ctx.authz.group_grants("system:unauthenticated"))
        .filter(|(id, _)| !super::grants::harmless(ctx, *id))
        .filter_map(|(id, n)| ctx.authz.grant(*id).map(|g| (g.object, *n, g.binding.role_ref.name.clone())))
        .next();
    let Some((object, n, role)) = binding else { return };
    let user = Fact::Identity(ctx.subject(Subject::User("system:anonymous".into())));
    let e = Emit::new("entry-anonymous-binding", user).from(Fact::ApiReach);
    ctx.emit(e.because(
        object,
        format!("/subjects/{n}"),
        role,
        "the binding gives rights to callers without a credential",
    ));
    let e = Emit::new("entry-apiserver-public", Fact::ApiReach).from(Fact::Internet).unless_known("api-server-public");
    ctx.emit(e.because(object, "/metadata/name", "", "the API server may be reachable from the internet"));
}
