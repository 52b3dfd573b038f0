//! Where images and disks are kept: repositories of ECR that the cluster pulls from, and volumes of EBS.
//!
//! Sources: Amazon ECR User Guide ("Private repository policies", "Image tag mutability"), Amazon EBS User Guide ("Use EBS
//! direct APIs", "Share an Amazon EBS snapshot"), AWS KMS Developer Guide ("Conditions: kms:ViaService").

use super::targets::Resources;
use super::world::{Answer, Own, Principal, World, last};
use super::{cloud, resting};
use crate::iam::{Document, principal};
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::entry;
use crate::rules::fact::Fact;

/// Everything that a push takes.
const PUSH: [&str; 4] = ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"];

/// Ways from a snapshot to its content: to an account of the attacker's own, or block by block.
const COPY: [&str; 2] = ["ec2:ModifySnapshotAttribute", "ebs:GetSnapshotBlock"];

/// The ARN of a repository by the name that images have: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`.
fn repository(partition: &str, image: &str) -> Option<(String, String)> {
    let (host, name) = image.split_once('/')?;
    let mut parts = host.split('.');
    let account = parts.next().filter(|a| a.len() == 12 && a.bytes().all(|b| b.is_ascii_digit()))?;
    let ecr = parts.next() == Some("dkr") && parts.next() == Some("ecr");
    let region = parts.next().filter(|_| ecr)?;
    Some((account.to_owned(), format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")))
}

/// Numbers of repositories that some principal can push to, after the steps that say so.
fn pushes(ctx: &mut Ctx<'_>, world: &World<'_>, repositories: &[String]) -> Vec<u32> {
    let able: Vec<&Principal> = world.principals.values().filter(|p| world.could(p, &PUSH)).collect();
    let mut out = Vec::new();
    for (image, n) in repositories.iter().zip(0u32..).filter(|_| !able.is_empty()) {
        let Some((account, arn)) = repository(&world.partition, image) else { continue };
        let (_, name) = arn.split_once(":repository/").unwrap_or_default();
        let object = world.find("EcrRepository", name);
        let listed = object.map(|(_, o)| o.text("imageTagMutability")).filter(|m| !m.is_empty());
        // Tags that cannot be moved keep what runs.
        if listed == Some("IMMUTABLE") {
            continue;
        }
        let policy = object.and_then(|(_, o)| o.spec.get("Policy")).map(Document::new);
        let place = format!("EcrRepository/{name} /spec/Policy");
        let own = || match &policy {
            Some(Ok(d)) => Own::policy(&place, d),
            _ => Own { missing: Some(format!("unread:ecr-get-repository-policy-{name}")), ..Own::default() },
        };
        let before = out.len();
        for p in &able {
            let context = world.context(&p.arn, &account);
            let asked = PUSH.iter().map(|a| world.may(p, a, (&arn, &account), own(), &context));
            let answers: Vec<Answer> = asked.collect();
            // Nobody is said to be let in by a policy that was not read alone.
            if !answers.iter().all(|a| a.open && !a.statements.is_empty()) {
                continue;
            }
            let e = Emit::new("aws-ecr-push", Fact::ImageWrite(n)).from(Fact::CloudPrincipal(p.index)).tier(3);
            let e = e.maybe(listed.is_none().then(|| format!("unread:ecr-describe-repositories-{name}")));
            ctx.emit(answers.iter().fold(e, |e, a| resting(e, a, p.index)));
            out.push(n);
        }
        out.truncate(before.saturating_add(usize::from(out.len() > before)));
    }
    out
}

/// Emits who pushes images, and the containers that run them.
pub fn images(ctx: &mut Ctx<'_>, repositories: &[String]) {
    if ctx.cluster.objects.cloud.is_empty() || repositories.is_empty() {
        return;
    }
    let world = World::new(ctx.cluster);
    let writable = pushes(ctx, &world, repositories);
    entry::replaced(ctx, repositories, &|n| writable.binary_search(&n).is_ok());
}

/// Emits who copies volumes.
pub(super) fn volumes(ctx: &mut Ctx<'_>, world: &World<'_>, keys: &Resources) {
    for p in world.principals.values().filter(|p| world.could(p, &["ec2:CreateSnapshot"]) && world.could(p, &COPY)) {
        let account = principal::account(&p.arn).unwrap_or_default();
        let context = world.context(&p.arn, account);
        for (index, o) in world.of("EbsVolume") {
            let region = o.text("AvailabilityZone").trim_end_matches(|c: char| c.is_ascii_lowercase());
            let arn = |what: &str, account: &str| format!("arn:{}:ec2:{region}:{account}:{what}", world.partition);
            let create = world.may(
                p,
                "ec2:CreateSnapshot",
                (&arn(&format!("volume/{}", o.metadata.name), account), account),
                Own::default(),
                &context,
            );
            // Snapshots have no account in their ARN.
            let snapshot = arn("snapshot/snap-1", "");
            let make = world.may(p, "ec2:CreateSnapshot", (&snapshot, account), Own::default(), &context);
            let copies = COPY.iter().map(|a| world.may(p, a, (&snapshot, account), Own::default(), &context));
            let Some(copy) = copies.filter(|a| a.open).min_by_key(|a| a.unknowns.len()) else { continue };
            if !create.open || !make.open {
                continue;
            }
            let e =
                Emit::new("aws-ebs-snapshot", Fact::CloudResource(index)).from(Fact::CloudPrincipal(p.index)).tier(3);
            let e = match (o.spec.get("Encrypted"), o.text("KmsKeyId")) {
                (Some(serde_json::Value::Bool(false)), _) => e,
                (None, _) => e.unless_known("unread:ec2-describe-volumes"),
                (_, key) => match keys.named(last(key)) {
                    None => e.unless_known(format!("unread:kms-get-key-policy-{}", last(key))),
                    Some(k) => {
                        let mut c = world.context(&p.arn, account);
                        c.set("kms:ViaService", [format!("ec2.{region}.amazonaws.com")]);
                        let decrypt = world.may(p, "kms:Decrypt", (&k.arn, account), k.own(), &c);
                        if !decrypt.open {
                            continue;
                        }
                        resting(e, &decrypt, k.index)
                    }
                },
            };
            let e = e.because(cloud(index), "/metadata/name", o.metadata.name.clone(), "the volume");
            let e = match node_of(ctx, world, o.text("InstanceId")) {
                Some((node, id)) => e.because(node, "/spec/providerID", id, "the volume is of this node"),
                None => e,
            };
            ctx.emit([create, make, copy].iter().fold(e, |e, a| resting(e, a, p.index)));
        }
    }
}

/// The node that is an instance.
fn node_of(ctx: &Ctx<'_>, world: &World<'_>, instance: &str) -> Option<(Obj, String)> {
    let (index, _) = world.find("Ec2Instance", instance)?;
    let i = world.instances.iter().find(|i| i.instance == index)?;
    let n = ctx.cluster.objects.nodes.get(i.node as usize)?;
    Some((Obj { kind: Kind::Node, index: i.node }, n.spec.provider_id.clone()))
}
