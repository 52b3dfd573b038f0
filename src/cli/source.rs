//! Where a cluster comes from, with kubectl's flags and meanings.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::model::cloud::Provider;
use crate::model::{Cluster, Version};
use crate::snapshot::import::reader;
use crate::snapshot::{ClusterOptions, Snapshot, file};

/// Flags that every command with a source has.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// Kubectl output or manifests: a file, a folder, or - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", help_heading = "Source", conflicts_with_all = ["snapshot", "demo"])]
    pub filename: Option<PathBuf>,
    /// A snapshot written by `kpath snapshot`
    #[arg(long, value_name = "FILE", help_heading = "Source", conflicts_with = "demo")]
    pub snapshot: Option<PathBuf>,
    /// Saved answers of the AWS CLI about the account of the cluster, one file a call; a folder aws beside -f is read too
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub aws_data: Option<PathBuf>,
    /// Saved answers of gcloud about the projects of the cluster (--format json); a folder gcp beside -f is read too
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub gcp_data: Option<PathBuf>,
    /// Saved answers of the Azure CLI about the subscription of the cluster (-o json); a folder azure beside -f is read too
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub azure_data: Option<PathBuf>,
    /// Read the AWS account of the cluster too, with the credentials that the AWS CLI would use
    #[arg(long, help_heading = "AWS", conflicts_with_all = ["aws_data", "demo"])]
    pub aws: bool,
    /// Profile of the AWS configuration; of several, separated by commas, the first is that of the cluster's account, and the
    /// accounts of the others are read as well
    #[arg(long, value_name = "NAME", help_heading = "AWS", requires = "aws", value_delimiter = ',')]
    pub aws_profile: Vec<String>,
    /// Region of the cluster, its keys and secrets
    #[arg(long, value_name = "REGION", help_heading = "AWS", requires = "aws")]
    pub aws_region: Option<String>,
    /// Name of the cluster in EKS, where the account has several
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    pub eks_cluster: Option<String>,
    /// A small embedded cluster
    #[arg(long, help_heading = "Source")]
    pub demo: bool,
    /// Context of the kubeconfig
    #[arg(long, help_heading = "Source", conflicts_with_all = ["filename", "snapshot", "demo"])]
    pub context: Option<String>,
    /// Path of the kubeconfig file
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig
    #[arg(long, help_heading = "Source")]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, help_heading = "Source")]
    pub user: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER", help_heading = "Source")]
    pub impersonate: Option<String>,
    /// Group to impersonate, repeatable
    #[arg(long = "as-group", value_name = "GROUP", help_heading = "Source")]
    pub impersonate_group: Vec<String>,
    /// Uid to impersonate
    #[arg(long = "as-uid", value_name = "UID", help_heading = "Source")]
    pub impersonate_uid: Option<String>,
    /// Objects of one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Source")]
    pub chunk_size: u32,
    /// Time that one request may take, such as 30s; 0 is kpath's own limit of 60s
    #[arg(long, value_name = "DURATION", default_value = "0", help_heading = "Source")]
    pub request_timeout: String,
    /// The input is the whole cluster: kinds that it lacks are empty
    #[arg(long, help_heading = "Source")]
    pub complete: bool,
    /// Server version, such as 1.36 or v1.36.2
    #[arg(long, value_name = "VERSION", help_heading = "Source")]
    pub server_version: Option<String>,
}

const DEMO: [(&str, &str); 23] = [
    ("cluster.yaml", include_str!("../../testdata/clusters/payment-api/cluster.yaml")),
    ("shop.yaml", include_str!("../../testdata/clusters/payment-api/shop.yaml")),
    ("platform.yaml", include_str!("../../testdata/clusters/payment-api/platform.yaml")),
    ("rbac.yaml", include_str!("../../testdata/clusters/payment-api/rbac.yaml")),
    (
        "aws/sts-get-caller-identity.json",
        include_str!("../../testdata/clusters/payment-api/aws/sts-get-caller-identity.json"),
    ),
    (
        "aws/organizations-describe-organization.json",
        include_str!("../../testdata/clusters/payment-api/aws/organizations-describe-organization.json"),
    ),
    (
        "aws/iam-get-account-authorization-details.json",
        include_str!("../../testdata/clusters/payment-api/aws/iam-get-account-authorization-details.json"),
    ),
    (
        "aws/iam-list-open-id-connect-providers.json",
        include_str!("../../testdata/clusters/payment-api/aws/iam-list-open-id-connect-providers.json"),
    ),
    (
        "aws/iam-get-open-id-connect-provider-PAYMENTS.json",
        include_str!("../../testdata/clusters/payment-api/aws/iam-get-open-id-connect-provider-PAYMENTS.json"),
    ),
    (
        "aws/iam-get-instance-profile-shop-nodes.json",
        include_str!("../../testdata/clusters/payment-api/aws/iam-get-instance-profile-shop-nodes.json"),
    ),
    (
        "aws/eks-describe-cluster-payments.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-describe-cluster-payments.json"),
    ),
    (
        "aws/eks-list-access-entries-payments.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-list-access-entries-payments.json"),
    ),
    (
        "aws/eks-describe-access-entry-ci-deploy.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-describe-access-entry-ci-deploy.json"),
    ),
    (
        "aws/eks-list-associated-access-policies-ci-deploy.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-list-associated-access-policies-ci-deploy.json"),
    ),
    (
        "aws/eks-describe-access-entry-shop-nodes.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-describe-access-entry-shop-nodes.json"),
    ),
    (
        "aws/eks-list-associated-access-policies-shop-nodes.json",
        include_str!("../../testdata/clusters/payment-api/aws/eks-list-associated-access-policies-shop-nodes.json"),
    ),
    (
        "aws/ec2-describe-instances.json",
        include_str!("../../testdata/clusters/payment-api/aws/ec2-describe-instances.json"),
    ),
    ("aws/kms-list-keys.json", include_str!("../../testdata/clusters/payment-api/aws/kms-list-keys.json")),
    (
        "aws/kms-get-key-policy-card-data.json",
        include_str!("../../testdata/clusters/payment-api/aws/kms-get-key-policy-card-data.json"),
    ),
    (
        "aws/kms-list-grants-card-data.json",
        include_str!("../../testdata/clusters/payment-api/aws/kms-list-grants-card-data.json"),
    ),
    ("aws/s3api-list-buckets.json", include_str!("../../testdata/clusters/payment-api/aws/s3api-list-buckets.json")),
    (
        "aws/s3api-get-bucket-policy-node-bootstrap.json",
        include_str!("../../testdata/clusters/payment-api/aws/s3api-get-bucket-policy-node-bootstrap.json"),
    ),
    (
        "aws/s3api-get-bucket-policy-receipts.json",
        include_str!("../../testdata/clusters/payment-api/aws/s3api-get-bucket-policy-receipts.json"),
    ),
];

/// Leaves of EKS what is of one cluster.
fn only(snapshot: &mut Snapshot, name: &str) -> Result<(), Failure> {
    let clusters = snapshot.objects.cloud.iter().filter(|o| o.kind() == "EksCluster");
    let names: Vec<&str> = clusters.map(|o| o.metadata.name.as_str()).collect();
    if !names.is_empty() && !names.contains(&name) {
        let all = names.join(", ");
        return Err(Failure::usage(format!("the account has no EKS cluster {name:?}; it has {all}")));
    }
    snapshot.objects.cloud.retain(|o| match o.kind() {
        "EksCluster" => o.metadata.name == name,
        "EksAccessEntry" => o.metadata.name.split(' ').next() == Some(name),
        "EksPodIdentityAssociation" => o.text("clusterName") == name,
        _ => true,
    });
    Ok(())
}

impl Source {
    /// Whether any source was named; without one the current context of the kubeconfig is meant.
    pub fn is_live(&self) -> bool {
        self.filename.is_none() && self.snapshot.is_none() && !self.demo
    }

    /// Reads the snapshot, and what there is about the account of the cluster.
    ///
    /// # Errors
    /// A message for the user.
    pub fn read(&self) -> Result<Snapshot, Failure> {
        let mut snapshot = self.objects()?;
        let folders =
            [(Provider::Aws, &self.aws_data), (Provider::Gcp, &self.gcp_data), (Provider::Azure, &self.azure_data)];
        for (provider, dir) in folders {
            if let Some(dir) = dir {
                reader::read_answers(&mut snapshot, provider, dir).map_err(|e| Failure::error(e.to_string()))?;
            }
        }
        if self.aws {
            self.account(&mut snapshot)?;
        }
        if let Some(name) = &self.eks_cluster {
            only(&mut snapshot, name)?;
        }
        Ok(snapshot)
    }

    #[cfg(feature = "aws")]
    fn account(&self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let access = crate::collect::Access {
            profiles: self.aws_profile.clone(),
            region: self.aws_region.clone(),
            cluster: self.eks_cluster.clone(),
        };
        crate::collect::aws::collect(&access, snapshot).map_err(|e| Failure::error(e.to_string()))
    }

    #[cfg(not(feature = "aws"))]
    fn account(&self, _: &mut Snapshot) -> Result<(), Failure> {
        Err(Failure::usage(
            "this kpath was built without reading AWS live\nhint: build it with --features aws, or save answers of the AWS CLI and name their folder with --aws-data".to_owned(),
        ))
    }

    fn objects(&self) -> Result<Snapshot, Failure> {
        if let Some(path) = &self.filename {
            return reader::read(path).map_err(|e| Failure::error(e.to_string()));
        }
        if let Some(path) = &self.snapshot {
            let mut s = file::read(path).map_err(|e| Failure::error(e.to_string()))?;
            if s.source.kind != "live" {
                s.source.kind = "snapshot".into();
            }
            return Ok(s);
        }
        if self.demo {
            let mut s = reader::read_texts(DEMO);
            s.source.kind = "demo".into();
            s.source.name = "payment-api".into();
            s.version = Some(Version::DEFAULT);
            return Ok(s);
        }
        crate::collect::collect(&self.connection()).map_err(|e| Failure::error(e.to_string()))
    }

    /// Reads the source as a cluster.
    ///
    /// # Errors
    /// A message for the user.
    pub fn load(&self) -> Result<Cluster, Failure> {
        let version = match &self.server_version {
            Some(text) => Some(
                Version::parse(text)
                    .ok_or_else(|| Failure::usage(format!("--server-version is {text:?}; write 1.36 or v1.36.2")))?,
            ),
            None => None,
        };
        let options = ClusterOptions { complete: self.complete || self.demo, version };
        Ok(self.read()?.into_cluster(&options))
    }

    fn connection(&self) -> crate::collect::Connection {
        crate::collect::Connection {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            impersonate: self.impersonate.clone(),
            impersonate_groups: self.impersonate_group.clone(),
            impersonate_uid: self.impersonate_uid.clone(),
            request_timeout: self.request_timeout.clone(),
            chunk_size: usize::try_from(self.chunk_size).unwrap_or(usize::MAX),
        }
    }
}
