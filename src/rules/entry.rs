//! Ways in from the internet: what is published, and rights of anonymous callers.

use std::collections::{BTreeMap, BTreeSet};

use super::ctx::{Ctx, Emit};
use super::fact::{Fact, Subject};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::platform::{Console, open_console};
use crate::model::pod::Pod;
use crate::netpol::exposure::{Exposure, Publicity, Way, exposures};
use crate::netpol::network::Network;

/// Assumption under which what the internet reaches can be compromised.
pub const EXPOSED: &str = "exposed-workloads-exploitable";

/// Assumption under which the attacker can push to the repository of an image; a start `image/REPOSITORY` says so.
pub const IMAGES: &str = "images-writable";

/// Emits the ways in.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let published: Vec<Exposure> =
        exposures(ctx.cluster, network).into_iter().filter(|e| e.publicity != Publicity::Internal).collect();
    bypass(ctx, &published);
    for e in published {
        let emit = Emit::new(technique(e.way), Fact::Reach(e.pod)).from(Fact::Internet);
        let emit = e.unknowns.into_iter().fold(emit, |x, id| x.unless_known(id));
        ctx.emit(e.hops.into_iter().fold(emit, |x, h| x.because(h.object, h.pointer, h.value, h.why)));
    }
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..) {
        let reach = Fact::Reach(i);
        if ctx.facts.find(&reach).is_some() {
            console(ctx, i, p, reach);
            exploit(ctx, i, p, reach, EXPOSED);
        }
    }
    anonymous(ctx);
}

/// The annotation by which a controller asks for a login, if one is there.
fn login(ctx: &Ctx<'_>, e: &Exposure) -> Option<(&'static str, String)> {
    const KEYS: [&str; 4] = [
        "nginx.ingress.kubernetes.io/auth-url",
        "nginx.ingress.kubernetes.io/auth-type",
        "nginx.ingress.kubernetes.io/auth-tls-secret",
        "alb.ingress.kubernetes.io/auth-type",
    ];
    let all = &ctx.meta(e.entry).filter(|_| e.way == Way::Ingress)?.annotations;
    KEYS.into_iter().find_map(|k| Some((k, all.get(k).filter(|v| !v.is_empty() && *v != "none")?.clone())))
}

/// Pods behind a login that another way in does not ask for.
fn bypass(ctx: &mut Ctx<'_>, all: &[Exposure]) {
    let mut guarded: BTreeMap<u32, (Obj, &'static str, String)> = BTreeMap::new();
    for e in all {
        if let Some((key, value)) = login(ctx, e) {
            guarded.entry(e.pod).or_insert((e.entry, key, value));
        }
    }
    for e in all {
        let Some((o, key, value)) = guarded.get(&e.pod).filter(|_| login(ctx, e).is_none()) else { continue };
        let emit = Emit::new("entry-auth-bypass-route", Fact::Reach(e.pod)).from(Fact::Internet);
        let emit = emit.unless_all_known(&e.unknowns);
        let pointer = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        let emit = emit.because(*o, pointer, value.clone(), "the other way in asks for a login");
        ctx.emit(e.hops.iter().fold(emit, |x, h| x.because(h.object, h.pointer.clone(), h.value.clone(), h.why)));
    }
}

/// Consoles without a login of their own do what they are for, for everyone who connects.
fn console(ctx: &mut Ctx<'_>, index: u32, p: &Pod, reach: Fact) {
    for c in p.running_containers() {
        let Some((argument, what)) =
            open_console(&c.container.image, c.container.args.iter().chain(&c.container.command))
        else {
            continue;
        };
        let fact = match what {
            Console::Code => Fact::Exec(index, c.ordinal),
            Console::Account => ctx.account(&p.metadata.namespace, p.account()),
        };
        let o = Obj { kind: Kind::Pod, index };
        let e = Emit::new("entry-exposed-console", fact).from(reach);
        let image = c.container.image.clone();
        let e = e.because(o, format!("{}/image", c.pointer()), image, "the image is that of a console");
        let field = if c.container.args.contains(argument) { "args" } else { "command" };
        let pointer = format!("{}/{field}", c.pointer());
        ctx.emit(e.because(o, pointer, argument.clone(), "the argument switches the login off"));
    }
}

/// Repositories of images that containers run, sorted.
pub fn repositories(cluster: &Cluster) -> Vec<String> {
    let all = cluster.objects.pods.iter().flat_map(Pod::running_containers);
    let all: BTreeSet<String> =
        all.map(|c| repository(&c.container.image).to_owned()).filter(|r| !r.is_empty()).collect();
    all.into_iter().collect()
}

/// An image without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(n, _)| n);
    let last = name.rfind('/').map_or(0, |n| n.saturating_add(1));
    match name.get(last..).and_then(|l| l.find(':')) {
        Some(n) => name.get(..last.saturating_add(n)).unwrap_or(name),
        None => name,
    }
}

/// Containers whose image can be replaced where it comes from: by a tag, not by a digest.
pub fn images(ctx: &mut Ctx<'_>, repositories: &[String]) {
    for n in 0..repositories.len() as u32 {
        ctx.fact(Fact::ImageWrite(n));
    }
    pulls(ctx, repositories, true, &|_| true);
}

/// The same where a rule says who can push: no assumption is needed.
pub fn replaced(ctx: &mut Ctx<'_>, repositories: &[String], writable: &dyn Fn(u32) -> bool) {
    pulls(ctx, repositories, false, writable);
}

fn pulls(ctx: &mut Ctx<'_>, repositories: &[String], assumed: bool, writable: &dyn Fn(u32) -> bool) {
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..) {
        for c in p.running_containers().filter(|c| !c.container.image.contains("@sha256:")) {
            let name = repository(&c.container.image);
            let Ok(n) = repositories.binary_search_by(|r| r.as_str().cmp(name)) else { continue };
            if !writable(n as u32) {
                continue;
            }
            let e = Emit::new("entry-compromised-image", Fact::Exec(i, c.ordinal)).from(Fact::ImageWrite(n as u32));
            let e = if assumed { e.assuming(IMAGES) } else { e };
            let e = e.tier(2).unless_known(format!("image-pulled:{name}"));
            let image = c.container.image.clone();
            let o = Obj { kind: Kind::Pod, index: i };
            ctx.emit(e.because(o, format!("{}/image", c.pointer()), image, "the image has no digest"));
        }
    }
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
