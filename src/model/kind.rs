//! The table of kinds that kpath reads, and the typed store that holds their objects.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admission::{AdmissionPolicy, AdmissionPolicyBinding, WebhookConfiguration};
use super::cloud::CloudObject;
use super::gateway::{Gateway, GatewayClass, ReferenceGrant, Route};
use super::meta::Meta;
use super::network::*;
use super::objects::*;
use super::plugin_policy::{NetworkSet, PluginPolicy, Tier};
use super::pod::Pod;
use super::policy::{AdminPolicy, NetworkPolicy};
use super::rbac::{Binding, Role};

/// What missing data of a kind could hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// An object could add a path: a missing kind turns *no* into *unknown*.
    Adds,
    /// An object could only block a path: a missing kind turns *yes* into *unknown*.
    Blocks,
    /// Objects only refine evidence or other answers.
    Refines,
}

/// Static facts about a kind.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Kind as written in manifests.
    pub kind: &'static str,
    /// API group, empty for core.
    pub group: &'static str,
    /// Version that kpath lists.
    pub version: &'static str,
    /// Plural resource name.
    pub resource: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What a missing kind could hide.
    pub effect: Effect,
    /// Whether a cluster may lack the kind altogether.
    pub optional: bool,
}

macro_rules! kinds {
    ($($kind:ident $group:literal $version:literal $resource:literal $ns:literal $effect:ident $opt:literal $field:ident $ty:ty;)*) => {
        /// A kind that kpath reads. The order is the order of files in a snapshot.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each variant is the Kubernetes kind of that name")]
        pub enum Kind { $($kind),* }

        impl Kind {
            /// Every kind in table order, the one for objects of a cloud account last.
            pub const TABLE: &'static [Kind] = &[$(Kind::$kind),*];

            /// Every kind of Kubernetes objects, in table order.
            pub const ALL: &'static [Kind] = match Self::TABLE.split_last() {
                Some((_, rest)) => rest,
                None => &[],
            };

            /// Static facts about the kind.
            pub fn info(self) -> KindInfo {
                match self {
                    $(Kind::$kind => KindInfo { kind: stringify!($kind), group: $group, version: $version,
                        resource: $resource, namespaced: $ns, effect: Effect::$effect, optional: $opt }),*
                }
            }
        }

        /// Objects of every kind, each reduced and free of secret values.
        #[derive(Debug, Clone, Default)]
        #[allow(missing_docs, reason = "each field holds the objects of the kind of that name")]
        pub struct Objects { $(pub $field: Vec<$ty>),* }

        impl Objects {
            /// Adds one object given as JSON with nulls removed.
            ///
            /// # Errors
            /// The message of the JSON decoder when a field has the wrong type.
            pub fn push(&mut self, kind: Kind, value: Value) -> Result<(), String> {
                match kind {
                    $(Kind::$kind => {
                        let mut object: $ty = decode(value)?;
                        object.reduce();
                        self.$field.push(object);
                    })*
                }
                Ok(())
            }

            /// Adds one object from a snapshot line.
            ///
            /// # Errors
            /// The message of the JSON decoder.
            pub fn push_line(&mut self, kind: Kind, line: &str) -> Result<(), String> {
                match kind {
                    $(Kind::$kind => self.$field.push(serde_json::from_str(line).map_err(|e| super::decode::redact(&e.to_string()))?)),*
                }
                Ok(())
            }

            /// Makes room for so many objects of a kind, if there is memory: a list that grows by doubling is copied
            /// again and again.
            pub fn reserve(&mut self, kind: Kind, count: usize) {
                let _ = match kind { $(Kind::$kind => self.$field.try_reserve(count)),* };
            }

            /// Takes over the objects of another list.
            pub fn append(&mut self, mut other: Objects) {
                $(self.$field.append(&mut other.$field);)*
            }

            /// Snapshot lines of a kind, in stored order.
            pub fn lines(&self, kind: Kind) -> Vec<String> {
                match kind {
                    $(Kind::$kind => self.$field.iter().filter_map(|o| serde_json::to_string(o).ok()).collect()),*
                }
            }

            /// One object as JSON, in the form of a snapshot line.
            pub fn json(&self, kind: Kind, index: usize) -> Option<serde_json::Value> {
                match kind {
                    $(Kind::$kind => self.$field.get(index).and_then(|o| serde_json::to_value(o).ok())),*
                }
            }

            /// Number of objects of a kind.
            pub fn len(&self, kind: Kind) -> usize {
                match kind { $(Kind::$kind => self.$field.len()),* }
            }

            /// Metadata of one object.
            pub fn meta(&self, kind: Kind, index: usize) -> Option<&Meta> {
                match kind { $(Kind::$kind => self.$field.get(index).map(|o| o.meta())),* }
            }

            /// Sorts every kind by namespace and name and keeps one copy of an object that came twice:
            /// the higher resourceVersion, else the later one. Returns how many copies were dropped, by kind.
            pub fn normalise(&mut self) -> BTreeMap<Kind, usize> {
                let mut dropped = BTreeMap::new();
                $(
                    let n = dedupe(&mut self.$field);
                    if n > 0 { dropped.insert(Kind::$kind, n); }
                )*
                dropped
            }
        }
    };
}

kinds! {
    Namespace "" "v1" "namespaces" false Adds false namespaces MetaOnly;
    Node "" "v1" "nodes" false Adds false nodes Node;
    Pod "" "v1" "pods" true Adds false pods Pod;
    ServiceAccount "" "v1" "serviceaccounts" true Adds false service_accounts ServiceAccount;
    Secret "" "v1" "secrets" true Adds false secrets Secret;
    ConfigMap "" "v1" "configmaps" true Refines false config_maps ConfigMap;
    Role "rbac.authorization.k8s.io" "v1" "roles" true Adds false roles Role;
    RoleBinding "rbac.authorization.k8s.io" "v1" "rolebindings" true Adds false role_bindings Binding;
    ClusterRole "rbac.authorization.k8s.io" "v1" "clusterroles" false Adds false cluster_roles Role;
    ClusterRoleBinding "rbac.authorization.k8s.io" "v1" "clusterrolebindings" false Adds false cluster_role_bindings Binding;
    Service "" "v1" "services" true Adds false services Service;
    EndpointSlice "discovery.k8s.io" "v1" "endpointslices" true Refines false endpoint_slices EndpointSlice;
    Ingress "networking.k8s.io" "v1" "ingresses" true Adds false ingresses Ingress;
    IngressClass "networking.k8s.io" "v1" "ingressclasses" false Refines false ingress_classes IngressClass;
    GatewayClass "gateway.networking.k8s.io" "v1" "gatewayclasses" false Refines true gateway_classes GatewayClass;
    Gateway "gateway.networking.k8s.io" "v1" "gateways" true Adds true gateways Gateway;
    ListenerSet "gateway.networking.k8s.io" "v1" "listenersets" true Adds true listener_sets Gateway;
    HTTPRoute "gateway.networking.k8s.io" "v1" "httproutes" true Adds true http_routes Route;
    GRPCRoute "gateway.networking.k8s.io" "v1" "grpcroutes" true Adds true grpc_routes Route;
    TLSRoute "gateway.networking.k8s.io" "v1" "tlsroutes" true Adds true tls_routes Route;
    TCPRoute "gateway.networking.k8s.io" "v1alpha2" "tcproutes" true Adds true tcp_routes Route;
    UDPRoute "gateway.networking.k8s.io" "v1alpha2" "udproutes" true Adds true udp_routes Route;
    ReferenceGrant "gateway.networking.k8s.io" "v1beta1" "referencegrants" true Adds true reference_grants ReferenceGrant;
    NetworkPolicy "networking.k8s.io" "v1" "networkpolicies" true Blocks false network_policies NetworkPolicy;
    AdminNetworkPolicy "policy.networking.k8s.io" "v1alpha1" "adminnetworkpolicies" false Blocks true admin_network_policies AdminPolicy;
    BaselineAdminNetworkPolicy "policy.networking.k8s.io" "v1alpha1" "baselineadminnetworkpolicies" false Blocks true baseline_admin_network_policies AdminPolicy;
    ClusterNetworkPolicy "policy.networking.k8s.io" "v1alpha2" "clusternetworkpolicies" false Blocks true cluster_network_policies AdminPolicy;
    CiliumNetworkPolicy "cilium.io" "v2" "ciliumnetworkpolicies" true Blocks true cilium_network_policies PluginPolicy;
    CiliumClusterwideNetworkPolicy "cilium.io" "v2" "ciliumclusterwidenetworkpolicies" false Blocks true cilium_clusterwide_network_policies PluginPolicy;
    CalicoNetworkPolicy "crd.projectcalico.org" "v1" "networkpolicies" true Blocks true calico_network_policies PluginPolicy;
    GlobalNetworkPolicy "crd.projectcalico.org" "v1" "globalnetworkpolicies" false Blocks true global_network_policies PluginPolicy;
    Tier "crd.projectcalico.org" "v1" "tiers" false Blocks true tiers Tier;
    NetworkSet "crd.projectcalico.org" "v1" "networksets" true Refines true network_sets NetworkSet;
    GlobalNetworkSet "crd.projectcalico.org" "v1" "globalnetworksets" false Refines true global_network_sets NetworkSet;
    HostEndpoint "crd.projectcalico.org" "v1" "hostendpoints" false Refines true host_endpoints MetaOnly;
    Deployment "apps" "v1" "deployments" true Adds false deployments Workload;
    DaemonSet "apps" "v1" "daemonsets" true Adds false daemon_sets Workload;
    StatefulSet "apps" "v1" "statefulsets" true Adds false stateful_sets Workload;
    ReplicaSet "apps" "v1" "replicasets" true Adds false replica_sets Workload;
    ReplicationController "" "v1" "replicationcontrollers" true Adds false replication_controllers Workload;
    Job "batch" "v1" "jobs" true Adds false jobs Workload;
    CronJob "batch" "v1" "cronjobs" true Adds false cron_jobs Workload;
    PersistentVolume "" "v1" "persistentvolumes" false Adds false persistent_volumes PersistentVolume;
    PersistentVolumeClaim "" "v1" "persistentvolumeclaims" true Adds false persistent_volume_claims PersistentVolumeClaim;
    StorageClass "storage.k8s.io" "v1" "storageclasses" false Refines false storage_classes MetaOnly;
    ValidatingWebhookConfiguration "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" false Blocks false validating_webhooks WebhookConfiguration;
    MutatingWebhookConfiguration "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" false Blocks false mutating_webhooks WebhookConfiguration;
    ValidatingAdmissionPolicy "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" false Blocks true validating_policies AdmissionPolicy;
    ValidatingAdmissionPolicyBinding "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" false Blocks true validating_policy_bindings AdmissionPolicyBinding;
    MutatingAdmissionPolicy "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicies" false Blocks true mutating_policies AdmissionPolicy;
    MutatingAdmissionPolicyBinding "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicybindings" false Blocks true mutating_policy_bindings AdmissionPolicyBinding;
    CertificateSigningRequest "certificates.k8s.io" "v1" "certificatesigningrequests" false Refines false signing_requests MetaOnly;
    CustomResourceDefinition "apiextensions.k8s.io" "v1" "customresourcedefinitions" false Refines false resource_definitions MetaOnly;
    APIService "apiregistration.k8s.io" "v1" "apiservices" false Refines false api_services MetaOnly;
    RuntimeClass "node.k8s.io" "v1" "runtimeclasses" false Refines false runtime_classes RuntimeClass;
    CSIDriver "storage.k8s.io" "v1" "csidrivers" false Refines false csi_drivers CsiDriver;
    VolumeAttachment "storage.k8s.io" "v1" "volumeattachments" false Refines false volume_attachments VolumeAttachment;
    ResourceSlice "resource.k8s.io" "v1" "resourceslices" false Refines true resource_slices ResourceSlice;
    ResourceClaim "resource.k8s.io" "v1" "resourceclaims" true Refines true resource_claims MetaOnly;
    CloudObject "aws" "" "aws" true Adds true cloud CloudObject;
}

impl Objects {
    /// The controllers of one kind; empty for kinds without a pod template.
    pub fn workloads(&self, kind: Kind) -> &[Workload] {
        match kind {
            Kind::Deployment => &self.deployments,
            Kind::DaemonSet => &self.daemon_sets,
            Kind::StatefulSet => &self.stateful_sets,
            Kind::ReplicaSet => &self.replica_sets,
            Kind::ReplicationController => &self.replication_controllers,
            Kind::Job => &self.jobs,
            Kind::CronJob => &self.cron_jobs,
            _ => &[],
        }
    }
}

impl Kind {
    /// Finds a kind by its name and API group; any version of the group is accepted.
    pub fn find(kind: &str, group: &str) -> Option<Kind> {
        // Calico has the same kinds in the group of its own API server and in that of its CRDs, and a name of Kubernetes.
        if group == "projectcalico.org" || group == "crd.projectcalico.org" {
            return match kind {
                "NetworkPolicy" => Some(Kind::CalicoNetworkPolicy),
                "GlobalNetworkPolicy" => Some(Kind::GlobalNetworkPolicy),
                "Tier" => Some(Kind::Tier),
                "NetworkSet" => Some(Kind::NetworkSet),
                "GlobalNetworkSet" => Some(Kind::GlobalNetworkSet),
                "HostEndpoint" => Some(Kind::HostEndpoint),
                _ => None,
            };
        }
        Kind::ALL.iter().copied().find(|k| {
            let i = k.info();
            i.kind == kind && i.group == group && *k != Kind::CalicoNetworkPolicy
        })
    }

    /// Finds a kind by its plural resource name, with or without `.group`.
    pub fn by_resource(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| {
            let i = k.info();
            i.resource == name || name.strip_prefix(i.resource).is_some_and(|r| r.strip_prefix('.') == Some(i.group))
        })
    }

    /// The resource as `kubectl get` takes it: with the group where two kinds share the name.
    pub fn argument(self) -> String {
        let i = self.info();
        match Kind::ALL.iter().any(|k| *k != self && k.info().resource == i.resource) && !i.group.is_empty() {
            true => format!("{}.{}", i.resource, i.group),
            false => i.resource.to_owned(),
        }
    }

    /// The kind as objects write it: Calico has one with the name of another.
    pub fn written(self) -> &'static str {
        if self == Kind::CalicoNetworkPolicy { "NetworkPolicy" } else { self.info().kind }
    }

    /// `apiVersion` of the kind.
    pub fn api_version(self) -> String {
        let i = self.info();
        if i.group.is_empty() { i.version.to_owned() } else { format!("{}/{}", i.group, i.version) }
    }
}

/// A reference to one stored object: evidence points at these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obj {
    /// Kind.
    pub kind: Kind,
    /// Index among the stored objects of the kind.
    pub index: u32,
}

/// What the store needs to know about every object type.
pub trait Stored: Serialize + DeserializeOwned {
    /// Metadata.
    fn meta(&self) -> &Meta;
    /// Metadata, mutable.
    fn meta_mut(&mut self) -> &mut Meta;
    /// Drops what must not be kept.
    fn reduce(&mut self) {
        self.meta_mut().reduce_annotations();
    }
}

macro_rules! stored {
    ($($ty:ty),*) => {
        $(impl Stored for $ty {
            fn meta(&self) -> &Meta { &self.metadata }
            fn meta_mut(&mut self) -> &mut Meta { &mut self.metadata }
        })*
    };
}

stored!(
    MetaOnly,
    Node,
    Pod,
    ServiceAccount,
    Role,
    Binding,
    Service,
    EndpointSlice,
    Ingress,
    IngressClass,
    GatewayClass,
    Gateway,
    Route,
    ReferenceGrant,
    NetworkPolicy,
    AdminPolicy,
    PluginPolicy,
    NetworkSet,
    Tier,
    PersistentVolume,
    PersistentVolumeClaim,
    WebhookConfiguration,
    AdmissionPolicy,
    AdmissionPolicyBinding,
    RuntimeClass,
    CsiDriver,
    VolumeAttachment,
    ResourceSlice,
    CloudObject
);

impl Stored for Workload {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }
    fn reduce(&mut self) {
        self.metadata.reduce_annotations();
        if let Some(t) = self.spec.template.as_mut() {
            t.metadata.reduce_annotations();
        }
        if let Some(j) = self.spec.job_template.as_mut() {
            j.spec.template.metadata.reduce_annotations();
        }
    }
}

impl Stored for Secret {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }
}

impl Stored for ConfigMap {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }
    fn reduce(&mut self) {
        self.metadata.reduce_annotations();
        let listed =
            self.metadata.namespace == "kube-system" && ["aws-auth", "coredns"].contains(&self.metadata.name.as_str());
        if !listed {
            self.data.clear();
        }
    }
}

/// Decodes a reduced object from JSON.
fn decode<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, String> {
    super::decode::decode(&value)
}

/// Sorts by namespace and name and keeps the copy with the highest resourceVersion, else the last.
fn dedupe<T: Stored>(objects: &mut Vec<T>) -> usize {
    let before = objects.len();
    let mut order: Vec<(usize, T)> = objects.drain(..).enumerate().collect();
    order.sort_by(|(ia, a), (ib, b)| {
        let (a, b) = (a.meta(), b.meta());
        (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)).then(version(a).cmp(&version(b))).then(ia.cmp(ib))
    });
    for (_, object) in order {
        let same = objects.last().is_some_and(|last: &T| {
            last.meta().namespace == object.meta().namespace && last.meta().name == object.meta().name
        });
        if same {
            objects.pop();
        }
        objects.push(object);
    }
    before - objects.len()
}

fn version(meta: &Meta) -> u128 {
    meta.resource_version.parse().unwrap_or(0)
}
