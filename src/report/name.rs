//! Names of facts and objects, as selectors where a selector exists.

use serde::Serialize;

use crate::graph::Object;
use crate::model::Cluster;
use crate::model::cloud::{CloudObject, Provider, scope};
use crate::rules::Attack;
use crate::rules::ctx::unpack;
use crate::rules::fact::{Area, EVERYWHERE, Fact, Key};

/// An object as evidence names it.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ObjectName {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid, empty for manifests.
    pub uid: String,
}

impl ObjectName {
    /// `Kind namespace/name`.
    pub fn short(&self) -> String {
        if self.namespace.is_empty() {
            format!("{} {}", self.kind, self.name)
        } else {
            format!("{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Names an object.
pub fn object(cluster: &Cluster, o: Object) -> ObjectName {
    let Some(o) = unpack(o) else {
        return ObjectName {
            group: String::new(),
            version: String::new(),
            kind: "unknown".into(),
            namespace: String::new(),
            name: String::new(),
            uid: String::new(),
        };
    };
    let info = o.kind.info();
    let meta = cluster.meta(o).cloned().unwrap_or_default();
    // Objects of a cloud account have their kind where others have a namespace.
    if o.kind == crate::model::Kind::CloudObject {
        return ObjectName {
            group: Provider::of_kind(&meta.namespace).folder().into(),
            version: String::new(),
            kind: meta.namespace,
            namespace: String::new(),
            name: meta.name,
            uid: String::new(),
        };
    }
    ObjectName {
        group: info.group.into(),
        version: info.version.into(),
        kind: info.kind.into(),
        namespace: meta.namespace,
        name: meta.name,
        uid: meta.uid,
    }
}

/// `NAMESPACE/NAME` of a pod.
pub fn pod(cluster: &Cluster, i: u32) -> String {
    cluster.objects.pods.get(i as usize).map(|p| p.metadata.path()).unwrap_or_default()
}

/// What the attacker has won, in words.
pub fn fact(attack: &Attack, cluster: &Cluster, f: Fact) -> String {
    let ns = |n: u32| {
        if n == EVERYWHERE {
            "every namespace".to_owned()
        } else {
            attack.namespaces.get(n as usize).cloned().unwrap_or_default()
        }
    };
    let node = |n: u32| cluster.objects.nodes.get(n as usize).map(|x| x.metadata.name.clone()).unwrap_or_default();
    let subject = |s: u32| attack.subjects.get(s).map(crate::rules::fact::Subject::selector).unwrap_or_default();
    match f {
        Fact::Internet => "is on the internet".into(),
        Fact::Connect(p) => format!("connects to pod/{} from inside", pod(cluster, p)),
        Fact::NetClass(_) => "has the network position of the pod".into(),
        Fact::NetOpen => "connects from where no policy limits it".into(),
        Fact::NetHost => "connects from the network of a node".into(),
        Fact::NetNode(_) => "connects from the network of the pod's node".into(),
        Fact::NetFrom(_) => "is among the sources of a rule".into(),
        Fact::NetInto(_) => "connects to pods that are alike".into(),
        Fact::NetTo(_) => "connects to the destinations of a rule".into(),
        Fact::NetUnenforced => "connects anywhere, because policies are not enforced".into(),
        Fact::Reach(p) => format!("connects to pod/{}", pod(cluster, p)),
        Fact::Exec(p, c) => {
            let name = cluster
                .objects
                .pods
                .get(p as usize)
                .and_then(|x| x.all_containers().find(|k| k.ordinal == c).map(|k| k.container.name.clone()))
                .unwrap_or_default();
            format!("runs code in pod/{} container {name}", pod(cluster, p))
        }
        Fact::Pod(p) => format!("controls pod/{}", pod(cluster, p)),
        Fact::Attached(p) => format!("attaches to pod/{}", pod(cluster, p)),
        Fact::AttachIn(n) => format!("attaches to every pod in {}", ns(n)),
        Fact::PodsIn(n) => format!("controls every pod in {}", ns(n)),
        Fact::AllPods => "controls every pod".into(),
        Fact::ApiReach => "reaches the API server".into(),
        Fact::Identity(s) => format!("acts as {}", subject(s)),
        Fact::Class(_) => "is authorized".into(),
        Fact::Grant(g) => {
            let o = attack.grants.get(g as usize);
            format!(
                "has the rights of {}",
                o.and_then(|o| cluster.meta(*o).map(|m| format!("{} {}", o.kind.info().kind, m.path())))
                    .unwrap_or_default()
            )
        }
        Fact::Right(r, n) => format!("holds the right {r:?} in {}", ns(n)),
        Fact::Token(s, a) => format!(
            "holds a token of {} for audience {}",
            subject(s),
            attack.audiences.get(a).cloned().unwrap_or_default()
        ),
        Fact::AnyAccountName(n) => format!("acts as every account name in {}", ns(n)),
        Fact::Templates(k, n) => format!("changes every {} in {}", k.info().kind, ns(n)),
        Fact::PrivilegedEphemeral(n) => format!("adds privileged ephemeral containers in {}", ns(n)),
        Fact::OnKernel(p, _) => format!("shares the kernel below pod/{}", pod(cluster, p)),
        Fact::LogsOn(n) => format!("reads logs of a pod on node/{}", node(n)),
        Fact::NodeRights(n) => format!("is authorized as node/{}", node(n)),
        Fact::Kubelets => "is authorized at every kubelet".into(),
        Fact::KubeletFiles => "reads what every kubelet serves".into(),
        Fact::Attract(_) => "holds a node that pods return to".into(),
        Fact::Drawn(n, _) => format!("draws pods of {} to a node it holds", ns(n)),
        Fact::Evictable(p) => format!("removes pod/{}", pod(cluster, p)),
        Fact::Elsewhere(s, a) => format!(
            "acts as {} where audience {} is accepted",
            subject(s),
            attack.audiences.get(a).cloned().unwrap_or_default()
        ),
        Fact::PassesOn(g) => {
            let o = attack.grants.get(g as usize).and_then(|o| cluster.meta(*o));
            format!("gives the rights of binding {} to others", o.map(|m| m.path()).unwrap_or_default())
        }
        Fact::UnknownNode => "is root on a node".into(),
        Fact::AnySa(n) => format!("acts as every account in {}", ns(n)),
        Fact::AllSa => "acts as every service account".into(),
        Fact::Secret(s) => format!(
            "knows secret/{}",
            cluster.objects.secrets.get(s as usize).map(|x| x.metadata.path()).unwrap_or_default()
        ),
        Fact::AnySecret(n) => format!("knows every secret in {}", ns(n)),
        Fact::Mountable(n) => format!("mounts any secret in {}", ns(n)),
        Fact::AllSecrets => "knows every secret".into(),
        Fact::Workload(n) => format!("runs a pod of its own in {}", ns(n)),
        Fact::AllWorkloads => "runs pods of its own anywhere".into(),
        Fact::PrivilegedWorkload(n) => format!("runs a privileged pod in {}", ns(n)),
        Fact::PsaOff(n) => format!("switches Pod Security off in {}", ns(n)),
        Fact::AnyNode => "is root on some node".into(),
        Fact::NamedNode => "is root on a node of its choice".into(),
        Fact::NodeOf(p) => format!("is root on the node of pod/{}", pod(cluster, p)),
        Fact::Node(n) => format!("is root on node/{}", node(n)),
        Fact::HostFs(n, a) => {
            let what = match a {
                Area::Root => "every file",
                Area::Kubelet => "the kubelet's directory with the volumes of pods",
                Area::KubeletOwn => "the kubelet's own files",
                Area::Memory => "memory",
                Area::Files => "files with credentials",
            };
            format!("reads {what} of node/{}", node(n))
        }
        Fact::Etcd => "reads and writes etcd".into(),
        Fact::ControlKey(Key::Ca) => "holds the key of the cluster CA".into(),
        Fact::ControlKey(Key::ServiceAccount) => "holds the service account signing key".into(),
        Fact::AnyCertificate => "gets a client certificate for any user or group".into(),
        Fact::NamespaceAdmin(n) => format!("is admin of namespace {}", ns(n)),
        Fact::ClusterAdmin => "is cluster-admin".into(),
        Fact::Intercepts(n) => format!("takes over traffic to Services of {}", ns(n)),
        Fact::InterceptsService(i) => {
            let m = cluster.objects.services.get(i as usize).map(|s| s.metadata.path()).unwrap_or_default();
            format!("takes over traffic to Service {m}")
        }
        Fact::PoliciesOff(n) => format!("opens what network policies close in {}", ns(n)),
        Fact::PolicyGone(i) => {
            let m = cluster.objects.network_policies.get(i as usize).map(|p| p.metadata.path()).unwrap_or_default();
            format!("removes NetworkPolicy {m}")
        }
        Fact::CloudPrincipal(i) => {
            let o = cluster.objects.cloud.get(i as usize);
            format!("acts as role:{}", o.map_or("", principal))
        }
        Fact::CloudMember(i) => {
            let o = cluster.objects.cloud.get(i as usize);
            format!("is known to policies as {}", o.map_or("", principal))
        }
        Fact::CloudScoped(i, _) => {
            let o = cluster.objects.cloud.get(i as usize);
            format!("acts for some APIs as role:{}", o.map_or("", principal))
        }
        Fact::CloudResource(i) => cluster.objects.cloud.get(i as usize).map(resource).unwrap_or_default(),
        Fact::CloudHolds(access, i) => {
            let o = cluster.objects.cloud.get(i as usize);
            format!("{} below {}", access.words(), o.map_or("", |o| o.metadata.name.as_str()))
        }
        Fact::AccountAdmin => "is account-admin".into(),
        Fact::AdminOf(i) => {
            let name = cluster.objects.cloud.get(i as usize).map_or("", |o| scope(&o.metadata.name).0);
            format!("administers account {name}")
        }
        Fact::AnyPrincipal => "acts as a principal of the account".into(),
        Fact::Imds(n) => format!("asks the metadata service of node/{}", node(n)),
        Fact::ImageWrite(n) => {
            let name = attack.repositories.get(n as usize).map_or("", String::as_str);
            format!("pushes image/{name}")
        }
        Fact::OrderedPoliciesOff => "overrules network policies".into(),
        Fact::FootholdIn(n) => format!("controls a pod of {}", ns(n)),
        Fact::InterceptsHosts => "takes over hosts of Ingresses".into(),
        Fact::InterceptsGateway(kind, i) => {
            let m = cluster.objects.meta(kind, i as usize).map(crate::model::meta::Meta::path).unwrap_or_default();
            format!("takes over hosts of {} {m}", kind.info().kind)
        }
        Fact::RoutesSomewhere => "writes routes in some namespace".into(),
        Fact::ReferencesInto(n) => format!("lets routes of other namespaces send to Services of {}", ns(n)),
        Fact::InterceptsDns => "answers for every name in the cluster".into(),
        Fact::Publishes(n) => format!("publishes pods of {}", ns(n)),
        Fact::KubeletsOf(_) => "connects to kubelets".into(),
        Fact::KubeletCommands(_) => "runs commands through kubelets".into(),
        Fact::KubeletLogs(_) => "reads logs through kubelets".into(),
        Fact::Hint(n) => format!("reads ConfigMaps in {}", ns(n)),
    }
}

/// The name by which selectors know a principal of a cloud: the ARN where there is one.
fn principal(o: &CloudObject) -> &str {
    if o.text("Arn").is_empty() { &o.metadata.name } else { o.text("Arn") }
}

/// What is done with a resource of a cloud, in words that end with its selector.
fn resource(o: &CloudObject) -> String {
    let name = &o.metadata.name;
    match o.kind() {
        "KmsKey" | "GcpKmsKey" => format!("decrypts with kms/{name}"),
        "S3Bucket" | "GcpBucket" => format!("reads bucket/{name}"),
        "EbsVolume" => format!("copies volume/{name}"),
        "AzureKeyVault" => format!("reads vault/{name}"),
        _ => format!("reads cloud-secret/{name}"),
    }
}

/// The selector of a fact, or its words where no selector exists.
pub fn selector(attack: &Attack, cluster: &Cluster, f: Fact) -> String {
    match f {
        Fact::Internet => "internet".into(),
        Fact::ClusterAdmin => "cluster-admin".into(),
        Fact::AllSecrets => "every-secret".into(),
        Fact::Pod(p) | Fact::Exec(p, _) => format!("pod/{}", pod(cluster, p)),
        Fact::Identity(s) => attack.subjects.get(s).map(crate::rules::fact::Subject::selector).unwrap_or_default(),
        Fact::AccountAdmin => "account-admin".into(),
        Fact::Secret(_) | Fact::Node(_) | Fact::ImageWrite(_) | Fact::CloudPrincipal(_) | Fact::CloudResource(_) => {
            fact(attack, cluster, f).rsplit(' ').next().unwrap_or_default().to_owned()
        }
        _ => fact(attack, cluster, f),
    }
}
