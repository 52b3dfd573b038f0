//! Writes the answers of the AWS CLI about a large account, for measurements: one file a call.
//!
//! `cargo run --release --example synth_aws -- --roles 5000 --keys 2000 -o DIR`

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// Number of roles, each with two policies
    #[arg(long, default_value_t = 5_000)]
    roles: usize,
    /// Number of keys
    #[arg(long, default_value_t = 2_000)]
    keys: usize,
    /// Folder to write
    #[arg(short = 'o', value_name = "DIR")]
    output: PathBuf,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    for (name, text) in texts(args.roles, args.keys) {
        let path = args.output.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// An account with many roles, keys and policies; only every hundredth role is used by the cluster.
pub fn texts(roles: usize, keys: usize) -> Vec<(String, String)> {
    let account = "111122223333";
    let issuer = "oidc.example.com/id/X";
    let provider = format!("arn:aws:iam::{account}:oidc-provider/{issuer}");
    let statement = |a: &str, r: String| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": a, "Resource": r}]});
    let roles: Vec<Value> = (0..roles)
        .map(|n| {
            let trust = match n % 100 {
                0 => json!({"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {"StringEquals": {format!("{issuer}:sub"): format!("system:serviceaccount:team:app-{n}"), format!("{issuer}:aud"): "sts.amazonaws.com"}}}),
                _ => json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}),
            };
            let own = match n % 10 {
                0 => statement("kms:Decrypt", format!("arn:aws:kms:eu-west-1:{account}:key/k-{}", n % keys.max(1))),
                _ => statement("logs:PutLogEvents", "*".into()),
            };
            json!({"RoleName": format!("role-{n}"), "Arn": format!("arn:aws:iam::{account}:role/role-{n}"), "CreateDate": "2025-01-01T00:00:00Z",
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": own}, {"PolicyName": "more", "PolicyDocument": statement("ec2:Describe*", "*".into())}],
                "AttachedManagedPolicies": []})
        })
        .collect();
    let mut texts = vec![
        ("aws/sts-get-caller-identity.json".to_owned(), json!({"Account": account}).to_string()),
        ("aws/organizations-describe-organization.json".to_owned(), json!({"Organization": {}}).to_string()),
        ("aws/iam-get-account-authorization-details.json".to_owned(), json!({"RoleDetailList": roles}).to_string()),
        ("aws/iam-list-open-id-connect-providers.json".to_owned(), json!({"OpenIDConnectProviderList": [{"Arn": provider}]}).to_string()),
        ("aws/iam-get-open-id-connect-provider-X.json".to_owned(), json!({"Url": issuer, "ClientIDList": ["sts.amazonaws.com"]}).to_string()),
        ("aws/kms-list-keys.json".to_owned(), json!({"Keys": (0..keys).map(|n| json!({"KeyId": format!("k-{n}"), "KeyArn": format!("arn:aws:kms:eu-west-1:{account}:key/k-{n}")})).collect::<Vec<_>>()}).to_string()),
    ];
    let root = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")}, "Action": "kms:*", "Resource": "*"}]});
    texts.extend(
        (0..keys)
            .map(|n| (format!("aws/kms-get-key-policy-k-{n}.json"), json!({"Policy": root.to_string()}).to_string())),
    );
    texts.extend((0..keys).map(|n| (format!("aws/kms-list-grants-k-{n}.json"), json!({"Grants": []}).to_string())));
    texts.push(("c.yaml".to_owned(), "{apiVersion: v1, kind: Namespace, metadata: {name: team}}\n".to_owned()));
    texts
}
