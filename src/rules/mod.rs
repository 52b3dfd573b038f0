//! Techniques: each asks the engines and emits rule instances.

pub mod attract;
pub mod aws;
pub mod azure;
pub mod binding;
pub mod combos;
pub mod container;
pub mod ctx;
pub mod entry;
pub mod fact;
pub mod federation;
pub mod gcp;
pub mod grants;
pub mod hijack;
pub mod hostpath;
pub mod kubelet;
pub mod lateral;
pub mod metadata;
pub mod network;
pub mod node;
pub mod rows;
pub mod scopes;
pub mod table;
pub mod technique;

use crate::authz::Authorizer;
use crate::graph::{FactId, Graph, Interner};
use crate::model::Cluster;
use crate::netpol::network::Network;
use ctx::Ctx;
use fact::{Fact, Subject};

/// The attack graph of a cluster, with the meaning of its numbers.
#[derive(Debug)]
pub struct Attack {
    /// Facts and instances.
    pub graph: Graph,
    /// Facts by number.
    pub facts: Interner<Fact>,
    /// Subjects by number.
    pub subjects: Interner<Subject>,
    /// Namespaces by number.
    pub namespaces: Vec<String>,
    /// Audiences by number.
    pub audiences: Interner<String>,
    /// Bindings by number: the object and what it says.
    pub grants: Vec<crate::model::Obj>,
    /// Repositories of images by number. Those that nobody is known to push to have facts only where the threat model says
    /// that they can be written.
    pub repositories: Vec<String>,
}

impl Attack {
    /// Number of a fact that some rule mentions.
    pub fn id(&self, fact: Fact) -> Option<FactId> {
        self.facts.find(&fact).map(FactId)
    }

    /// The fact of a number.
    pub fn fact(&self, id: FactId) -> Option<Fact> {
        self.facts.get(id.0).copied()
    }
}

/// The facts that selectors of pods and nodes stand for, without any rule: enough for questions that need no path.
pub fn vocabulary(cluster: &Cluster) -> Attack {
    let mut facts = Interner::default();
    facts.id(&Fact::Internet);
    for i in 0..cluster.objects.pods.len() as u32 {
        facts.id(&Fact::Pod(i));
    }
    for i in 0..cluster.objects.nodes.len() as u32 {
        facts.id(&Fact::Node(i));
    }
    // What is no end of a connection is told so, not that it does not exist.
    for i in 0..cluster.objects.secrets.len() as u32 {
        facts.id(&Fact::Secret(i));
    }
    let count = facts.values().len();
    Attack {
        graph: crate::graph::Builder::default().finish(count),
        facts,
        subjects: Interner::default(),
        namespaces: Vec::new(),
        audiences: Interner::default(),
        grants: Vec::new(),
        repositories: Vec::new(),
    }
}

/// Builds the attack graph for the threat model of every question but those that need what [`build_for`] adds.
pub fn build(cluster: &Cluster) -> Attack {
    build_for(cluster, &std::collections::BTreeSet::new())
}

/// Builds the attack graph. Connections between pods are part of it only under [`lateral::LATERAL`]: without that
/// assumption they lead nowhere, and there are many.
pub fn build_for(cluster: &Cluster, assumptions: &std::collections::BTreeSet<String>) -> Attack {
    let possible = binding::hypothetical(cluster, &Authorizer::new(cluster));
    let authz = Authorizer::with_hypothetical(cluster, &possible);
    let mut ctx = Ctx::new(cluster, &authz);
    ctx.fact(Fact::Internet);
    ctx.fact(Fact::ClusterAdmin);
    ctx.fact(Fact::ApiReach);
    ctx.fact(Fact::AllSecrets);
    let classes = grants::emit(&mut ctx);
    combos::emit(&mut ctx, &classes);
    scopes::emit(&mut ctx);
    container::emit(&mut ctx);
    node::emit(&mut ctx);
    let network = Network::new(cluster);
    network::emit(&mut ctx, &network);
    kubelet::emit(&mut ctx, &network);
    hijack::emit(&mut ctx, &network);
    entry::emit(&mut ctx, &network);
    aws::emit(&mut ctx, &network);
    gcp::emit(&mut ctx, &network);
    azure::emit(&mut ctx, &network);
    let repositories = entry::repositories(cluster);
    aws::images(&mut ctx, &repositories);
    if assumptions.contains(entry::IMAGES) {
        entry::images(&mut ctx, &repositories);
    }
    if assumptions.contains(lateral::LATERAL) {
        lateral::emit(&mut ctx, &network);
    }
    attract::emit(&mut ctx);
    // Every object that a question may name has a fact, whether or not a rule mentions it.
    for i in 0..cluster.objects.pods.len() as u32 {
        ctx.fact(Fact::Pod(i));
        let ordinals: Vec<u16> = cluster
            .objects
            .pods
            .get(i as usize)
            .map(|p| p.running_containers().map(|c| c.ordinal).collect())
            .unwrap_or_default();
        for c in ordinals {
            ctx.fact(Fact::Exec(i, c));
        }
    }
    (0..cluster.objects.secrets.len() as u32).for_each(|i| {
        ctx.fact(Fact::Secret(i));
    });
    (0..cluster.objects.nodes.len() as u32).for_each(|i| {
        ctx.fact(Fact::Node(i));
    });
    let grants = authz.grants().iter().map(|g| g.object).collect();
    let count = ctx.facts.values().len();
    Attack {
        graph: ctx.builder.finish(count),
        facts: ctx.facts,
        subjects: ctx.subjects,
        namespaces: ctx.namespaces,
        audiences: ctx.audiences,
        grants,
        repositories,
    }
}
