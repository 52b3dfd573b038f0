//! What root on a node wins, and what its identity may do.

use super::ctx::{Ctx, Emit};
use super::fact::{Area, EVERYWHERE, Fact, Key, Right, Subject};
use crate::authz::node::NodeAuthorizer;
use crate::model::Version;
use crate::model::kind::{Kind, Obj};

/// Whether the node runs a static API server pod: a role label alone proves nothing.
pub fn is_control_plane(ctx: &Ctx<'_>, node: u32) -> bool {
    api_server_pod(ctx, node).is_some()
}

fn api_server_pod(ctx: &Ctx<'_>, node: u32) -> Option<Obj> {
    ctx.api_servers.get(node as usize).copied().flatten()
}

/// Emits what follows from nodes.
pub fn emit(ctx: &mut Ctx<'_>) {
    let authorizer = NodeAuthorizer::new(ctx.cluster);
    unbound(ctx);
    if let Some(o) = ctx.anchor() {
        let e = Emit::scope(Fact::Kubelets).from(Fact::Right(Right::NodesProxy, EVERYWHERE)).from(Fact::ApiReach);
        ctx.emit(e.because(o, "/metadata/name", "", "kubelets ask the API server whether a request is allowed"));
        let right = Fact::Right(Right::NodesProxyGet, EVERYWHERE);
        let e = Emit::scope(Fact::KubeletFiles).from(right).from(Fact::ApiReach);
        ctx.emit(e.because(o, "/metadata/name", "", "the API server proxies reading requests to kubelets"));
    }
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        if p.spec.node_name.is_empty() || p.finished() {
            continue;
        }
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let node = ctx.node_of(i as u32).map_or(Fact::NodeOf(i as u32), Fact::Node);
        ctx.emit(Emit::new("node-to-pods", Fact::Pod(i as u32)).from(node).because(
            o,
            "/spec/nodeName",
            p.spec.node_name.clone(),
            "the pod runs on the node",
        ));
    }
    for (i, n) in ctx.cluster.objects.nodes.iter().enumerate() {
        let i = i as u32;
        let o = Obj { kind: Kind::Node, index: i };
        let name = n.metadata.name.clone();
        let node = Fact::Node(i);
        ctx.emit(Emit::scope(Fact::ApiReach).from(node).because(
            o,
            "/metadata/name",
            name.clone(),
            "the kubelet talks to the API server",
        ));
        let user = Fact::Identity(ctx.subject(Subject::User(format!("system:node:{name}"))));
        ctx.emit(Emit::new("node-to-kubelet-identity", user).from(node).because(
            o,
            "/metadata/name",
            name.clone(),
            "the kubelet's certificate is on the node",
        ));
        // Without a container that sees files of the node, nobody asks what is in them.
        let seen = [Area::Root, Area::Kubelet, Area::KubeletOwn].map(|a| ctx.facts.find(&Fact::HostFs(i, a)).is_some());
        for area in [Area::Kubelet, Area::KubeletOwn].into_iter().filter(|_| seen.contains(&true)) {
            let f = Fact::HostFs(i, area);
            // Secret and token volumes are file systems of their own: seen through a bind mount only when mounts propagate.
            let unknown = (area == Area::Kubelet).then(|| format!("mounts-propagate:{name}"));
            ctx.emit(Emit::scope(f).from(Fact::HostFs(i, Area::Root)).maybe(unknown).because(
                o,
                "/metadata/name",
                name.clone(),
                "the file system contains the kubelet's directory",
            ));
            ctx.emit(Emit::new("hostfs-kubelet-loot", user).from(f).because(
                o,
                "/metadata/name",
                name.clone(),
                "the kubelet's certificate is in its directory",
            ));
        }
        let on_node = ctx.pods_of_node.get(i as usize).cloned().unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        for p in on_node {
            let Some(pod) = ctx.cluster.objects.pods.get(p as usize).filter(|p| !p.finished()) else { continue };
            let Some(ns) = ctx.ns(&pod.metadata.namespace).filter(|ns| seen.insert(*ns)) else { continue };
            let e = Emit::scope(Fact::LogsOn(i)).from(Fact::Right(Right::ReadLogs, ns));
            let o = Obj { kind: Kind::Pod, index: p };
            ctx.emit(e.because(o, "/spec/nodeName", name.clone(), "the pod runs on the node"));
        }
        // The log handler of the kubelet, through the API server or at its own port.
        // The log handler of the kubelet through the API server; at its own port: rules::kubelet.
        let proxied = Emit::scope(Fact::LogsOn(i)).from(Fact::KubeletFiles);
        ctx.emit(proxied.because(o, "/metadata/name", name.clone(), "the kubelet serves /var/log of the node"));
        identity_rights(ctx, &authorizer, o, &name, user, i);
        if let Some(pod) = api_server_pod(ctx, i) {
            let server = ctx.meta(pod).map(|m| m.name.clone()).unwrap_or_default();
            for k in [Key::Ca, Key::ServiceAccount] {
                let e = Emit::new("node-controlplane-loot", Fact::ControlKey(k)).from(node);
                ctx.emit(e.because(
                    pod,
                    "/spec/nodeName",
                    name.clone(),
                    "the API server runs here, and its keys are beside it",
                ));
            }
            let e = Emit::new("node-controlplane-loot", Fact::Etcd).from(node);
            ctx.emit(e.because(pod, "/spec/nodeName", name.clone(), "the API server's etcd credentials are here"));
            let e = Emit::new("hp-k8s-pki", Fact::ControlKey(Key::Ca)).from(Fact::HostFs(i, Area::Root));
            ctx.emit(e.because(
                pod,
                "/spec/nodeName",
                name.clone(),
                "the keys of the control plane are on this file system",
            ));
            let ca =
                Emit::new("key-cluster-ca", Fact::ClusterAdmin).from(Fact::ControlKey(Key::Ca)).from(Fact::ApiReach);
            ctx.emit(ca.because(pod, "/metadata/name", server.clone(), "the cluster's CA signs system:masters"));
            let sa = Emit::new("key-sa-signing", Fact::AllSa).from(Fact::ControlKey(Key::ServiceAccount));
            ctx.emit(sa.because(pod, "/metadata/name", server.clone(), "the key signs tokens of every account"));
            let etcd = Emit::new("etcd-to-all", Fact::ClusterAdmin).from(Fact::Etcd);
            ctx.emit(etcd.because(
                pod,
                "/metadata/name",
                server.clone(),
                "etcd holds every object, RBAC and Secrets included",
            ));
        }
    }
}

/// Rights of the node's identity through the pods that are bound to it.
fn identity_rights(ctx: &mut Ctx<'_>, authorizer: &NodeAuthorizer, o: Obj, name: &str, user: Fact, node: u32) {
    let Some(objects) = authorizer.objects(name) else { return };
    let rights = Fact::NodeRights(node);
    let e = Emit::scope(rights).from(user).from(Fact::ApiReach);
    ctx.emit(e.because(o, "/metadata/name", name, "the Node authorizer knows this user by the node's name"));
    for (ns, secret) in &objects.secrets {
        if let Some(s) = ctx.cluster.find(Kind::Secret, ns, secret) {
            let e = Emit::new("node-id-secrets", Fact::Secret(s)).from(rights).tier(2);
            ctx.emit(e.because(o, "/metadata/name", name, "a pod on this node refers to the Secret"));
            if ctx.facts.find(&Fact::HostFs(node, Area::Kubelet)).is_none() {
                continue;
            }
            let e = Emit::new("hostfs-kubelet-loot", Fact::Secret(s)).from(Fact::HostFs(node, Area::Kubelet));
            ctx.emit(e.because(o, "/metadata/name", name, "the Secret is mounted under the kubelet's directory"));
        }
    }
    // From 1.33 on the node gets tokens only for audiences that its pods use.
    let limited = ctx.cluster.version >= Version::minor(33);
    for (ns, account) in &objects.accounts {
        let api_token = |p: &crate::model::pod::Pod| {
            p.spec
                .volumes
                .iter()
                .flat_map(|v| &v.projected)
                .flat_map(|p| &p.sources)
                .any(|s| s.service_account_token.as_ref().is_some_and(|t| t.audience.is_empty()))
        };
        let holder = ctx
            .pods_of_node
            .get(node as usize)
            .into_iter()
            .flatten()
            .copied()
            .find(|i| {
                ctx.cluster.objects.pods.get(*i as usize).is_some_and(|p| {
                    p.metadata.namespace == *ns
                        && p.account() == account
                        && !p.is_mirror()
                        && !p.finished()
                        && (!limited || api_token(p))
                })
            })
            .map(|index| Obj { kind: Kind::Pod, index });
        let Some(pod) = holder else { continue };
        let identity = ctx.account(ns, account);
        let e = Emit::new("node-id-sa-token", identity).from(rights).tier(2);
        ctx.emit(e.because(
            pod,
            "/spec/serviceAccountName",
            account.clone(),
            "the node may request tokens for accounts of its pods",
        ));
        if ctx.facts.find(&Fact::HostFs(node, Area::Kubelet)).is_none() {
            continue;
        }
        let e = Emit::new("hostfs-kubelet-loot", identity).from(Fact::HostFs(node, Area::Kubelet));
        ctx.emit(e.because(
            pod,
            "/spec/serviceAccountName",
            account.clone(),
            "the token is mounted under the kubelet's directory",
        ));
    }
}

/// Pods without a node: those of a DaemonSet run on every node that lets them, others on one that nobody can name.
fn unbound(ctx: &mut Ctx<'_>) {
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        let lands = Fact::NodeOf(i as u32);
        if !p.spec.node_name.is_empty() || ctx.facts.find(&lands).is_none() {
            continue;
        }
        let daemon = p.metadata.controller().is_some_and(|o| o.kind == "DaemonSet");
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let fact = if daemon { Fact::AnyNode } else { Fact::UnknownNode };
        let e = Emit::scope(fact).from(lands);
        ctx.emit(e.because(o, "/metadata/name", p.metadata.path(), "the pod is not bound to a node yet"));
    }
    for (i, n) in ctx.cluster.objects.nodes.iter().enumerate() {
        let o = Obj { kind: Kind::Node, index: i as u32 };
        let e = Emit::scope(Fact::Node(i as u32)).from(Fact::UnknownNode);
        let e = e.unless_known(format!("pod-lands-on:{}", n.metadata.name));
        ctx.emit(e.because(o, "/metadata/name", n.metadata.name.clone(), "the scheduler may pick this node"));
    }
}
