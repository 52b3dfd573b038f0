//! Commands that show objects of cloud accounts: each reads, none changes anything.

use super::name::ObjectName;
use super::step::word;
use crate::model::cloud::{CloudObject, Provider, scope};
use crate::model::{Cluster, Kind};

/// The command of the cloud's own program that shows an object, or its field; empty where none does.
pub fn command(cluster: &Cluster, o: &ObjectName, pointer: &str) -> String {
    let object = cluster.find(Kind::CloudObject, &o.kind, &o.name);
    let object = object.and_then(|i| cluster.objects.cloud.get(i as usize));
    match Provider::of_kind(&o.kind) {
        Provider::Aws => aws(object, o, pointer),
        Provider::Gcp => gcp(object, o, pointer),
        Provider::Azure => azure(object, o),
    }
}

/// The command of the AWS CLI that shows an object of an account.
fn aws(object: Option<&CloudObject>, o: &ObjectName, pointer: &str) -> String {
    let name = word(scope(&o.name).1);
    let text = |f: &str| word(object.map_or("", |x| x.text(f)));
    let policy = pointer.strip_prefix("/spec/InlinePolicies/").and_then(|r| r.split('/').next());
    let policy = policy.map(|p| word(&p.replace("~1", "/").replace("~0", "~")));
    match (o.kind.as_str(), policy.as_deref()) {
        ("IamRole", Some(p)) => format!("aws iam get-role-policy --role-name {name} --policy-name {p}"),
        ("IamUser", Some(p)) => format!("aws iam get-user-policy --user-name {name} --policy-name {p}"),
        ("IamGroup", _) => {
            format!(
                "aws iam get-group-policy --group-name {name} --policy-name {}",
                policy.as_deref().unwrap_or_default()
            )
        }
        ("IamRole", None) => format!("aws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument"),
        ("IamUser", None) => format!("aws iam get-user --user-name {name}"),
        ("IamPolicy", _) => {
            format!("aws iam get-policy-version --policy-arn {} --version-id {}", text("Arn"), text("DefaultVersionId"))
        }
        ("OpenIDConnectProvider", _) => {
            format!("aws iam get-open-id-connect-provider --open-id-connect-provider-arn {}", text("Arn"))
        }
        ("EksCluster", _) => format!("aws eks describe-cluster --name {name}"),
        ("EksAccessEntry", _) => format!(
            "aws eks list-associated-access-policies --cluster-name {} --principal-arn {}",
            text("clusterName"),
            text("principalArn")
        ),
        ("EksPodIdentityAssociation", _) => format!(
            "aws eks describe-pod-identity-association --cluster-name {} --association-id {name}",
            text("clusterName")
        ),
        ("EksCapability", _) => format!(
            "aws eks describe-capability --cluster-name {} --capability-name {}",
            text("clusterName"),
            text("capabilityName")
        ),
        ("EbsVolume", _) => format!("aws ec2 describe-volumes --volume-ids {name}"),
        ("EcrRepository", _) => format!("aws ecr get-repository-policy --repository-name {name}"),
        ("LambdaFunction", _) => format!("aws lambda get-function-configuration --function-name {name}"),
        ("CodeBuildProject", _) => format!("aws codebuild batch-get-projects --names {name}"),
        ("CloudFormationStack", _) => format!("aws cloudformation describe-stacks --stack-name {name}"),
        ("Ec2Instance", _) => format!("aws ec2 describe-instances --instance-ids {name}"),
        ("KmsKey", _) => format!("aws kms get-key-policy --key-id {name} --policy-name default"),
        ("S3Bucket", _) => format!("aws s3api get-bucket-policy --bucket {name}"),
        ("SecretsManagerSecret", _) => format!("aws secretsmanager get-resource-policy --secret-id {name}"),
        ("OrganizationPolicy", _) => format!("aws organizations describe-policy --policy-id {name}"),
        _ => String::new(),
    }
}

/// The command of gcloud. What a path names is asked for by its parts.
fn gcp(object: Option<&CloudObject>, o: &ObjectName, pointer: &str) -> String {
    let name = word(&o.name);
    let path = object.map_or("", |x| if x.text("path").is_empty() { x.text("selfLink") } else { x.text("path") });
    let part = |after: &str| {
        let rest = path.split_once(&format!("/{after}/")).map_or("", |(_, r)| r);
        word(rest.split('/').next().unwrap_or_default())
    };
    let place = || {
        if path.contains("/zones/") {
            format!("--zone {}", part("zones"))
        } else {
            format!("--location {}", part("locations"))
        }
    };
    let policy = pointer.starts_with("/spec/bindings");
    let last = word(o.name.rsplit('/').next().unwrap_or_default());
    match o.kind.as_str() {
        "GcpCluster" => format!("gcloud container clusters describe {name} {}", place()),
        "GcpNodePool" => {
            let (cluster, pool) = o.name.split_once(' ').unwrap_or_default();
            format!("gcloud container node-pools describe {} --cluster {} {}", word(pool), word(cluster), place())
        }
        "GcpInstance" => format!("gcloud compute instances describe {last} --zone {}", part("zones")),
        "GcpProject" if policy => format!("gcloud projects get-iam-policy {name}"),
        "GcpProject" => format!("gcloud compute project-info describe --project {name}"),
        "GcpFolder" => format!("gcloud resource-manager folders get-iam-policy {name}"),
        "GcpOrganization" => format!("gcloud organizations get-iam-policy {name}"),
        "GcpServiceAccount" if policy => format!("gcloud iam service-accounts get-iam-policy {name}"),
        "GcpServiceAccount" => format!("gcloud iam service-accounts describe {name}"),
        "GcpKmsKey" => {
            format!(
                "gcloud kms keys get-iam-policy {last} --keyring {} --location {}",
                part("keyRings"),
                part("locations")
            )
        }
        "GcpBucket" => format!("gcloud storage buckets get-iam-policy gs://{name}"),
        "GcpSecret" => format!("gcloud secrets get-iam-policy {last}"),
        "GcpRole" => format!("gcloud iam roles describe {name}"),
        _ => String::new(),
    }
}

/// The command of the Azure CLI: objects of Resource Manager are shown by their id.
fn azure(object: Option<&CloudObject>, o: &ObjectName) -> String {
    let text = |f: &str| word(object.map_or("", |x| x.text(f)));
    let name = word(&o.name);
    match o.kind.as_str() {
        "AzureCluster" => format!("az aks show --ids {}", text("id")),
        "AzureIdentity" => format!("az identity show --ids {}", text("id")),
        "AzureApplication" => format!("az ad app federated-credential list --id {name}"),
        "AzureServicePrincipal" => format!("az ad sp show --id {name}"),
        "AzureRoleAssignment" => {
            format!("az role assignment list --assignee-object-id {} --scope {}", text("principalId"), text("scope"))
        }
        "AzureScope" => format!("az role assignment list --scope {name}"),
        "AzureRoleDefinition" => format!("az role definition list --name {}", text("roleName")),
        "AzureScaleSet" => format!("az vmss show --ids {}", text("id")),
        "AzureVirtualMachine" => format!("az vm show --ids {}", text("id")),
        "AzureKeyVault" => format!("az keyvault show --name {name}"),
        _ => String::new(),
    }
}
