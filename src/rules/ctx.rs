//! What the rules share while they emit instances.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::fact::{EVERYWHERE, Fact, Subject};
use super::technique::{SCOPE, number};
use crate::authz::Authorizer;
use crate::graph::{Builder, Evidence, FactId, Instance, Interner, Object};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj, Stored};
use crate::model::meta::Meta;

/// Packs an object reference into a graph object.
pub fn pack(o: Obj) -> Object {
    Object((o.kind as u64) << 32 | u64::from(o.index))
}

/// An object of a cloud account by number, in evidence.
pub fn cloud(index: u32) -> Obj {
    Obj { kind: Kind::CloudObject, index }
}

/// Unpacks a graph object; `None` for one that is not of this cluster.
pub fn unpack(o: Object) -> Option<Obj> {
    let kind = *Kind::TABLE.get((o.0 >> 32) as usize)?;
    Some(Obj { kind, index: o.0 as u32 })
}

/// Marks evidence whose pointer is the subject of the binding that matches the acting identity; the report fills it in.
pub const SUBJECT_POINTER: &str = "/subjects/*";

/// Instances under construction, with the interners of facts.
#[derive(Debug)]
pub struct Ctx<'c> {
    /// The cluster.
    pub cluster: &'c Cluster,
    /// Its RBAC.
    pub authz: &'c Authorizer<'c>,
    /// Graph builder.
    pub builder: Builder,
    /// Facts by number.
    pub facts: Interner<Fact>,
    /// Subjects by number.
    pub subjects: Interner<Subject>,
    /// Namespaces by number, sorted.
    pub namespaces: Vec<String>,
    namespace_index: FxHashMap<String, u32>,
    /// Namespace object of each namespace number.
    namespace_objects: Vec<Option<u32>>,
    /// Node object of each pod that runs on one.
    node_of: Vec<Option<u32>>,
    /// Audiences of tokens.
    pub audiences: Interner<String>,
    /// Pods of each node that has an object, by node number.
    pub pods_of_node: Vec<Vec<u32>>,
    /// The static API server pod of each node, if any.
    pub api_servers: Vec<Option<Obj>>,
    /// Volume with a directory of the node behind a claim, by namespace and claim: its number, the field, the path.
    pub claim_paths: BTreeMap<(String, String), (u32, &'static str, String)>,
    /// Objects by name, for rules with resourceNames.
    pub by_name: FxHashMap<(Kind, String), Vec<u32>>,
}

/// One instance being described.
#[derive(Debug)]
pub struct Emit<'a> {
    technique: u16,
    tier: u8,
    premises: SmallVec<[Fact; 2]>,
    conclusion: Fact,
    unknowns: Vec<String>,
    assumptions: Vec<&'static str>,
    evidence: Vec<(Obj, Cow<'a, str>, Cow<'a, str>, &'static str)>,
}

impl<'a> Emit<'a> {
    /// A step of a technique. Unknown ids are a programming error and become structural steps.
    pub fn new(technique: &str, conclusion: Fact) -> Self {
        let n = number(technique);
        debug_assert!(n.is_some(), "technique {technique} is not in the table");
        Emit {
            technique: n.unwrap_or(SCOPE),
            tier: 1,
            premises: SmallVec::new(),
            conclusion,
            unknowns: Vec::new(),
            assumptions: Vec::new(),
            evidence: Vec::with_capacity(2),
        }
    }

    /// A structural step.
    pub fn scope(conclusion: Fact) -> Self {
        Emit { technique: SCOPE, tier: 0, ..Emit::new("rbac-grant", conclusion) }
    }

    /// Sets the conclusion.
    pub fn to(mut self, conclusion: Fact) -> Self {
        self.conclusion = conclusion;
        self
    }

    /// Adds a premise.
    pub fn from(mut self, premise: Fact) -> Self {
        if !self.premises.contains(&premise) {
            self.premises.push(premise);
        }
        self
    }

    /// Sets the tier: 1 quiet and direct, 2 needs a new object, 3 changes the cluster visibly.
    pub fn tier(mut self, tier: u8) -> Self {
        self.tier = tier;
        self
    }

    /// Adds evidence.
    pub fn because(
        mut self,
        object: Obj,
        pointer: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
        why: &'static str,
    ) -> Self {
        self.evidence.push((object, pointer.into(), value.into(), why));
        self
    }

    /// Makes the step depend on an unknown.
    pub fn unless_known(mut self, id: impl Into<String>) -> Self {
        self.unknowns.push(id.into());
        self
    }

    /// Makes the step depend on each of several unknowns.
    pub fn unless_all_known(mut self, ids: &[String]) -> Self {
        self.unknowns.extend_from_slice(ids);
        self
    }

    /// Makes the step depend on an unknown if there is one.
    pub fn maybe(self, id: Option<String>) -> Self {
        match id {
            Some(id) => self.unless_known(id),
            None => self,
        }
    }

    /// Makes the step depend on an assumption.
    pub fn assuming(mut self, name: &'static str) -> Self {
        self.assumptions.push(name);
        self
    }
}

impl<'c> Ctx<'c> {
    /// Starts with an empty graph.
    pub fn new(cluster: &'c Cluster, authz: &'c Authorizer<'c>) -> Self {
        let mut names: std::collections::BTreeSet<String> =
            cluster.namespace_names().into_iter().map(str::to_owned).collect();
        names.extend(authz.grants().iter().map(|g| g.namespace().to_owned()).filter(|n| !n.is_empty()));
        let namespaces: Vec<String> = names.into_iter().collect();
        let namespace_index = namespaces.iter().enumerate().map(|(i, n)| (n.clone(), i as u32)).collect();
        let mut by_name: FxHashMap<(Kind, String), Vec<u32>> = FxHashMap::default();
        for kind in [Kind::Secret, Kind::Pod, Kind::ServiceAccount, Kind::Service, Kind::NetworkPolicy] {
            for i in 0..cluster.objects.len(kind) {
                if let Some(m) = cluster.objects.meta(kind, i) {
                    by_name.entry((kind, m.name.clone())).or_default().push(i as u32);
                }
            }
        }
        let namespace_objects = names_to_numbers(&cluster.objects.namespaces, namespaces.iter().map(String::as_str));
        let node_of =
            names_to_numbers(&cluster.objects.nodes, cluster.objects.pods.iter().map(|p| p.spec.node_name.as_str()));
        let mut pods_of_node = vec![Vec::new(); cluster.objects.nodes.len()];
        let mut api_servers = vec![None; cluster.objects.nodes.len()];
        for ((i, p), node) in cluster.objects.pods.iter().enumerate().zip(&node_of) {
            let Some(n) = *node else { continue };
            if let Some(list) = pods_of_node.get_mut(n as usize) {
                list.push(i as u32);
            }
            if p.is_api_server()
                && let Some(slot) = api_servers.get_mut(n as usize)
            {
                *slot = Some(Obj { kind: Kind::Pod, index: i as u32 });
            }
        }
        let mut claim_paths = BTreeMap::new();
        for (i, p) in
            cluster.objects.persistent_volumes.iter().enumerate().filter(|(_, p)| p.spec.volume_mode != "Block")
        {
            let (Some(claim), Some((field, source))) = (
                &p.spec.claim_ref,
                (p.spec.host_path.as_ref().map(|h| ("/spec/hostPath/path", h))).or(p
                    .spec
                    .local
                    .as_ref()
                    .map(|l| ("/spec/local/path", l))),
            ) else {
                continue;
            };
            let key = (claim.namespace.clone(), claim.name.clone());
            claim_paths.insert(key, (i as u32, field, source.path.clone()));
        }
        Ctx {
            claim_paths,
            pods_of_node,
            api_servers,
            cluster,
            authz,
            builder: Builder::with_capacity(expected_instances(cluster)),
            facts: Interner::default(),
            subjects: Interner::default(),
            namespaces,
            namespace_index,
            namespace_objects,
            node_of,
            audiences: Interner::default(),
            by_name,
        }
    }

    /// Number of a namespace; `None` for one that nothing mentions.
    pub fn ns(&self, name: &str) -> Option<u32> {
        self.namespace_index.get(name).copied()
    }

    /// Name of a namespace number; empty for the whole cluster.
    pub fn ns_name(&self, ns: u32) -> &str {
        if ns == EVERYWHERE { "" } else { self.namespaces.get(ns as usize).map_or("", String::as_str) }
    }

    /// The Namespace object of a namespace number; `None` where it was not read.
    pub fn namespace_object(&self, ns: u32) -> Option<Obj> {
        let index = (*self.namespace_objects.get(ns as usize)?)?;
        Some(Obj { kind: Kind::Namespace, index })
    }

    /// The Node object that a pod runs on; `None` for a pod without a node, or on one that was not read.
    pub fn node_of(&self, pod: u32) -> Option<u32> {
        self.node_of.get(pod as usize).copied().flatten()
    }

    /// Number of a subject.
    pub fn subject(&mut self, s: Subject) -> u32 {
        self.subjects.id(&s)
    }

    /// The fact of acting as a service account.
    pub fn account(&mut self, namespace: &str, name: &str) -> Fact {
        Fact::Identity(self.subject(Subject::ServiceAccount(namespace.to_owned(), name.to_owned())))
    }

    /// An object that stands for the whole cluster in evidence: the namespace kube-system, else the first namespace.
    pub fn anchor(&self) -> Option<Obj> {
        let index = self.cluster.find(Kind::Namespace, "", "kube-system").unwrap_or(0);
        self.cluster.objects.namespaces.get(index as usize).map(|_| Obj { kind: Kind::Namespace, index })
    }

    /// Metadata of an object.
    pub fn meta(&self, o: Obj) -> Option<&'c Meta> {
        self.cluster.meta(o)
    }

    /// Numbers a fact.
    pub fn fact(&mut self, f: Fact) -> FactId {
        FactId(self.facts.id(&f))
    }

    /// Emits an instance.
    pub fn emit(&mut self, e: Emit<'_>) {
        let premises = e.premises.iter().map(|f| FactId(self.facts.id(f))).collect();
        let conclusion = FactId(self.facts.id(&e.conclusion));
        let mut unknowns: Vec<u32> = e.unknowns.iter().map(|u| self.builder.graph.unknowns.id(u)).collect();
        unknowns.sort_unstable();
        unknowns.dedup();
        let assumptions = e.assumptions.iter().map(|a| self.builder.graph.assumptions.id(*a)).collect();
        let evidence = e
            .evidence
            .iter()
            .map(|(o, pointer, value, why)| Evidence {
                object: pack(*o),
                pointer: self.builder.text(pointer),
                value: self.builder.text(value),
                why,
            })
            .collect();
        self.builder.add(Instance {
            premises,
            conclusion,
            technique: e.technique,
            tier: e.tier,
            unknowns: unknowns.into(),
            assumptions,
            evidence,
        });
    }
}

/// About how many instances a cluster gives; wrong is only slower.
fn expected_instances(cluster: &Cluster) -> usize {
    let o = &cluster.objects;
    [o.pods.len(), o.service_accounts.len(), o.secrets.len()]
        .into_iter()
        .fold(0usize, |n, x| n.saturating_add(x.saturating_mul(8)))
}

/// Numbers of cluster-scoped objects by name, for each of many names: one hash look-up each, where a search would
/// compare names of a common beginning a dozen times.
fn names_to_numbers<'a, T: Stored>(list: &[T], names: impl Iterator<Item = &'a str>) -> Vec<Option<u32>> {
    let numbers: FxHashMap<&str, u32> = list.iter().zip(0u32..).map(|(o, i)| (o.meta().name.as_str(), i)).collect();
    names.map(|n| numbers.get(n).copied()).collect()
}
