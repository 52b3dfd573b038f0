//! Saved answers of the AWS CLI, one file a call: which objects they tell of.
//!
//! List answers name objects; an answer about one completes it. What an answer has that no rule reads is dropped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cloud::{Account, Reader, after, kept, last, list, read_by, text};
use crate::model::cloud::scope;
use crate::model::decode::percent_decoded;

/// Calls by the beginning of the file name; of several that fit the longest counts.
const CALLS: [(&str, Reader); 49] = [
    ("sts-get-caller-identity", |a, _, v| {
        a.put("Account", text(v, "Account"), v, &["Arn"]);
    }),
    ("organizations-describe-organization", |a, _, v| {
        let one = v.get("Organization").unwrap_or(v);
        a.put("Organization", "organization", one, &["Id", "MasterAccountId"]);
    }),
    ("organizations-list-parents", |a, rest, v| {
        a.set("OrganizationNode", rest, "Parents", v.get("Parents"));
    }),
    ("organizations-list-policies-for-target", |a, rest, v| {
        let Some((target, kind)) = rest.rsplit_once('-') else { return };
        let ids: Vec<&Value> = list(v, "Policies").iter().filter_map(|p| p.get("Id")).collect();
        a.set("OrganizationNode", target, kind, Some(&json!(ids)));
    }),
    ("organizations-describe-policy", |a, _, v| {
        let Some(p) = v.get("Policy") else { return };
        let id = p.get("PolicySummary").map_or("", |s| text(s, "Id"));
        a.set("OrganizationPolicy", id, "Content", document(p.get("Content")).as_ref());
    }),
    ("iam-get-account-authorization-details", |a, _, v| {
        for r in list(v, "RoleDetailList") {
            a.role(r);
            let name = text(r, "RoleName");
            a.inline("IamRole", name, list(r, "RolePolicyList"));
            a.set("IamRole", name, "AttachedManagedPolicies", Some(&arns(list(r, "AttachedManagedPolicies"))));
            list(r, "InstanceProfileList").iter().for_each(|p| a.instance_profile(p));
        }
        for u in list(v, "UserDetailList") {
            let name = text(u, "UserName");
            a.put("IamUser", name, u, &["Arn", "CreateDate", "GroupList", "PermissionsBoundary", "Tags"]);
            a.inline("IamUser", name, list(u, "UserPolicyList"));
            a.set("IamUser", name, "AttachedManagedPolicies", Some(&arns(list(u, "AttachedManagedPolicies"))));
        }
        for g in list(v, "GroupDetailList") {
            let name = text(g, "GroupName");
            a.put("IamGroup", name, g, &["Arn"]);
            a.inline("IamGroup", name, list(g, "GroupPolicyList"));
            a.set("IamGroup", name, "AttachedManagedPolicies", Some(&arns(list(g, "AttachedManagedPolicies"))));
        }
        for p in list(v, "Policies") {
            // Two policies may have one name: the ARN tells them apart.
            let arn = text(p, "Arn");
            a.put("IamPolicy", arn, p, &["Arn", "DefaultVersionId"]);
            let versions = list(p, "PolicyVersionList");
            let default = versions.iter().find(|x| x.get("IsDefaultVersion") == Some(&Value::Bool(true)));
            a.set("IamPolicy", arn, "Document", default.and_then(|d| document(d.get("Document"))).as_ref());
        }
    }),
    ("iam-list-roles", |a, _, v| list(v, "Roles").iter().for_each(|r| a.role(r))),
    ("iam-list-users", |a, _, v| {
        for u in list(v, "Users") {
            a.put("IamUser", text(u, "UserName"), u, &["Arn", "CreateDate"]);
        }
    }),
    ("iam-get-role", |a, _, v| a.role(v.get("Role").unwrap_or(&Value::Null))),
    ("iam-list-role-policies", |a, rest, v| {
        a.set("IamRole", rest, "PolicyNames", v.get("PolicyNames"));
    }),
    ("iam-get-role-policy", |a, _, v| {
        a.inline("IamRole", text(v, "RoleName"), std::slice::from_ref(v));
    }),
    ("iam-list-attached-role-policies", |a, rest, v| {
        a.set("IamRole", rest, "AttachedManagedPolicies", Some(&arns(list(v, "AttachedPolicies"))));
    }),
    ("iam-get-policy", |a, _, v| {
        let Some(p) = v.get("Policy") else { return };
        a.put("IamPolicy", text(p, "Arn"), p, &["Arn", "DefaultVersionId"]);
    }),
    ("iam-get-policy-version", |a, rest, v| {
        // The answer names neither the policy nor its ARN: the file does, by the last segment.
        let Some((name, version)) = rest.rsplit_once('-') else { return };
        let Some(p) = v.get("PolicyVersion") else { return };
        if p.get("IsDefaultVersion") != Some(&Value::Bool(false)) {
            a.set("Version", &format!("{name} {version}"), "Document", document(p.get("Document")).as_ref());
        }
    }),
    ("iam-get-instance-profile", |a, _, v| a.instance_profile(v.get("InstanceProfile").unwrap_or(&Value::Null))),
    ("iam-list-open-id-connect-providers", |a, _, v| {
        for p in list(v, "OpenIDConnectProviderList") {
            let arn = text(p, "Arn");
            let key = arn.split_once("oidc-provider/").map_or("", |(_, k)| k);
            a.put("OpenIDConnectProvider", key, p, &["Arn"]);
        }
    }),
    ("iam-get-open-id-connect-provider", |a, _, v| {
        let url = text(v, "Url").trim_start_matches("https://").to_owned();
        a.put("OpenIDConnectProvider", &url, v, &["ClientIDList", "Url"]);
    }),
    // The names alone tell nothing, but that there are no others does.
    ("eks-list-clusters", |_, _, _| {}),
    ("eks-describe-cluster", |a, _, v| {
        let Some(c) = v.get("cluster") else { return };
        let name = text(c, "name");
        a.put(
            "EksCluster",
            name,
            c,
            &["arn", "createdAt", "endpoint", "identity", "accessConfig", "version", "status"],
        );
        let access = c.get("resourcesVpcConfig").map(|r| kept(r, &["endpointPublicAccess", "publicAccessCidrs"]));
        a.set("EksCluster", name, "resourcesVpcConfig", access.as_ref());
    }),
    ("eks-list-access-entries", |a, rest, v| {
        a.set("EksCluster", rest, "accessEntries", v.get("accessEntries"));
    }),
    ("eks-describe-access-entry", |a, _, v| {
        let Some(e) = v.get("accessEntry") else { return };
        let fields = ["principalArn", "clusterName", "type", "username", "kubernetesGroups", "createdAt"];
        a.put("EksAccessEntry", &entry_name(e), e, &fields);
    }),
    ("eks-list-associated-access-policies", |a, _, v| {
        let name = entry_name(v);
        // The entry may not have been described.
        a.put("EksAccessEntry", &name, v, &["clusterName", "principalArn"]);
        a.set("EksAccessEntry", &name, "associatedAccessPolicies", v.get("associatedAccessPolicies"));
    }),
    ("eks-list-pod-identity-associations", |a, rest, v| {
        let ids: Vec<&Value> = list(v, "associations").iter().filter_map(|x| x.get("associationId")).collect();
        a.set("EksCluster", rest, "podIdentityAssociations", Some(&json!(ids)));
    }),
    ("eks-describe-pod-identity-association", |a, _, v| {
        let Some(x) = v.get("association") else { return };
        let id = text(x, "associationId");
        let fields = [
            "clusterName",
            "namespace",
            "serviceAccount",
            "roleArn",
            "targetRoleArn",
            "externalId",
            "disableSessionTags",
        ];
        a.put("EksPodIdentityAssociation", id, x, &fields);
        a.set("EksPodIdentityAssociation", id, "policy", document(x.get("policy")).as_ref());
    }),
    ("eks-list-nodegroups", |a, rest, v| a.set("EksCluster", rest, "nodegroups", v.get("nodegroups"))),
    ("eks-list-fargate-profiles", |a, rest, v| {
        a.set("EksCluster", rest, "fargateProfileNames", v.get("fargateProfileNames"));
    }),
    ("eks-list-addons", |a, rest, v| a.set("EksCluster", rest, "addons", v.get("addons"))),
    ("eks-list-capabilities", |a, rest, v| a.set("EksCluster", rest, "capabilities", v.get("capabilities"))),
    ("eks-describe-capability", |a, _, v| {
        let Some(c) = v.get("capability") else { return };
        let name = format!("{} {}", text(c, "clusterName"), text(c, "capabilityName"));
        a.put("EksCapability", &name, c, &["clusterName", "capabilityName", "type", "roleArn"]);
    }),
    ("ec2-describe-instances", |a, _, v| {
        for i in list(v, "Reservations").iter().flat_map(|r| list(r, "Instances")) {
            let id = text(i, "InstanceId");
            a.put("Ec2Instance", id, i, &["PrivateDnsName", "IamInstanceProfile", "MetadataOptions", "State", "Tags"]);
            let zone = i.get("Placement").map_or("", |p| text(p, "AvailabilityZone"));
            a.set("Ec2Instance", id, "AvailabilityZone", Some(&json!(zone)).filter(|_| !zone.is_empty()));
            for d in list(i, "BlockDeviceMappings").iter().filter_map(|d| d.get("Ebs")) {
                volume(a, text(d, "VolumeId"), id, zone);
            }
        }
    }),
    ("ec2-describe-volumes", |a, _, v| {
        for x in list(v, "Volumes") {
            let id = text(x, "VolumeId");
            a.put("EbsVolume", id, x, &["Encrypted", "KmsKeyId", "AvailabilityZone"]);
            for at in list(x, "Attachments") {
                volume(a, id, text(at, "InstanceId"), "");
            }
        }
    }),
    ("ecr-describe-repositories", |a, _, v| {
        for r in list(v, "repositories") {
            a.put("EcrRepository", text(r, "repositoryName"), r, &["repositoryArn", "imageTagMutability"]);
        }
    }),
    ("ecr-get-repository-policy", |a, rest, v| {
        let name = Some(text(v, "repositoryName")).filter(|n| !n.is_empty()).unwrap_or(rest);
        a.set("EcrRepository", name, "Policy", resource_policy(v.get("policyText")).as_ref());
        a.set("EcrRepository", name, "registryId", v.get("registryId"));
    }),
    ("lambda-list-functions", |a, _, v| {
        for f in list(v, "Functions") {
            a.put("LambdaFunction", text(f, "FunctionArn"), f, &["FunctionArn", "Role"]);
        }
    }),
    ("codebuild-batch-get-projects", |a, _, v| {
        for p in list(v, "projects") {
            a.put("CodeBuildProject", text(p, "arn"), p, &["arn", "serviceRole"]);
        }
    }),
    ("cloudformation-describe-stacks", |a, _, v| {
        for s in list(v, "Stacks") {
            a.put("CloudFormationStack", text(s, "StackId"), s, &["StackId", "RoleARN"]);
        }
    }),
    ("ecs-describe-tasks", |a, _, v| {
        for t in list(v, "tasks") {
            let arn = text(t, "taskArn");
            a.put("EcsTask", arn, t, &["taskArn", "taskDefinitionArn"]);
            a.set("EcsTask", arn, "taskRoleArn", t.pointer("/overrides/taskRoleArn"));
        }
    }),
    ("ecs-describe-task-definition", |a, _, v| {
        let Some(d) = v.get("taskDefinition") else { return };
        a.put("EcsTaskDefinition", text(d, "taskDefinitionArn"), d, &["taskRoleArn"]);
    }),
    ("kms-list-keys", |a, _, v| {
        for k in list(v, "Keys") {
            // A key of several regions has one id: each after the first goes by its ARN.
            let (id, arn) = (text(k, "KeyId"), text(k, "KeyArn"));
            let other = a.entry("KmsKey", id).get("Arn").is_some_and(|x| x.as_str() != Some(arn));
            a.set("KmsKey", if other { arn } else { id }, "Arn", k.get("KeyArn"));
        }
    }),
    ("kms-describe-key", |a, _, v| {
        let Some(k) = v.get("KeyMetadata") else { return };
        let fields = ["Arn", "KeyManager", "KeyState", "KeyUsage", "AWSAccountId"];
        let (id, arn) = (text(k, "KeyId"), text(k, "Arn"));
        let other = a.entry("KmsKey", id).get("Arn").is_some_and(|x| x.as_str() != Some(arn));
        a.put("KmsKey", if other { arn } else { id }, k, &fields);
    }),
    ("kms-get-key-policy", |a, rest, v| a.set("KmsKey", last(rest), "Policy", document(v.get("Policy")).as_ref())),
    ("kms-list-grants", |a, rest, v| {
        let grants = list(v, "Grants");
        let kept: Vec<Value> = grants
            .iter()
            .map(|g| {
                let mut g2 = kept(g, &["GrantId", "GranteePrincipal", "Operations"]);
                // Of constraints only that there are some: an encryption context may tell too much.
                let some = g.get("Constraints").and_then(Value::as_object).is_some_and(|c| !c.is_empty());
                if let (true, Some(map)) = (some, g2.as_object_mut()) {
                    map.insert("Constrained".into(), Value::Bool(true));
                }
                g2
            })
            .collect();
        let id = grants.iter().map(|g| text(g, "KeyId")).find(|k| !k.is_empty()).unwrap_or(rest);
        a.set("KmsKey", last(id), "Grants", Some(&Value::Array(kept)));
    }),
    ("s3api-list-buckets", |a, _, v| {
        for b in list(v, "Buckets") {
            a.put("S3Bucket", text(b, "Name"), b, &[]);
        }
    }),
    ("s3api-get-bucket-policy", |a, rest, v| {
        a.set("S3Bucket", rest, "Policy", resource_policy(v.get("Policy")).as_ref());
    }),
    ("s3api-get-bucket-encryption", |a, rest, v| {
        let rules = v.get("ServerSideEncryptionConfiguration").map_or(&[][..], |c| list(c, "Rules"));
        let by = || rules.iter().filter_map(|r| r.get("ApplyServerSideEncryptionByDefault"));
        let key = by().map(|d| text(d, "KMSMasterKeyID")).find(|k| !k.is_empty());
        a.set("S3Bucket", rest, "Encryption", key.map(|k| json!(k)).as_ref());
        let algorithm = by().map(|d| text(d, "SSEAlgorithm")).find(|k| !k.is_empty());
        a.set("S3Bucket", rest, "EncryptionAlgorithm", algorithm.map(|k| json!(k)).as_ref());
    }),
    ("s3api-get-public-access-block", |a, rest, v| {
        let block = v.get("PublicAccessBlockConfiguration").cloned().unwrap_or_else(|| json!({}));
        a.set("S3Bucket", rest, "PublicAccessBlockConfiguration", Some(&block));
    }),
    ("s3control-get-public-access-block", |a, rest, v| {
        a.set("Account", rest, "PublicAccessBlockConfiguration", v.get("PublicAccessBlockConfiguration"));
    }),
    ("kms-list-aliases", |a, _, v| {
        for x in list(v, "Aliases") {
            a.put("KmsAlias", text(x, "AliasName"), x, &["TargetKeyId"]);
        }
    }),
    ("secretsmanager-list-secrets", |a, _, v| {
        for s in list(v, "SecretList") {
            a.put("SecretsManagerSecret", text(s, "Name"), s, &["ARN", "KmsKeyId"]);
        }
    }),
];

/// The call that is not in the table because its answer may lack what the table would ask for.
const RESOURCE_POLICY: &str = "secretsmanager-get-resource-policy";

/// Names of the calls that are read.
#[cfg(test)]
pub(super) fn calls() -> Vec<&'static str> {
    CALLS.iter().map(|(c, _)| *c).chain([RESOURCE_POLICY]).collect()
}

/// Reads an answer, by the name of its call. `false` for a call that is not known.
pub(super) fn read(account: &mut Account, stem: &str, value: &Value) -> bool {
    if let Some(rest) = after(stem, RESOURCE_POLICY) {
        let name = Some(text(value, "Name")).filter(|n| !n.is_empty()).unwrap_or(rest);
        account.set("SecretsManagerSecret", name, "Policy", resource_policy(value.get("ResourcePolicy")).as_ref());
        return true;
    }
    read_by(&CALLS, account, stem, value)
}

/// What is settled when all is read: policies of repositories that are named by the end of their name, roles of tasks that
/// their definition says.
pub(super) fn place(account: &mut Account) {
    place_versions(account);
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in account.names("EcrRepository").into_iter().filter(|n| n.contains('/')) {
        ends.entry(last(&name).to_owned()).or_default().push(name);
    }
    for (end, longer) in ends {
        let bare = account.objects.get(&("EcrRepository".to_owned(), end.clone()));
        if let ([one], Some(false)) = (longer.as_slice(), bare.map(|o| o.contains_key("repositoryArn"))) {
            account.rename("EcrRepository", &end, one);
        }
    }
    for task in account.names("EcsTask") {
        let own = account.entry("EcsTask", &task);
        let definition = own.get("taskDefinitionArn").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !own.contains_key("taskRoleArn") && !definition.is_empty() {
            let role = account.entry("EcsTaskDefinition", &definition).get("taskRoleArn").cloned();
            account.set("EcsTask", &task, "taskRoleArn", role.as_ref());
        }
    }
}

/// Documents of versions go to the one policy that has the name, if it is one.
fn place_versions(account: &mut Account) {
    let versions: Vec<(String, Value)> = account
        .objects
        .iter()
        .filter(|((kind, _), _)| kind == "Version")
        .filter_map(|((_, name), v)| Some((name.clone(), v.get("Document")?.clone())))
        .collect();
    account.objects.retain(|(kind, _), _| kind != "Version");
    let scopes: Vec<String> =
        account.names("Account").iter().map(|n| scope(n).0.to_owned()).filter(|a| !a.is_empty()).collect();
    for (name, d) in versions {
        let (of, name) = scope(&name);
        let Some((policy, version)) = name.split_once(' ') else { continue };
        let own: Vec<(String, String)> = account
            .objects
            .iter()
            .filter(|((kind, arn), p)| {
                let default = p.get("DefaultVersionId").and_then(Value::as_str).unwrap_or(version);
                // Policies of the account that was asked, and of AWS.
                let home = arn.split(':').nth(4).unwrap_or_default();
                let here = home == "aws" || if of.is_empty() { !scopes.iter().any(|s| s == home) } else { home == of };
                kind == "IamPolicy" && last(arn) == policy && default == version && here
            })
            .map(|(k, _)| k.clone())
            .collect();
        match own.as_slice() {
            // What is there already said its ARN.
            [(_, arn)] if !account.entry("IamPolicy", &arn.clone()).contains_key("Document") => {
                account.set("IamPolicy", &arn.clone(), "Document", Some(&d));
            }
            [] if of.is_empty() => account.set("IamPolicy", policy, "Document", Some(&d)),
            _ => {}
        }
    }
}

impl Account {
    fn role(&mut self, r: &Value) {
        let name = text(r, "RoleName");
        self.put("IamRole", name, r, &["Arn", "CreateDate", "PermissionsBoundary", "Tags"]);
        self.set("IamRole", name, "AssumeRolePolicyDocument", document(r.get("AssumeRolePolicyDocument")).as_ref());
    }

    /// Policies that are part of an identity, by name.
    fn inline(&mut self, kind: &str, name: &str, policies: &[Value]) {
        let entry = self.entry(kind, name).entry("InlinePolicies").or_insert_with(|| json!({}));
        if let Some(map) = entry.as_object_mut() {
            for p in policies {
                if let Some(d) = document(p.get("PolicyDocument")) {
                    map.insert(text(p, "PolicyName").to_owned(), d);
                }
            }
        }
    }

    fn instance_profile(&mut self, p: &Value) {
        let roles: Vec<&str> = list(p, "Roles").iter().map(|r| text(r, "Arn")).collect();
        let name = text(p, "InstanceProfileName");
        self.put("IamInstanceProfile", name, p, &["Arn"]);
        self.set("IamInstanceProfile", name, "Roles", Some(&json!(roles)));
    }
}

/// ARNs of attached policies.
fn arns(list: &[Value]) -> Value {
    json!(list.iter().map(|p| text(p, "PolicyArn")).filter(|a| !a.is_empty()).collect::<Vec<_>>())
}

/// A volume of an instance.
fn volume(a: &mut Account, id: &str, instance: &str, zone: &str) {
    for (field, value) in [("InstanceId", instance), ("AvailabilityZone", zone)] {
        a.set("EbsVolume", id, field, Some(&json!(value)).filter(|_| !id.is_empty() && !value.is_empty()));
    }
}

/// An entry is one of a cluster.
fn entry_name(e: &Value) -> String {
    format!("{} {}", text(e, "clusterName"), text(e, "principalArn"))
}

/// A policy of a resource: none where the answer has none, nothing where it cannot be read.
fn resource_policy(value: Option<&Value>) -> Option<Value> {
    match value {
        None | Some(Value::Null) => Some(json!({"Statement": []})),
        some => document(some),
    }
}

/// A policy document as JSON: the API gives it as JSON, as text, or percent-encoded.
fn document(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::String(text) => {
            let text = match text.trim_start().starts_with('{') {
                true => text.clone(),
                false => percent_decoded(text)?,
            };
            serde_json::from_str(&text).ok().filter(Value::is_object).map(listed)
        }
        other => Some(other.clone()).filter(Value::is_object).map(listed),
    }
}

/// A single statement as a list of one, so that every statement has an index.
fn listed(mut document: Value) -> Value {
    if let Some(s) = document.get_mut("Statement").filter(|s| s.is_object()) {
        *s = Value::Array(vec![s.take()]);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cloud::{CloudObject, Provider};

    fn objects(answers: &[(&str, Value)]) -> Vec<CloudObject> {
        let mut a = Account::default();
        for (file, v) in answers {
            assert!(a.answer(Provider::Aws, file, v), "{file}");
        }
        a.into_objects().into_iter().filter(|o| o.kind() != "Call").collect()
    }

    #[test]
    fn one_call_and_many_tell_the_same() {
        let trust = json!({"Version": "2012-10-17", "Statement": []});
        let policy =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
        let encoded: String = trust.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
        let arn = "arn:aws:iam::111122223333:role/x/app";
        let whole = objects(&[(
            "iam-get-account-authorization-details.json",
            json!({"RoleDetailList": [{"RoleName": "app", "Arn": arn, "AssumeRolePolicyDocument": encoded,
                "RolePolicyList": [{"PolicyName": "p", "PolicyDocument": policy}], "AttachedManagedPolicies": [{"PolicyArn": "arn:q"}]}]}),
        )]);
        let parts = objects(&[
            (
                "aws/iam-get-role-policy-app-p.json",
                json!({"RoleName": "app", "PolicyName": "p", "PolicyDocument": policy}),
            ),
            ("aws/iam-list-attached-role-policies-app.json", json!({"AttachedPolicies": [{"PolicyArn": "arn:q"}]})),
            (
                "aws/iam-get-role-app.json",
                json!({"Role": {"RoleName": "app", "Arn": arn, "AssumeRolePolicyDocument": trust}}),
            ),
        ]);
        assert_eq!(whole, parts);
        assert_eq!(whole[0].text("Arn"), arn);
        assert_eq!(whole[0].spec["AssumeRolePolicyDocument"], trust);
    }

    #[test]
    fn a_call_that_is_not_known_is_said() {
        let mut a = Account::default();
        assert!(!a.answer(Provider::Aws, "sns-list-topics.json", &json!({})));
        assert!(!a.answer(Provider::Aws, "iam-get-rolex.json", &json!({})));
        // Answers of another shape tell of nothing.
        for (call, _) in CALLS {
            for v in [json!(null), json!([]), json!({"Role": 3, "cluster": [], "Policies": {}, "Keys": [3]})] {
                assert!(a.answer(Provider::Aws, &format!("{call}-x-y.json"), &v), "{call}");
            }
        }
        assert!(a.into_objects().iter().all(|o| !o.metadata.name.is_empty()));
    }
}
