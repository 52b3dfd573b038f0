//! The facts that an attacker may win.

use crate::model::Kind;

/// A service account, user or group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Service account: namespace and name.
    ServiceAccount(String, String),
    /// User by name.
    User(String),
    /// Group by name.
    Group(String),
}

impl Subject {
    /// User name at the API server; `None` for a group.
    pub fn user_name(&self) -> Option<String> {
        match self {
            Subject::ServiceAccount(ns, n) => Some(crate::authz::rbac::service_account_user(ns, n)),
            Subject::User(u) => Some(u.clone()),
            Subject::Group(_) => None,
        }
    }

    /// Selector that names the subject.
    pub fn selector(&self) -> String {
        match self {
            Subject::ServiceAccount(ns, n) => format!("sa/{ns}/{n}"),
            Subject::User(u) => format!("user/{u}"),
            Subject::Group(g) => format!("group/{g}"),
        }
    }
}

/// Part of a node's file system that is readable as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Everything.
    Root,
    /// `/var/lib/kubelet` with the mounts of pods.
    Kubelet,
    /// The kubelet's own files without the mounts of pods.
    KubeletOwn,
    /// Memory of the node.
    Memory,
    /// Some files that hold credentials.
    Files,
}

/// A private key of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Cluster certificate authority.
    Ca,
    /// Service account signing key.
    ServiceAccount,
}

/// A right that a rule with several premises needs, by row and scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Create Secrets.
    CreateSecrets,
    /// Read Secrets by any content verb.
    ReadSecrets,
    /// Create service accounts.
    CreateAccounts,
    /// Create tokens.
    CreateTokens,
    /// Create persistent volumes (cluster).
    CreateVolumes,
    /// Create claims.
    CreateClaims,
    /// Read pod logs.
    ReadLogs,
    /// Patch or update namespaces.
    PatchNamespaces,
    /// Create certificate signing requests (cluster).
    CreateCsr,
    /// Approve requests for API client certificates (cluster; both needs in one identity).
    ApproveCsr,
    /// Delete or evict pods.
    EvictPods,
    /// Add ephemeral containers.
    AddEphemeral,
    /// nodes/proxy (cluster).
    NodesProxy,
    /// get on nodes/proxy (cluster): the API server proxies a GET.
    NodesProxyGet,
    /// nodes/log (cluster).
    NodesLog,
    /// Patch or update nodes (cluster).
    PatchNodes,
    /// Patch or update Services.
    ChangeServices,
    /// Patch or update pods: their labels.
    ChangePods,
    /// Write routes of the Gateway API.
    WriteRoutes,
    /// Create namespaces (cluster).
    CreateNamespaces,
}

/// What a role of Google Cloud or Azure lets its holder do with everything below the project or scope that it is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Change who has which role: everything else follows.
    Policy,
    /// Get tokens of service accounts, or sign as them.
    Impersonate,
    /// Create keys of service accounts.
    CreateKeys,
    /// Have an outside issuer trusted for an identity.
    Federate,
    /// Attach identities to machines of one's own choice.
    Attach,
    /// Run commands as root on machines.
    Machines,
    /// Run commands as root on machines that are of no scale set.
    VirtualMachines,
    /// Set metadata that instances of the project share.
    CommonMetadata,
    /// Decrypt with keys.
    Decrypt,
    /// Read secrets of the cloud.
    ReadSecrets,
    /// Change who may use what a vault holds.
    VaultPolicies,
    /// Copy volumes that are alike: of one region, and not encrypted or by one key.
    CopyVolumes,
    /// Read objects of buckets.
    ReadObjects,
    /// Get the credential of the cluster's administrator.
    AdminCredential,
    /// Get the credential of the cluster's user.
    UserCredential,
    /// Run a command in the cluster through its provider.
    RunCommand,
    /// Everything in clusters.
    ClusterAdmin,
    /// Everything in namespaces of clusters.
    NamespaceAdmin,
    /// Read Secrets of clusters.
    ClusterSecrets,
    /// Create pods in clusters.
    ClusterPods,
    /// Run commands in pods of clusters.
    ClusterExec,
    /// Act as service accounts of clusters.
    ClusterAccounts,
}

/// APIs of Google Cloud that the scopes of a token open; rules read no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Apis {
    /// Cloud Storage.
    pub storage: bool,
    /// Compute Engine.
    pub compute: bool,
    /// Cloud KMS.
    pub kms: bool,
    /// Identity and Access Management.
    pub iam: bool,
}

impl Access {
    /// Every one.
    pub const ALL: [Access; 22] = [
        Access::Policy,
        Access::Impersonate,
        Access::CreateKeys,
        Access::Federate,
        Access::Attach,
        Access::Machines,
        Access::VirtualMachines,
        Access::CommonMetadata,
        Access::Decrypt,
        Access::ReadSecrets,
        Access::VaultPolicies,
        Access::CopyVolumes,
        Access::ReadObjects,
        Access::AdminCredential,
        Access::UserCredential,
        Access::RunCommand,
        Access::ClusterAdmin,
        Access::NamespaceAdmin,
        Access::ClusterSecrets,
        Access::ClusterPods,
        Access::ClusterExec,
        Access::ClusterAccounts,
    ];

    /// What the holder does, in words that a scope follows.
    pub fn words(self) -> &'static str {
        match self {
            Access::Policy => "gives itself every role",
            Access::Impersonate => "acts as every service account",
            Access::CreateKeys => "creates keys of service accounts",
            Access::Federate => "has another issuer trusted for every identity",
            Access::Attach => "attaches every identity to a machine",
            Access::Machines => "runs commands on every machine",
            Access::VirtualMachines => "runs commands on every virtual machine",
            Access::CommonMetadata => "sets metadata of every instance",
            Access::Decrypt => "decrypts with every key",
            Access::ReadSecrets => "reads every secret of the cloud",
            Access::VaultPolicies => "changes policies of every vault",
            Access::CopyVolumes => "copies every volume of the kind",
            Access::ReadObjects => "reads every bucket",
            Access::AdminCredential => "gets the administrator's credential of every cluster",
            Access::UserCredential => "gets the user's credential of every cluster",
            Access::RunCommand => "runs commands in every cluster",
            Access::ClusterAdmin => "administers every cluster",
            Access::NamespaceAdmin => "administers namespaces of every cluster",
            Access::ClusterSecrets => "reads Secrets of every cluster",
            Access::ClusterPods => "creates pods in every cluster",
            Access::ClusterExec => "runs commands in pods of every cluster",
            Access::ClusterAccounts => "acts as service accounts of every cluster",
        }
    }
}

/// Something that the attacker may win. Numbers are indexes into the cluster's sorted lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// Anonymous position outside.
    Internet,
    /// Acts as a user or a role of a cloud account, by number of the object.
    CloudPrincipal(u32),
    /// Is a member of a policy of Google Cloud by a token of the cluster, by number of the member.
    CloudMember(u32),
    /// Reads or decrypts with an object of a cloud account, by number.
    CloudResource(u32),
    /// Has an access to everything below a project, a folder or a scope, by number of its object.
    CloudHolds(Access, u32),
    /// Acts as a service account of Google Cloud with a token for some of its APIs only.
    CloudScoped(u32, Apis),
    /// Administers another account that was read, by number of its object.
    AdminOf(u32),
    /// Administers the cloud account.
    AccountAdmin,
    /// Acts as some principal of the cloud account.
    AnyPrincipal,
    /// Gets credentials from the metadata service of a node.
    Imds(u32),
    /// Can push to a repository of images, by number.
    ImageWrite(u32),
    /// Can connect to a pod.
    Reach(u32),
    /// Connects from a pod of a network class.
    NetClass(u32),
    /// Connects from where nothing limits it.
    NetOpen,
    /// Connects from a node's network.
    NetHost,
    /// Connects from the network of one node, by number among those that such pods run on.
    NetNode(u32),
    /// Connects from where a peer of a policy means, by number.
    NetFrom(u32),
    /// May connect to a peer of a policy on some ports, by number.
    NetTo(u32),
    /// May connect to pods of one class that serve the same ports, by number.
    NetInto(u32),
    /// Connects from any pod, if policies are not enforced.
    NetUnenforced,
    /// Can connect to a pod from inside of the cluster.
    Connect(u32),
    /// Runs code in a container: pod and ordinal.
    Exec(u32, u16),
    /// Controls all running containers of a pod.
    Pod(u32),
    /// Attached to the containers of a pod.
    Attached(u32),
    /// Attaches to every pod of a namespace; `u32::MAX` is the whole cluster.
    AttachIn(u32),
    /// Every pod of a namespace, or of the cluster.
    PodsIn(u32),
    /// Every pod.
    AllPods,
    /// Can talk to the API server.
    ApiReach,
    /// Acts as a subject.
    Identity(u32),
    /// Has the rights of an identity class.
    Class(u32),
    /// Has the rights of a binding.
    Grant(u32),
    /// Holds a right in a namespace; `u32::MAX` is the whole cluster.
    Right(Right, u32),
    /// Holds a token: subject and audience number.
    Token(u32, u32),
    /// Can act as every account name of a namespace, existing or not; `u32::MAX` is the whole cluster.
    AnyAccountName(u32),
    /// Can act as every account of a namespace.
    AnySa(u32),
    /// Can act as every account.
    AllSa,
    /// Knows a Secret.
    Secret(u32),
    /// Can read every Secret of a namespace.
    AnySecret(u32),
    /// Can mount any Secret of a namespace whose name is known.
    Mountable(u32),
    /// Can read every Secret.
    AllSecrets,
    /// Can run a pod of any admitted spec in a namespace.
    Workload(u32),
    /// The same everywhere.
    AllWorkloads,
    /// Can run a privileged pod in a namespace.
    PrivilegedWorkload(u32),
    /// Can change the pod template of every object of a kind in a namespace; `u32::MAX` is the whole cluster.
    Templates(Kind, u32),
    /// Can run a privileged ephemeral container in the pods of a namespace.
    PrivilegedEphemeral(u32),
    /// Runs code in a container whose runtime shares the kernel of the node.
    OnKernel(u32, u16),
    /// Reads logs of some pod on a node.
    LogsOn(u32),
    /// Root on a node that nobody can name yet.
    UnknownNode,
    /// Pod Security of a namespace is off.
    PsaOff(u32),
    /// Root on a node that the scheduler or the attacker picks.
    AnyNode,
    /// Root on any node including tainted ones, by naming it.
    NamedNode,
    /// Root on the node of a pod that is not bound yet.
    NodeOf(u32),
    /// Root on a node.
    Node(u32),
    /// Has the rights of a node at the API server.
    NodeRights(u32),
    /// Is allowed to run commands by the API of every kubelet.
    Kubelets,
    /// Reads what every kubelet serves.
    KubeletFiles,
    /// Holds a node that meets a demand of pods; `u32::MAX` is met by every node.
    Attract(u32),
    /// Pods of a namespace with a demand can be removed and drawn to a node that is held.
    Drawn(u32, u32),
    /// Can remove a pod.
    Evictable(u32),
    /// Acts as a subject elsewhere, where its token is accepted: subject and audience number.
    Elsewhere(u32, u32),
    /// Can give the rights of a binding to others.
    PassesOn(u32),
    /// Reads host files.
    HostFs(u32, Area),
    /// Reads or writes etcd.
    Etcd,
    /// Holds a control-plane key.
    ControlKey(Key),
    /// Holds a certificate for any user and group but system:masters.
    AnyCertificate,
    /// All rights in a namespace; `u32::MAX` is every namespace.
    NamespaceAdmin(u32),
    /// All rights everywhere.
    ClusterAdmin,
    /// Can take over traffic to the Services of a namespace; `u32::MAX` is the whole cluster.
    Intercepts(u32),
    /// Can take over traffic to a Service.
    InterceptsService(u32),
    /// Can make the network policies of a namespace allow everything; `u32::MAX` is the whole cluster.
    PoliciesOff(u32),
    /// Can remove one network policy.
    PolicyGone(u32),
    /// Can write policies that go before network policies.
    OrderedPoliciesOff,
    /// Controls a pod of a namespace.
    FootholdIn(u32),
    /// Can take over hosts of Ingresses.
    InterceptsHosts,
    /// Can take over hosts of a Gateway or of a ListenerSet.
    InterceptsGateway(Kind, u32),
    /// Can write routes in some namespace.
    RoutesSomewhere,
    /// Can let routes of other namespaces send to the Services of a namespace; `u32::MAX` is the whole cluster.
    ReferencesInto(u32),
    /// Can answer for names of the cluster.
    InterceptsDns,
    /// Can publish the pods of a namespace; `u32::MAX` is the whole cluster.
    Publishes(u32),
    /// Can connect to the kubelets of nodes that no policy tells apart, by number.
    KubeletsOf(u32),
    /// Can run commands through those kubelets.
    KubeletCommands(u32),
    /// Can read logs of those nodes through their kubelets.
    KubeletLogs(u32),
    /// A hint without an effect of its own.
    Hint(u32),
}

/// Scope number for the whole cluster.
pub const EVERYWHERE: u32 = u32::MAX;

impl Right {
    /// Rights that a namespace can hold; the others are cluster-wide.
    pub const NAMESPACED: [Right; 9] = [
        Right::CreateSecrets,
        Right::ReadSecrets,
        Right::CreateAccounts,
        Right::CreateTokens,
        Right::CreateClaims,
        Right::ReadLogs,
        Right::AddEphemeral,
        Right::PatchNamespaces,
        Right::EvictPods,
    ];
}

impl Fact {
    /// Whether the fact is only bookkeeping between two steps that a reader sees.
    pub fn internal(self) -> bool {
        matches!(
            self,
            Fact::Class(_)
                | Fact::Grant(_)
                | Fact::Right(..)
                | Fact::ApiReach
                | Fact::AnySa(_)
                | Fact::AnyAccountName(_)
                | Fact::Templates(..)
                | Fact::PrivilegedEphemeral(_)
                | Fact::OnKernel(..)
                | Fact::LogsOn(_)
                | Fact::UnknownNode
                | Fact::NodeRights(_)
                | Fact::Kubelets
                | Fact::KubeletFiles
                | Fact::Attract(_)
                | Fact::Drawn(..)
                | Fact::Evictable(_)
                | Fact::PassesOn(_)
                | Fact::AllSa
                | Fact::AnySecret(_)
                | Fact::AllSecrets
                | Fact::Mountable(_)
                | Fact::PodsIn(_)
                | Fact::AllPods
                | Fact::Pod(_)
                | Fact::AllWorkloads
                | Fact::AnyNode
                | Fact::NamedNode
                | Fact::Reach(_)
                | Fact::PolicyGone(_)
                | Fact::FootholdIn(_)
                | Fact::KubeletsOf(_)
                | Fact::KubeletCommands(_)
                | Fact::KubeletLogs(_)
                | Fact::AnyPrincipal
                | Fact::CloudMember(_)
                | Fact::RoutesSomewhere
                | Fact::NetClass(_)
                | Fact::NetOpen
                | Fact::NetHost
                | Fact::NetNode(_)
                | Fact::NetFrom(_)
                | Fact::NetTo(_)
                | Fact::NetInto(_)
                | Fact::NetUnenforced
                | Fact::Connect(_)
                | Fact::Token(..)
                | Fact::Attached(_)
                | Fact::AttachIn(_)
                | Fact::PrivilegedWorkload(_)
        )
    }
}
